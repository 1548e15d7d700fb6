/* cfunc/warn.c - warnings.warn, and what tells of a change of the filters.
 *
 * What warn() will do is decided before it runs, from the filters as the program sees them:
 * all that they hold is guarded.  A warning that they ignore does nothing.  Any other is an
 * effect: a hit calls warn_explicit() for the same place, so the registry of that module and
 * the filters of that moment decide whether it is shown, as in eager mode.  It comes with
 * the writes to files (effect/effect.c), in program order among them.
 *
 * R: an effect must neither raise nor run code of the program.  So no filter that applies
 * may be `error`; what shows the warning is the module's own code and writes to a file of C
 * code alone; and the category is a plain class.
 * R: effects come when the run is over.  What they meet then must be what the warning met:
 * filters, hooks and file are compared at the end (mp_check_warnings).
 *
 * A log (catch_warnings(record=True)) also gets what operations warn of, at a time that no
 * graph repeats: there the segment ends. */
#include "cfunc/cfunc.h"

#include <string.h>

#include "objects/file.h"
#include "objects/names.h"
#include "read/read.h"

/* What decides how a warning is shown: first functions, then others. */
enum {
    WARN_SHOW,
    WARN_SHOW_IMPL,
    WARN_FORMAT,
    WARN_FORMAT_IMPL,
    WARN_FUNCTIONS,
    WARN_SHOWWARNING = WARN_FUNCTIONS,
    WARN_SHOWWARNING_ORIG,
    WARN_FORMATWARNING,
    WARN_FORMATWARNING_ORIG,
    WARN_MESSAGE,
    WARN_DEFAULT,
    WARN_FILTERS,
    WARN_NAMES,
};

static const mp_name_id WARN_IDS[WARN_NAMES] = {
    [WARN_SHOW] = MP_NAME_SHOWWARNMSG,
    [WARN_SHOW_IMPL] = MP_NAME_SHOWWARNMSG_IMPL,
    [WARN_FORMAT] = MP_NAME_FORMATWARNMSG,
    [WARN_FORMAT_IMPL] = MP_NAME_FORMATWARNMSG_IMPL,
    [WARN_SHOWWARNING] = MP_NAME_SHOWWARNING,
    [WARN_SHOWWARNING_ORIG] = MP_NAME_SHOWWARNING_ORIG,
    [WARN_FORMATWARNING] = MP_NAME_FORMATWARNING,
    [WARN_FORMATWARNING_ORIG] = MP_NAME_FORMATWARNING_ORIG,
    [WARN_MESSAGE] = MP_NAME_WARNINGMESSAGE,
    [WARN_DEFAULT] = MP_NAME_DEFAULTACTION,
    [WARN_FILTERS] = MP_NAME_FILTERS,
};

static struct {
    PyObject *module, *dict;  // of warnings; owned for the process, as the rest
    PyObject *sys;            // the dict of sys
} warn_static;

static PyObject *
warn_name(int which)
{
    return mp_names[WARN_IDS[which]];
}

int
mp_warn_init(void)
{
    if (warn_static.module != NULL) {
        return 0;
    }
    PyObject *sys = PyImport_ImportModule("sys");
    PyObject *module = PyImport_ImportModule("warnings");
    int rc = -1;
    if (sys == NULL || module == NULL || !PyModule_Check(module)) {
        goto done;
    }
    warn_static.sys = Py_NewRef(PyModule_GetDict(sys));
    warn_static.dict = Py_NewRef(PyModule_GetDict(module));
    warn_static.module = Py_NewRef(module);
    rc = 0;
done:
    Py_XDECREF(sys);
    Py_XDECREF(module);
    if (rc < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "warnings is no module");
    }
    return rc;
}

static mp_rc
warn_refuse(mp_trace *T, const char *why)
{
    return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "warn: %s", why);
}

/* -- What is warned of ---------------------------------------------------------------- */

typedef struct {
    PyObject *message, *category;  // borrowed from the call; NULL: not given
    PyObject *source, *skipped;
    PyObject *text;  // borrowed from the message
    bool late;       // ... which is a late value
    long level;
} warn_call;

/* The arguments of warnings.warn, by place or by name.  Refused: a source, prefixes of
 * files to skip, and anything that warn() itself would not take. */
