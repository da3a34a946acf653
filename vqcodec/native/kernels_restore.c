/* The function of vqcodec.native._kernels that restores a picture in one go. */
#include "kernels_module.h"
#include "restore.h"

/* A layer with its vectors. */
static vq_scaled hold_scaled(vq_held *held, PyObject *const objects[3], vq_dot dot, int kernel, int inputs)
{
    vq_scaled scaled = {NULL, NULL, NULL};
    if (held->failed)
        return scaled;
    scaled.layer = vq_layer_in(objects[0]);
    held->failed = !scaled.layer;
    if (held->failed)
        return scaled;
    const int fits = scaled.layer->dot == dot && scaled.layer->kernel == kernel &&
                     (inputs < 0 || scaled.layer->inputs == inputs);
    vq_require(held, fits, "these layers make no restoration");
    scaled.scale = vq_hold_vector(held, objects[1], scaled.layer->outputs, "scale");
    scaled.bias = vq_hold_vector(held, objects[2], scaled.layer->outputs, "bias");
    return scaled;
}

PyObject *vq_py_restore(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *u_object, *guide_object, *lead[3], *sense[3], *mix[3], *filter[3];
    PyObject *kernels_object, *colour_object, *out_object;
    int threads, status = 0;
    if (!PyArg_ParseTuple(args, "OO(OOO)(OOO)(OOO)(OOO)OOOi:restore", &u_object, &guide_object, &lead[0],
                          &lead[1], &lead[2], &sense[0], &sense[1], &sense[2], &mix[0], &mix[1], &mix[2],
                          &filter[0], &filter[1], &filter[2], &kernels_object, &colour_object, &out_object,
                          &threads))
        return NULL;
    vq_held held = {.count = 0};
    vq_require(&held, threads >= 1 && threads <= VQ_MOST_THREADS, "no such number of threads");
    vq_restoration task = {.sense = hold_scaled(&held, sense, VQ_DOT16, 3, 24)};
    const int features = held.failed ? 0 : task.sense.layer->outputs;
    task.lead = hold_scaled(&held, lead, VQ_DOT8, 1, -1);
    task.mix = hold_scaled(&held, mix, VQ_DOT8, 3, features);
    task.filter = hold_scaled(&held, filter, VQ_DOT8, 1, features);
    if (held.failed)
        return vq_end(&held, 0);
    const Py_ssize_t outputs = task.filter.layer->outputs, count = outputs / 12 - 1;
    vq_require(&held,
               features % VQ_OUTPUTS == 0 && task.lead.layer->outputs == 16 * features &&
                   task.mix.layer->outputs == features && task.mix.layer->zero == 0 &&
                   task.filter.layer->zero == 0 && outputs % 12 == 0 && count >= 1 && count <= 64,
               "these layers make no restoration");
    const Py_buffer *u = vq_hold_map(&held, u_object, VQ_F32, 3, "u");
    if (!u)
        return vq_end(&held, 0);
    const Py_ssize_t h = u->shape[0], w = u->shape[1], square[] = {3, 3}, filters[] = {3, count, 5, 5};
    const Py_ssize_t guided[] = {h / 8, w / 8, task.lead.layer->inputs};
    vq_require(&held, h % 8 == 0 && w % 8 == 0, "sides are no multiples of 8");
    const Py_buffer *guide = vq_hold(&held, guide_object, VQ_U8, 3, guided, 0, "guide");
    const Py_buffer *kernels = vq_hold(&held, kernels_object, VQ_S16, 4, filters, 0, "kernels");
    const Py_buffer *colour = vq_hold(&held, colour_object, VQ_F32, 2, square, 0, "colour");
    const Py_buffer *out = vq_hold(&held, out_object, VQ_U8, 3, u->shape, 1, "out");
    if (out) {
        task.u = u->buf;
        task.guide = guide->buf;
        task.height = (int)h;
        task.width = (int)w;
        task.kernels = kernels->buf;
        task.count = (int)count;
        task.colour = colour->buf;
        task.out = out->buf;
        Py_BEGIN_ALLOW_THREADS
        status = vq_restore(threads, &task);
        Py_END_ALLOW_THREADS
    }
    return vq_end(&held, status);
}
