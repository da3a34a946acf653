/* The order of coding in a group: classes ascending, positions as they come. */
#ifndef VQ_ORDER_H
#define VQ_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "certain.h"

/* The positions of one class, positions[first] to those before positions[end]. */
typedef struct {
    int32_t class_, first, end;
} vq_run;

typedef struct {
    int classes, count;
    vq_run *runs; /* classes ascending */
    int32_t *positions;
    int32_t *ends;  /* (classes,) room to count in, all 0 between sorts */
    uint64_t *used; /* (classes,) bits of those that are not, all 0 too */
} vq_order;

/* For groups of at most so many positions; 0, or -1 where memory is short. */
int vq_order_start(vq_order *order, int most, int classes);
void vq_order_free(vq_order *order);
/* Sort a group's open positions by what moves (classes,) makes of their classes, or if it is null by themselves; -1
   if any is out of range. */
int vq_order_sort(vq_order *order, const vq_open *open, int group, const int32_t *moves);

#endif
