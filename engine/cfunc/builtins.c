/* cfunc/builtins.c - what C functions read, write and return (objects/builtins.def).
 *
 * objects/rows.c finds the row.  A handler runs before the call, emits guards and journal
 * entries, and says what may happen below it; it never calls the function.
 */
#include "cfunc/cfunc.h"

#include <string.h>

#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"

/* -- Arguments ----------------------------------------------------------------------------- */

static mp_rc prepare_callable(mp_trace *T, PyObject *arg, mp_node *n);

Py_ssize_t
mp_count_args(Py_ssize_t nargs, PyObject *kwnames)
{
    assert(nargs >= 0 && (kwnames == NULL || PyTuple_Check(kwnames)));
    return nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
}

/* The same of a functools.partial from outside: what it adds is guarded. */
static mp_rc
prepare_partial(mp_trace *T, PyObject *arg, mp_node *n)
{
    PyObject *parts[3] = {NULL, NULL, NULL};  // owned
    mp_node *inner;
    mp_rc rc = mp_read_partial(T, arg, n, parts);
    rc = rc != MP_OK ? rc : mp_value(T, parts[0], &inner);
    rc = rc != MP_OK ? rc : prepare_callable(T, parts[0], inner);
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(parts[i]);
    }
    return rc;
}

/* A bound method handed to C will be called there: its function becomes known. */
static mp_rc
prepare_callable(mp_trace *T, PyObject *arg, mp_node *n)
{
    if (n != NULL && n->reg >= 0 && mp_type_is(arg, MP_K_PARTIAL)) {
        return prepare_partial(T, arg, n);
    }
    if (!PyMethod_Check(arg)) {
        return MP_OK;
    }
    PyObject *func = PyMethod_GET_FUNCTION(arg), *self = PyMethod_GET_SELF(arg);
    if (n != NULL && n->reg >= 0) {
        mp_rc rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_METHOD_FUNC, func);
        if (rc == MP_OK) {
            rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_METHOD_SELF, self);
        }
        return rc;
    }
    return mp_load_const(T, func);
}

/* C code stores these, and looks at none. */
static mp_rc
pass_args(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        mp_node *n;
        rc = mp_value(T, args[i], &n);
        rc = rc != MP_OK ? rc : prepare_callable(T, args[i], n);
    }
    return rc;
}

mp_rc
mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
             bool *has_tensor)
{
    assert(count >= 0);
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_node *n;
        mp_rc rc = mp_value(T, args[i], &n);
        rc = rc != MP_OK ? rc : mp_look_before_next(T, args[i]);
        if (rc == MP_OK && mp_is_opaque_external(args[i], n)) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an argument of type %s",
                                mp_type_name(args[i]));
        }
        if (rc == MP_OK) {
            rc = deep                   ? mp_read_deep(T, args[i], has_tensor)
                 : mp_is_array(args[i]) ? mp_array_read(T, args[i], n)
                                        : mp_read_all(T, args[i]);
        }
        if (rc == MP_OK) {
            rc = mp_prepare_instance(T, args[i]);
        }
        if (rc == MP_OK) {
            rc = prepare_callable(T, args[i], n);
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    return MP_OK;
}

const char *
mp_callee_name(PyObject *callee)
{
    if (PyCFunction_Check(callee)) {
        return ((PyCFunctionObject *)callee)->m_ml->ml_name;
    }
    if (PyType_Check(callee)) {
        return ((PyTypeObject *)callee)->tp_name;
    }
    if (Py_TYPE(callee) == &PyMethodDescr_Type
        || Py_TYPE(callee) == &PyWrapperDescr_Type
        || Py_TYPE(callee) == &PyClassMethodDescr_Type) {
        return PyUnicode_AsUTF8(((PyDescrObject *)callee)->d_name);
    }
    return mp_type_name(callee);
}

/* -- Handlers -------------------------------------------------------------------------------- */

