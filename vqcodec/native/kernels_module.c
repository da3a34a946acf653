/* vqcodec.native._kernels: convolutions and the elementwise steps around them. */
#include "kernels_module.h"

#include "isa.h"

static PyObject *isa(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyUnicode_FromString(vq_isa_name(vq_isa_now()));
}

static PyObject *choose_isa(PyObject *self, PyObject *name)
{
    (void)self;
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return NULL;
    if (vq_isa_choose(text) != 0)
        return PyErr_Format(PyExc_ValueError, "no instruction set is called %R", name);
    return PyUnicode_FromString(vq_isa_name(vq_isa_now()));
}

static PyMethodDef methods[] = {
    {"isa", isa, METH_NOARGS, NULL},
    {"choose_isa", choose_isa, METH_O, NULL},
    {"pack", vq_pack_layer, METH_VARARGS, NULL},
    {"quantise", vq_py_quantise, METH_VARARGS, NULL},
    {"convolve", vq_py_convolve, METH_VARARGS, NULL},
    {"block", vq_py_block, METH_VARARGS, NULL},
    {"shuffle", vq_py_shuffle, METH_VARARGS, NULL},
    {"lap", vq_py_lap, METH_VARARGS, NULL},
    {"cells", vq_py_cells, METH_VARARGS, NULL},
    {"mend", vq_py_mend, METH_VARARGS, NULL},
    {"restore", vq_py_restore, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vqcodec.native._kernels",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernels(void)
{
    if (vq_isa_start() != 0) {
        PyErr_SetString(PyExc_ImportError, "VQCODEC_ISA names no instruction set");
        return NULL;
    }
    return PyModule_Create(&module);
}