static mp_rc
warn_parse(mp_trace *T, const mp_call *c, warn_call *call)
{
    static const char *const names[] = {"message", "category", "stacklevel", "source",
                                        "skip_file_prefixes"};
    PyObject *level = NULL;
    PyObject **places[] = {&call->message, &call->category, &level, &call->source,
                           &call->skipped};
    *call = (warn_call){.level = 1};
    for (Py_ssize_t i = 0; i < c->count; i++) {
        Py_ssize_t k = i < c->nargs ? i : 0;
        if (i >= c->nargs) {
            PyObject *name = PyTuple_GET_ITEM(c->kwnames, i - c->nargs);
            while (k < 5 && PyUnicode_CompareWithASCIIString(name, names[k]) != 0) {
                k++;
            }
        }
        if (k >= (i < c->nargs ? 4 : 5) || *places[k] != NULL) {
            return warn_refuse(T, "other arguments");
        }
        *places[k] = c->args[i];
        mp_rc rc = k == 0 ? mp_pass(T, c->args[i]) : mp_know(T, c->args[i]);
        if (rc != MP_OK) {
            return rc;
        }
    }
    if (level != NULL) {
        call->level = PyLong_CheckExact(level) ? PyLong_AsLong(level) : -1;
        if (call->level == -1) {
            mp_err_drop();  // too large a number
            return warn_refuse(T, "another stacklevel");
        }
    }
    if (call->message == NULL || (call->source != NULL && call->source != Py_None)
        || (call->skipped != NULL && PyObject_Size(call->skipped) != 0)) {
        mp_err_drop();  // of what has no length
        return warn_refuse(T, "a source, or files to skip");
    }
    call->category = call->category == Py_None ? NULL : call->category;
    return MP_OK;
}

/* A class of warnings whose objects are made and shown by C code; it stays one. */
static mp_rc
warn_category(mp_trace *T, PyObject *category)
{
    // The first of them have slots, which tell whether they are the ones of Warning.
    static const char *const names[] = {"__new__",  "__init__",         "__str__",
                                        "__del__",  "__getattribute__", "__format__",
                                        "__class__"};
    enum { N_SLOTS = 5 };
    PyTypeObject *tp = (PyTypeObject *)category;
    PyTypeObject *plain = (PyTypeObject *)PyExc_Warning;
    if (!Py_IS_TYPE(category, &PyType_Type) || !PyType_IsSubtype(tp, plain)
        || mp_is_new_class(T, category)) {
        return warn_refuse(T, "what is no plain class of warnings");
    }
    if (tp->tp_new != plain->tp_new || tp->tp_init != plain->tp_init
        || tp->tp_str != plain->tp_str || tp->tp_getattro != plain->tp_getattro
        || tp->tp_finalize != plain->tp_finalize || tp->tp_del != plain->tp_del) {
        return warn_refuse(T, "a class with methods of its own");
    }
    mp_rc rc = mp_guard_mro(T, tp);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && rc == MP_OK; i++) {
        PyObject *name = PyUnicode_InternFromString(names[i]);
        if (name == NULL) {
            return MP_ERR;
        }
        PyObject *found = mp_type_lookup_borrow(tp, name);
        bool own = i >= N_SLOTS && found != mp_type_lookup_borrow(plain, name);
        rc = own ? warn_refuse(T, "a class with methods of its own")
                 : mp_guard_type_attr(T, tp, name, found);
        Py_DECREF(name);
    }
    return rc;
}

/* The text and the category: a message may be a new Warning that holds one text. */
static mp_rc
warn_message(mp_trace *T, warn_call *call)
{
    PyObject *message = call->message;
    if (PyObject_TypeCheck(message, (PyTypeObject *)PyExc_Warning)) {
        mp_node *n = mp_refgraph_find(&T->graph, message);
        PyObject *args = ((PyBaseExceptionObject *)message)->args;
        if (n == NULL || n->kind != MP_NODE_FRESH || !PyTuple_CheckExact(args)
            || PyTuple_GET_SIZE(args) != 1) {
            return warn_refuse(T, "a message that is no new text");
        }
        call->category = (PyObject *)Py_TYPE(message);
        message = PyTuple_GET_ITEM(args, 0);
    }
    if (!PyUnicode_CheckExact(message) || mp_is_fresh_id(T, message)) {
        return warn_refuse(T, "a message that is no text");
    }
    if (!PyUnicode_IS_ASCII(message) && PyUnicode_AsUTF8(message) == NULL) {
        mp_err_drop();
        return warn_refuse(T, "a lone surrogate");
    }
    call->late = mp_late_find(T, message) != NULL;
    call->text = message;
    call->category = call->category == NULL ? PyExc_UserWarning : call->category;
    return warn_category(T, call->category);
}