/* any(d), sorted(d): only the keys of a dict.  Keys are unique, so that sorted(d.items())
 * does not get to the values either. */
static bool
sees_keys_only(PyObject *callee, PyObject *arg, Py_ssize_t count)
{
    bool sorts = mp_callee_is(callee, MP_K_SORTED);
    bool walks = sorts || (mp_marks_of(callee) & MP_MARK_WALKS) != 0;
    return (walks && count == 1 && PyDict_CheckExact(arg))
           || (sorts && PyDict_CheckExact(arg))
           || (sorts && count == 1 && Py_IS_TYPE(arg, &PyDictItems_Type));
}

mp_rc
mp_rule_eval(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
             Py_ssize_t count)
{
    bool has_tensor = false;
    bool formats = (mp_marks_of(callee) & (MP_MARK_FORMATS | MP_MARK_MOD)) != 0;
    mp_rc rc = mp_look_at_calls(T, s, callee, args, count);
    s->looks = true;
    for (Py_ssize_t i = 0; rc == MP_OK && i < count; i++) {
        bool deep = !sees_keys_only(callee, args[i], count);
        rc = mp_read_args(T, args + i, 1, deep, &has_tensor);
        if (rc == MP_OK && mp_callee_is(callee, MP_K_TRANSLATE)) {
            rc = mp_refuse_default(T, args[i], "str.translate");
        }
        if (rc == MP_OK && formats) {
            rc = mp_look_at_text(T, args[i]);
            if (rc == MP_OK && !mp_is_constant(args[i])
                && mp_format_takes_attrs(args[0])) {
                rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "str.%s of attributes",
                                    mp_callee_name(callee));
            }
        }
    }
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "%s of a tensor",
                              mp_callee_name(callee));
    }
    return rc;
}

static mp_rc
rule_operate(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    bool has_tensor = false;
    Py_ssize_t count = mp_count_args(nargs, kwnames);
    mp_rc rc = mp_look_at_calls(T, s, callee, args, count);
    rc = rc != MP_OK ? rc : mp_read_args(T, args, count, true, &has_tensor);
    if (rc == MP_OK && count == 2 && (mp_marks_of(callee) & MP_MARK_MOD)
        && (PyUnicode_Check(args[0]) || PyBytes_Check(args[0]))) {
        rc = mp_look_at_text(T, args[1]);
    }
    s->spreads = true;  // sum(xs, []) adds up what the lists hold
    T->lazy_spreads = true;
    s->looks = s->looks || (mp_marks_of(callee) & MP_MARK_COMPARES) != 0;
    return rc != MP_OK
               ? rc
               : mp_record_operate(T, s, callee, args, nargs, kwnames, has_tensor);
}

/* A str subclass as the name of an attribute may have its own __eq__ and __hash__. */
static mp_rc
check_name(mp_trace *T, PyObject *name)
{
    if (PyUnicode_Check(name) && !PyUnicode_CheckExact(name)) {
        return mp_trace_abort(T, MP_AB_HASH, "an attribute name of type %s",
                              mp_type_name(name));
    }
    return MP_OK;
}

static mp_rc
rule_getattr(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs)
{
    mp_rc rc = nargs == 3 ? mp_know(T, args[2]) : MP_OK;
    rc = rc != MP_OK || nargs < 2 ? rc : check_name(T, args[1]);
    if (rc != MP_OK || nargs < 2 || !PyUnicode_Check(args[1])) {
        return rc;
    }
    rc = mp_record_getattr(T, s, args[0], args[1]);
    if (s->post == MP_POST_NONE) {
        s->post = MP_POST_RESULT;
    }
    return rc;
}

static mp_rc
rule_setattr(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
             bool generic)
{
    mp_rc rc = nargs < 2 ? MP_OK : check_name(T, args[1]);
    if (rc != MP_OK || nargs < 2 || !PyUnicode_Check(args[1])) {
        return rc;  // TypeError
    }
    PyObject *value = nargs > 2 ? args[2] : NULL;
    return generic ? mp_record_generic_setattr(T, s, args[0], args[1], value)
                   : mp_record_setattr(T, s, args[0], args[1], value);
}

