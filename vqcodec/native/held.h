/* Arguments of one call: arrays held until it ends. */
#ifndef VQ_HELD_H
#define VQ_HELD_H

#include "arrays.h"

enum {
    VQ_MOST_HELD = 16,
    VQ_MOST_THREADS = 1 << 16,
    VQ_MOST_PIXELS = 1 << 28 /* of a map, so that an int counts them */
};

typedef struct {
    Py_buffer views[VQ_MOST_HELD];
    int count;
    int failed; /* an exception is set */
} vq_held;

/* Hold an array; its type and the number of axes are checked, and the length of every axis that is not
   VQ_ANY in `shape`. After a failure, of this or an earlier one, null. */
const Py_buffer *vq_hold(vq_held *held, PyObject *array, vq_type type, int axes, const Py_ssize_t *shape,
                         int writable, const char *name);

/* The same for a map (H, W, channels), any number of them if -1, that is neither empty nor too large. */
const Py_buffer *vq_hold_map(vq_held *held, PyObject *array, vq_type type, Py_ssize_t channels,
                             const char *name);

/* The same for a vector of float32. */
const float *vq_hold_vector(vq_held *held, PyObject *array, Py_ssize_t length, const char *name);

/* Fail with ValueError unless `valid`. */
void vq_require(vq_held *held, int valid, const char *otherwise);

/* Of an array, for a choice between types that is checked afterwards; VQ_U8 if it is none of float32, int16.
 */
vq_type vq_type_of(PyObject *array);

/* Let go of all; None, or null if something failed or `status` says that memory ran out. */
PyObject *vq_end(vq_held *held, int status);

#endif
