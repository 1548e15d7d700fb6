/* cfunc/builtins.c - what C functions read, write and return (objects/builtins.def).
 *
 * objects/rows.c finds the row.  A handler runs before the call, emits guards and journal
 * entries, and says what may happen below it; it never calls the function.
 */
#include "cfunc/cfunc.h"

#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

/* -- Arguments ----------------------------------------------------------------------------- */

static mp_rc prepare_callable(mp_trace *T, PyObject *arg, mp_node *n);

/* The same for an external functools.partial: the arguments that it adds are guarded. */
static mp_rc
prepare_partial(mp_trace *T, PyObject *arg, mp_node *n)
{
    PyObject *parts[3] = {NULL, NULL, NULL};  // owned
    mp_val inner;
    mp_rc rc = mp_read_partial(T, arg, n, parts);
    for (int i = 1; i < 3 && rc == MP_OK; i++) {
        rc = mp_box_in_place(T, parts[i]);
    }
    rc = rc != MP_OK ? rc : mp_value(T, parts[0], &inner);
    rc = rc != MP_OK ? rc : prepare_callable(T, parts[0], inner.node);
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
mp_rc
mp_pass_args(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        mp_val n;
        rc = mp_value_symbol(T, args[i], &n);
        rc = rc != MP_OK ? rc : prepare_callable(T, args[i], n.node);
    }
    return rc;
}

mp_rc
mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
             bool *has_tensor)
{
    assert(count >= 0);
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_val n;
        mp_rc rc = mp_value_items(T, args[i], &n);
        rc = rc != MP_OK ? rc : mp_look_before_next(T, args[i]);
        if (rc == MP_OK && mp_is_opaque_external(args[i], n.node)) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an argument of type %s",
                                mp_type_name(args[i]));
        }
        if (rc == MP_OK) {
            rc = deep                   ? mp_read_deep(T, args[i], has_tensor)
                 : mp_is_array(args[i]) ? mp_array_read(T, args[i], n.node)
                                        : mp_read_all(T, args[i]);
        }
        if (rc == MP_OK) {
            rc = mp_prepare_instance(T, args[i]);
        }
        if (rc == MP_OK) {
            rc = prepare_callable(T, args[i], n.node);
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

/* -- Rules ----------------------------------------------------------------------------------- */

/* No handler: mp_record_builtin says what becomes of OWN and OPAQUE. */
#define mp_rule_none NULL
static mp_rc (*const handlers[])(mp_trace *, mp_shadow *, const mp_call *) = {
#define RULE(id, handler, effect, calls, traits, text) [RULE_##id] = mp_rule_##handler,
#include "objects/rules.def"
#undef RULE
};

/* A method taken from its class is called with an object of that class first?  If not,
 * the program gets a TypeError, and the rows must not look. */
static bool
fits_owner(const mp_call *c, PyTypeObject *owner)
{
    if (c->nargs < 1) {
        return false;
    }
    return Py_TYPE(c->callee) == &PyClassMethodDescr_Type
               ? PyType_Check(c->args[0])
               : PyObject_TypeCheck(c->args[0], owner);
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
call_on_own(mp_trace *T, mp_shadow *s, const mp_call *c, bool *found)
{
    PyObject *callee = c->callee;
    mp_val self;
    PyTypeObject *owner = mp_method_owner(callee);
    mp_rc rc = mp_value(T, c->args[0], &self);
    bool fresh = mp_val_is_fresh(self);
    if (rc != MP_OK) {
        return rc;
    }
    if ((PyObject *)owner == mp_known[MP_K_ARRAY_UFUNC]) {  // np.add.reduce(a)
        rc = mp_numpy_check_method(T, callee, mp_callee_name(callee));
        return rc != MP_OK ? rc
                           : mp_numpy_call(T, s, c->args[0], c->args + 1, c->count - 1);
    }
    if (mp_is_value_type(owner)
        && (mp_val_is_constant(self) || fresh || mp_is_array(c->args[0]))) {
        s->below = MP_BELOW_WATCH;
        if (mp_is_numpy_type(owner)) {
            s->below = MP_BELOW_SKIP;  // array.sum() is Python code of numpy
            s->post = MP_POST_NUMPY;
            rc = mp_numpy_check_method(T, callee, mp_callee_name(callee));
        }
        return rc != MP_OK ? rc : mp_eval_args(T, s, c);
    }
    bool reads_own = c->rule == RULE_OWN || (mp_marks_of(callee) & MP_MARK_OWN);
    if (fresh && reads_own) {
        // The run made it, so all that the method can reach in it is known.
        s->below = MP_BELOW_WATCH;
        return mp_rule_move(T, s, c);
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
check_codec(mp_trace *T, const mp_call *c)
{
    PyObject *errors = c->nargs > 2 ? c->args[2] : NULL;
    for (Py_ssize_t i = 0; c->kwnames != NULL && i < PyTuple_GET_SIZE(c->kwnames);
         i++) {
        PyObject *name = PyTuple_GET_ITEM(c->kwnames, i);
        if (PyUnicode_CompareWithASCIIString(name, "errors") == 0) {
            errors = c->args[c->nargs + i];
        }
    }
    return errors == NULL || is_own_handler(errors)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a handler of a codec's errors");
}

/* A C function or type is about to be called: do what its row says. *found: there is a
 * row; without one nothing was done. */
mp_rc
mp_record_builtin(mp_trace *T, mp_shadow *s, const mp_call *c, bool *found)
{
    PyObject *callee = c->callee;
    mp_rule rule = c->rule;
    uint32_t traits = c->traits;
    PyTypeObject *owner = mp_method_owner(callee);
    *found = true;
    if (T->inside > 0 && rule != RULE_NONE && mp_in_arm(T)) {
        mp_rc rc = mp_body_check_call(T, c);
        if (rc != MP_OK) {
            return rc;
        }
    }
    s->post = MP_POST_RESULT;
    s->raw = owner != NULL;
    if (owner != NULL && !fits_owner(c, owner)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s without its object",
                              mp_callee_name(callee));
    }
    bool counts;
    mp_rc counted = mp_number_call(T, s, c, &counts);
    if (counted != MP_OK || counts) {
        return counted;
    }
    if (owner == &PyDictProxy_Type) {
        mp_rc rc = mp_record_proxy_method(T, s, c, found);
        if (rc != MP_OK || *found) {
            return rc;
        }
        *found = true;
    }
    if (owner == &PyDict_Type && (traits & MP_TRAIT_ORDERS)
        && PyODict_Check(c->args[0])) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "dict.%s of an OrderedDict",
                              mp_callee_name(callee));
    }
    if (traits & MP_TRAIT_CODEC) {
        mp_rc rc = check_codec(T, c);
        if (rc != MP_OK) {
            return rc;
        }
    }
    mp_rc rc =
        traits & MP_TRAIT_SPARES ? MP_OK : mp_array_expose_all(T, c->args, c->count);
    if (rc != MP_OK) {
        return rc;
    }
    if (handlers[rule] != NULL) {
        T->any_order =
            (traits & MP_TRAIT_SORTS) && c->count == 1 && mp_set_sorts(c->args[0]);
        mp_rc done = handlers[rule](T, s, c);
        T->any_order = false;
        s->post = s->folded != NULL ? MP_POST_FOLD : s->post;
        return done;
    }
    if (rule != RULE_OPAQUE && owner != NULL) {
        return call_on_own(T, s, c, found);
    }
    *found = false;
    return MP_OK;
}