/* -- Where ---------------------------------------------------------------------------- */

/* CPython leaves out frames of the import system; where they are, so does the recorder. */
static bool
warn_is_internal(mp_frame *f)
{
    PyObject *file = mp_frame_code_borrow(f)->co_filename;
    const char *text = PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
    if (text == NULL) {
        mp_err_drop();  // a lone surrogate
        return true;
    }
    return strstr(text, "importlib") != NULL && strstr(text, "_bootstrap") != NULL;
}

/* The watched frame that stacklevel means, or NULL. */
static mp_frame *
warn_frame(mp_trace *T, const mp_shadow *s, long level)
{
    int at = (int)(s - T->stack);
    mp_frame *f = s->f;
    for (; at >= 0; at--, f = mp_frame_previous(f)) {
        if (f != T->stack[at].f || warn_is_internal(f)) {
            return NULL;
        }
        if (level-- <= 1) {
            return f;
        }
    }
    return NULL;
}

/* The arguments of warn_explicit(): a new tuple as in effect/effects.def. */
static mp_rc
warn_place(mp_trace *T, mp_frame *f, const warn_call *call, PyObject **what)
{
    PyObject *globals = mp_frame_globals_borrow(f), *module, *ignored;
    mp_rc rc = mp_load_const(T, globals);
    mp_node *n = rc == MP_OK ? mp_refgraph_find(&T->graph, globals) : NULL;
    if (rc == MP_OK && (!PyDict_CheckExact(globals) || n == NULL || n->reg < 0)) {
        return warn_refuse(T, "from a function of other globals");
    }
    rc = rc != MP_OK ? rc : mp_read_key(T, globals, n, MP_NAME(NAME), &module);
    if (rc == MP_OK && (module == NULL || !PyUnicode_CheckExact(module))) {
        return warn_refuse(T, "from a module without a name");
    }
    ignored =
        rc != MP_OK ? NULL : PyDict_GetItemWithError(globals, MP_NAME(WARNINGREGISTRY));
    if (ignored != NULL && !PyDict_CheckExact(ignored)) {
        return warn_refuse(T, "another __warningregistry__");
    }
    if (rc != MP_OK || PyErr_Occurred()) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    *what = Py_BuildValue("(OOOiOO)", call->category, call->late ? Py_None : call->text,
                          mp_frame_code_borrow(f)->co_filename, mp_frame_line(f),
                          module, globals);
    return *what == NULL ? MP_ERR : MP_OK;
}

/* -- Filters -------------------------------------------------------------------------- */

/* warnings.name; the module is the one in sys.modules, where C looks for it. */
static mp_rc
warn_read(mp_trace *T, int name, PyObject **value)
{
    mp_rc rc = mp_load_const(T, warn_static.dict);
    mp_node *n = mp_refgraph_find(&T->graph, warn_static.dict);
    return rc != MP_OK ? rc
                       : mp_read_key(T, warn_static.dict, n, warn_name(name), value);
}

static mp_rc
warn_guard_module(mp_trace *T)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed
    int first = mp_refgraph_first(&T->graph, MP_G_IMPORTED, warn_static.module, 0);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    if (mp_dict_text_borrow(modules, "warnings") != warn_static.module) {
        return warn_refuse(T, "another module warnings");
    }
    PyObject *row = Py_BuildValue("(sO)", "warnings", warn_static.module);
    int r = row == NULL
                ? -1
                : mp_guards_test(T->guards, MP_G_IMPORTED, -1, -1, row, 0, NULL);
    Py_XDECREF(row);
    return r < 0 ? MP_ERR : MP_OK;
}

