/* The Python types and functions of vqcodec.native._entropy, by file. */
#ifndef VQ_MODULE_H
#define VQ_MODULE_H

#include "layer.h"
#include "settle.h"
#include "tables.h"
#include "views.h"

/* Each adds its types and functions to the module; 0, or -1 with an exception set. */
int vq_add_tables(PyObject *module);
int vq_add_coders(PyObject *module);
int vq_add_layers(PyObject *module);
int vq_add_prior(PyObject *module);
int vq_add_settle(PyObject *module);
int vq_add_search(PyObject *module);

/* What an object of the type Tables, or Layer, holds; null with TypeError set for any other. */
vq_tables *vq_tables_of(PyObject *object);
vq_layer *vq_layer_of(PyObject *object);

/* What a tuple (words, indices, mean, latent, compand, seen) is; the height, or -1 with an exception set. */
int vq_read_settling(vq_settling *settling, vq_views *arrays, PyObject *parts);

#endif
