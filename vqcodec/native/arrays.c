#include "arrays.h"

#include <string.h>

static const struct {
    const char *letters; /* of the struct module; several where C types have one size */
    Py_ssize_t bytes;
    const char *name;
} TYPES[] = {
    [VQ_U8] = {"B", 1, "uint8"},      [VQ_S8] = {"b", 1, "int8"},     [VQ_S16] = {"h", 2, "int16"},
    [VQ_S32] = {"il", 4, "int32"},    [VQ_U32] = {"IL", 4, "uint32"}, [VQ_S64] = {"lq", 8, "int64"},
    [VQ_F32] = {"f", 4, "float32"},
};

static int is(const Py_buffer *view, vq_type type)
{
    const char *format = view->format == NULL ? "B" : view->format;
    if (*format == '@' || *format == '=')
        format++;
    return strlen(format) == 1 && strchr(TYPES[type].letters, *format) != NULL &&
           view->itemsize == TYPES[type].bytes;
}

static Py_buffer *hold(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int axes,
                       const Py_ssize_t *shape, int flags)
{
    if (arrays->count == VQ_MOST_ARRAYS)
        return PyErr_Format(PyExc_ValueError, "too many arrays"), NULL;
    Py_buffer *view = &arrays->all[arrays->count];
    if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | flags) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_MemoryError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "%s must be an array, contiguous, and writable if written to", name);
        }
        return NULL;
    }
    arrays->count++;
    if (!is(view, type))
        return PyErr_Format(PyExc_ValueError, "%s must be of type %s", name, TYPES[type].name), NULL;
    if (view->ndim != axes)
        return PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, axes, view->ndim), NULL;
    for (int i = 0; i < axes; i++)
        if (shape[i] != VQ_ANY && view->shape[i] != shape[i])
            return PyErr_Format(PyExc_ValueError, "axis %d of %s must be %zd long, not %zd", i, name, shape[i],
                                view->shape[i]), NULL;
    return view;
}

Py_buffer *vq_hold(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int axes,
                   const Py_ssize_t *shape)
{
    return hold(arrays, object, type, name, axes, shape, PyBUF_C_CONTIGUOUS);
}

Py_buffer *vq_hold_output(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int axes,
                          const Py_ssize_t *shape)
{
    return hold(arrays, object, type, name, axes, shape, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
}

Py_buffer *vq_hold_strided(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int writable,
                           int axes, const Py_ssize_t *shape)
{
    int flags = PyBUF_STRIDES | (writable ? PyBUF_WRITABLE : 0);
    Py_buffer *view = hold(arrays, object, type, name, axes, shape, flags);
    if (view == NULL)
        return NULL;
    /* Along an axis of length 1 or 0 no step is taken. */
    int last = axes - 1, aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0;
    for (int i = 0; i < last; i++)
        aligned &= view->strides[i] % view->itemsize == 0;
    if (!aligned || (view->shape[last] > 1 && view->strides[last] != view->itemsize))
        return PyErr_Format(PyExc_ValueError, "the last axis of %s must be contiguous", name), NULL;
    return view;
}

void vq_release(vq_arrays *arrays)
{
    while (arrays->count > 0)
        PyBuffer_Release(&arrays->all[--arrays->count]);
}