/* Does the text fit the pattern of a filter?  1 / 0; -1: such a pattern is not known. */
static int
warn_matches(PyObject *pattern, PyObject *text)
{
    if (pattern == Py_None) {
        return 1;
    }
    if (PyUnicode_CheckExact(pattern)) {
        return PyUnicode_Compare(pattern, text) == 0;
    }
    if (!mp_type_is(pattern, MP_K_PATTERN)) {
        return -1;
    }
    PyObject *match = PyObject_CallMethod(pattern, "match", "O", text);
    int rc = match == NULL ? -1 : match != Py_None;
    mp_err_drop();  // a pattern of bytes, no memory: not known
    Py_XDECREF(match);
    return rc;
}

/* Does the filter apply?  1 / 0; -1: not known. */
static int
warn_applies(PyObject *item, const warn_call *call, PyObject *module, long line)
{
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 5
        || !PyUnicode_CheckExact(PyTuple_GET_ITEM(item, 0))
        || !Py_IS_TYPE(PyTuple_GET_ITEM(item, 2), &PyType_Type)
        || !PyLong_CheckExact(PyTuple_GET_ITEM(item, 4))) {
        return -1;
    }
    PyObject *pattern = PyTuple_GET_ITEM(item, 1);
    bool asks = call->late && pattern != Py_None;  // about a text that is not known yet
    int text = asks ? 1 : warn_matches(pattern, call->text);
    int place = warn_matches(PyTuple_GET_ITEM(item, 3), module);
    long at = PyLong_AsLong(PyTuple_GET_ITEM(item, 4));
    if (text < 0 || place < 0 || (at == -1 && PyErr_Occurred())) {
        mp_err_drop();
        return -1;
    }
    bool applies = text && place && (at == 0 || at == line)
                   && PyType_IsSubtype((PyTypeObject *)call->category,
                                       (PyTypeObject *)PyTuple_GET_ITEM(item, 2));
    return applies && asks ? -1 : applies;
}

/* All that they hold is guarded. */
static mp_rc
warn_guard_filters(mp_trace *T, PyObject **filters)
{
    bool has_tensor = false;
    mp_rc rc = warn_guard_module(T);
    rc = rc != MP_OK ? rc : warn_read(T, WARN_FILTERS, filters);
    if (rc == MP_OK && (*filters == NULL || !PyList_CheckExact(*filters))) {
        return warn_refuse(T, "filters that are no list");
    }
    return rc != MP_OK ? rc : mp_read_deep(T, *filters, &has_tensor);
}

/* The action that the filters say: *action is borrowed. */
static mp_rc
warn_action(mp_trace *T, const warn_call *call, PyObject *what, PyObject **action)
{
    PyObject *filters, *module = PyTuple_GET_ITEM(what, 4);
    long line = PyLong_AsLong(PyTuple_GET_ITEM(what, 3));
    int applies = 0;
    mp_rc rc = warn_guard_filters(T, &filters);
    for (Py_ssize_t i = 0; rc == MP_OK && applies == 0 && i < PyList_GET_SIZE(filters);
         i++) {
        PyObject *item = PyList_GET_ITEM(filters, i);
        applies = warn_applies(item, call, module, line);
        *action = applies > 0 ? PyTuple_GET_ITEM(item, 0) : NULL;
    }
    if (rc == MP_OK && applies == 0) {
        rc = warn_read(T, WARN_DEFAULT, action);
    }
    if (rc == MP_OK
        && (applies < 0 || *action == NULL || !PyUnicode_CheckExact(*action))) {
        return warn_refuse(T, "a filter of another kind");
    }
    return rc;
}

/* -- Showing -------------------------------------------------------------------------- */

/* What an effect will meet, as it is now: a new tuple, NULL with an exception. */
static PyObject *
warn_view(void)
{
    PyObject *view = PyTuple_New(WARN_NAMES + 1);
    for (int i = 0; view != NULL && i <= WARN_NAMES; i++) {
        PyObject *value =
            i < WARN_NAMES ? PyDict_GetItemWithError(warn_static.dict, warn_name(i))
                           : PyDict_GetItemWithError(warn_static.sys, MP_NAME(STDERR));
        if (value == NULL && PyErr_Occurred()) {
            Py_CLEAR(view);
            break;
        }
        value = value == NULL ? Py_Ellipsis : value;
        value = i == WARN_FILTERS && PyList_CheckExact(value) ? PyList_AsTuple(value)
                                                              : Py_NewRef(value);
        if (value == NULL) {
            Py_CLEAR(view);
            break;
        }
        PyTuple_SET_ITEM(view, i, value);
    }
    return view;
}