static mp_rc
rule_append(mp_trace *T, PyObject *const *args, Py_ssize_t nargs)
{
    mp_node *n;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : mp_know_all(T, args + 1, nargs - 1);
    return rc == MP_OK && nargs == 2 && n != NULL ? mp_write_append(T, n) : rc;
}

/* Does the call change the whole content of obj, and nothing but that?  A function may be
 * called with anything; a set remembers how far its pops went, which no replay tells it. */
static bool
has_content(mp_trace *T, PyObject *callee, PyObject *obj)
{
    if (mp_method_owner(callee) == NULL) {
        return PyList_Check(obj);
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    return !mp_callee_is(callee, MP_K_SET_POP)
           || (n != NULL && n->kind == MP_NODE_FRESH);
}

/* OrderedDict.__init__ fills a new dict through its class's __setitem__: if that is a
 * function, its frames say what is written. */
static mp_rc
fill_by_setitem(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                Py_ssize_t nargs, Py_ssize_t count, bool *done)
{
    PyObject *setitem = NULL;
    bool has_tensor = false;
    *done = false;
    if (!mp_callee_is(callee, MP_K_ODICT_INIT) || !PyODict_Check(args[0])
        || PyODict_CheckExact(args[0])) {
        return MP_OK;
    }
    mp_rc rc = mp_special(T, args[0], "__setitem__", &setitem);
    mp_node *self = mp_refgraph_find(&T->graph, args[0]);
    *done = rc == MP_OK && setitem != NULL && PyFunction_Check(setitem) && self != NULL
            && self->kind == MP_NODE_FRESH
            && (nargs == 1 || (nargs == 2 && PyDict_CheckExact(args[1])));
    if (!*done) {
        return rc;  // what else calls a function from there breaks at its frame
    }
    s->below = MP_BELOW_WATCH;
    return mp_read_args(T, args + 1, count - 1, false, &has_tensor);
}

static mp_rc
rule_content(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, bool eval)
{
    mp_node *n;
    bool has_tensor = false;
    Py_ssize_t count = mp_count_args(nargs, kwnames);
    bool done = false;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : fill_by_setitem(T, s, callee, args, nargs, count, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = eval ? mp_rule_eval(T, s, callee, args, count)
              : mp_read_args(T, args + 1, count - 1, false, &has_tensor);
    if (rc == MP_OK && PyDict_Check(args[0])) {
        rc = mp_look_into(T, s, mp_callee_name(callee), args + 1, nargs - 1);
    }
    return rc == MP_OK ? mp_write_content(T, n) : rc;
}

static mp_rc
rule_next(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs)
{
    mp_node *n = NULL;
    mp_rc rc = nargs > 0 ? mp_value(T, args[0], &n) : MP_OK;
    if (rc == MP_OK && nargs > 1) {
        rc = mp_know(T, args[1]);
    }
    if (rc != MP_OK || n == NULL) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    s->through_c = !PyGen_CheckExact(args[0]);
    if (n->reg < 0) {
        rc = mp_look_before_next(T, args[0]);
        return rc != MP_OK ? rc : mp_prepare_instance(T, args[0]);
    }
    PyObject *func;
    rc = mp_special(T, args[0], "__next__", &func);
    if (rc == MP_OK && (func == NULL || !PyFunction_Check(func))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "next of an external %s",
                              mp_type_name(args[0]));
    }
    return rc;
}

static mp_rc
rule_text(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_record_format(T, s, args[i]);
    }
    return rc;
}

