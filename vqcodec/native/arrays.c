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

int vq_is(const Py_buffer *view, vq_type type)
{
    const char *format = view->format == NULL ? "B" : view->format;
    if (*format == '@' || *format == '=')
        format++;
    return strlen(format) == 1 && strchr(TYPES[type].letters, *format) != NULL &&
           view->itemsize == TYPES[type].bytes;
}

int vq_take(PyObject *object, Py_buffer *view, vq_type type, int axes, int writable, const char *name)
{
    int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_MemoryError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "%s must be a%s contiguous array", name, writable ? " writable" : "");
        }
        return -1;
    }
    if (!vq_is(view, type))
        PyErr_Format(PyExc_ValueError, "%s must be of type %s", name, TYPES[type].name);
    else if (axes != 0 && view->ndim != axes)
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, axes, view->ndim);
    else
        return 0;
    PyBuffer_Release(view);
    return -1;
}

int vq_has_shape(const Py_buffer *view, const char *name, int axes, const Py_ssize_t *shape)
{
    for (int i = 0; i < axes; i++)
        if (shape[i] != VQ_ANY && view->shape[i] != shape[i]) {
            PyErr_Format(PyExc_ValueError, "axis %d of %s must be %zd long, not %zd", i, name, shape[i],
                         view->shape[i]);
            return 0;
        }
    return 1;
}

void vq_release(Py_buffer *views, int count)
{
    while (count-- > 0)
        PyBuffer_Release(&views[count]);
}
