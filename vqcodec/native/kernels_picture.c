/* Functions of vqcodec.native._kernels on pictures. */
#include "kernels_module.h"
#include "picture.h"

PyObject *vq_py_shuffle(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *x_object, *out_object;
    int n, back, threads;
    if (!PyArg_ParseTuple(args, "OOipi:shuffle", &x_object, &out_object, &n, &back, &threads))
        return NULL;
    const vq_type type = vq_type_of(x_object);
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    vq_require(&held, n >= 1 && n <= 64, "n is out of bounds");
    const Py_buffer *x = vq_hold_map(&held, x_object, type, -1, "x");
    if (!x)
        return vq_end(&held, 0);
    const Py_ssize_t h = x->shape[0], w = x->shape[1], channels = x->shape[2];
    if (back)
        vq_require(&held, h % n == 0 && w % n == 0, "sides are no multiples of n");
    else
        vq_require(&held, channels % (n * n) == 0, "channels are no multiple of n * n");
    const Py_ssize_t forth[] = {h * n, w * n, channels / (n * n)},
                     reverse[] = {h / n, w / n, channels * n * n};
    const Py_buffer *out = vq_hold(&held, out_object, type, 3, back ? reverse : forth, 1, "out");
    if (out) {
        const Py_ssize_t *small = back ? reverse : x->shape;
        Py_BEGIN_ALLOW_THREADS
        vq_shuffle(threads, x->buf, (int)small[0], (int)small[1], n,
                   (size_t)(small[2] / (n * n) * x->itemsize), back, out->buf);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, 0);
}

PyObject *vq_py_lap(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *x_object, *matrix_object;
    int threads;
    if (!PyArg_ParseTuple(args, "OOi:lap", &x_object, &matrix_object, &threads))
        return NULL;
    const Py_ssize_t square[] = {16, 16};
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    const Py_buffer *x = vq_hold_map(&held, x_object, VQ_F32, -1, "x");
    x = x ? vq_hold(&held, x_object, VQ_F32, 3, x->shape, 1, "x") : NULL;
    const Py_buffer *matrix = vq_hold(&held, matrix_object, VQ_F32, 2, square, 0, "matrix");
    vq_require(&held, !x || (x->shape[0] % 16 == 0 && x->shape[1] % 16 == 0), "sides are no multiples of 16");
    vq_require(&held, !x || x->shape[2] <= 1 << 16, "too many channels");
    if (!held.failed) {
        Py_BEGIN_ALLOW_THREADS
        vq_lap(threads, x->buf, (int)x->shape[0], (int)x->shape[1], (int)x->shape[2], matrix->buf);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, 0);
}

/* A picture in 3 colours whose sides are even. */
static const Py_buffer *hold_picture(vq_held *held, PyObject *object, const char *name)
{
    const Py_buffer *u = vq_hold_map(held, object, VQ_F32, 3, name);
    vq_require(held, !u || (u->shape[0] % 2 == 0 && u->shape[1] % 2 == 0), "sides are odd");
    return held->failed ? NULL : u;
}

PyObject *vq_py_cells(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *u_object, *out_object;
    int threads, status = 0;
    if (!PyArg_ParseTuple(args, "OOi:cells", &u_object, &out_object, &threads))
        return NULL;
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    const Py_buffer *u = hold_picture(&held, u_object, "u");
    if (!u)
        return vq_end(&held, 0);
    const Py_ssize_t shape[] = {u->shape[0] / 2, u->shape[1] / 2, 24};
    const Py_buffer *out = vq_hold(&held, out_object, VQ_S16, 3, shape, 1, "out");
    if (out) {
        Py_BEGIN_ALLOW_THREADS
        status = vq_cells(threads, u->buf, (int)u->shape[0], (int)u->shape[1], out->buf);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}

PyObject *vq_py_mend(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *u_object, *cells_object, *f_object, *kernels_object, *colour_object, *out_object;
    int threads, status = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOi:mend", &u_object, &cells_object, &f_object, &kernels_object,
                          &colour_object, &out_object, &threads))
        return NULL;
    const Py_ssize_t any[] = {3, -1, 5, 5}, square[] = {3, 3};
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    const Py_buffer *kernels = vq_hold(&held, kernels_object, VQ_S16, 4, any, 0, "kernels");
    const Py_ssize_t count = kernels ? kernels->shape[1] : 0;
    vq_require(&held, count >= 1 && count <= 64, "too many kernels, or none");
    const Py_buffer *u = hold_picture(&held, u_object, "u");
    if (!u)
        return vq_end(&held, 0);
    const Py_ssize_t h = u->shape[0], w = u->shape[1];
    const Py_ssize_t cells_shape[] = {h / 2, w / 2, 24}, f_shape[] = {h / 2, w / 2, 12 + 12 * count};
    const Py_buffer *cells = vq_hold(&held, cells_object, VQ_S16, 3, cells_shape, 0, "cells");
    const Py_buffer *f = vq_hold(&held, f_object, VQ_F32, 3, f_shape, 0, "f");
    const Py_buffer *colour = vq_hold(&held, colour_object, VQ_F32, 2, square, 0, "colour");
    const Py_buffer *out = vq_hold(&held, out_object, VQ_U8, 3, u->shape, 1, "out");
    if (out) {
        Py_BEGIN_ALLOW_THREADS
        status = vq_mend(threads, u->buf, cells->buf, f->buf, (int)h, (int)w, kernels->buf, (int)count,
                         colour->buf, out->buf);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}
