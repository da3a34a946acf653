/* Arrays from Python by the buffer protocol: every type and size is checked here, whatever Python checked. */
#ifndef VQ_ARRAYS_H
#define VQ_ARRAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { VQ_ANY = -1 /* an axis of any length */ };
typedef enum { VQ_U8, VQ_S8, VQ_S16, VQ_S32, VQ_U32, VQ_S64, VQ_F32 } vq_type;

/* Take a C-contiguous array of `axes` axes (0: any number); 0, or -1 with ValueError set and nothing held. */
int vq_take(PyObject *object, Py_buffer *view, vq_type type, int axes, int writable, const char *name);

/* Whether every axis has the length that `shape` tells, or VQ_ANY; if not, ValueError is set. */
int vq_has_shape(const Py_buffer *view, const char *name, int axes, const Py_ssize_t *shape);

/* Whether a view that has its format is of a type. */
int vq_is(const Py_buffer *view, vq_type type);

/* Release the first `count` of some views. */
void vq_release(Py_buffer *views, int count);

#endif
