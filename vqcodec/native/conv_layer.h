/* The weights of one convolution, ready for the kernels. */
#ifndef VQ_CONV_LAYER_H
#define VQ_CONV_LAYER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "conv.h"

typedef struct {
    vq_dot dot;
    int zero; /* the input that stands for 0 */
    int outputs, kernel, inputs, groups;
    int32_t *offset; /* outputs, padded: `zero` times the sum of an output's weights, modulo 2^32 */
    void *packed;
    void *memory;
} vq_conv_layer;

/* pack(weight, zero): a capsule. Weights (O, k, k, I), k 1 or 3: int8 of at most 64 in size for inputs of
   uint8, or int16 for inputs of int16, whose zero is 0. ValueError if they break the bounds of exact
   arithmetic. */
PyObject *vq_pack_layer(PyObject *module, PyObject *args);

/* The layer in a capsule; null with TypeError set for anything else. */
const vq_conv_layer *vq_layer_in(PyObject *capsule);

/* Memory aligned to a cache line; *memory is what free() takes. Null if there is none. */
void *vq_aligned(size_t bytes, void **memory);

#endif
