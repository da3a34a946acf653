/* The restoration's last step, some rows of cells at a time; for whole pictures see picture.h. */
#ifndef VQ_MEND_H
#define VQ_MEND_H

#include <stddef.h>
#include <stdint.h>

#include "rows.h"

typedef struct {
    const float *u, *colour;
    const int16_t *cells;
    int cells_first;   /* number of the row of cells that `cells` starts with */
    int height, width; /* of the picture */
    int count;         /* kernels */
    char *packed[3];
    uint8_t *out;
    const vq_rows *rows;
    void *memory; /* free() takes it */
} vq_mending;

/* Packs kernels (3, count, 5, 5). 0, or -1 where memory ran out. */
int vq_mend_start(vq_mending *task, const int16_t *kernels, int count);

/* Bytes of scratch memory for `rows` rows of cells, aligned to 64. */
size_t vq_mend_scratch(const vq_mending *task, int rows);

/* Draw and gates of a row of cells, asked for in ascending order. */
typedef const float *vq_gates(void *context, int row);

/* Mends the pixels of rows first .. first + rows - 1 of cells; the one above and the one below are read too.
 */
void vq_mend_rows(const vq_mending *task, int first, int rows, void *scratch, vq_gates *gates, void *context);

#endif
