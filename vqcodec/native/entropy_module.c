/* vqcodec.native._entropy: range coder, tables, integer prior and codeword search. */
#include "isa.h"
#include "module.h"

static PyObject *isa(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(vq_isa_name(vq_isa_now()));
}

static PyObject *choose_isa(PyObject *module, PyObject *name)
{
    (void)module;
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    if (vq_isa_choose(text) != 0)
        return PyErr_Format(PyExc_ValueError, "no instruction set is called %R", name);
    return isa(module, NULL);
}

static PyMethodDef functions[] = {
    {"isa", isa, METH_NOARGS, "isa(): the instruction set in use."},
    {"choose_isa", choose_isa, METH_O, "choose_isa(name): use it, or the best below that this CPU has; its name."},
    {NULL, NULL, 0, NULL},
};

static int add_all(PyObject *module)
{
    if (vq_isa_start() != 0) {
        PyErr_SetString(PyExc_ImportError, "VQCODEC_ISA names no instruction set");
        return -1;
    }
    return vq_add_tables(module) < 0 || vq_add_coders(module) < 0 || vq_add_layers(module) < 0 ||
                   vq_add_prior(module) < 0 || vq_add_settle(module) < 0 ||
                   vq_add_search(module) < 0
               ? -1
               : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_all}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vqcodec.native._entropy",
    .m_doc = "Range coder, tables, integer prior and codeword search in C.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__entropy(void)
{
    return PyModuleDef_Init(&definition);
}
