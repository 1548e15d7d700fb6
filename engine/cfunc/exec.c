/* cfunc/exec.c - code that the run makes of texts, and frames as objects.
 *
 * exec() and eval() compile a constant text, so each run makes the same code, and run it in
 * a frame over dicts that are given: it is watched like the body of a class.  The code is
 * an object of each run's own: a function made of it may not leave the run.
 * Assumption: compiling a text warns in a hit if and only if it warned while recording.
 *
 * Frames come with sys._getframe and with tracebacks.  What an attribute of one shows is
 * the run's own only in part: the globals and the code of its functions.
 */
#include "cfunc/builtins.h"

#include <string.h>

/* Text or code that each run has alike. */
static mp_rc
check_source(mp_trace *T, PyObject *source, const char *who)
{
    mp_node *ignored;
    mp_rc rc = mp_value(T, source, &ignored);
    if (rc != MP_OK || PyUnicode_CheckExact(source) || PyBytes_CheckExact(source)) {
        T->compiles = true;
        return rc;
    }
    if (!PyCode_Check(source)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s of a %s", who,
                              mp_type_name(source));
    }
    return MP_OK;
}

/* exec() puts the builtins of its caller into globals that have none. */
static mp_rc
fill_builtins(mp_trace *T, mp_shadow *s, PyObject *globals)
{
    PyObject *name = PyUnicode_InternFromString("__builtins__"), *value;
    mp_node *n;
    mp_rc rc = name == NULL ? MP_ERR : mp_value(T, globals, &n);
    rc = rc != MP_OK ? rc : mp_read_key(T, globals, n, name, &value);
    if (rc == MP_OK && value == NULL) {
        rc = mp_load_const(T, mp_frame_builtins_borrow(s->f));
        rc = rc != MP_OK ? rc : mp_write_key(T, n, name, false);
    }
    else if (rc == MP_OK && !PyModule_Check(value)) {
        rc = mp_load_const(T, value);
    }
    Py_XDECREF(name);
    return rc;
}

mp_rc
mp_rule_exec(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *names = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (nargs < 2 || nargs > 3 || kwnames != NULL || !PyDict_CheckExact(args[1])
        || (names != NULL && !PyDict_CheckExact(names))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s without dicts of names", who);
    }
    mp_rc rc = check_source(T, args[0], who);
    rc = rc != MP_OK ? rc : fill_builtins(T, s, args[1]);
    if (rc == MP_OK && names != NULL) {
        mp_node *ignored;
        rc = mp_value(T, names, &ignored);
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    s->execs = true;
    return rc;
}

mp_rc
mp_rule_compile(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    Py_ssize_t count = mp_count_args(nargs, kwnames);
    bool fits = nargs >= 1 && count >= 3;
    for (Py_ssize_t i = 0; i < count && fits; i++) {
        bool is_flags = i == 3;
        if (i >= nargs) {
            PyObject *name = PyTuple_GET_ITEM(kwnames, i - nargs);
            is_flags = PyUnicode_CompareWithASCIIString(name, "flags") == 0;
        }
        fits =
            mp_is_constant(args[i])
            && (!is_flags || PyObject_RichCompareBool(args[i], Py_False, Py_EQ) == 1);
    }
    if (!fits) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "compile of what is no text");
    }
    s->post = MP_POST_RESULT;
    return check_source(T, args[0], "compile");
}

/* locals(): what the cells hold becomes known; everything else is. */
mp_rc
mp_rule_locals(mp_trace *T, mp_shadow *s, Py_ssize_t count)
{
    PyCodeObject *code = s->info->code;
    mp_rc rc = MP_OK;
    if (count > 0 || !(code->co_flags & CO_OPTIMIZED)) {
        return MP_OK;  // TypeError, or the dict of names
    }
    rc = mp_segment_load_locals(T, s);
    for (int i = 0; i < code->co_nlocalsplus && rc == MP_OK; i++) {
        bool is_cell = mp_local_kind(code, i) & (CO_FAST_CELL | CO_FAST_FREE);
        PyObject *cell = is_cell ? mp_frame_local_borrow(s->f, i) : NULL;
        rc = cell == NULL || !PyCell_Check(cell) ? MP_OK : mp_read_cell(T, s, i);
    }
    return rc;
}

/* -- Frames ------------------------------------------------------------------------------------ */

mp_rc
mp_rule_frame(mp_trace *T, PyObject *const *args, Py_ssize_t nargs)
{
    long depth = nargs == 0 ? 0 : -1;
    if (nargs == 1 && PyLong_CheckExact(args[0])) {
        depth = PyLong_AsLong(args[0]);
        mp_err_drop();  // too large a number: -1
    }
    return nargs > 1 || depth < 0 || depth >= T->n_stack
               ? mp_trace_abort(T, MP_AB_SIDE_EFFECT, "_getframe of the caller")
               : MP_OK;
}

mp_rc
mp_read_frame_attr(mp_trace *T, PyObject *owner, PyObject *name)
{
    static const char *const names[] = {"f_globals", "f_builtins", "f_code"};
    mp_rc rc = MP_OK;
    bool known = false;
    if (!PyFrame_Check(owner)
        || PyUnicode_CompareWithASCIIString(name, "f_lineno") == 0) {
        return MP_OK;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && !known; i++) {
        known = PyUnicode_CompareWithASCIIString(name, names[i]) == 0;
    }
    if (!known) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attribute %U of a frame", name);
    }
    PyObject *value = PyObject_GenericGetAttr(owner, name);
    rc = value == NULL ? MP_ERR : mp_load_const(T, value);
    Py_XDECREF(value);
    return rc;
}
