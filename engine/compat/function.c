/* function.c - what functions have from some version on, and constants that code takes from the
 * interpreter. */
#include "compat/private.h"

PyObject *
mp_common_constant_borrow(int number)
{
#if MP_CAN_WATCH && PY_VERSION_HEX >= 0x030e0000
    return PyInterpreterState_Get()->common_consts[number];
#else
    (void)number;
    return NULL;
#endif
}

PyObject *
mp_func_type_params_borrow(PyObject *function)
{
#if PY_VERSION_HEX >= 0x030C0000
    static PyObject *none_of_them;  // the only empty tuple
    PyObject *params = ((PyFunctionObject *)function)->func_typeparams;
    if (params == NULL && none_of_them == NULL) {
        none_of_them = PyTuple_New(0);
        mp_err_drop();
    }
    return params == NULL ? none_of_them : params;
#else
    (void)function;
    return NULL;
#endif
}

PyObject *
mp_func_annotate_borrow(PyObject *function)
{
#if PY_VERSION_HEX >= 0x030e0000
    return ((PyFunctionObject *)function)->func_annotate;
#else
    (void)function;
    return NULL;
#endif
}

bool
mp_func_waits_for_annotations(PyObject *function)
{
    PyObject *annotate = mp_func_annotate_borrow(function);
    return annotate != NULL && annotate != Py_None
           && ((PyFunctionObject *)function)->func_annotations == NULL;
}

void
mp_func_annotate_set(PyObject *function, PyObject *annotate)
{
#if PY_VERSION_HEX >= 0x030e0000
    Py_XSETREF(((PyFunctionObject *)function)->func_annotate, Py_XNewRef(annotate));
#else
    assert(annotate == NULL);
    (void)function;
    (void)annotate;
#endif
}