static mp_rc
rule_new(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
         Py_ssize_t count)
{
    bool has_tensor = false;
    static PyObject *name;  // interned, for the process
    if (name == NULL && (name = PyUnicode_InternFromString("__del__")) == NULL) {
        return MP_ERR;
    }
    if (count > 0 && PyType_Check(args[0])
        && mp_type_lookup_borrow((PyTypeObject *)args[0], name) != NULL) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an object with __del__");
    }
    if (count == 2 && PyCFunction_GET_SELF(callee) == (PyObject *)&PyUnicode_Type) {
        mp_rc rc = mp_record_format(T, s, args[1]);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return mp_read_args(T, args, count, false, &has_tensor);
}

/* set.add(x), s.update(xs): keys of a set must not run code of the user's. */
static mp_rc
rule_truth(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = count == 1 ? mp_read_truth(T, args[0], s) : MP_OK;
    s->post = MP_POST_RESULT;
    return rc;
}

/* ContextVar: `appended` says that the run set it and has not reset it yet; `entry_len`
 * counts how deep.  A variable that stays set is a write that no effect replays. */
static mp_rc
rule_context(mp_trace *T, mp_rule rule, PyObject *const *args, Py_ssize_t nargs)
{
    mp_node *n;
    mp_rc rc = mp_know_all(T, args + 1, nargs - 1);
    rc = rc != MP_OK ? rc : mp_load_const(T, args[0]);
    rc = rc != MP_OK ? rc : mp_value(T, args[0], &n);
    if (rc != MP_OK || n->reg < 0) {
        return rc;
    }
    if (rule == RULE_CONTEXT_GET) {
        return mp_read_context(T, args[0], n, false);
    }
    if (rule == RULE_CONTEXT_RESET && !n->appended) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a ContextVar that was set before");
    }
    if (T->trial) {  // it would stay set where the trial is given up
        return mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
    n->entry_len += rule == RULE_CONTEXT_SET ? (n->appended ? 1 : 2) : -1;
    n->appended = n->entry_len > 0;
    return MP_OK;
}

static mp_rc
rule_vars(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    PyObject *name = PyUnicode_InternFromString("__dict__");
    mp_rc rc = name == NULL ? MP_ERR : mp_record_getattr(T, s, obj, name);
    Py_XDECREF(name);
    s->post = MP_POST_RESULT;
    return rc;
}

/* set(xs), s.add(x): their items are told apart. */
static mp_rc
note_hashing(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
             Py_ssize_t count)
{
    PyTypeObject *owner =
        PyType_Check(callee) ? (PyTypeObject *)callee : mp_method_owner(callee);
    bool is_fromkeys = (mp_marks_of(callee) & MP_MARK_FROM_KEYS) != 0;
    if (is_fromkeys && PyCFunction_Check(callee)
        && PyCFunction_GET_SELF(callee) != (PyObject *)&PyDict_Type) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "fromkeys of %s",
                              mp_type_name(PyCFunction_GET_SELF(callee)));
    }
    if (owner == &PySet_Type || owner == &PyFrozenSet_Type || is_fromkeys) {
        s->hashes = true;
        return mp_note_items(T, args, count);
    }
    return MP_OK;
}

/* list(t), zip(t, u): C asks a tensor for its rows. */
static mp_rc
iterates_tensor(mp_trace *T, PyObject *arg)
{
    PyObject *found;
    if (!mp_tensor_is(arg)) {
        return MP_OK;
    }
    mp_rc rc = mp_tensor_observe(T, arg);
    return rc != MP_OK ? rc : mp_special(T, arg, "__iter__", &found);
}

