#include "conv_layer.h"

#include <stdlib.h>
#include <string.h>

#include "arrays.h"

static const char NAME[] = "vqcodec.native.layer";

enum {
    LINE = 64,
    MOST_CHANNELS = 1 << 16,
    MOST_WEIGHT8 = 64,
    MOST_SUM8 = (1 << 24) / 255 /* float32 adds such sums exactly, where numpy or torch do this work */
};

void *vq_aligned(size_t bytes, void **memory)
{
    *memory = malloc(bytes + LINE);
    return *memory ? (void *)(((uintptr_t)*memory + LINE - 1) / LINE * LINE) : NULL;
}

static void release(PyObject *capsule)
{
    vq_conv_layer *layer = PyCapsule_GetPointer(capsule, NAME);
    free(layer->memory);
    free(layer);
}

const vq_conv_layer *vq_layer_in(PyObject *capsule)
{
    if (!PyCapsule_IsValid(capsule, NAME)) {
        PyErr_SetString(PyExc_TypeError, "not a layer made by pack()");
        return NULL;
    }
    return PyCapsule_GetPointer(capsule, NAME);
}

static int check8(const int8_t *weights, int outputs, Py_ssize_t each)
{
    for (int o = 0; o < outputs; o++) {
        Py_ssize_t sum = 0;
        for (Py_ssize_t i = 0; i < each; i++) {
            const int size = abs(weights[o * each + i]);
            if (size > MOST_WEIGHT8)
                return -1;
            sum += size;
        }
        if (sum >= MOST_SUM8)
            return -1;
    }
    return 0;
}

static vq_conv_layer *make(vq_dot dot, const void *weights, const Py_ssize_t *shape, int zero)
{
    vq_conv_layer *layer = calloc(1, sizeof *layer);
    if (!layer)
        return NULL;
    layer->dot = dot;
    layer->zero = zero;
    layer->outputs = (int)shape[0];
    layer->kernel = (int)shape[1];
    layer->inputs = (int)shape[3];
    layer->groups = vq_groups(dot, layer->inputs);
    const size_t packed = vq_packed_size(dot, layer->outputs, layer->kernel, layer->inputs);
    const size_t padded = vq_padded(layer->outputs);
    layer->packed = vq_aligned(packed + padded * sizeof *layer->offset, &layer->memory);
    if (!layer->packed) {
        free(layer);
        return NULL;
    }
    vq_pack(dot, weights, layer->outputs, layer->kernel, layer->inputs, layer->packed);
    layer->offset = (int32_t *)((char *)layer->packed + packed);
    memset(layer->offset, 0, padded * sizeof *layer->offset);
    if (zero) {
        const Py_ssize_t each = shape[1] * shape[2] * shape[3];
        for (int o = 0; o < layer->outputs; o++)
            for (Py_ssize_t i = 0; i < each; i++)
                layer->offset[o] += zero * ((const int8_t *)weights)[o * each + i];
    }
    return layer;
}

PyObject *vq_pack_layer(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *weight;
    int zero;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "Oi:pack", &weight, &zero))
        return NULL;
    vq_dot dot = VQ_DOT8;
    if (vq_take(weight, &view, VQ_S8, 4, 0, "weight") < 0) {
        PyErr_Clear();
        dot = VQ_DOT16;
        if (vq_take(weight, &view, VQ_S16, 4, 0, "weight") < 0)
            return NULL;
    }
    const Py_ssize_t *shape = view.shape;
    vq_conv_layer *layer = NULL;
    if (shape[0] < 1 || shape[0] > MOST_CHANNELS || shape[3] < 1 || shape[3] > MOST_CHANNELS ||
        shape[1] != shape[2] || (shape[1] != 1 && shape[1] != 3))
        PyErr_SetString(PyExc_ValueError, "not the weights (O, k, k, I) of a convolution");
    else if (zero != 0 && !(dot == VQ_DOT8 && zero == 128))
        PyErr_SetString(PyExc_ValueError, "the zero is 0, or 128 for inputs of 8 bits");
    else if (dot == VQ_DOT8 && check8(view.buf, (int)shape[0], shape[1] * shape[2] * shape[3]) < 0)
        PyErr_SetString(PyExc_ValueError, "weights break the bounds of exact arithmetic");
    else if (!(layer = make(dot, view.buf, shape, zero)))
        PyErr_NoMemory();
    PyBuffer_Release(&view);
    if (!layer)
        return NULL;
    PyObject *capsule = PyCapsule_New(layer, NAME, release);
    if (!capsule) {
        free(layer->memory);
        free(layer);
    }
    return capsule;
}
