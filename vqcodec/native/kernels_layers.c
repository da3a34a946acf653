/* Layers of vqcodec.native._kernels: capsules of packed weights. */
#include "kernels_module.h"

static const char NAME[] = "vqcodec.native.layer";

enum { MOST_CHANNELS = 1 << 16 };

static void release(PyObject *capsule)
{
    vq_conv_layer_free(PyCapsule_GetPointer(capsule, NAME));
}

const vq_conv_layer *vq_layer_in(PyObject *capsule)
{
    if (!PyCapsule_IsValid(capsule, NAME)) {
        PyErr_SetString(PyExc_TypeError, "not a layer made by pack()");
        return NULL;
    }
    return PyCapsule_GetPointer(capsule, NAME);
}

/* The layer of an array and the zero of its inputs; null with an exception set. */
static vq_conv_layer *make(vq_dot dot, const Py_buffer *view, int zero)
{
    const Py_ssize_t *shape = view->shape;
    int status = 0;
    if (shape[0] < 1 || shape[0] > MOST_CHANNELS || shape[3] < 1 || shape[3] > MOST_CHANNELS ||
        shape[1] != shape[2] || (shape[1] != 1 && shape[1] != 3)) {
        PyErr_SetString(PyExc_ValueError, "not the weights (O, k, k, I) of a convolution");
        return NULL;
    }
    if (zero != 0 && !(dot == VQ_DOT8 && zero == 128)) {
        PyErr_SetString(PyExc_ValueError, "the zero is 0, or 128 for inputs of 8 bits");
        return NULL;
    }
    vq_conv_layer *layer =
        vq_conv_layer_make(dot, view->buf, (int)shape[0], (int)shape[1], (int)shape[3], zero, &status);
    if (status == -2)
        PyErr_SetString(PyExc_ValueError, "weights break the bounds of exact arithmetic");
    else if (status < 0)
        PyErr_NoMemory();
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
    vq_conv_layer *layer = make(dot, &view, zero);
    PyBuffer_Release(&view);
    if (!layer)
        return NULL;
    PyObject *capsule = PyCapsule_New(layer, NAME, release);
    if (!capsule)
        vq_conv_layer_free(layer);
    return capsule;
}
