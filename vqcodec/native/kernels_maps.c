/* Functions of vqcodec.native._kernels on feature maps. */
#include "convolve.h"
#include "kernels_module.h"
#include "quantise.h"

PyObject *vq_py_quantise(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *h_object, *inverse_object, *out_object;
    int threads, status = 0;
    if (!PyArg_ParseTuple(args, "OOOi:quantise", &h_object, &inverse_object, &out_object, &threads))
        return NULL;
    const int words = vq_type_of(out_object) == VQ_S16;
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    const Py_buffer *h = vq_hold_map(&held, h_object, VQ_F32, -1, "h");
    const float *inverse = h ? vq_hold_vector(&held, inverse_object, h->shape[2], "inverse") : NULL;
    const Py_buffer *out =
        inverse ? vq_hold(&held, out_object, words ? VQ_S16 : VQ_U8, 3, h->shape, 1, "out") : NULL;
    if (out) {
        Py_BEGIN_ALLOW_THREADS
        status = vq_quantise(threads, h->buf, (size_t)(h->shape[0] * h->shape[1]), (size_t)h->shape[2],
                             inverse, words, out->buf);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}

PyObject *vq_py_convolve(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *x_object, *capsule, *scale_object, *bias_object, *add_object, *out_object;
    int n, threads, status = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOii:convolve", &x_object, &capsule, &scale_object, &bias_object,
                          &add_object, &out_object, &n, &threads))
        return NULL;
    const vq_conv_layer *layer = vq_layer_in(capsule);
    if (!layer)
        return NULL;
    const int eight = layer->dot == VQ_DOT8, floats = vq_type_of(out_object) == VQ_F32;
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    vq_require(&held, !floats || add_object == Py_None || add_object == out_object,
               "add must be out, or None");
    vq_require(&held, n == 1 || (floats && n > 1 && n <= 64 && layer->outputs % (n * n) == 0),
               "outputs are not those of n x n pixels in float32");
    const Py_buffer *x = vq_hold_map(&held, x_object, eight ? VQ_U8 : VQ_S16, layer->inputs, "x");
    const float *scale = vq_hold_vector(&held, scale_object, layer->outputs, "scale");
    const float *bias = vq_hold_vector(&held, bias_object, layer->outputs, "bias");
    if (!bias)
        return vq_end(&held, 0);
    const Py_ssize_t shape[] = {x->shape[0], x->shape[1], layer->outputs};
    const int apart = add_object != Py_None && !floats;
    const Py_buffer *add = apart ? vq_hold(&held, add_object, VQ_F32, 3, shape, 0, "add") : NULL;
    n = held.failed ? 1 : n;
    const Py_ssize_t shuffled[] = {n * shape[0], n * shape[1], layer->outputs / (n * n)};
    const Py_buffer *out = vq_hold(&held, out_object, floats ? VQ_F32 : VQ_U8, 3, shuffled, 1, "out");
    if (out) {
        const int height = (int)shape[0], width = (int)shape[1];
        const vq_convolution task = {
            .layer = layer,
            .height = height,
            .width = width,
            .in = vq_dense(x->buf, (size_t)layer->inputs * x->itemsize, width),
            .scale = scale,
            .bias = bias,
            .result = !floats                 ? VQ_BYTES
                      : add_object == Py_None ? VQ_FLOATS
                                              : VQ_ADDED,
            .shuffle = n,
            .add = add ? add->buf : NULL,
            .out = vq_dense(out->buf, (size_t)shuffled[2] * out->itemsize, n * width),
        };
        Py_BEGIN_ALLOW_THREADS
        status = vq_convolve(threads, &task);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}

PyObject *vq_py_block(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *h_object, *inverse_object, *capsules[2], *scales[2], *biases[2];
    int threads, status = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOOOi:block", &h_object, &inverse_object, &capsules[0], &scales[0],
                          &biases[0], &capsules[1], &scales[1], &biases[1], &threads))
        return NULL;
    const vq_conv_layer *layers[2];
    for (int i = 0; i < 2; i++)
        if (!(layers[i] = vq_layer_in(capsules[i])))
            return NULL;
    const Py_ssize_t channels = layers[0]->inputs;
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    vq_require(&held,
               layers[0]->dot == VQ_DOT8 && layers[1]->dot == VQ_DOT8 &&
                   layers[1]->inputs == layers[0]->outputs && layers[1]->outputs == channels &&
                   layers[0]->zero == 128 && layers[1]->zero == 0,
               "these layers make no residual block");
    const Py_ssize_t any[] = {-1, -1, channels};
    const Py_buffer *h = vq_hold_map(&held, h_object, VQ_F32, channels, "h");
    h = h ? vq_hold(&held, h_object, VQ_F32, 3, any, 1, "h") : NULL;
    const float *inverse = vq_hold_vector(&held, inverse_object, channels, "inverse");
    const float *scale[2], *bias[2];
    for (int i = 0; i < 2; i++) {
        scale[i] = vq_hold_vector(&held, scales[i], layers[i]->outputs, "scale");
        bias[i] = vq_hold_vector(&held, biases[i], layers[i]->outputs, "bias");
    }
    if (bias[1]) {
        Py_BEGIN_ALLOW_THREADS
        status = vq_block(threads, h->buf, (int)h->shape[0], (int)h->shape[1], inverse, layers[0], scale[0],
                          bias[0], layers[1], scale[1], bias[1]);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}