static mp_rc
rule_apply(mp_trace *T, mp_shadow *s, mp_rule rule, PyObject *callee,
           PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = mp_count_args(nargs, kwnames);
    bool has_tensor = false;
    mp_node *self;
    mp_rc rc;
    switch (rule) {
    case RULE_EVAL:
    case RULE_VALUE:
        s->below = MP_BELOW_WATCH;
        if (rule == RULE_EVAL && PyType_Check(callee)) {
            s->yields = MP_YIELDS_READ;  // filter, groupby
        }
        return mp_rule_eval(T, s, callee, args, count);
    case RULE_PATTERN:
        return mp_rule_pattern(T, s, callee, args, nargs, kwnames);
    case RULE_REDUCE:
        return mp_rule_reduce(T, s, args, nargs);
    case RULE_SCANNER:
        return mp_rule_scanner(T, s, args, count);
    case RULE_MOVE:
    case RULE_SPREAD:
    case RULE_READ:
    case RULE_ITER:
        s->below = MP_BELOW_WATCH;
        rc = mp_look_at_calls(T, s, callee, args, count);
        if (rc == MP_OK && rule == RULE_SPREAD) {  // dict(**names) only stores them
            rc = pass_args(T, args + nargs, count - nargs);
            count = nargs;
        }
        rc = rc != MP_OK ? rc : mp_read_args(T, args, count, false, &has_tensor);
        for (Py_ssize_t i = 0; i < count && rc == MP_OK && PyType_Check(callee); i++) {
            rc = iterates_tensor(T, args[i]);
        }
        rc = rc != MP_OK ? rc : note_hashing(T, s, callee, args, count);
        if (rc == MP_OK && rule == RULE_SPREAD) {
            rc = mp_look_into(T, s, mp_callee_name(callee), args, nargs);
        }
        s->yields =
            mp_yields(T, callee, args, count,
                      rule == RULE_READ && (mp_marks_of(callee) & MP_MARK_VALUES));
        s->yields |= s->looks ? MP_YIELDS_READ : 0;
        return rc;
    case RULE_OPERATE:
        s->below = MP_BELOW_WATCH;
        return rule_operate(T, s, callee, args, nargs, kwnames);
    case RULE_APPEND:
        return rule_append(T, args, nargs);
    case RULE_CONTENT_PASS:
        if (nargs < 1 || !has_content(T, callee, args[0])) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(callee));
        }
        s->below = MP_BELOW_WATCH;  // (of an index)
        rc = mp_value(T, args[0], &self);
        rc = rc != MP_OK ? rc : pass_args(T, args + 1, count - 1);
        rc = rc != MP_OK || nargs < 3 ? rc : mp_prepare_instance(T, args[1]);
        return rc != MP_OK ? rc : mp_write_content(T, self);
    case RULE_CONTENT:
    case RULE_CONTENT_EVAL:
        if (nargs < 1 || !has_content(T, callee, args[0])) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(callee));
        }
        s->below = MP_BELOW_WATCH;
        s->through_c = true;
        rc =
            rule_content(T, s, callee, args, nargs, kwnames, rule == RULE_CONTENT_EVAL);
        return rc != MP_OK ? rc : note_hashing(T, s, callee, args + 1, count - 1);
    case RULE_LEN:
        if (count != 1) {
            return MP_OK;
        }
        if (mp_tensor_is(args[0])) {
            s->below = MP_BELOW_SKIP;
            rc = mp_know(T, args[0]);
            return rc != MP_OK ? rc : mp_tensor_observe(T, args[0]);
        }
        {
            PyObject *func;
            rc = mp_special(T, args[0], "__len__", &func);
            if (rc == MP_OK && !s->raw && func != NULL && PyFunction_Check(func)) {
                s->below = MP_BELOW_WATCH;
                return mp_know(T, args[0]);
            }
        }
        return rc != MP_OK ? rc : mp_read_len(T, args[0]);
    case RULE_ISINSTANCE:
        return mp_rule_isinstance(T, s, args, nargs);
    case RULE_MRO:
        s->below = MP_BELOW_WATCH;
        rc = PyCFunction_Check(callee) && PyCFunction_GET_SELF(callee) != NULL
                 ? mp_guard_mro_of(T, PyCFunction_GET_SELF(callee))
                 : MP_OK;
        for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
            rc = mp_guard_mro_of(T, args[i]);
        }
        return rc != MP_OK ? rc : mp_read_args(T, args, count, false, &has_tensor);
    case RULE_ISSUBCLASS:
        return mp_rule_issubclass(T, s, args, count);
    case RULE_CALLABLE:
        rc = count == 1 ? mp_know(T, args[0]) : MP_OK;
        return rc != MP_OK || count != 1
                   ? rc
                   : mp_special_any(T, args[0], "__call__", &(PyObject *){NULL});
    case RULE_PASS:
        s->below = MP_BELOW_WATCH;
        return pass_args(T, args, count);
    case RULE_ABC:
        return mp_rule_abc(T, s, args, count);
    case RULE_HANDLED:
        return mp_read_handled(T);
    case RULE_GETATTR:
        return rule_getattr(T, s, args, nargs);
    case RULE_SETATTR:
        rc = rule_setattr(T, s, args, nargs, false);
        return rc;
    case RULE_GENERIC_SETATTR:
        return rule_setattr(T, s, args, nargs, true);
    case RULE_GENERIC_GETATTR:
        rc = nargs == 2 ? check_name(T, args[1]) : MP_OK;
        if (rc != MP_OK || nargs != 2 || !PyUnicode_Check(args[1])) {
            return rc;  // TypeError
        }
        rc = PyType_Check(args[0])
                 ? mp_record_getattr(T, s, args[0], args[1])
                 : mp_record_generic_getattr(T, s, args[0], args[1], false);
        s->post = s->post == MP_POST_NONE ? MP_POST_RESULT : s->post;
        return rc;
    case RULE_NEXT:
        return rule_next(T, s, args, nargs);
    case RULE_HASH:
        return mp_rule_hash(T, s, args, count);
    case RULE_TEXT:
        return rule_text(T, s, args, count);
    case RULE_LOCK:
        return mp_is_cache_lock(s, args[0])
                   ? mp_take_lock(T, s, args[0],
                                  (mp_marks_of(callee) & MP_MARK_TAKES) != 0)
                   : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(callee));
    case RULE_REFERENCES:
        T->whole_only = true;  // the next segment would hold references again
        // fall through
    case RULE_REFUSE:
    case RULE_HIDDEN:
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s", mp_callee_name(callee));
    case RULE_TRUTH:
        return rule_truth(T, s, args, count);
    case RULE_TYPE:
        if (count != 1) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a class is created");
        }
        return mp_read_args(T, args, 0, false, &has_tensor) != MP_OK
                   ? MP_ERR
                   : mp_know(T, args[0]);
    case RULE_SUPER:
        return mp_rule_super(T, s, args, nargs);
    case RULE_NEW:
        rc = rule_new(T, s, callee, args, count);
        s->below = MP_BELOW_WATCH;  // of what a tuple is made of
        s->post = MP_POST_RESULT;
        return rc;
    case RULE_TYPE_CALL:
        return nargs < 1
                   ? MP_OK
                   : mp_record_callee(T, s, args[0], args + 1, nargs - 1, kwnames);
    case RULE_PROPERTY:
        return mp_rule_property(T, s, callee, args, nargs);
    case RULE_COMPARE_EQ:
        rc = nargs == 2 ? mp_record_is(T, args[0], args[1]) : MP_OK;
        return rc != MP_OK || nargs != 2 ? rc : mp_constants_is(T, s, args[0], args[1]);
    case RULE_SETITEM:
        rc = nargs < 2 ? MP_OK
                       : mp_record_setitem(T, s, args[0], args[1],
                                           nargs > 2 ? args[2] : NULL);
        s->post = s->owns_op ? MP_POST_OP : MP_POST_RESULT;
        return rc;
    case RULE_GETITEM:
        return nargs < 2 ? MP_OK : mp_record_getitem(T, s, args[0], args[1]);
    case RULE_CONTAINS:
        rc = nargs < 2 ? MP_OK : mp_record_contains(T, s, args[0], args[1]);
        s->post = MP_POST_RESULT;
        return rc;
    case RULE_DICT_GET:
        return mp_rule_dict_get(T, s, args, nargs);
    case RULE_DICT_SETDEFAULT:
        return mp_rule_dict_setdefault(T, s, args, nargs);
    case RULE_DICT_POP:
        return mp_rule_dict_pop(T, s, args, nargs);
    case RULE_DICT_UPDATE:
        return mp_rule_dict_update(T, s, args, nargs, kwnames);
    case RULE_COUNT:
        if (nargs != 2) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(callee));
        }
        rc = mp_rule_eval(T, s, callee, args + 1, count - 1);
        return rc != MP_OK ? rc : rule_content(T, s, callee, args, 1, NULL, false);
    case RULE_INPLACE:
        s->below = MP_BELOW_WATCH;
        return mp_record_inplace(T, s, callee, args, nargs);
    case RULE_PRINT:
        return mp_rule_print(T, s, args, nargs, kwnames);
    case RULE_WRITE:
        return mp_rule_write(T, s, args, nargs, kwnames);
    case RULE_FLUSH:
        return mp_rule_flush(T, s, args, nargs, kwnames);
    case RULE_WARN:
        return mp_rule_warn(T, s, callee, args, nargs, kwnames);
    case RULE_FILTERS:
        return mp_rule_filters(T, s, callee, count);
    case RULE_GLOBALS:
        return mp_load_const(T, mp_frame_globals_borrow(s->f));
    case RULE_VARS:
        return nargs == 1 ? rule_vars(T, s, args[0]) : mp_rule_locals(T, s, count);
    case RULE_LOCALS:
        return mp_rule_locals(T, s, count);
    case RULE_EXEC:
        return mp_rule_exec(T, s, mp_callee_name(callee), args, nargs, kwnames);
    case RULE_COMPILE:
        return mp_rule_compile(T, s, args, nargs, kwnames);
    case RULE_PROXY:
        return mp_rule_proxy(T, args, count);
    case RULE_FRAME:
        return mp_rule_frame(T, args, nargs);
    case RULE_ID:
        return count == 1 ? mp_rule_id(T, args[0]) : MP_OK;
    case RULE_CONTEXT_GET:
    case RULE_CONTEXT_SET:
    case RULE_CONTEXT_RESET:
        return rule_context(T, rule, args, nargs);
    case RULE_NONE:
    case RULE_OWN:
    case RULE_OPAQUE:
        break;  // (not for handlers: mp_record_builtin)
    }
    Py_UNREACHABLE();
}

