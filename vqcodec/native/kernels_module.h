/* The functions of vqcodec.native._kernels, by file. They take numpy arrays, results included, and the number
   of threads at last; ValueError for arrays of another type or shape. */
#ifndef VQ_KERNELS_MODULE_H
#define VQ_KERNELS_MODULE_H

#include "held.h"

PyObject *vq_py_quantise(PyObject *module, PyObject *args);
PyObject *vq_py_convolve(PyObject *module, PyObject *args);
PyObject *vq_py_block(PyObject *module, PyObject *args);

PyObject *vq_py_shuffle(PyObject *module, PyObject *args);
PyObject *vq_py_lap(PyObject *module, PyObject *args);
PyObject *vq_py_cells(PyObject *module, PyObject *args);
PyObject *vq_py_mend(PyObject *module, PyObject *args);
PyObject *vq_py_restore(PyObject *module, PyObject *args);

#endif
