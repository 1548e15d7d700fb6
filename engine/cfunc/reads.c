/* cfunc/reads.c - rules of C functions that read what their arguments hold
 * (objects/rules.def).
 *
 * Each handler runs before the call.  It guards what the function will read, as deep as
 * it reads: everything (EVAL, OPERATE), one level (MOVE, READ, SPREAD), or one fact
 * (LEN, TYPE, GETITEM, ...).  `s->below` says that Python code which the function calls
 * is watched; `s->looks` that results of such code are tested or compared, and
 * `s->yields` what an iterator that the function makes may hand out. */
#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/names.h"
#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

/* -- All that the arguments hold ------------------------------------------------------------- */

/* any(d), sorted(d): only the keys of a dict.  Keys are unique, so that sorted(d.items())
 * does not get to the values either. */
static bool
sees_keys_only(const mp_call *c, PyObject *arg)
{
    bool sorts = (c->traits & MP_TRAIT_SORTS) != 0;
    return ((c->traits & MP_TRAIT_WALKS) != 0 && c->count == 1
            && PyDict_CheckExact(arg))
           || (sorts && PyDict_CheckExact(arg))
           || (sorts && c->count == 1 && Py_IS_TYPE(arg, &PyDictItems_Type));
}

/* The function reads all levels of its arguments.  A tensor among them would be read,
 * too: a host read.  Texts that it makes may show what no guard covers. */
mp_rc
mp_eval_args(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *const *args = c->args;
    bool has_tensor = false;
    bool formats = (c->traits & (MP_TRAIT_FORMATS | MP_TRAIT_MOD)) != 0;
    mp_rc rc = mp_look_at_calls(T, s, c);
    s->looks = true;
    for (Py_ssize_t i = 0; rc == MP_OK && i < c->count; i++) {
        bool deep = !sees_keys_only(c, args[i]);
        rc = mp_read_args(T, args + i, 1, deep, &has_tensor);
        if (rc == MP_OK && (c->traits & MP_TRAIT_KEY) != 0) {
            rc = mp_refuse_default(T, args[i], mp_callee_name(c->callee));
        }
        if (rc == MP_OK && formats) {
            rc = mp_look_at_text(T, args[i]);
            if (rc == MP_OK && !mp_is_constant(args[i])
                && mp_format_takes_attrs(args[0])) {
                rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "str.%s of attributes",
                                    mp_callee_name(c->callee));
            }
        }
    }
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "%s of a tensor",
                              mp_callee_name(c->callee));
    }
    return rc;
}

/* filter(f, xs), groupby(xs, key=f): if f is a function in Python, C code looks at what f
 * answers, and at no item by itself. */
static bool
hands_to_python(const mp_call *c)
{
    bool found = false;
    for (Py_ssize_t i = 0; i < c->count && !found; i++) {
        found = (c->traits & MP_TRAIT_CALLS_BACK) != 0 && PyFunction_Check(c->args[i]);
    }
    return found;
}

mp_rc
mp_rule_eval(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    if (PyType_Check(c->callee)) {
        s->yields = MP_YIELDS_READ;
        if (hands_to_python(
                c)) {  // (unless an iterator that it gets looks at its items)
            s->yields &= mp_yields(T, NULL, c->args, c->count, false);
        }
    }
    return mp_eval_args(T, s, c);
}

mp_rc
mp_rule_value(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    return mp_eval_args(T, s, c);
}

/* With a tensor among the arguments it is an operation of the graph, otherwise as EVAL. */
mp_rc
mp_rule_operate(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool has_tensor = false;
    PyObject *const *args = c->args;
    s->below = MP_BELOW_WATCH;
    mp_rc rc = mp_look_at_calls(T, s, c);
    rc = rc != MP_OK ? rc : mp_read_args(T, args, c->count, true, &has_tensor);
    if (rc == MP_OK && c->count == 2 && (c->traits & MP_TRAIT_MOD) != 0
        && (PyUnicode_Check(args[0]) || PyBytes_Check(args[0]))) {
        rc = mp_look_at_text(T, args[1]);
    }
    if (PyType_Check(c->callee) && !has_tensor && !hands_to_python(c)) {
        s->yields = MP_YIELDS_READ;  // accumulate(xs)
    }
    s->spreads = true;  // sum(xs, []) adds up what the lists hold
    T->lazy_spreads = true;
    s->looks = s->looks || (c->traits & MP_TRAIT_COMPARES) != 0;
    return rc != MP_OK ? rc : mp_record_operate(T, s, c, has_tensor);
}