/* A method taken from its class is called with an object of that class first?  If not,
 * the program gets a TypeError, and the rows must not look. */
static bool
fits_owner(PyObject *callee, PyTypeObject *owner, PyObject *const *args,
           Py_ssize_t nargs)
{
    if (nargs < 1) {
        return false;
    }
    return Py_TYPE(callee) == &PyClassMethodDescr_Type
               ? PyType_Check(args[0])
               : PyObject_TypeCheck(args[0], owner);
}

mp_c_effect
mp_builtin_effect(PyObject *callable)
{
    mp_rule rule = mp_rule_of(callable);
    if (rule != RULE_NONE) {
        return mp_rule_calls(rule);
    }
    PyTypeObject *owner =
        PyType_Check(callable) ? (PyTypeObject *)callable : mp_method_owner(callable);
    bool reads =
        owner != NULL && mp_is_value_type(owner)
        && (!mp_is_numpy_type(owner) || (mp_marks_of(callable) & MP_MARK_PURE));
    return reads ? MP_C_READS : MP_C_OPAQUE;
}

/* A method without a row of its own, or with OWN. */
static mp_rc
call_on_own(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, bool *found)
{
    mp_node *self;
    PyTypeObject *owner = mp_method_owner(callee);
    mp_rc rc = mp_value(T, args[0], &self);
    bool fresh = self != NULL && self->kind == MP_NODE_FRESH;
    if (rc != MP_OK) {
        return rc;
    }
    if ((PyObject *)owner == mp_known[MP_K_ARRAY_UFUNC]) {  // np.add.reduce(a)
        rc = mp_numpy_check_method(T, callee, mp_callee_name(callee));
        return rc != MP_OK ? rc
                           : mp_numpy_call(T, s, args[0], args + 1,
                                           mp_count_args(nargs, kwnames) - 1);
    }
    if (mp_is_value_type(owner) && (self == NULL || fresh || mp_is_array(args[0]))) {
        s->below = MP_BELOW_WATCH;
        if (mp_is_numpy_type(owner)) {
            s->below = MP_BELOW_SKIP;  // array.sum() is Python code of numpy
            s->post = MP_POST_NUMPY;
            rc = mp_numpy_check_method(T, callee, mp_callee_name(callee));
        }
        return rc != MP_OK
                   ? rc
                   : mp_rule_eval(T, s, callee, args, mp_count_args(nargs, kwnames));
    }
    bool reads_own =
        mp_rule_of(callee) == RULE_OWN || (mp_marks_of(callee) & MP_MARK_OWN);
    if (fresh && reads_own) {
        // The run made it, so all that the method can reach in it is known.
        s->below = MP_BELOW_WATCH;
        return rule_apply(T, s, RULE_MOVE, callee, args, nargs, kwnames);
    }
    *found = false;
    return MP_OK;
}

