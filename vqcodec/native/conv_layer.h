/* The weights of one convolution, ready for the kernels. */
#ifndef VQ_CONV_LAYER_H
#define VQ_CONV_LAYER_H

#include <stdint.h>

#include "conv.h"

typedef struct {
    int output, tap, input;
} vq_excess; /* a weight that dot7.h must take off: its output among 16 */

typedef struct {
    vq_dot dot;
    int zero; /* the input that stands for 0 */
    int outputs, kernel, inputs, groups;
    int32_t *offset; /* outputs, padded: `zero` times the sum of an output's weights, modulo 2^32 */
    void *packed;
    size_t block;      /* bytes of the packed weights of 16 outputs */
    void *transformed; /* weights for winograd.h instead, or null */
    vq_excess *excess; /* of dot7.h */
    void *memory;
} vq_conv_layer;

/* The layer of weights (outputs, kernel, kernel, inputs), kernel 1 or 3: s8 of at most 64 in size for inputs of u8
   around `zero`, 0 or 128, or s16 for inputs of s16, whose zero is 0. Null with *status -1 where memory is short,
   -2 where weights break the bounds of exact arithmetic. */
vq_conv_layer *vq_conv_layer_make(vq_dot dot, const void *weights, int outputs, int kernel, int inputs, int zero,
                                  int *status);
void vq_conv_layer_free(vq_conv_layer *layer);

/* Memory aligned to a cache line; *memory is what free() takes. Null if there is none. */
void *vq_aligned(size_t bytes, void **memory);

#endif