/* Is each item of the one the same object in the other? */
static bool
warn_view_is(PyObject *a, PyObject *b)
{
    bool same = PyTuple_GET_SIZE(a) == PyTuple_GET_SIZE(b);
    for (Py_ssize_t i = 0; same && i < PyTuple_GET_SIZE(a); i++) {
        PyObject *x = PyTuple_GET_ITEM(a, i), *y = PyTuple_GET_ITEM(b, i);
        bool filters =
            i == WARN_FILTERS && PyTuple_CheckExact(x) && PyTuple_CheckExact(y);
        same = x == y || (filters && PyTuple_GET_SIZE(x) == PyTuple_GET_SIZE(y));
        for (Py_ssize_t k = 0; same && filters && k < PyTuple_GET_SIZE(x); k++) {
            same = PyTuple_GET_ITEM(x, k) == PyTuple_GET_ITEM(y, k);
        }
    }
    return same;
}

/* Warnings go to sys.stderr, which is a file of C code alone. */
static mp_rc
warn_file(mp_trace *T)
{
    PyObject *file;
    mp_val v;
    mp_rc rc = mp_load_const(T, warn_static.sys);
    mp_node *n = mp_refgraph_find(&T->graph, warn_static.sys);
    rc = rc != MP_OK ? rc : mp_read_key(T, warn_static.sys, n, MP_NAME(STDERR), &file);
    if (rc != MP_OK || file == Py_None) {
        return rc;
    }
    rc = file == NULL ? warn_refuse(T, "without a sys.stderr") : mp_value(T, file, &v);
    if (rc != MP_OK) {
        return rc;
    }
    if (!mp_val_is_external(v) || !mp_file_takes(file, false)) {
        return warn_refuse(T, "sys.stderr is no file of C code");
    }
    return mp_test(T, MP_G_FILE, v.node, MP_NAME(UTF_8), 0);
}

/* No hook of the program shows the warning. */
static mp_rc
warn_hooks(mp_trace *T)
{
    PyObject *values[WARN_NAMES];
    mp_rc rc = MP_OK;
    for (int i = 0; i < WARN_FILTERS && rc == MP_OK; i++) {
        rc = warn_read(T, i, &values[i]);
        if (rc == MP_OK && i < WARN_FUNCTIONS) {
            bool own = values[i] != NULL && PyFunction_Check(values[i])
                       && PyFunction_GET_GLOBALS(values[i]) == warn_static.dict;
            rc = own ? mp_guard_function(T, values[i]) : warn_refuse(T, "a hook");
        }
    }
    if (rc == MP_OK
        && (values[WARN_SHOWWARNING] != values[WARN_SHOWWARNING_ORIG]
            || values[WARN_FORMATWARNING] != values[WARN_FORMATWARNING_ORIG]
            || values[WARN_MESSAGE] == NULL)) {
        return warn_refuse(T, "a hook");
    }
    return rc != MP_OK ? rc : warn_file(T);
}

/* The warning will be shown: an effect, if the same filters and hooks hold for all
 * warnings of the segment. */
static mp_rc
warn_show(mp_trace *T, PyObject *callee, const warn_call *call, PyObject *what)
{
    mp_rc rc = warn_hooks(T);
    rc = rc != MP_OK ? rc : mp_load_const(T, callee);
    mp_node *n = mp_refgraph_find(&T->graph, callee);
    if (rc != MP_OK || n == NULL || n->reg < 0) {
        return rc != MP_OK ? rc : warn_refuse(T, "another function");
    }
    PyObject *view = warn_view();
    if (view == NULL) {
        return MP_ERR;
    }
    if (T->warn_view == NULL) {
        T->warn_view = view;
        T->warned = T->graph.at;
    }
    else {
        bool same = warn_view_is(T->warn_view, view);
        Py_DECREF(view);
        if (!same) {
            return warn_refuse(T, "filters that have changed");
        }
    }
    rc = mp_write_late(T, MP_W_WARN, n, what);
    if (rc == MP_OK && call->late) {
        T->writes[T->n_writes - 1].index = (Py_ssize_t)call->text;
    }
    return rc;
}

