/* The function settle: indices of a slice -> its latent, and what the slices after it see of it. */
#include "module.h"

#include "pool.h"

enum { PIXELS = 48 };

/* Tuples of words and of indices; the number of channels, or -1 with an exception set. */
static int read_bands(vq_views *arrays, PyObject *words, PyObject *indices, Py_ssize_t height, Py_ssize_t width,
                      vq_settled_band *bands)
{
    Py_ssize_t count = PyTuple_GET_SIZE(words), channels = 0;
    if (count > VQ_MOST_BANDS || PyTuple_GET_SIZE(indices) != count) {
        PyErr_SetString(PyExc_ValueError, "indices are not those of as many bands");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_buffer *own = vq_view(arrays, PyTuple_GET_ITEM(words, i), VQ_S32, "words", 3,
                                 VQ_SHAPE(VQ_ANY, VQ_ANY, VQ_ANY));
        if (own == NULL)
            return -1;
        if (own->shape[0] > 1 << 16 || own->shape[1] > VQ_WORDS || own->shape[2] > 64) {
            PyErr_SetString(PyExc_ValueError, "words are too many");
            return -1;
        }
        Py_buffer *index = vq_view(arrays, PyTuple_GET_ITEM(indices, i), VQ_S32, "indices", 3,
                                   VQ_SHAPE(height, width, own->shape[0]));
        if (index == NULL)
            return -1;
        bands[i] = (vq_settled_band){own->buf, index->buf, (int)own->shape[0], (int)own->shape[1], (int)own->shape[2]};
        channels += own->shape[0] * own->shape[2];
    }
    return (int)channels;
}

int vq_read_settling(vq_settling *settling, vq_views *arrays, PyObject *parts)
{
    PyObject *words, *indices, *objects[4];
    if (!PyArg_ParseTuple(parts, "O!O!OOOO", &PyTuple_Type, &words, &PyTuple_Type, &indices, &objects[0],
                          &objects[1], &objects[2], &objects[3]))
        return -1;
    Py_buffer *mean = vq_view(arrays, objects[0], VQ_S32, "mean", 3, VQ_SHAPE(VQ_ANY, VQ_ANY, VQ_ANY)), *latent,
              *compand, *seen;
    if (mean == NULL)
        return -1;
    const Py_ssize_t *shape = mean->shape;
    int channels = read_bands(arrays, words, indices, shape[0], shape[1], settling->bands);
    if (channels < 0 || (latent = vq_view_strided(arrays, objects[1], VQ_S32, "latent", 1, 3, shape)) == NULL ||
        (compand = vq_view(arrays, objects[2], VQ_U8, "compand", 1, VQ_SHAPE(VQ_ANY))) == NULL ||
        (seen = vq_view_output(arrays, objects[3], VQ_S8, "seen", 3, shape)) == NULL)
        return -1;
    settling->count = (int)PyTuple_GET_SIZE(words);
    if (shape[0] > 1 << 14 || shape[1] > 1 << 14 || shape[2] > 1 << 16 ||
        (settling->count > 0 && channels != shape[2]) || compand->shape[0] < 1 || compand->shape[0] > 1 << 20) {
        PyErr_SetString(PyExc_ValueError, "words do not fit the mean");
        return -1;
    }
    settling->channels = (int)shape[2];
    settling->columns = (int)shape[1];
    settling->mean = mean->buf;
    settling->latent = latent->buf;
    settling->row = latent->strides[0];
    settling->column = latent->strides[1];
    settling->compand = (vq_compand){compand->buf, (uint32_t)compand->shape[0]};
    settling->seen = seen->buf;
    return (int)shape[0];
}

typedef struct {
    const vq_settling *settling;
    int pixels;
    _Atomic int result;
} run;

static void part(void *context, int number)
{
    run *run = context;
    int first = number * PIXELS, rest = run->pixels - first;
    int result = vq_settle(run->settling, first, rest < PIXELS ? rest : PIXELS);
    if (result < 0)
        run->result = result;
}

static PyObject *settle(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *parts;
    vq_views arrays = {.count = 0};
    vq_settling settling;
    int threads, height;
    run run = {.settling = &settling, .result = -1};
    if (!PyArg_ParseTuple(args, "O!i", &PyTuple_Type, &parts, &threads))
        return NULL;
    if ((height = vq_read_settling(&settling, &arrays, parts)) >= 0) {
        run.pixels = height * settling.columns;
        run.result = 0;
        Py_BEGIN_ALLOW_THREADS
        vq_pool_run(threads, (run.pixels + PIXELS - 1) / PIXELS, part, &run);
        Py_END_ALLOW_THREADS
        if (run.result == -2)
            PyErr_SetString(PyExc_IndexError, "an index is out of range");
        else if (run.result < 0)
            PyErr_NoMemory();
    }
    vq_views_end(&arrays);
    return run.result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    {"settle", settle, METH_VARARGS,
     "settle((words, indices, mean, latent, compand, seen), threads): tuples of int32 (groups, count, size) and "
     "(h, w, groups), both empty for codewords of 0; int32 (h, w, C) twice; uint8 (n,); int8 (h, w, C)."},
    {NULL, NULL, 0, NULL},
};

int vq_add_settle(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
