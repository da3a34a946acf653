/* The type Tables: tables of counts that are made when first used. */
#include "module.h"

#include <string.h>

#include "range_coder.h"

typedef struct {
    PyObject_HEAD
    vq_tables tables;
    Py_buffer rows; /* held as long as the object lives */
} Tables;

static PyTypeObject *type; /* set once; the module is never unloaded */

vq_tables *vq_tables_of(PyObject *object)
{
    if (PyObject_TypeCheck(object, type))
        return &((Tables *)object)->tables;
    PyErr_SetString(PyExc_TypeError, "tables must be of type Tables");
    return NULL;
}

static int read_bins(PyObject *bins, vq_tables *tables)
{
    Py_ssize_t numbers = PyTuple_GET_SIZE(bins);
    if (numbers < 1 || numbers > VQ_NUMBERS)
        return -1;
    tables->numbers = (int)numbers;
    tables->classes = 1;
    for (int n = 0; n < tables->numbers; n++) {
        long count = PyLong_AsLong(PyTuple_GET_ITEM(bins, n));
        if (count < 1 || count > 4096 || tables->classes > (1 << 20) / count)
            return -1;
        tables->bins[n] = (int)count;
        tables->sum += (int)count;
        tables->classes *= (int)count;
    }
    return 0;
}

static PyObject *new_tables(PyTypeObject *cls, PyObject *args, PyObject *kwargs)
{
    PyObject *rows, *bins, *powers;
    static char *names[] = {"rows", "bins", "powers", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O", names, &rows, &PyTuple_Type, &bins, &powers))
        return NULL;
    Tables *self = (Tables *)cls->tp_alloc(cls, 0);
    if (self == NULL)
        return NULL;
    vq_tables *tables = &self->tables;
    vq_views arrays = {.count = 0};
    if (read_bins(bins, tables) < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "bins must be a few small numbers");
        goto failed;
    }
    Py_buffer *view = vq_view(&arrays, powers, VQ_U32, "powers", 1, VQ_SHAPE(256));
    if (view != NULL)
        memcpy(tables->powers, view->buf, sizeof tables->powers);
    vq_views_end(&arrays);
    if (view == NULL)
        goto failed;
    view = vq_view(&arrays, rows, VQ_U8, "rows", 3, VQ_SHAPE(VQ_ANY, tables->sum, VQ_ANY));
    if (view == NULL) {
        vq_views_end(&arrays);
        goto failed;
    }
    self->rows = *view;
    const Py_ssize_t *shape = self->rows.shape;
    if (shape[2] < 2 || shape[2] > VQ_WORDS || shape[0] < 1 || shape[0] > INT32_MAX / 2 / tables->classes ||
        tables->powers[0] == 0) {
        PyErr_SetString(PyExc_ValueError, "rows or powers make no tables");
        goto failed;
    }
    tables->rows = self->rows.buf;
    tables->groups = (int)shape[0];
    tables->words = (int)shape[2];
    if (vq_tables_start(tables) < 0) {
        PyErr_NoMemory();
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static PyObject *from_counts(PyObject *cls, PyObject *counts)
{
    vq_views arrays = {.count = 0};
    Tables *self = NULL;
    Py_buffer *view = vq_view(&arrays, counts, VQ_S32, "counts", 2, VQ_SHAPE(VQ_ANY, VQ_ANY));
    if (view == NULL)
        goto done;
    const Py_ssize_t *shape = view->shape;
    if (shape[0] < 1 || shape[0] > (1 << 20) || shape[1] < 2 || shape[1] > VQ_WORDS) {
        PyErr_SetString(PyExc_ValueError, "counts must be (tables, codewords)");
        goto done;
    }
    self = (Tables *)((PyTypeObject *)cls)->tp_alloc((PyTypeObject *)cls, 0);
    if (self == NULL)
        goto done;
    self->tables = (vq_tables){.groups = 1, .classes = (int)shape[0], .words = (int)shape[1]};
    int failed = vq_tables_start(&self->tables);
    const int32_t *row = view->buf;
    for (int i = 0; !failed && i < self->tables.classes; i++, row += self->tables.words)
        failed = vq_tables_set(&self->tables, i, row);
    if (failed == -2)
        PyErr_SetString(PyExc_ValueError, "every table must hold counts >= 1 that sum to 2**24");
    else if (failed)
        PyErr_NoMemory();
    if (failed)
        Py_CLEAR(self);
done:
    vq_views_end(&arrays);
    return (PyObject *)self;
}

static void free_tables(Tables *self)
{
    PyTypeObject *cls = Py_TYPE(self);
    vq_tables_free(&self->tables);
    if (self->rows.obj != NULL)
        PyBuffer_Release(&self->rows);
    cls->tp_free((PyObject *)self);
    Py_DECREF(cls);
}

static PyObject *fill_counts(Tables *self, PyObject *args)
{
    PyObject *out;
    vq_views arrays = {.count = 0};
    int first, made = 1;
    vq_tables *tables = &self->tables;
    if (!PyArg_ParseTuple(args, "iO", &first, &out))
        return NULL;
    int count = tables->groups * tables->classes;
    Py_buffer *view = vq_view_output(&arrays, out, VQ_S32, "counts", 2, VQ_SHAPE(VQ_ANY, tables->words));
    if (view != NULL && (first < 0 || first > count || view->shape[0] > count - first)) {
        PyErr_SetString(PyExc_ValueError, "there are no such tables");
        view = NULL;
    }
    if (view == NULL) {
        vq_views_end(&arrays);
        return NULL;
    }
    int32_t *counts = view->buf;
    Py_BEGIN_ALLOW_THREADS
    for (int i = first; made && i < first + (int)view->shape[0]; i++) {
        const vq_table *table = vq_tables_get(tables, i / tables->classes, i % tables->classes);
        made = table != NULL;
        for (int k = 0; made && k < tables->words; k++)
            *counts++ = (int32_t)(table->left[k + 1] - table->left[k]);
    }
    Py_END_ALLOW_THREADS
    vq_views_end(&arrays);
    if (!made)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"fill_counts", (PyCFunction)fill_counts, METH_VARARGS,
     "fill_counts(first, counts): write the tables from number `first` on to int32 (tables, codewords)."},
    {"from_counts", from_counts, METH_O | METH_CLASS, "from_counts(counts): of int32 (tables, codewords)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Tables(rows, bins, powers): uint8 (groups, sum of bins, codewords), tuple, uint32 (256,)."},
    {Py_tp_new, (void *)new_tables},
    {Py_tp_dealloc, (void *)free_tables},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"vqcodec.native._entropy.Tables", sizeof(Tables), 0, Py_TPFLAGS_DEFAULT, slots};

int vq_add_tables(PyObject *module)
{
    type = (PyTypeObject *)PyType_FromSpec(&spec);
    return type == NULL ? -1 : PyModule_AddType(module, type);
}