/* warnings.warn(...): find out what the filters will do with it, and for which place.
 * Nothing, an effect, or refused. */
mp_rc
mp_rule_warn(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    warn_call call;
    PyObject *what = NULL, *action = NULL;
    if (T->trial) {  // the registry that it makes would stay where the trial is given up
        return warn_refuse(T, "in a trial");
    }
    mp_rc rc = warn_parse(T, c, &call);
    rc = rc != MP_OK ? rc : warn_message(T, &call);
    mp_frame *f = rc == MP_OK ? warn_frame(T, s, call.level) : NULL;
    if (rc == MP_OK && f == NULL) {
        rc = warn_refuse(T, "a frame that is not recorded");
    }
    rc = rc != MP_OK ? rc : warn_place(T, f, &call, &what);
    rc = rc != MP_OK ? rc : warn_action(T, &call, what, &action);
    if (rc == MP_OK && mp_name_is(action, "error")) {
        rc = warn_refuse(T, "an error");
    }
    else if (rc == MP_OK && !mp_name_is(action, "ignore")) {
        bool known = mp_name_is(action, "default") || mp_name_is(action, "always")
                     || mp_name_is(action, "module") || mp_name_is(action, "once");
        rc = known ? warn_show(T, c->callee, &call, what)
                   : warn_refuse(T, "another action");
    }
    Py_XDECREF(what);
    s->below = MP_BELOW_TRUSTED;  // what shows it
    s->post = MP_POST_RESULT;
    return rc;
}

/* -- The end of the run ---------------------------------------------------------------- */

/* Has the run looked at the registry of these globals, or put another one there? */
static bool
warn_registry_is_known(mp_trace *T, PyObject *globals)
{
    mp_node *n = mp_refgraph_find(&T->graph, globals);
    PyObject *registry = PyDict_GetItemWithError(globals, MP_NAME(WARNINGREGISTRY));
    return (registry != NULL && mp_refgraph_find(&T->graph, registry) != NULL)
           || (n != NULL
               && (n->rewritten
                   || (n->written != NULL
                       && mp_node_wrote(n, MP_NAME(WARNINGREGISTRY)))));
}

mp_rc
mp_check_warnings(mp_trace *T)
{
    if (T->warn_view == NULL) {
        return MP_OK;
    }
    PyObject *view = warn_view();
    if (view == NULL) {
        return MP_ERR;
    }
    bool same = warn_view_is(T->warn_view, view);
    Py_DECREF(view);
    mp_rc rc = same ? MP_OK : warn_refuse(T, "filters that change later");
    for (int i = 0; i < T->n_writes && rc == MP_OK; i++) {
        if (T->writes[i].kind == MP_W_WARN
            && warn_registry_is_known(T, PyTuple_GET_ITEM(T->writes[i].key, 5))) {
            rc = warn_refuse(T, "a __warningregistry__ that is used");
        }
    }
    if (rc == MP_ABORTED) {
        mp_blame(T, T->warned);
    }
    return PyErr_Occurred() ? MP_ERR : rc;
}

/* -- Warnings of C code ----------------------------------------------------------------- */

/* numpy warns, or not, and a hit does not call it.  What is shown has a frame (run/enter.c).
 * What is not shown was ignored, and so it is as long as the filters are the same; or it was
 * shown once for its line, which the registry of the module says. */

static bool
warn_has_warned(PyObject *globals, int from, int to)
{
    PyObject *key, *value,
        *registry = PyDict_GetItemWithError(globals, MP_NAME(WARNINGREGISTRY));
    Py_ssize_t pos = 0;
    bool found = false;
    mp_err_drop();  // (a name is a text)
    if (registry == NULL || !PyDict_Check(registry)) {
        return false;
    }
    while (!found && PyDict_Next(registry, &pos, &key, &value)) {
        PyObject *at = PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) > 0
                           ? PyTuple_GET_ITEM(key, PyTuple_GET_SIZE(key) - 1)
                           : NULL;
        long line = at != NULL && PyLong_CheckExact(at) ? PyLong_AsLong(at) : -1;
        mp_err_drop();  // no line has such a number
        found = line >= from && line <= to;
    }
    return found;
}

