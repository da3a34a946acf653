/* The types Encoder and Decoder: one segment each. */
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "segments.h"

typedef struct {
    PyObject_HEAD
    vq_coder coder;
    int busy; /* a thread works with it, without the interpreter's lock */
} Coder;

/* True, False for words that are no symbols', or an exception. */
static PyObject *answer(vq_result result)
{
    switch (result) {
    case VQ_NO_MEMORY:
        return PyErr_NoMemory();
    case VQ_BAD_CLASS:
        PyErr_SetString(PyExc_IndexError, "a class is out of range");
        return NULL;
    case VQ_BAD_SYMBOL:
        PyErr_SetString(PyExc_IndexError, "a symbol is out of range");
        return NULL;
    case VQ_CORRUPT:
        Py_RETURN_FALSE;
    default:
        Py_RETURN_TRUE;
    }
}

static int take_up(Coder *self)
{
    if (self->busy)
        PyErr_SetString(PyExc_RuntimeError, "a coder serves one thread at a time");
    else
        self->busy = 1;
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *code(Coder *self, PyObject *args, int writable)
{
    PyObject *objects[4] = {NULL, NULL, NULL, Py_None};
    vq_views arrays = {.count = 0};
    Py_buffer *classes, *symbols = NULL, *moves = NULL;
    if (!PyArg_ParseTuple(args, "OOO|O", &objects[0], &objects[1], &objects[2], &objects[3]))
        return NULL;
    vq_tables *tables = vq_tables_of(objects[2]);
    if (tables == NULL)
        return NULL;
    classes = vq_view(&arrays, objects[1], VQ_S32, "classes", 2, VQ_SHAPE(VQ_ANY, VQ_ANY));
    if (classes != NULL && writable)
        symbols = vq_view_output(&arrays, objects[0], VQ_S32, "symbols", 2, classes->shape);
    else if (classes != NULL)
        symbols = vq_view(&arrays, objects[0], VQ_S32, "symbols", 2, classes->shape);
    if (symbols != NULL && objects[3] != Py_None)
        moves = vq_view(&arrays, objects[3], VQ_S32, "moves", 2, VQ_SHAPE(tables->groups, tables->classes));
    if (PyErr_Occurred()) {
        vq_views_end(&arrays);
        return NULL;
    }
    vq_result result = VQ_NO_MEMORY;
    int all = tables->groups * tables->classes, failed = 1;
    Py_ssize_t groups = classes->shape[1], count = classes->shape[0];
    if (groups < 1 || groups > all || all % groups != 0 || count > INT32_MAX / 2 ||
        (moves != NULL && (groups != tables->groups || tables->rows == NULL)))
        PyErr_SetString(PyExc_ValueError, "the tables are not those of as many groups");
    else if (take_up(self) == 0) {
        vq_symbols work = {.tables = tables, .classes = classes->buf, .symbols = symbols->buf, .reading = writable};
        work.moves = moves == NULL ? NULL : moves->buf;
        work.groups = (int)groups;
        work.count = (int)count;
        work.table_classes = all / (int)groups;
        failed = 0;
        Py_BEGIN_ALLOW_THREADS
        result = vq_code_symbols(&self->coder, &work);
        Py_END_ALLOW_THREADS
        self->busy = 0;
    }
    vq_views_end(&arrays);
    return failed ? NULL : answer(result);
}

static PyObject *encode(Coder *self, PyObject *args)
{
    return code(self, args, 0);
}

static PyObject *decode(Coder *self, PyObject *args)
{
    return code(self, args, 1);
}

static PyObject *finish(Coder *self, PyObject *ignored)
{
    (void)ignored;
    if (take_up(self) < 0)
        return NULL;
    /* The interval is at its end now: nothing more can be coded, so `busy` stays. */
    vq_result result = vq_coder_end(&self->coder);
    if (self->coder.reading || result != VQ_OK)
        return answer(result);
    Py_ssize_t size = (Py_ssize_t)(self->coder.count * sizeof *self->coder.words);
    return PyBytes_FromStringAndSize((const char *)self->coder.words, size);
}

static PyObject *new_encoder(PyTypeObject *cls, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
        return NULL;
    Coder *self = (Coder *)cls->tp_alloc(cls, 0);
    if (self != NULL)
        vq_coder_write(&self->coder);
    return (PyObject *)self;
}

static PyObject *new_decoder(PyTypeObject *cls, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"words", NULL};
    PyObject *object;
    vq_views arrays = {.count = 0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &object))
        return NULL;
    Py_buffer *view = vq_view(&arrays, object, VQ_U32, "words", 1, VQ_SHAPE(VQ_ANY));
    if (view == NULL) {
        vq_views_end(&arrays);
        return NULL;
    }
    Coder *self = (Coder *)cls->tp_alloc(cls, 0);
    uint32_t *words = self == NULL ? NULL : malloc((size_t)view->len + 1);
    if (words != NULL) {
        memcpy(words, view->buf, (size_t)view->len);
        vq_coder_read(&self->coder, words, (size_t)view->shape[0]);
    } else if (self != NULL) {
        PyErr_NoMemory();
        Py_CLEAR(self);
    }
    vq_views_end(&arrays);
    return (PyObject *)self;
}

static void free_coder(Coder *self)
{
    PyTypeObject *cls = Py_TYPE(self);
    vq_coder_free(&self->coder);
    cls->tp_free((PyObject *)self);
    Py_DECREF(cls);
}

static PyMethodDef encoder_methods[] = {
    {"encode", (PyCFunction)encode, METH_VARARGS, 
     "encode(symbols, classes, tables, moves=None): int32 (count, groups); moves int32 (groups, classes)."},
    {"finish", (PyCFunction)finish, METH_NOARGS, "finish(): all words as bytes, in this machine's order."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef decoder_methods[] = {
    {"decode", (PyCFunction)decode, METH_VARARGS,
     "decode(symbols, classes, tables, moves=None): fill int32 (count, groups); False if the words are no symbols'."},
    {"finish", (PyCFunction)finish, METH_NOARGS, "finish(): whether the symbols read encode to just these words."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "Encoder(): collects the words of a segment."},
    {Py_tp_new, (void *)new_encoder},
    {Py_tp_dealloc, (void *)free_coder},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc, "Decoder(words): reads a segment, uint32 (n,), and checks it as it goes."},
    {Py_tp_new, (void *)new_decoder},
    {Py_tp_dealloc, (void *)free_coder},
    {Py_tp_methods, decoder_methods},
    {0, NULL},
};

static PyType_Spec encoder = {"vqcodec.native._entropy.Encoder", sizeof(Coder), 0, Py_TPFLAGS_DEFAULT, encoder_slots};
static PyType_Spec decoder = {"vqcodec.native._entropy.Decoder", sizeof(Coder), 0, Py_TPFLAGS_DEFAULT, decoder_slots};

static int add(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

int vq_add_coders(PyObject *module)
{
    return add(module, &encoder) < 0 || add(module, &decoder) < 0 ? -1 : 0;
}