/* -- One level, or nothing ---------------------------------------------------------------------- */

/* list(t), zip(t, u): C asks a tensor for its rows. */
static mp_rc
iterates_tensor(mp_trace *T, PyObject *arg)
{
    PyObject *found;
    if (!mp_tensor_is(arg)) {
        return MP_OK;
    }
    mp_node *n = mp_refgraph_find(&T->graph, arg);
    mp_rc rc = is_tensor_node(n) ? mp_shape_rows(T, n) : MP_OK;
    return rc != MP_OK ? rc : mp_special(T, arg, "__iter__", &found);
}

/* set(xs), s.add(x): items are hashed and compared. */
mp_rc
mp_note_hashing(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                Py_ssize_t count)
{
    PyTypeObject *owner =
        PyType_Check(callee) ? (PyTypeObject *)callee : mp_method_owner(callee);
    bool is_fromkeys = mp_does(callee, MP_TRAIT_FROM_KEYS);
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

/* The first `taken` arguments are taken apart.  values: of dicts, not only their keys. */
static mp_rc
take_items(mp_trace *T, mp_shadow *s, const mp_call *c, Py_ssize_t taken, bool values)
{
    bool has_tensor = false;
    mp_rc rc = mp_read_args(T, c->args, taken, false, &has_tensor);
    for (Py_ssize_t i = 0; i < taken && rc == MP_OK && PyType_Check(c->callee); i++) {
        rc = iterates_tensor(T, c->args[i]);
    }
    bool makes_set = c->callee == (PyObject *)&PySet_Type
                     || c->callee == (PyObject *)&PyFrozenSet_Type;
    for (Py_ssize_t i = 0; i < taken && rc == MP_OK && !makes_set; i++) {
        rc = mp_note_set_order(T, c->args[i]);
    }
    rc = rc != MP_OK ? rc : mp_note_hashing(T, s, c->callee, c->args, taken);
    s->yields = mp_yields(T, c->callee, c->args, taken, values);
    // (Keys of a dict are hashed, values are not.)
    for (Py_ssize_t i = 0; i < taken && rc == MP_OK; i++) {
        bool only_moves = !s->looks && (!s->hashes || PyDict_CheckExact(c->args[i]));
        rc = only_moves ? mp_box_in_place(T, c->args[i]) : MP_OK;
    }
    return rc;
}

mp_rc
mp_rule_move(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    mp_rc rc = mp_look_at_calls(T, s, c);
    rc = rc != MP_OK ? rc : take_items(T, s, c, c->count, false);
    s->yields |= s->looks ? MP_YIELDS_READ : 0;
    return rc;
}

mp_rc
mp_rule_read(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    bool values = (c->traits & MP_TRAIT_VALUES) != 0;
    mp_rc rc = mp_look_at_calls(T, s, c);
    rc = rc != MP_OK ? rc : take_items(T, s, c, c->count, values);
    s->yields |= s->looks ? MP_YIELDS_READ : 0;
    return rc;
}

mp_rc
mp_rule_spread(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    mp_rc rc = mp_look_at_calls(T, s, c);
    // dict(**names) only stores them.
    rc = rc != MP_OK ? rc : mp_pass_args(T, c->args + c->nargs, c->count - c->nargs);
    rc = rc != MP_OK ? rc : take_items(T, s, c, c->nargs, false);
    rc = rc != MP_OK ? rc
                     : mp_look_into(T, s, mp_callee_name(c->callee), c->args, c->nargs);
    s->yields |= s->looks ? MP_YIELDS_READ : 0;
    return rc;
}

mp_rc
mp_rule_pass(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    return mp_pass_args(T, c->args, c->count);
}

/* -- One fact ----------------------------------------------------------------------------------- */

/* len(obj): a __len__ in Python is watched; otherwise the length alone is guarded. */
mp_rc
mp_rule_len(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->count != 1) {
        return MP_OK;
    }
    PyObject *func, *obj = c->args[0];
    if (mp_tensor_is(obj)) {
        s->below = MP_BELOW_SKIP;
        mp_rc rc = mp_know(T, obj);
        mp_node *n = rc == MP_OK ? mp_refgraph_find(&T->graph, obj) : NULL;
        if (is_tensor_node(n) && (n->sized || n->dynamic)) {
            return mp_shape_len(T, s, n);
        }
        return rc != MP_OK ? rc : mp_tensor_observe(T, obj);
    }
    mp_rc rc = mp_special(T, obj, "__len__", &func);
    if (rc == MP_OK && !s->raw && func != NULL && PyFunction_Check(func)) {
        s->below = MP_BELOW_WATCH;
        return mp_know(T, obj);
    }
    return rc != MP_OK ? rc : mp_read_length(T, s, obj);
}

