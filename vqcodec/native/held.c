#include "held.h"

#include <string.h>

const Py_buffer *vq_hold(vq_held *held, PyObject *array, vq_type type, int axes, const Py_ssize_t *shape,
                         int writable, const char *name)
{
    if (held->failed)
        return NULL;
    Py_buffer *view = &held->views[held->count];
    if (held->count == VQ_MOST_HELD || vq_take(array, view, type, axes, writable, name) < 0) {
        held->failed = 1;
        return NULL;
    }
    held->count++;
    if (shape && !vq_has_shape(view, name, axes, shape)) {
        held->failed = 1;
        return NULL;
    }
    return view;
}

const Py_buffer *vq_hold_map(vq_held *held, PyObject *array, vq_type type, Py_ssize_t channels,
                             const char *name)
{
    const Py_ssize_t shape[] = {VQ_ANY, VQ_ANY, channels};
    const Py_buffer *map = vq_hold(held, array, type, 3, shape, 0, name);
    if (!map)
        return NULL;
    const Py_ssize_t h = map->shape[0], w = map->shape[1];
    if (h < 1 || w < 1 || map->shape[2] < 1 || w > VQ_MOST_PIXELS || h > VQ_MOST_PIXELS / w) {
        PyErr_Format(PyExc_ValueError, "%s is empty or too large", name);
        held->failed = 1;
        return NULL;
    }
    return map;
}

const float *vq_hold_vector(vq_held *held, PyObject *array, Py_ssize_t length, const char *name)
{
    const Py_buffer *vector = vq_hold(held, array, VQ_F32, 1, &length, 0, name);
    return vector ? vector->buf : NULL;
}

void vq_require(vq_held *held, int valid, const char *otherwise)
{
    if (held->failed || valid)
        return;
    PyErr_SetString(PyExc_ValueError, otherwise);
    held->failed = 1;
}

vq_type vq_type_of(PyObject *array)
{
    Py_buffer view;
    if (PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_STRIDES) < 0) {
        PyErr_Clear();
        return VQ_U8;
    }
    const char *format = view.format ? view.format : "B";
    const vq_type type = strcmp(format, "f") == 0 ? VQ_F32 : strcmp(format, "h") == 0 ? VQ_S16 : VQ_U8;
    PyBuffer_Release(&view);
    return type;
}

PyObject *vq_end(vq_held *held, int status)
{
    vq_release(held->views, held->count);
    held->count = 0;
    if (held->failed)
        return NULL;
    if (status < 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}