bool
mp_warn_frame_has_warned(mp_frame *f)
{
    PyCodeObject *code = mp_frame_code_borrow(f);
    int to = code->co_firstlineno;
    for (int i = 0; i < (int)Py_SIZE(code); i++) {
        int line = mp_code_line(code, i);
        to = line > to ? line : to;
    }
    return warn_has_warned(mp_frame_globals_borrow(f), code->co_firstlineno, to);
}

/* Instructions that call no code of numpy that warns. */
static bool
warn_hands_on(mp_op op)
{
    switch (op) {
    case MP_OP_NOP:
    case MP_OP_RESUME:
    case MP_OP_LOAD_FAST:
    case MP_OP_LOAD_DEREF:
    case MP_OP_LOAD_GLOBAL:
    case MP_OP_LOAD_CONST:
    case MP_OP_LOAD_ATTR:
    case MP_OP_LOAD_METHOD:
    case MP_OP_STORE_FAST:
    case MP_OP_LOAD_FAST_LOAD_FAST:
    case MP_OP_STORE_FAST_LOAD_FAST:
    case MP_OP_STORE_FAST_STORE_FAST:
    case MP_OP_STORE_DEREF:
    case MP_OP_BINARY_SUBSCR:
    case MP_OP_BUILD_TUPLE:
    case MP_OP_BUILD_LIST:
    case MP_OP_BUILD_MAP:
    case MP_OP_UNPACK_SEQUENCE:
    case MP_OP_IS_OP:
    case MP_OP_POP_TOP:
    case MP_OP_RETURN_VALUE:
        return true;
    default:
        return false;
    }
}

mp_rc
mp_warn_check_quiet(mp_trace *T, mp_op op)
{
    PyObject *filters;
    if (warn_hands_on(op)) {
        return MP_OK;
    }
    for (int i = 0; i < T->n_stack; i++) {
        const mp_shadow *s = &T->stack[i];
        int line = s->pending < 0 ? -1 : mp_code_line(s->info->code, s->pending);
        if (warn_has_warned(mp_frame_globals_borrow(s->f), line, line)) {
            return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "numpy may have warned there");
        }
    }
    int first = mp_refgraph_first(&T->graph, MP_G_IMPORTED, warn_name(WARN_FILTERS), 1);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    mp_rc rc = warn_guard_filters(T, &filters);
    return rc != MP_OK ? rc : warn_read(T, WARN_DEFAULT, &filters);
}

/* -- Filters that change ---------------------------------------------------------------- */

/* Is the frame in catch_warnings(record=True), as it begins or ends? */
static bool
warn_is_log(const mp_shadow *s)
{
    PyCodeObject *code = s->info->code;
    if (mp_frame_globals_borrow(s->f) != warn_static.dict || code->co_argcount < 1
        || !(mp_name_is(code->co_name, "__enter__")        // mp-ok: in warnings
             || mp_name_is(code->co_name, "__exit__"))) {  // mp-ok: in warnings
        return false;
    }
    PyObject *self = mp_frame_local_borrow(s->f, 0);
    PyObject *dict = self == NULL ? NULL : mp_instance_dict_borrow(self);
    PyObject *record = dict == NULL ? NULL : mp_dict_text_borrow(dict, "_record");
    mp_err_drop();  // no memory for the dict: no answer
    return record != Py_False;
}

mp_rc
mp_rule_filters(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->count > 0 || warn_is_log(s)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "warnings that are recorded");
    }
    mp_rc rc = mp_load_const(T, c->callee);
    mp_node *n = mp_refgraph_find(&T->graph, c->callee);
    if (rc != MP_OK || n == NULL || n->reg < 0) {
        return rc != MP_OK ? rc : warn_refuse(T, "another function");
    }
    T->filters_change = true;
    // Between two warnings, one call tells the registries as much as many.
    for (int i = T->n_writes - 1; i >= 0; i--) {
        if (T->writes[i].kind == MP_W_FILTERS) {
            return MP_OK;
        }
        if (T->writes[i].kind == MP_W_WARN) {
            break;
        }
    }
    return mp_write_late(T, MP_W_FILTERS, n, NULL);
}
