/* Many symbols at once through the range coder. */
#ifndef VQ_SEGMENTS_H
#define VQ_SEGMENTS_H

#include "order.h"
#include "range_coder.h"
#include "tables.h"

/* Code symbols (count, groups) of these classes, group by group; tables of group * order->classes + class. */
vq_result vq_encode(vq_coder *coder, vq_order *order, vq_tables *tables, const int32_t *symbols,
                    const int32_t *classes);
/* Decode them; whatever is wrong with the words, all symbols are in range. */
vq_result vq_decode(vq_coder *coder, vq_order *order, vq_tables *tables, int32_t *symbols,
                    const int32_t *classes);

#endif
