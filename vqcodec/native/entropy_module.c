/* vqcodec.native._entropy: range coder, tables, integer prior and codeword search. */
#include "isa.h"
#include "module.h"

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
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__entropy(void)
{
    return PyModuleDef_Init(&definition);
}
