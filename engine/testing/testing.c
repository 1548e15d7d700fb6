/* testing.c - magpy._engine_testing: parts of the engine as the unit tests see them.
 *
 * Each part's table of methods stands in its own file.  The module holds a copy of the
 * engine of its own (hook, tool id, caches), so tests of parts need no torch and do not
 * meet a recording of magpy._engine.
 */
#include "compat/compat.h"
#include "objects/names.h"
#include "objects/rows.h"
#include "objects/types.h"

extern PyMethodDef mp_testing_compat_methods[];
extern PyMethodDef mp_testing_guard_methods[];
extern PyMethodDef mp_testing_number_methods[];
extern PyMethodDef mp_testing_effect_methods[];
extern PyMethodDef mp_testing_tensor_methods[];

PyMODINIT_FUNC PyInit__engine_testing(void);

static PyObject *
testing_calls_back(PyObject *module, PyObject *callable)
{
    (void)module;
    return PyBool_FromLong(mp_does(callable, MP_TRAIT_CALLS_BACK));
}

static PyMethodDef testing_types_methods[] = {
    {"calls_back", testing_calls_back, METH_O,
     "calls_back(callable)\n--\n\nIs it taken for one that calls what it is given?"},
    {NULL, NULL, 0, NULL},
};

static int
testing_exec(PyObject *module)
{
    PyMethodDef *tables[] = {mp_testing_compat_methods, mp_testing_guard_methods,
                             mp_testing_effect_methods, mp_testing_tensor_methods,
                             mp_testing_number_methods, testing_types_methods};

    if (mp_compat_init(module) < 0 || mp_names_init() < 0 || mp_types_init() < 0
        || mp_rows_init() < 0) {
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(tables); i++) {
        if (PyModule_AddFunctions(module, tables[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyModuleDef_Slot testing_slots[] = {
    {Py_mod_exec, (void *)testing_exec},
    MP_SLOT_ONE_INTERPRETER{0, NULL},
};

static struct PyModuleDef testing_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "magpy._engine_testing",
    .m_doc = "Parts of MagPy's engine, for its own unit tests.",
    .m_slots = testing_slots,
};

PyMODINIT_FUNC
PyInit__engine_testing(void)
{
    return PyModuleDef_Init(&testing_module);
}
