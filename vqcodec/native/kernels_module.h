/* The functions of vqcodec.native._kernels, by file. They take numpy arrays, results included, and the number
   of threads at last; ValueError for arrays of another type or shape. */
#ifndef VQ_KERNELS_MODULE_H
#define VQ_KERNELS_MODULE_H

#include "conv_layer.h"
#include "held.h"

/* pack(weight, zero): a capsule. Weights (O, k, k, I), k 1 or 3: int8 of at most 64 in size for inputs of
   uint8, or int16 for inputs of int16, whose zero is 0. ValueError if they break the bounds of exact
   arithmetic. */
PyObject *vq_pack_layer(PyObject *module, PyObject *args);

/* The layer in a capsule; null with TypeError set for anything else. */
const vq_conv_layer *vq_layer_in(PyObject *capsule);

PyObject *vq_py_quantise(PyObject *module, PyObject *args);
PyObject *vq_py_convolve(PyObject *module, PyObject *args);
PyObject *vq_py_block(PyObject *module, PyObject *args);

PyObject *vq_py_shuffle(PyObject *module, PyObject *args);
PyObject *vq_py_lap(PyObject *module, PyObject *args);
PyObject *vq_py_cells(PyObject *module, PyObject *args);
PyObject *vq_py_mend(PyObject *module, PyObject *args);
PyObject *vq_py_restore(PyObject *module, PyObject *args);

#endif
