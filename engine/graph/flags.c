/* graph/flags.c - rows that depend on the arguments: what a combination of flags means for
 * one call (objects/op_flags.def lists the combinations). */
#include "graph/graph.h"
#include "objects/operators.h"

/* x[mask] selects as many elements as the mask has. */
bool
mp_op_index_is_dynamic(PyObject *key)
{
    if (PyTuple_CheckExact(key) || PyList_CheckExact(key)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(key); i++) {
            if (mp_op_index_is_dynamic(PySequence_Fast_GET_ITEM(key, i))) {
                return true;
            }
        }
        return false;
    }
    if (!mp_tensor_is(key)) {
        return false;
    }
    PyObject *dtype = PyObject_GetAttrString(key, "dtype");
    bool is_mask = dtype == mp_op_types.masks[0] || dtype == mp_op_types.masks[1];
    Py_XDECREF(dtype);
    mp_err_drop();  // a tensor has a dtype; a failing is_enabled only costs the flag
    return is_mask;
}

bool
mp_op_holds_tensor(PyObject *obj, bool nested_only)
{
    if (mp_tensor_is_any(obj)) {
        return !nested_only;
    }
    if (!PyTuple_Check(obj) && !PyList_Check(obj)) {
        return false;
    }
    if (Py_EnterRecursiveCall(" while recording")) {
        mp_err_drop();  // it holds itself, or is nested too deeply: it may
        return true;
    }
    bool holds = false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj) && !holds; i++) {
        holds = mp_op_holds_tensor(PySequence_Fast_GET_ITEM(obj, i), false);
    }
    Py_LeaveRecursiveCall();
    return holds;
}

static bool
any_holds_tensor(PyObject *const *args, Py_ssize_t from, Py_ssize_t count,
                 bool nested_only)
{
    for (Py_ssize_t i = from; i < count; i++) {
        if (mp_op_holds_tensor(args[i], nested_only)) {
            return true;
        }
    }
    return false;
}

static bool
is_count(PyObject *obj)
{
    int overflow = 0;
    return PyLong_CheckExact(obj) && PyLong_AsLongAndOverflow(obj, &overflow) >= 0
           && overflow >= 0;
}

/* repeat_interleave(x, 2), one_hot(x, num_classes=10): the count is a number. */
static bool
has_count(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"repeats", "num_classes", "output_size"};
    if (nargs > 1) {
        return is_count(args[1]);
    }
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        for (size_t j = 0; j < Py_ARRAY_LENGTH(names); j++) {
            PyObject *value = args[nargs + i];
            if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), names[j])
                    == 0
                && is_count(value)) {
                return true;
            }
        }
    }
    return false;
}

/* What a combined row means for these arguments. */
int
mp_op_resolve_flags(int flags, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    int later = flags & MP_TORCH_LATER, plain = flags & ~MP_TORCH_LATER;
    bool dynamic;
    switch (plain) {
    case MP_TORCH_FACTORY:
        return any_holds_tensor(args, 0, count, false) ? MP_TORCH_HOST_READ
                                                       : MP_TORCH_CALL;
    case MP_TORCH_LISTED:
        return any_holds_tensor(args, 0, count, true) ? MP_TORCH_HOST_READ
                                                      : MP_TORCH_CALL;
    case MP_TORCH_RESIZES:
        return any_holds_tensor(args, 1, count, false) ? MP_TORCH_HOST_READ
                                                       : MP_TORCH_CALL | MP_TORCH_STATE;
    case MP_TORCH_SHAPED:
        dynamic = any_holds_tensor(args, 1, count, false);
        break;
    case MP_TORCH_COUNTED:
        dynamic = !has_count(args, nargs, kwnames);
        break;
    case MP_TORCH_LONE:
        dynamic = count == 1;
        break;
    case MP_TORCH_INDEX:
        dynamic = count > 1 && mp_op_index_is_dynamic(args[1]);
        break;
    default:
        return flags;
    }
    return later | MP_TORCH_CALL | (dynamic ? MP_TORCH_DYNAMIC : 0);
}
