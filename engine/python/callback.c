/* python/callback.c - callables that C code calls out of sight: map(f, xs), sorted(key=f).
 *
 * Functions in Python run as frames, which are watched.  A C callable shows nothing, so what it
 * may do is asked before (callable_effect): it may read, if all that it can get is guarded, or
 * call torch (run/mode.c).  Whatever else it could do is refused; the call is a break.
 * Who calls what it is given has the trait CALLS_BACK in objects/builtins.def.
 */
#include "cfunc/cfunc.h"
#include "objects/operators.h"
#include "objects/own.h"
#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

/* -- What a callable does ------------------------------------------------------------------- */

static mp_c_effect
bound_effect(mp_trace *T, PyObject *self, mp_c_effect effect)
{
    mp_node *n = mp_refgraph_find(&T->graph, self);
    bool known = mp_is_constant(self) || (n != NULL && n->kind == MP_NODE_FRESH);
    return known ? effect
                 : MP_C_OPAQUE;  // reads or writes what is in an external object
}

/* Calls that a torch-function mode sees (run/mode.c): tensor operations, and methods of
 * tensors.  Other functions of torch do not ask for a mode. */
static mp_c_effect
torch_effect(PyObject *f)
{
    enum { OTHERS = MP_TORCH_REFUSE | MP_TORCH_AMBIENT | MP_TORCH_COMPILING };
    int flags = mp_op_flags_of(f);
    bool is_method = Py_IS_TYPE(f, &PyMethodDescr_Type);
    bool sets_state = (flags & MP_TORCH_SETS_STATE) == MP_TORCH_SETS_STATE;
    return (PyCFunction_Check(f) || is_method) && !(flags & OTHERS) && !sets_state
                   && ((flags & MP_TORCH_CALL) || is_method)
               ? MP_C_TORCH
               : MP_C_OPAQUE;
}

/* A C function that is no method of an external object. */
static mp_c_effect
function_effect(PyObject *f)
{
    if (mp_does(f, MP_TRAIT_FORMATS)) {
        PyObject *text = PyCFunction_Check(f) ? PyCFunction_GET_SELF(f) : NULL;
        return text != NULL && !mp_format_takes_attrs(text) ? MP_C_READS : MP_C_OPAQUE;
    }
    // It may call one of its arguments in turn; a keyword `key` cannot reach it.
    bool by_position = PyType_Check(f) || mp_rule_of(f) == RULE_OPERATE;
    return mp_does(f, MP_TRAIT_CALLS_BACK) && by_position ? MP_C_OPAQUE
                                                          : mp_builtin_effect(f);
}

/* A class in Python.  The C type that it extends may walk through its arguments.  Python
 * code of its constructor would run in a frame whose `self` the recorder has not seen
 * made. */
static mp_rc
class_effect(mp_trace *T, PyTypeObject *cls, mp_c_effect *effect)
{
    bool runs;
    mp_rc rc = mp_prepare_class(T, cls, &runs);
    *effect = runs                        ? MP_C_OPAQUE
              : mp_constructor_reads(cls) ? MP_C_READS
                                          : MP_C_NOTHING;
    return rc;
}

static mp_rc callable_effect(mp_trace *T, PyObject *f, mp_c_effect *effect);

static mp_rc
partial_effect(mp_trace *T, PyObject *f, mp_c_effect *effect)
{
    PyObject *inner = PyObject_GetAttrString(f, "func");
    mp_rc rc = inner == NULL ? MP_ERR : callable_effect(T, inner, effect);
    Py_XDECREF(inner);
    mp_node *n = mp_refgraph_find(&T->graph, f);
    bool known = n != NULL && n->kind == MP_NODE_FRESH;  // what it holds, too
    if (*effect != MP_C_NOTHING && !(*effect == MP_C_TORCH && known)) {
        *effect = MP_C_OPAQUE;
    }
    return rc;
}

/* An object whose class in Python has a __call__. */
static mp_rc
instance_effect(mp_trace *T, PyObject *f, mp_c_effect *effect)
{
    PyObject *call;
    mp_rc rc = mp_special_any(T, f, "__call__", &call);
    *effect =
        rc == MP_OK && call != NULL
                && (PyFunction_Check(call) || mp_compiled_original_borrow(call) != NULL
                    || mp_is_compiled_call(f, call))
            ? MP_C_NOTHING
            : MP_C_OPAQUE;
    return rc;
}

