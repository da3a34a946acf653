/* The function settle: indices of a slice -> its latent, and what the slices after it see of it. */
#include "module.h"

#include <string.h>

#include "prior.h"

#define LATENT_MAX 131071

enum { MOST_BANDS = 32 };

typedef struct {
    const int32_t *words, *index; /* (groups, count, size), (pixels, groups) */
    int groups, count, size;
} band;

static int32_t clamp(int32_t x)
{
    return x < -LATENT_MAX ? -LATENT_MAX : x > LATENT_MAX ? LATENT_MAX : x;
}

/* Codewords (channels,) of a pixel, group g in channels g, g + G, ...; -1 if an index has none. */
static int look_up(const band *bands, int count, size_t pixel, int32_t *known)
{
    for (const band *b = bands; b < bands + count; known += b->groups * b->size, b++) {
        const int32_t *index = b->index + pixel * (size_t)b->groups;
        for (int g = 0; g < b->groups; g++) {
            if (index[g] < 0 || index[g] >= b->count)
                return -1;
            const int32_t *word = b->words + ((size_t)g * (size_t)b->count + (size_t)index[g]) * (size_t)b->size;
            for (int j = 0; j < b->size; j++)
                known[j * b->groups + g] = clamp(word[j]);
        }
    }
    return 0;
}

/* Tuples of words and of indices; the number of channels, or -1 with an exception set. */
static int read_bands(vq_views *arrays, PyObject *words, PyObject *indices, Py_ssize_t height, Py_ssize_t width,
                      band *bands)
{
    Py_ssize_t count = PyTuple_GET_SIZE(words), channels = 0;
    if (count > MOST_BANDS || PyTuple_GET_SIZE(indices) != count) {
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
        bands[i] = (band){own->buf, index->buf, (int)own->shape[0], (int)own->shape[1], (int)own->shape[2]};
        channels += own->shape[0] * own->shape[2];
    }
    return (int)channels;
}

static PyObject *settle(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *words, *indices, *objects[4];
    vq_views arrays = {.count = 0};
    band bands[MOST_BANDS];
    int result = -1;
    if (!PyArg_ParseTuple(args, "O!O!OOOO", &PyTuple_Type, &words, &PyTuple_Type, &indices, &objects[0],
                          &objects[1], &objects[2], &objects[3]))
        return NULL;
    Py_buffer *mean = vq_view(&arrays, objects[0], VQ_S32, "mean", 3, VQ_SHAPE(VQ_ANY, VQ_ANY, VQ_ANY)), *latent,
              *compand, *seen;
    if (mean == NULL)
        goto done;
    const Py_ssize_t *shape = mean->shape;
    int channels = read_bands(&arrays, words, indices, shape[0], shape[1], bands);
    if (channels < 0)
        goto done;
    int count = (int)PyTuple_GET_SIZE(words);
    if ((latent = vq_view_strided(&arrays, objects[1], VQ_S32, "latent", 1, 3, shape)) == NULL ||
        (compand = vq_view(&arrays, objects[2], VQ_U8, "compand", 1, VQ_SHAPE(VQ_ANY))) == NULL ||
        (seen = vq_view_output(&arrays, objects[3], VQ_S8, "seen", 3, shape)) == NULL)
        goto done;
    if (shape[2] > 1 << 16 || (count > 0 && channels != shape[2]) || compand->shape[0] < 1 ||
        compand->shape[0] > 1 << 20) {
        PyErr_SetString(PyExc_ValueError, "words do not fit the mean");
        goto done;
    }
    int32_t *known = PyMem_Calloc((size_t)shape[2] + 1, sizeof *known);
    if (known == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    vq_compand table = {compand->buf, (uint32_t)compand->shape[0]};
    Py_BEGIN_ALLOW_THREADS
    const int32_t *from = mean->buf;
    int8_t *out = seen->buf;
    result = 0;
    for (Py_ssize_t y = 0; result == 0 && y < shape[0]; y++)
        for (Py_ssize_t x = 0; result == 0 && x < shape[1]; x++) {
            int32_t *to = (int32_t *)((char *)latent->buf + y * latent->strides[0] + x * latent->strides[1]);
            result = look_up(bands, count, (size_t)(y * shape[1] + x), known);
            for (Py_ssize_t c = 0; c < shape[2]; c++) {
                int64_t sum = (int64_t)*from++ + known[c];
                to[c] = clamp(sum < -VQ_INTEGER_MAX ? -VQ_INTEGER_MAX : sum > VQ_INTEGER_MAX ? VQ_INTEGER_MAX : (int32_t)sum);
                *out++ = vq_companded(&table, known[c]);
            }
        }
    Py_END_ALLOW_THREADS
    PyMem_Free(known);
    if (result < 0)
        PyErr_SetString(PyExc_IndexError, "an index is out of range");
done:
    vq_views_end(&arrays);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    {"settle", settle, METH_VARARGS,
     "settle(words, indices, mean, latent, compand, seen): tuples of int32 (groups, count, size) and (h, w, groups), "
     "both empty for codewords of 0; int32 (h, w, C) twice; uint8 (n,); int8 (h, w, C)."},
    {NULL, NULL, 0, NULL},
};

int vq_add_settle(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
