#include "views.h"

/* Room for one more; null with ValueError set where there is none. */
static Py_buffer *next(vq_views *views)
{
    if (views->count < VQ_MOST_VIEWS)
        return &views->all[views->count];
    PyErr_SetString(PyExc_ValueError, "too many arrays");
    return NULL;
}

static Py_buffer *contiguous(vq_views *views, PyObject *object, vq_type type, const char *name, int writable,
                             int axes, const Py_ssize_t *shape)
{
    Py_buffer *view = next(views);
    if (view == NULL || vq_take(object, view, type, axes, writable, name) < 0)
        return NULL;
    views->count++;
    return vq_has_shape(view, name, axes, shape) ? view : NULL;
}

Py_buffer *vq_view(vq_views *views, PyObject *object, vq_type type, const char *name, int axes,
                   const Py_ssize_t *shape)
{
    return contiguous(views, object, type, name, 0, axes, shape);
}

Py_buffer *vq_view_output(vq_views *views, PyObject *object, vq_type type, const char *name, int axes,
                          const Py_ssize_t *shape)
{
    return contiguous(views, object, type, name, 1, axes, shape);
}

Py_buffer *vq_view_strided(vq_views *views, PyObject *object, vq_type type, const char *name, int writable,
                           int axes, const Py_ssize_t *shape)
{
    Py_buffer *view = next(views);
    int flags = PyBUF_FORMAT | PyBUF_STRIDES | (writable ? PyBUF_WRITABLE : 0), last = axes - 1;
    if (view == NULL)
        return NULL;
    if (PyObject_GetBuffer(object, view, flags) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_MemoryError))
            PyErr_Format(PyExc_ValueError, "%s must be an array, and writable if written to", name);
        return NULL;
    }
    views->count++;
    if (!vq_is(view, type) || view->ndim != axes) {
        PyErr_Format(PyExc_ValueError, "%s is of another type or number of axes", name);
        return NULL;
    }
    /* Along an axis of length 1 or 0 no step is taken. */
    int aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0;
    for (int i = 0; i < last; i++)
        aligned &= view->strides[i] % view->itemsize == 0;
    if (!aligned || (view->shape[last] > 1 && view->strides[last] != view->itemsize)) {
        PyErr_Format(PyExc_ValueError, "the last axis of %s must be contiguous", name);
        return NULL;
    }
    return vq_has_shape(view, name, axes, shape) ? view : NULL;
}

void vq_views_end(vq_views *views)
{
    while (views->count > 0)
        PyBuffer_Release(&views->all[--views->count]);
}
