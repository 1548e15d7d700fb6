/* record_look.c - values that C code sees without an event of ours.
 *
 * any(), sorted(key=f), `x in [..]` or filter() test and compare what iterators and Python
 * callbacks hand to them.  When that is a tensor, its value decides: a host read.  When it
 * is a container, its content decides: guarded here.  Three ways in:
 *   iterators and views  marked with what they may hand out (node->yields) when made
 *   Python frames        their answers pass by when they leave (mp_look_at_answer)
 *   C callables          map(f, xs) calls f out of sight: f may only read (mp_look_at_calls)
 */
#include "trace.h"

#include <string.h>

/* -- What iterators hand out --------------------------------------------------------------- */

/* values: of a dict, not only its keys */
static uint8_t
yields_of(mp_trace *T, PyObject *obj, int depth, bool values)
{
    mp_node *n;
    uint8_t found = 0;
    if (mp_is_constant(obj) || depth > 8) {
        return depth > 8 ? MP_YIELDS_TENSORS | MP_YIELDS_OBJECTS : 0;
    }
    if (mp_tensor_is_any(obj)) {
        return mp_tensor_is_constant(T, obj) ? 0 : MP_YIELDS_TENSORS;
    }
    n = mp_refgraph_find(&T->graph, obj);
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            found |= yields_of(T, PySequence_Fast_GET_ITEM(obj, i), depth + 1, true);
        }
    }
    else if (PyDict_Check(obj) && (depth > 0 || values)) {
        PyObject *value;
        Py_ssize_t pos = 0;
        while (PyDict_Next(obj, &pos, NULL, &value)) {
            found |= yields_of(T, value, depth + 1, true);
        }
    }
    else if (strcmp(Py_TYPE(obj)->tp_name, "collections.deque") == 0) {
        PyObject *items = PySequence_List(obj);  // (runs no code: an exact deque)
        found = items == NULL ? MP_YIELDS_TENSORS | MP_YIELDS_OBJECTS
                              : yields_of(T, items, depth, true);
        PyErr_Clear();  // without memory for the list it may hold anything
        Py_XDECREF(items);
    }
    else if (n != NULL && n->kind == MP_NODE_FRESH) {
        return n->yields;
    }
    if (depth > 0 && n != NULL && n->reg >= 0
        && (PyList_Check(obj) || PyDict_Check(obj) || PyAnySet_Check(obj))) {
        found |=
            MP_YIELDS_OBJECTS;  // reading it needs guards that nobody has asked for
    }
    return found;
}

uint8_t
mp_yields(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool values)
{
    uint8_t found = MP_YIELDS_KNOWN;
    for (Py_ssize_t i = 0; i < count; i++) {
        found |= yields_of(T, args[i], 0, values);
    }
    return found;
}

mp_rc
mp_look_at_yields(mp_trace *T, mp_node *n, const char *who)
{
    if (n == NULL || n->kind != MP_NODE_FRESH || n->yields == 0) {
        return MP_OK;
    }
    if (n->yields & MP_YIELDS_TENSORS) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "%s over tensors", who);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "%s over containers", who);
}

/* -- Answers of Python code ---------------------------------------------------------------- */

mp_rc
mp_look_at_answer(mp_trace *T, mp_shadow *caller, const mp_shadow *left,
                  PyObject *answer)
{
    bool has_tensor = false;
    if (caller->summands != NULL) {
        return mp_sum_take(T, caller, left, answer);
    }
    if (answer != NULL && caller->hashes) {
        mp_note_identity(T, answer);
    }
    if (answer == NULL || !(caller->looks || (T->lazy_looks && caller->through_c))
        || mp_is_constant(answer) || mp_is_identity(answer)) {
        return MP_OK;
    }
    if (PyTuple_CheckExact(answer) && yields_of(T, answer, 0, true) == 0) {
        return MP_OK;
    }
    mp_rc rc = mp_read_deep(T, answer, &has_tensor);
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "C code looks at a tensor");
    }
    return rc;
}

/* -- Callables that C code calls ----------------------------------------------------------- */