mp_rc
mp_rule_truth(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = c->count == 1 ? mp_read_truth(T, c->args[0], s) : MP_OK;
    s->post = MP_POST_RESULT;
    return rc;
}

mp_rc
mp_rule_text(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = mp_record_format(T, s, c->args[i]);
    }
    return rc;
}

/* What the function finds depends on the base classes of its arguments, and of the class
 * to which it is bound. */
mp_rc
mp_rule_mro(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool has_tensor = false;
    s->below = MP_BELOW_WATCH;
    mp_rc rc = PyCFunction_Check(c->callee) && PyCFunction_GET_SELF(c->callee) != NULL
                   ? mp_guard_mro_of(T, PyCFunction_GET_SELF(c->callee))
                   : MP_OK;
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = mp_guard_mro_of(T, c->args[i]);
        if (rc == MP_OK && mp_symbol_find(T, c->args[i]) == NULL) {
            rc = mp_read_args(T, &c->args[i], 1, false, &has_tensor);
        }
    }
    return rc;
}

mp_rc
mp_rule_callable(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *found;
    mp_rc rc = c->count == 1 ? mp_pass(T, c->args[0]) : MP_OK;
    return rc != MP_OK || c->count != 1
               ? rc
               : mp_special_any(T, c->args[0], "__call__", &found);
}

/* type(obj) follows from a guard that obj has; type(name, bases, dict) makes a class. */
mp_rc
mp_rule_type(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return c->count == 1 ? mp_pass(T, c->args[0])
                         : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a class is created");
}

mp_rc
mp_rule_compare_eq(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->nargs != 2) {
        return MP_OK;
    }
    mp_rc rc = mp_record_is(T, c->args[0], c->args[1]);
    return rc != MP_OK ? rc : mp_constants_is(T, s, c->args[0], c->args[1]);
}

mp_rc
mp_rule_getitem(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return c->nargs < 2 ? MP_OK : mp_record_getitem(T, s, c->args[0], c->args[1]);
}

mp_rc
mp_rule_contains(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = c->nargs < 2 ? MP_OK : mp_record_contains(T, s, c->args[0], c->args[1]);
    s->post = MP_POST_RESULT;
    return rc;
}

mp_rc
mp_rule_handled(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return mp_read_handled(T);
}

mp_rc
mp_rule_globals(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return mp_load_const(T, mp_frame_globals_borrow(s->f));
}

/* -- Attributes --------------------------------------------------------------------------------- */

/* A str subclass as the name of an attribute may have its own __eq__ and __hash__. */
mp_rc
mp_check_attr_name(mp_trace *T, PyObject *name)
{
    if (PyUnicode_Check(name) && !PyUnicode_CheckExact(name)) {
        return mp_trace_abort(T, MP_AB_HASH, "an attribute name of type %s",
                              mp_type_name(name));
    }
    return MP_OK;
}

mp_rc
mp_rule_getattr(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *const *args = c->args;
    Py_ssize_t nargs = c->nargs;
    mp_rc rc = nargs == 3 ? mp_pass(T, args[2]) : MP_OK;
    rc = rc != MP_OK || nargs < 2 ? rc : mp_check_attr_name(T, args[1]);
    if (rc != MP_OK || nargs < 2 || !PyUnicode_Check(args[1])) {
        return rc;
    }
    rc = mp_record_getattr(T, s, args[0], args[1]);
    s->post = s->post == MP_POST_NONE ? MP_POST_RESULT : s->post;
    return rc;
}

mp_rc
mp_rule_generic_getattr(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *const *args = c->args;
    mp_rc rc = c->nargs == 2 ? mp_check_attr_name(T, args[1]) : MP_OK;
    if (rc != MP_OK || c->nargs != 2 || !PyUnicode_Check(args[1])) {
        return rc;  // TypeError
    }
    rc = PyType_Check(args[0])
             ? mp_record_getattr(T, s, args[0], args[1])
             : mp_record_generic_getattr(T, s, args[0], args[1], false);
    s->post = s->post == MP_POST_NONE ? MP_POST_RESULT : s->post;
    return rc;
}

mp_rc
mp_rule_vars(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->nargs != 1) {
        return mp_rule_locals(T, s, c);
    }
    mp_rc rc = mp_record_getattr(T, s, c->args[0], MP_NAME(DICT));
    s->post = MP_POST_RESULT;
    return rc;
}
