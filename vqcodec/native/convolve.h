/* Convolutions of whole maps, and what becomes of their sums, on several threads. */
#ifndef VQ_CONVOLVE_H
#define VQ_CONVOLVE_H

#include "conv_layer.h"

/* A map in memory: `pixel` bytes from one pixel to the next, `row` bytes from one row to the next. */
typedef struct {
    char *first;
    size_t pixel, row;
} vq_map;

typedef enum { VQ_FLOATS, VQ_ADDED, VQ_BYTES } vq_result;

typedef struct {
    const vq_conv_layer *layer;
    int height, width;
    vq_map in;
    int margin; /* pixels of zero that lie around `in`, whose groups are complete: nothing need be copied */
    int above, below; /* rows of the input that lie there beyond its first and last, instead of zeros */
    const float *scale, *bias;
    vq_result result; /* sums * scale + bias as float32, the same added to out, or in 8 bits without a sign */
    int shuffle; /* n: the outputs of a pixel are those of n x n pixels of `out`, rows first; 1, or 0: of one */
    const char *add;  /* with VQ_BYTES: float32 laid out as (height, width, outputs), added first; or null */
    vq_map out;
} vq_convolution;

/* A map without gaps. */
vq_map vq_dense(void *first, size_t pixel, int width);

/* 0, or -1 where memory ran out. */
int vq_convolve(int threads, const vq_convolution *convolution);

/* h + layer2(clamp(rint(layer1(quantised h)))) in place, see vq_rows.to_bytes; h (height, width, channels).
 */
int vq_block(int threads, float *h, int height, int width, const float *inverse, const vq_conv_layer *layer1,
             const float *scale1, const float *bias1, const vq_conv_layer *layer2, const float *scale2,
             const float *bias2);

#endif
