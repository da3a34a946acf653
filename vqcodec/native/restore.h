/* The whole restoration, a few rows at a time, so that what lies between its steps never leaves the cache. */
#ifndef VQ_RESTORE_H
#define VQ_RESTORE_H

#include "conv_layer.h"

typedef struct {
    const vq_conv_layer *layer;
    const float *scale, *bias;
} vq_scaled;

typedef struct {
    const float *u;       /* (height, width, 3), sides multiples of 8 */
    const uint8_t *guide; /* (height / 8, width / 8, channels) */
    int height, width;
    vq_scaled lead;   /* guide to 16 * features, 1x1 */
    vq_scaled sense;  /* 24 words of cells to features, 3x3 */
    vq_scaled mix;    /* features to features, 3x3 */
    vq_scaled filter; /* features to 12 + 12 * count, 1x1 */
    const int16_t *kernels;
    int count;
    const float *colour;
    uint8_t *out; /* (height, width, 3) */
} vq_restoration;

/* As the operations one by one: cells; lead and shuffle 4; sense, with that added, to bytes; mix, to bytes;
   filter; mend. features is a multiple of 16. 0, or -1 where memory ran out. */
int vq_restore(int threads, const vq_restoration *restoration);

#endif
