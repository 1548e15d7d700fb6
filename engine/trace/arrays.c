/* trace/arrays.c - values of numpy as operands: which state of numpy is guarded, and
 * which arrays must not be used again. */
#include "trace/trace.h"

#include <fenv.h>

enum { FLOAT_ERRORS = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW };

mp_rc
mp_read_context(mp_trace *T, PyObject *var, const mp_node *n, bool pins)
{
    assert(PyContextVar_CheckExact(var));
    PyObject *value = NULL;
    if (n->appended || n->rewritten) {
        return MP_OK;  // the run's own value, or the known one of a token
    }
    if (PyContextVar_Get(var, NULL, &value) < 0) {
        return MP_ERR;
    }
    if (value == NULL) {
        return mp_refgraph_test(&T->graph, MP_G_CONTEXT_UNSET, -1, -1, var, 0) < 0
                   ? MP_ERR
                   : MP_OK;
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_CONTEXT, -1, var, 0, value);
    rc = rc != MP_OK || !pins ? rc : mp_load_const(T, value);
    Py_DECREF(value);
    return rc;
}

/* Does it share memory with one of these arrays?  On doubt: yes. */
bool
mp_array_overlaps(PyObject *list, PyObject *a)
{
    uintptr_t lo, hi, other_lo, other_hi;
    Py_buffer view;
    if (list == NULL) {
        return false;
    }
    if (!mp_array_view(a, &view)) {
        return true;
    }
    mp_array_extent(&view, &lo, &hi);
    PyBuffer_Release(&view);
    bool found = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && !found; i++) {
        if (!mp_array_view(PyList_GET_ITEM(list, i), &view)) {
            return true;
        }
        mp_array_extent(&view, &other_lo, &other_hi);
        PyBuffer_Release(&view);
        found = lo < other_hi && other_lo < hi;
    }
    return found;
}

mp_rc
mp_array_check_lent(mp_trace *T, PyObject *a)
{
    assert(T->lent != NULL);
    if (!mp_array_overlaps(T->lent, a)) {
        return MP_OK;
    }
    mp_blame(T, T->lent_at);
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                          "an array that a tensor shares memory with");
}

mp_rc
mp_array_guard_state(mp_trace *T)
{
    static const mp_known_id ids[] = {MP_K_ARRAY_ERRORS, MP_K_ARRAY_PRINTING};
    mp_rc rc = MP_OK;
    if (T->state != MP_TRACE_RECORDING) {
        return MP_OK;
    }
    T->computes = true;
    feclearexcept(FLOAT_ERRORS);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(ids) && rc == MP_OK; i++) {
        PyObject *var = mp_known[ids[i]];
        mp_val n;
        if (var == NULL || !PyContextVar_CheckExact(var)) {
            // Before numpy 2 such state is the thread's, and out of sight.  Texts of
            // arrays, where 2.0 has no variable, are refused anyway.
            return i > 0 ? MP_OK
                         : mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                          "numpy, without the context of np.errstate");
        }
        int first = mp_refgraph_first(&T->graph, MP_G_LOAD_CONTEXT, var, -1);
        if (first <= 0) {
            rc = first < 0 ? MP_ERR : MP_OK;
            continue;
        }
        rc = mp_load_const(T, var);
        rc = rc != MP_OK ? rc : mp_value(T, var, &n);
        rc = rc != MP_OK ? rc : mp_read_context(T, var, n.node, true);
    }
    return rc;
}

mp_rc
mp_array_check_floats(mp_trace *T)
{
    T->computes = false;
    // Whether numpy has warned depends on filters and registries; a hit would not.
    return fetestexcept(FLOAT_ERRORS) == 0
               ? MP_OK
               : mp_trace_abort(T, MP_AB_SIDE_EFFECT, "numpy may warn of its floats");
}
