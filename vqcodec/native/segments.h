/* Many symbols at once through the range coder. */
#ifndef VQ_SEGMENTS_H
#define VQ_SEGMENTS_H

#include "order.h"
#include "range_coder.h"
#include "tables.h"

/* Code symbols (count, groups), group by group, in the order that `order` makes of what is open; tables of group *
   open->classes + class. Moves (groups, open->classes), unless they are null, make other classes of theirs. */
vq_result vq_encode(vq_coder *coder, vq_order *order, const vq_open *open, vq_tables *tables, const int32_t *moves,
                    const int32_t *symbols);
/* Decode them; whatever is wrong with the words, symbols are in range that were before. */
vq_result vq_decode(vq_coder *coder, vq_order *order, const vq_open *open, vq_tables *tables, const int32_t *moves,
                    int32_t *symbols);

/* What one call codes: symbols and classes (count, groups), moves (groups, table_classes) or null. */
typedef struct {
    vq_tables *tables;
    const int32_t *classes, *moves;
    int32_t *symbols;
    int groups, count, table_classes, reading;
} vq_symbols;

/* All of it, what is certain included: with moves, that is filled in or compared, and takes no words. */
vq_result vq_code_symbols(vq_coder *coder, const vq_symbols *work);

#endif
