/* Arrays from Python by the buffer protocol: every type and size is checked here, whatever Python checked. */
#ifndef VQ_ARRAYS_H
#define VQ_ARRAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef enum { VQ_U8, VQ_S8, VQ_S16, VQ_S32, VQ_U32, VQ_S64, VQ_F32 } vq_type;

enum { VQ_ANY = -1 /* a side of any length */, VQ_MOST_ARRAYS = 80 };

/* The arrays that a call holds; all of them are released at its end. Starts as {.count = 0}. */
typedef struct {
    Py_buffer all[VQ_MOST_ARRAYS];
    int count;
} vq_arrays;

/* Hold a C-contiguous array of this type and shape; null with ValueError set if it is another. */
Py_buffer *vq_hold(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int axes,
                   const Py_ssize_t *shape);
/* The same of one that will be written to. */
Py_buffer *vq_hold_output(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int axes,
                          const Py_ssize_t *shape);
/* The same of one whose last axis alone must be contiguous, written to or not. */
Py_buffer *vq_hold_strided(vq_arrays *arrays, PyObject *object, vq_type type, const char *name, int writable,
                           int axes, const Py_ssize_t *shape);
void vq_release(vq_arrays *arrays);

#define VQ_SHAPE(...) ((const Py_ssize_t[]){__VA_ARGS__})

#endif
