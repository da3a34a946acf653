/* The type Layer: one layer of the integer prior. */
#include "module.h"

typedef struct {
    PyObject_HEAD
    vq_layer layer;
} Layer;

static PyTypeObject *type;

vq_layer *vq_layer_of(PyObject *object)
{
    if (PyObject_TypeCheck(object, type))
        return &((Layer *)object)->layer;
    PyErr_SetString(PyExc_TypeError, "a layer must be of type Layer");
    return NULL;
}

enum { WEIGHT, BIAS, MULTIPLIER, SHIFT, ARRAYS };

/* Sizes of the layer from the shapes of its arrays; -1 with ValueError set. */
static int read_sizes(vq_layer *layer, Py_buffer *const *views, int signed_inputs)
{
    const Py_ssize_t *weight = views[WEIGHT]->shape, *bias = views[BIAS]->shape;
    int fits = weight[0] >= 1 && weight[0] <= 1 << 16 && weight[1] >= 1 && weight[1] <= 1 << 16 &&
               (weight[2] == 1 || weight[2] == 3) && weight[2] == weight[3] && (bias[0] == 1 || bias[0] == 9) &&
               bias[1] == weight[0] && views[MULTIPLIER]->shape[0] == weight[0] && views[SHIFT]->shape[0] == weight[0];
    if (!fits || signed_inputs < 0 || signed_inputs > weight[1]) {
        PyErr_SetString(PyExc_ValueError, "the arrays of a layer do not fit each other");
        return -1;
    }
    layer->outputs = (int)weight[0];
    layer->inputs = (int)weight[1];
    layer->kernel = (int)weight[2];
    layer->knots = (int)bias[0];
    layer->signed_inputs = signed_inputs;
    return 0;
}

static PyObject *new_layer(PyTypeObject *cls, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"weight", "bias", "multiplier", "shift", "signed_inputs", NULL};
    static const vq_type types[] = {VQ_S8, VQ_S32, VQ_S32, VQ_U8};
    static const int axes[] = {4, 2, 1, 1};
    PyObject *objects[ARRAYS];
    vq_views arrays = {.count = 0};
    Py_buffer *views[ARRAYS];
    int signed_inputs, failed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOi", names, &objects[0], &objects[1], &objects[2],
                                     &objects[3], &signed_inputs))
        return NULL;
    Layer *self = (Layer *)cls->tp_alloc(cls, 0);
    if (self == NULL)
        return NULL;
    for (int i = 0; !failed && i < ARRAYS; i++) {
        views[i] = vq_view(&arrays, objects[i], types[i], names[i], axes[i], VQ_SHAPE(VQ_ANY, VQ_ANY, VQ_ANY, VQ_ANY));
        failed = views[i] == NULL;
    }
    failed = failed || read_sizes(&self->layer, views, signed_inputs) < 0;
    if (!failed) {
        int result = vq_layer_start(&self->layer, views[WEIGHT]->buf, views[BIAS]->buf, views[MULTIPLIER]->buf,
                                    views[SHIFT]->buf);
        if (result == -2)
            PyErr_SetString(PyExc_ArithmeticError, "a layer breaks the bounds of exact arithmetic");
        else if (result < 0)
            PyErr_NoMemory();
        failed = result < 0;
    }
    vq_views_end(&arrays);
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void free_layer(Layer *self)
{
    PyTypeObject *cls = Py_TYPE(self);
    vq_layer_free(&self->layer);
    cls->tp_free((PyObject *)self);
    Py_DECREF(cls);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "Layer(weight, bias, multiplier, shift, signed_inputs): int8 (O, I, k, k), int32 (9 or 1, O) and "
                "(O,), uint8 (O,); the first inputs are signed. ArithmeticError if sums could reach 2**24."},
    {Py_tp_new, (void *)new_layer},
    {Py_tp_dealloc, (void *)free_layer},
    {0, NULL},
};

static PyType_Spec spec = {"vqcodec.native._entropy.Layer", sizeof(Layer), 0, Py_TPFLAGS_DEFAULT, slots};

int vq_add_layers(PyObject *module)
{
    type = (PyTypeObject *)PyType_FromSpec(&spec);
    return type == NULL ? -1 : PyModule_AddType(module, type);
}