/* Handlers of errors that codecs have of their own; others are what codecs.register_error()
 * was given last. */
static bool
is_own_handler(PyObject *errors)
{
    static const char *const names[] = {
        "strict",
        "ignore",
        "replace",
        "backslashreplace",
        "xmlcharrefreplace",
        "surrogateescape",
        "surrogatepass",
    };
    bool found = !PyUnicode_Check(errors);  // TypeError
    for (size_t i = 0; !found && i < Py_ARRAY_LENGTH(names); i++) {
        found = PyUnicode_CompareWithASCIIString(errors, names[i]) == 0;
    }
    return found;
}

static mp_rc
check_codec(mp_trace *T, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *errors = nargs > 2 ? args[2] : NULL;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_CompareWithASCIIString(name, "errors") == 0) {
            errors = args[nargs + i];
        }
    }
    return errors == NULL || is_own_handler(errors)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a handler of a codec's errors");
}

mp_rc
mp_record_builtin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, bool *found)
{
    mp_rule rule = mp_rule_of(callee);
    PyTypeObject *owner = mp_method_owner(callee);
    *found = true;
    s->post = MP_POST_RESULT;
    s->raw = owner != NULL;
    if (owner != NULL && !fits_owner(callee, owner, args, nargs)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s without its object",
                              mp_callee_name(callee));
    }
    if (owner == &PyDictProxy_Type) {
        mp_rc rc = mp_record_proxy_method(T, s, callee, args, nargs, kwnames, found);
        if (rc != MP_OK || *found) {
            return rc;
        }
        *found = true;
    }
    if (owner == &PyDict_Type && (mp_rule_traits(rule) & MP_RULE_ORDERS)
        && PyODict_Check(args[0])) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "dict.%s of an OrderedDict",
                              mp_callee_name(callee));
    }
    if (mp_marks_of(callee) & MP_MARK_CODEC) {
        mp_rc rc = check_codec(T, args, nargs, kwnames);
        if (rc != MP_OK) {
            return rc;
        }
    }
    mp_rc rc = mp_rule_traits(rule) & MP_RULE_SPARES
                   ? MP_OK
                   : mp_array_expose_all(T, args, mp_count_args(nargs, kwnames));
    if (rc != MP_OK) {
        return rc;
    }
    if (rule != RULE_NONE && rule != RULE_OWN && rule != RULE_OPAQUE) {
        return rule_apply(T, s, rule, callee, args, nargs, kwnames);
    }
    if (rule != RULE_OPAQUE && owner != NULL) {
        return call_on_own(T, s, callee, args, nargs, kwnames, found);
    }
    *found = false;
    return MP_OK;
}
