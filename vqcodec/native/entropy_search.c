/* The functions nearest and offsets: the encoder's choices. */
#include "module.h"

#include "search.h"

static PyObject *end(vq_views *arrays, int result)
{
    vq_views_end(arrays);
    if (result == -2 && !PyErr_Occurred())
        PyErr_SetString(PyExc_IndexError, "a class, index or price is out of range");
    else if (result < 0 && !PyErr_Occurred())
        PyErr_NoMemory();
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static int misfit(const char *what)
{
    PyErr_Format(PyExc_ValueError, "%s do not fit the tables", what);
    return -1;
}

/* Numbers from a pixel of (height, width, channels) to the next, the same at the end of a row; -1 if not so. */
static Py_ssize_t pixel_step(const Py_buffer *view)
{
    Py_ssize_t step = view->shape[1] > 1 ? view->strides[1] : view->strides[0];
    if (view->shape[0] > 1 && view->strides[0] != step * view->shape[1])
        return misfit("steps");
    return step / view->itemsize;
}

static PyObject *nearest(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *objects[6];
    vq_views arrays = {.count = 0};
    vq_search search;
    int threads, result;
    if (!PyArg_ParseTuple(args, "OOOOOpiO", &objects[0], &objects[1], &objects[2], &objects[3], &objects[4],
                          &search.certain, &threads, &objects[5]) ||
        (search.tables = vq_tables_of(objects[0])) == NULL)
        return NULL;
    vq_tables *tables = search.tables;
    Py_ssize_t groups = tables->groups, padded = (tables->words + VQ_LANES - 1) / VQ_LANES * VQ_LANES;
    if (tables->rows == NULL)
        return end(&arrays, misfit("codewords"));
    Py_buffer *factors = vq_view(&arrays, objects[1], VQ_F32, "factors", 3, VQ_SHAPE(groups, VQ_ANY, padded));
    if (factors == NULL)
        return end(&arrays, -1);
    Py_ssize_t size = factors->shape[1];
    if (size < 1 || size > VQ_MOST_SIZE)
        return end(&arrays, misfit("factors"));
    Py_buffer *norms = vq_view(&arrays, objects[2], VQ_F32, "norms", 2, VQ_SHAPE(groups, padded)), *residual, *classes,
              *index;
    if (norms == NULL || (residual = vq_view_strided(&arrays, objects[3], VQ_F32, "residual", 0, 3,
                                                     VQ_SHAPE(VQ_ANY, VQ_ANY, groups * size))) == NULL)
        return end(&arrays, -1);
    const Py_ssize_t *shape = VQ_SHAPE(residual->shape[0], residual->shape[1], groups);
    if ((classes = vq_view_strided(&arrays, objects[4], VQ_S32, "classes", 0, 3, shape)) == NULL ||
        (index = vq_view_output(&arrays, objects[5], VQ_S32, "index", 3, shape)) == NULL)
        return end(&arrays, -1);
    Py_ssize_t residual_step = pixel_step(residual), class_step = pixel_step(classes);
    if (shape[0] > 1 << 14 || shape[1] > 1 << 14 || residual_step < 0 || class_step < 0)
        return end(&arrays, PyErr_Occurred() ? -1 : misfit("sides"));
    search.factors = factors->buf;
    search.norms = norms->buf;
    search.size = (int)size;
    search.padded = (int)padded;
    search.residual = residual->buf;
    search.classes = classes->buf;
    search.residual_step = (size_t)residual_step;
    search.class_step = (size_t)class_step;
    search.count = (int)(shape[0] * shape[1]);
    search.index = index->buf;
    Py_BEGIN_ALLOW_THREADS
    result = vq_search_run(&search, threads);
    Py_END_ALLOW_THREADS
    return end(&arrays, result);
}

/* Steps of each context number, whose product is the number of offsets; -1 with ValueError set. */
static int read_shape(vq_offset_search *search, PyObject *shape)
{
    int all = 1;
    search->numbers = PyTuple_GET_SIZE(shape) <= VQ_NUMBERS ? (int)PyTuple_GET_SIZE(shape) : 0;
    for (int n = 0; n < search->numbers; n++) {
        long size = PyLong_AsLong(PyTuple_GET_ITEM(shape, n));
        if (size < 1 || size > search->offsets)
            return misfit("offsets");
        search->shape[n] = (int)size;
        all = size <= search->offsets / all ? all * (int)size : search->offsets + 1;
    }
    return all == search->offsets && search->zero >= 0 && search->zero < all ? 0 : misfit("offsets");
}

static PyObject *offsets(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *objects[6], *shape;
    vq_views arrays = {.count = 0};
    vq_offset_search search = {.zero = 0};
    int threads, result;
    if (!PyArg_ParseTuple(args, "OOOOOO!iiO", &objects[0], &objects[1], &objects[2], &objects[3], &objects[4],
                          &PyTuple_Type, &shape, &search.zero, &threads, &objects[5]) ||
        (search.tables = vq_tables_of(objects[0])) == NULL)
        return NULL;
    vq_tables *tables = search.tables;
    Py_buffer *index = vq_view(&arrays, objects[1], VQ_S32, "index", 2, VQ_SHAPE(VQ_ANY, tables->groups)), *classes,
              *moved, *own, *chosen;
    if (index == NULL ||
        (classes = vq_view(&arrays, objects[2], VQ_S32, "classes", 2, index->shape)) == NULL ||
        (moved = vq_view(&arrays, objects[3], VQ_S32, "moved", 2, VQ_SHAPE(VQ_ANY, tables->classes))) == NULL ||
        (own = vq_view(&arrays, objects[4], VQ_S64, "own", 1, moved->shape)) == NULL ||
        (chosen = vq_view_output(&arrays, objects[5], VQ_S32, "chosen", 1, VQ_SHAPE(tables->groups))) == NULL)
        return end(&arrays, -1);
    if (tables->rows == NULL || index->shape[0] > INT32_MAX / 2 || moved->shape[0] > 1 << 16)
        return end(&arrays, misfit("arrays"));
    search.offsets = (int)moved->shape[0];
    search.count = (int)index->shape[0];
    if (read_shape(&search, shape) < 0)
        return end(&arrays, -1);
    search.index = index->buf;
    search.classes = classes->buf;
    search.moved = moved->buf;
    search.own = own->buf;
    Py_BEGIN_ALLOW_THREADS
    result = 0;
    for (Py_ssize_t i = 0; i < moved->shape[0] * moved->shape[1]; i++)
        if (search.moved[i] < 0 || search.moved[i] >= tables->classes)
            result = -2;
    for (int i = 0; i < search.offsets; i++)
        if (search.own[i] < 0 || search.own[i] > (int64_t)1 << 40)
            result = -2;
    if (result == 0)
        result = vq_offsets_run(&search, threads, chosen->buf);
    Py_END_ALLOW_THREADS
    return end(&arrays, result);
}

static PyMethodDef functions[] = {
    {"nearest", nearest, METH_VARARGS,
     "nearest(tables, factors, norms, residual, classes, certain, threads, index): the codeword of least cost at each "
     "place, or where certain the one that needs no symbol."},
    {"offsets", offsets, METH_VARARGS,
     "offsets(tables, index, classes, moved, own, shape, zero, threads, chosen): the cheapest class offsets."},
    {NULL, NULL, 0, NULL},
};

int vq_add_search(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
