/* The arrays that a call works on: any number of them, of which some axes must have certain lengths. */
#ifndef VQ_VIEWS_H
#define VQ_VIEWS_H

#include "arrays.h"

enum { VQ_MOST_VIEWS = 128 };

/* What is held, and let go of at the end of the call. Starts as {.count = 0}. */
typedef struct {
    Py_buffer all[VQ_MOST_VIEWS];
    int count;
} vq_views;

/* Hold a C-contiguous array of this type and shape; null with ValueError set if it is another. */
Py_buffer *vq_view(vq_views *views, PyObject *object, vq_type type, const char *name, int axes,
                   const Py_ssize_t *shape);
/* The same of one that will be written to. */
Py_buffer *vq_view_output(vq_views *views, PyObject *object, vq_type type, const char *name, int axes,
                          const Py_ssize_t *shape);
/* The same of one whose last axis alone must be contiguous, written to or not. */
Py_buffer *vq_view_strided(vq_views *views, PyObject *object, vq_type type, const char *name, int writable,
                           int axes, const Py_ssize_t *shape);
void vq_views_end(vq_views *views);

#define VQ_SHAPE(...) ((const Py_ssize_t[]){__VA_ARGS__})

#endif
