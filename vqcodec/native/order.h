/* The order of coding in a group: classes ascending, positions as they come. */
#ifndef VQ_ORDER_H
#define VQ_ORDER_H

#include <stdint.h>

typedef struct {
    int groups, count, classes; /* symbols: (count, groups) */
    int32_t *ends;              /* (classes,) places after the last position of each class */
    int32_t *positions;         /* (count,) */
} vq_order;

/* 0, or -1 where memory is short. */
int vq_order_start(vq_order *order, int groups, int count, int classes);
void vq_order_free(vq_order *order);
/* Sort the positions of a group by `of` (count, groups); -1 if any of its classes is out of range. */
int vq_order_sort(vq_order *order, const int32_t *of, int group);

#endif