/* Those that call what they are given. */
static bool
calls_back(const char *name)
{
    static const char *const names[] = {
        "map",
        "filter",
        "sorted",
        "min",
        "max",
        "reduce",
        "sort",
        "iter",
        "itertools.starmap",
        "itertools.accumulate",
        "itertools.takewhile",
        "itertools.dropwhile",
        "itertools.filterfalse",
        "itertools.groupby",
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Those that look at items when they are asked for the next one. */
static bool
looks_later(const char *name)
{
    static const char *const names[] = {
        "filter",
        "itertools.takewhile",
        "itertools.dropwhile",
        "itertools.filterfalse",
        "itertools.groupby",
        "itertools.compress",
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static mp_c_effect
bound_effect(mp_trace *T, PyObject *self, mp_c_effect effect)
{
    mp_node *n = mp_refgraph_find(&T->graph, self);
    bool known = mp_is_constant(self) || (n != NULL && n->kind == MP_NODE_FRESH);
    return known ? effect
                 : MP_C_OPAQUE;  // reads or writes what is in an external object
}

static mp_c_effect
callable_effect(mp_trace *T, PyObject *f)
{
    PyTypeObject *tp = Py_TYPE(f);
    if (!PyCallable_Check(f) || PyFunction_Check(f) || mp_tensor_is_any(f)) {
        return MP_C_NOTHING;
    }
    if (PyMethod_Check(f)) {
        return PyFunction_Check(PyMethod_GET_FUNCTION(f)) ? MP_C_NOTHING : MP_C_OPAQUE;
    }
    if (PyType_Check(f) && (((PyTypeObject *)f)->tp_flags & Py_TPFLAGS_HEAPTYPE)
        && !(((PyTypeObject *)f)->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)) {
        return MP_C_NOTHING;  // its own code runs in frames
    }
    if (mp_op_flags_of(f) != 0) {
        return MP_C_OPAQUE;
    }
    if (PyCFunction_Check(f)) {
        PyObject *self = PyCFunction_GET_SELF(f);
        mp_c_effect effect = mp_builtin_effect(f);
        return self == NULL || PyModule_Check(self) || PyType_Check(self)
                   ? (effect == MP_C_MOVES ? MP_C_OPAQUE : effect)
                   : bound_effect(T, self, effect);
    }
    if (PyType_Check(f) || tp == &PyMethodDescr_Type || tp == &PyWrapperDescr_Type
        || tp == &PyClassMethodDescr_Type) {
        return mp_builtin_effect(f) == MP_C_READS ? MP_C_READS : MP_C_OPAQUE;
    }
    if (strcmp(tp->tp_name, "functools.partial") == 0) {
        PyObject *inner = PyObject_GetAttrString(f, "func");
        mp_c_effect effect = inner == NULL ? MP_C_OPAQUE : callable_effect(T, inner);
        PyErr_Clear();  // (unreachable: partial always has func)
        Py_XDECREF(inner);
        return effect == MP_C_NOTHING ? MP_C_NOTHING : MP_C_OPAQUE;
    }
    if (strcmp(tp->tp_name, "operator.itemgetter") == 0) {
        return MP_C_READS;
    }
    return tp->tp_flags & Py_TPFLAGS_HEAPTYPE
                   && !(tp->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)
               ? MP_C_NOTHING
               : MP_C_OPAQUE;
}

mp_rc
mp_look_at_calls(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
                 Py_ssize_t count)
{
    bool reads = false, has_tensor = false;
    s->through_c = true;
    T->lazy_looks = T->lazy_looks || looks_later(who);
    if (!calls_back(who)) {
        return MP_OK;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_c_effect effect = callable_effect(T, args[i]);
        if (effect == MP_C_OPAQUE) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s calls a %s", who,
                                  mp_type_name(args[i]));
        }
        reads = reads || effect == MP_C_READS;
    }
    for (Py_ssize_t i = 0; reads && i < count; i++) {
        mp_rc rc = mp_read_deep(T, args[i], &has_tensor);
        rc = rc != MP_OK
                 ? rc
                 : mp_look_at_yields(T, mp_refgraph_find(&T->graph, args[i]), who);
        if (rc == MP_OK && has_tensor) {
            return mp_trace_abort(T, MP_AB_HOST_READ, "%s of tensors", who);
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    s->looks = s->looks || reads;
    T->lazy_looks = T->lazy_looks || reads;
    return MP_OK;
}
