/* cfunc/exec.c - code that the run makes of texts, and frames as objects.
 *
 * exec() and eval() compile a constant text, so each run makes the same code, and run it in
 * a frame over dicts that are given: it is watched like the body of a class.  The code is
 * an object of each run's own: a function made of it may not leave the run.
 * A text whose compilation warns is refused: what becomes of the warning follows from the
 * filters of each call, and what shows it is found by C code.
 *
 * Frames come with sys._getframe and with tracebacks.  What an attribute of one shows is
 * the run's own only in part: the globals and the code of its functions.
 */
#include "cfunc/cfunc.h"

#include <string.h>

#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* -- Does it warn? ------------------------------------------------------------------------- */

static bool warned;  // under the GIL, which no compilation gives up

/* What a filter asks about the text of a warning: all of them are ignored. */
static PyObject *
note_warning(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(text))
{
    warned = true;
    return Py_NewRef(Py_True);
}

static PyMethodDef note_methods[] = {{"match", note_warning, METH_O, NULL},
                                     {NULL, NULL, 0, NULL}};

static struct PyModuleDef note_module = {PyModuleDef_HEAD_INIT, .m_name = "note",
                                         .m_size = -1, .m_methods = note_methods};

/* Filters that note each warning and ignore it: a new list. */
static PyObject *
noting_filters(void)
{
    static PyObject *note;  // owned for the process
    note = note == NULL ? PyModule_Create(&note_module) : note;
    return note == NULL
               ? NULL
               : Py_BuildValue("[(sOOOi)]", "ignore", note, PyExc_Warning, Py_None, 0);
}

/* Compile a text for its warnings alone.  Errors are the program's, which gets them.  What
 * eval() takes is a statement as well, but for blanks in front. */
static void
compile_text(PyObject *source)
{
    PyCompilerFlags flags = {.cf_feature_version = PY_MINOR_VERSION};
    const char *text =
        PyBytes_Check(source) ? PyBytes_AS_STRING(source) : PyUnicode_AsUTF8(source);
    PyEval_MergeCompilerFlags(&flags);
    flags.cf_flags |= PyUnicode_Check(source) ? PyCF_IGNORE_COOKIE : 0;
    while (text != NULL && (*text == ' ' || *text == '\t')) {
        text++;
    }
    if (text != NULL) {
        Py_XDECREF(Py_CompileStringObject(text, MP_NAME(STRING_FILE), Py_file_input,
                                          &flags, -1));
    }
    mp_err_drop();
}

/* Would compiling warn? 1 / 0; -1 with an exception, or if that is not known. */
static int
compiling_warns(PyObject *source)
{
    PyObject *module = PyImport_GetModule(MP_NAME(WARNINGS));
    PyObject *filters = NULL, *own = NULL;
    int answer = -1;
    if (module == NULL || !PyModule_CheckExact(module)) {
        goto done;
    }
    PyObject *dict = PyModule_GetDict(module);
    filters = Py_XNewRef(PyDict_GetItemWithError(dict, MP_NAME(FILTERS)));
    own = filters == NULL ? NULL : noting_filters();
    if (own == NULL || PyDict_SetItem(dict, MP_NAME(FILTERS), own) < 0) {
        goto done;
    }
    warned = false;
    compile_text(source);
    answer = warned;
    if (PyDict_SetItem(dict, MP_NAME(FILTERS), filters) < 0) {  // (the key is there)
        answer = -1;
    }
done:
    Py_XDECREF(own);
    Py_XDECREF(filters);
    Py_XDECREF(module);
    return answer;
}

/* -- exec, eval, compile ------------------------------------------------------------------- */

/* Text or code that each run has alike. */
static mp_rc
check_source(mp_trace *T, PyObject *source, const char *who)
{
    mp_rc rc = mp_know(T, source);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyUnicode_CheckExact(source) || PyBytes_CheckExact(source)) {
        int warns = compiling_warns(source);
        T->compiles = true;
        return warns == 0         ? MP_OK
               : PyErr_Occurred() ? MP_ERR
                                  : mp_trace_abort(T, MP_AB_SIDE_EFFECT,
                                                   "%s of a text that warns", who);
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
    PyObject *const name = MP_NAME(BUILTINS), *value;
    mp_val n;
    mp_rc rc = mp_value(T, globals, &n);
    rc = rc != MP_OK ? rc : mp_read_key(T, globals, n.node, name, &value);
    if (rc == MP_OK && value == NULL) {
        rc = mp_load_const(T, mp_frame_builtins_borrow(s->f));
        rc = rc != MP_OK ? rc : mp_write_key(T, n.node, name, false);
    }
    else if (rc == MP_OK && !PyModule_Check(value)) {
        rc = mp_load_const(T, value);
    }
    return rc;
}

mp_rc
mp_rule_exec(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    const char *who = mp_callee_name(c->callee);
    PyObject *names = c->nargs > 2 && c->args[2] != Py_None ? c->args[2] : NULL;
    if (c->nargs < 2 || c->nargs > 3 || c->kwnames != NULL
        || !PyDict_CheckExact(c->args[1])
        || (names != NULL && !PyDict_CheckExact(names))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s without dicts of names", who);
    }
    mp_rc rc = check_source(T, c->args[0], who);
    rc = rc != MP_OK ? rc : fill_builtins(T, s, c->args[1]);
    if (rc == MP_OK && names != NULL) {
        rc = mp_know(T, names);
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    s->execs = true;
    return rc;
}

mp_rc
mp_rule_compile(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool fits = c->nargs >= 1 && c->count >= 3;
    for (Py_ssize_t i = 0; i < c->count && fits; i++) {
        bool is_flags = i == 3;
        if (i >= c->nargs) {
            PyObject *name = PyTuple_GET_ITEM(c->kwnames, i - c->nargs);
            is_flags = PyUnicode_CompareWithASCIIString(name, "flags") == 0;
        }
        fits = mp_is_constant(c->args[i])
               && (!is_flags
                   || PyObject_RichCompareBool(c->args[i], Py_False, Py_EQ) == 1);
    }
    if (!fits) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "compile of what is no text");
    }
    s->post = MP_POST_RESULT;
    return check_source(T, c->args[0], "compile");
}

/* locals(): what the cells hold becomes known; everything else is. */
mp_rc
mp_rule_locals(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyCodeObject *code = s->info->code;
    mp_rc rc = MP_OK;
    if (c->count > 0 || !(code->co_flags & CO_OPTIMIZED)) {
        return MP_OK;  // TypeError, or the dict of names
    }
    if (T->stale > 0) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "locals() behind a branch");
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
mp_rule_frame(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    long depth = c->nargs == 0 ? 0 : -1;
    if (c->nargs == 1 && PyLong_CheckExact(c->args[0])) {
        depth = PyLong_AsLong(c->args[0]);
        mp_err_drop();  // too large a number: -1
    }
    return c->nargs > 1 || depth < 0 || depth >= T->n_stack
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