/* What may happen if C code calls f? NOTHING: it runs in Python frames, which are
 * watched, or is an operation that the mode logs.  READS, COMPUTES, MOVES: what its row
 * says.  OPAQUE: anything, so that the call is a break. */
static mp_rc
callable_effect(mp_trace *T, PyObject *f, mp_c_effect *effect)
{
    PyTypeObject *tp = Py_TYPE(f);
    *effect = MP_C_NOTHING;
    if (!PyCallable_Check(f) || PyFunction_Check(f) || mp_tensor_is_any(f)
        || mp_compiled_original_borrow(f) != NULL) {
        return MP_OK;
    }
    if (PyMethod_Check(f)) {
        *effect =
            PyFunction_Check(PyMethod_GET_FUNCTION(f)) ? MP_C_NOTHING : MP_C_OPAQUE;
        return MP_OK;
    }
    if (mp_op_flags_of(f) != 0) {
        *effect = torch_effect(f);
        return MP_OK;
    }
    if (PyType_Check(f) && mp_c_base((PyTypeObject *)f) != (PyTypeObject *)f) {
        return class_effect(T, (PyTypeObject *)f, effect);
    }
    if (PyCFunction_Check(f)) {
        PyObject *self = PyCFunction_GET_SELF(f);
        bool is_bound = self != NULL && !PyModule_Check(self) && !PyType_Check(self);
        *effect = function_effect(f);
        *effect = is_bound                ? bound_effect(T, self, *effect)
                  : *effect == MP_C_MOVES ? MP_C_OPAQUE
                                          : *effect;
        return MP_OK;
    }
    if (PyType_Check(f) || tp == &PyMethodDescr_Type || tp == &PyWrapperDescr_Type
        || tp == &PyClassMethodDescr_Type) {
        *effect = function_effect(f);
        *effect =
            *effect == MP_C_READS || *effect == MP_C_COMPUTES ? *effect : MP_C_OPAQUE;
        return MP_OK;
    }
    if (mp_type_is(f, MP_K_PARTIAL)) {
        return partial_effect(T, f, effect);
    }
    if (mp_type_is(f, MP_K_ITEMGETTER)) {
        *effect = MP_C_READS;
        return MP_OK;
    }
    if (mp_is_watched_key(T, f)) {
        return MP_OK;
    }
    if (mp_c_base(tp) != tp) {
        return instance_effect(T, f, effect);
    }
    *effect = MP_C_OPAQUE;
    return MP_OK;
}

/* -- What a key that is missing does ---------------------------------------------------------- */

enum { DEFAULT_DEPTH = 6 };

typedef struct {
    int depth;
    bool found;
} default_search;

static void search_default(PyObject *obj, default_search *search);

static int
visit_default(PyObject *obj, void *search)
{
    search_default(obj, search);
    return ((default_search *)search)->found;
}

/* A dict that makes values for missing keys, by C code of its own: among the items of obj, or
 * behind it if it is an iterator.  Nothing of the program is run. */
static void
search_default(PyObject *obj, default_search *search)
{
    if (mp_is_constant(obj) || mp_is_identity(obj) || search->found) {
        return;
    }
    search->found = mp_is_default_dict(obj);
    bool walks = PyList_Check(obj) || PyTuple_Check(obj) || PyDict_Check(obj)
                 || PyIter_Check(obj) || PyObject_TypeCheck(obj, &PyDictValues_Type)
                 || PyObject_TypeCheck(obj, &PyDictItems_Type) || mp_is_deque(obj);
    if (search->found || !walks || PyGen_CheckExact(obj)
        || Py_TYPE(obj)->tp_traverse == NULL) {
        return;  // (what a generator yields passes by: mp_look_at_answer)
    }
    if (search->depth == DEFAULT_DEPTH) {
        search->found = true;  // on doubt, yes
        return;
    }
    search->depth++;
    (void)Py_TYPE(obj)->tp_traverse(obj, visit_default, search);
    search->depth--;
}

