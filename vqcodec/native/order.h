/* The order of coding in a group: classes ascending, positions as they come. */
#ifndef VQ_ORDER_H
#define VQ_ORDER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int groups, count, classes;
    size_t step;        /* from a position's class to that of the next, in numbers */
    int32_t *ends;              /* (classes,) places after the last position of each class */
    int32_t *positions;         /* (count,) */
} vq_order;

/* For arrays (count, groups), their rows next to each other; 0, or -1 where memory is short. */
int vq_order_start(vq_order *order, int groups, int count, int classes);
void vq_order_free(vq_order *order);
/* Sort the positions of a group by their classes; -1 if any of its classes is out of range. */
int vq_order_sort(vq_order *order, const int32_t *of, int group);

#endif