mp_rc
mp_refuse_default(mp_trace *T, PyObject *obj, const char *who)
{
    default_search search = {0, false};
    search_default(obj, &search);
    return search.found ? mp_trace_abort(T, MP_AB_OPAQUE_CALL,
                                         "%s looks a key up in a defaultdict", who)
                        : MP_OK;
}

/* -- Who calls --------------------------------------------------------------------------------- */

/* What the callables among the arguments do, together. */
typedef struct {
    bool reads, computes, writes_text, indexes;
} mp_callbacks;

static mp_rc
look_at_call(mp_trace *T, mp_shadow *s, const mp_call *c, PyObject *f,
             mp_callbacks *all)
{
    mp_c_effect effect;
    mp_rc rc = callable_effect(T, f, &effect);
    if (rc == MP_OK && mp_type_is(f, MP_K_ATTRGETTER)) {
        rc = mp_look_at_getter(T, s, c, f);
        effect = MP_C_NOTHING;
    }
    // With one argument type only answers, with three it makes a class; iter calls the first
    // of two.
    bool does_more =
        (PyType_Check(f) && PyType_IsSubtype((PyTypeObject *)f, &PyType_Type))
        || mp_rule_of(f) == RULE_ITER;
    bool gets_more = c->count > 2 || (c->traits & MP_TRAIT_SPREADS) != 0;
    if (rc == MP_OK && (effect == MP_C_OPAQUE || (does_more && gets_more))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s calls a %s",
                              mp_callee_name(c->callee), mp_type_name(f));
    }
    all->reads = all->reads || effect == MP_C_READS;
    all->computes = all->computes || effect == MP_C_COMPUTES;
    s->calls = s->calls || effect == MP_C_COMPUTES || effect == MP_C_TORCH;
    all->writes_text = all->writes_text || mp_does(f, MP_TRAIT_TEXT);
    all->indexes = all->indexes || mp_does(f, MP_TRAIT_KEY)
                   || mp_does((PyObject *)Py_TYPE(f), MP_TRAIT_KEY);
    return rc;
}

mp_rc
mp_look_at_calls(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    const char *who = mp_callee_name(c->callee);
    mp_callbacks all = {0};
    bool has_tensor = false;
    mp_rc rc = MP_OK;
    s->through_c = true;
    T->lazy_looks = T->lazy_looks || (c->traits & MP_TRAIT_LATER) != 0;
    if (!(c->traits & MP_TRAIT_CALLS_BACK)) {
        return MP_OK;
    }
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = look_at_call(T, s, c, c->args[i], &all);
    }
    T->lazy_calls = T->lazy_calls || s->calls;
    T->lazy_indexes = T->lazy_indexes || all.indexes;
    for (Py_ssize_t i = 0; (all.reads || all.computes) && rc == MP_OK && i < c->count;
         i++) {
        rc = mp_read_deep(T, c->args[i], &has_tensor);
        rc = rc != MP_OK || !all.writes_text ? rc : mp_look_at_text(T, c->args[i]);
        rc = rc != MP_OK || !all.indexes ? rc : mp_refuse_default(T, c->args[i], who);
        if (rc == MP_OK && has_tensor && all.reads) {
            return mp_trace_abort(T, MP_AB_HOST_READ, "%s of tensors", who);
        }
    }
    s->looks = s->looks || all.reads;
    s->spreads = s->spreads || all.computes;
    T->lazy_looks = T->lazy_looks || all.reads;
    T->lazy_spreads = T->lazy_spreads || all.computes;
    return rc;
}

mp_rc
mp_call_special(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *found,
                PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    assert(found != NULL && nargs >= 0);
    mp_rc rc = mp_load_const(T, found);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyFunction_Check(found)
        || (mp_is_method_of_c(found)
            && PyObject_TypeCheck(obj, ((PyDescrObject *)found)->d_type))) {
        return mp_call_with_self(T, s, found, obj, args, nargs, kwnames);
    }
    // Nothing binds these to the object.  (A class in Python may get a __get__.)
    bool is_in_c = mp_c_base(Py_TYPE(found)) == Py_TYPE(found);
    if (Py_IS_TYPE(found, &PyStaticMethod_Type) || PyMethod_Check(found)
        || (is_in_c && Py_TYPE(found)->tp_descr_get == NULL)) {
        return mp_record_callee(T, s, found, args, nargs, kwnames);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a special method that is a %s",
                          mp_type_name(found));
}
