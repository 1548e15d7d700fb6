/* read/identity.c - identity where C code depends on it.
 *
 * Hash tables and comparisons test identity before equality, so the result of `x in {y}`,
 * `[a] == [b]` or `xs.index(x)` depends on whether two names mean one object.  Such
 * objects are marked here; at the end each pair of them gets a guard that they differ.
 * An external dict is looked up with the key of the recording, so the identity of that
 * key is guarded. */
#include "read/read.h"

#include <math.h>
#include <string.h>

#include "objects/equal.h"
#include "objects/rows.h"

enum { MAX_COMPARED = 512, MAX_PAIRS = 8192 };  // guards grow with the square

static bool
is_nan(PyObject *o)
{
    if (PyFloat_CheckExact(o)) {
        return isnan(PyFloat_AS_DOUBLE(o));
    }
    if (PyComplex_CheckExact(o)) {
        Py_complex value = ((PyComplexObject *)o)->cval;
        return isnan(value.real) || isnan(value.imag);
    }
    if (!mp_is_array_scalar_type(Py_TYPE(o)) || !mp_is_constant(o)) {
        return false;
    }
    PyObject *answer = Py_TYPE(o)->tp_richcompare(o, o, Py_NE);
    int differs = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (differs < 0) {
        mp_err_drop();  // on doubt it is one
    }
    return differs != 0;
}

/* A NaN equals nothing, but a container finds it if it is the very same object; guards
 * on values do not tell one NaN from another. */
mp_rc
mp_refuse_nan(mp_trace *T, PyObject *item)
{
    if (!is_nan(item)) {
        return MP_OK;
    }
    T->whole_only = true;
    return mp_trace_abort(T, MP_AB_HASH, "which NaN it is");
}

/* Is every constant that equals it the same object? */
static bool
is_unique(PyObject *o)
{
    if (o == Py_None || o == Py_Ellipsis || o == Py_NotImplemented || PyBool_Check(o)) {
        return true;
    }
    if (PyLong_CheckExact(o)) {
        int overflow;
        long value = PyLong_AsLongAndOverflow(o, &overflow);
        return overflow == 0 && value >= -5 && value <= 256;
    }
    return Py_TYPE(o)->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* copy.deepcopy asks of each value whether its copy is another object.  Of a constant that its own
 * function for atoms copies, or that it reduces, the answer is always the same: the program's own
 * functions in its table are asked about. */
static bool
is_copied_alike(mp_frame *f, PyObject *a, PyObject *b)
{
    PyObject *globals = mp_frame_globals_borrow(f);
    if (!mp_is_module(globals, MP_MODULE_COPY)) {
        return false;
    }
    PyObject *table = mp_dict_text_borrow(globals, "_deepcopy_dispatch");
    PyObject *atomic = mp_dict_text_borrow(globals, "_deepcopy_atomic");
    PyObject *copier = table == NULL || !PyDict_Check(table)
                           ? NULL
                           : PyDict_GetItemWithError(table, (PyObject *)Py_TYPE(a));
    mp_err_drop();  // hashing a type does not fail
    return table != NULL && (copier == NULL || (copier == atomic && a == b));
}

/* Equal constants in one run may be one object or two, which no guard tells. */
static mp_rc
refuse_constant(mp_trace *T, PyObject *a)
{
    T->whole_only = true;
    return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "which of two equal %s it is",
                          mp_type_name(a));
}

mp_rc
mp_constants_is(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b)
{
    if (!mp_is_constant(a) || is_unique(a) || !mp_is_constant(b)
        || !mp_guard_equals(a, b) || is_copied_alike(s->f, a, b)) {
        return MP_OK;
    }
    return refuse_constant(T, a);
}

mp_rc
mp_constant_id(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    assert(mp_is_constant(obj));
    if (is_unique(obj) || mp_is_module(mp_frame_globals_borrow(s->f), MP_MODULE_COPY)) {
        return MP_OK;  // (copy.deepcopy's table has no constant that it copies as an atom)
    }
    // Equal ones hash alike.  Nothing may hold them: an address is used again.
    PyObject *hash = PyLong_FromSsize_t(PyObject_Hash(obj));
    if (T->id_hashes == NULL) {
        T->id_hashes = PySet_New(NULL);
    }
    int had =
        hash == NULL || T->id_hashes == NULL ? -1 : PySet_Contains(T->id_hashes, hash);
    had = had != 0 ? had : PySet_Add(T->id_hashes, hash);
    Py_XDECREF(hash);
    return had < 0 ? MP_ERR : had == 1 ? refuse_constant(T, obj) : MP_OK;
}

/* Objects of C types may hash and compare by what they hold: a date. */
static mp_rc
read_compared(mp_trace *T, PyObject *obj, mp_node *n)
{
    PyTypeObject *base = mp_c_base(Py_TYPE(obj));
    return PyMethod_Check(obj) ? MP_OK
           : base->tp_hash != PyBaseObject_Type.tp_hash
                   || base->tp_richcompare != PyBaseObject_Type.tp_richcompare
               ? mp_read_c_object(T, obj, n)
               : MP_OK;
}

mp_rc
mp_refuse_unsure(mp_trace *T, const mp_node *n)
{
    return is_tensor_node(n) && n->unsure
               ? mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "whether a selection is copied")
               : MP_OK;
}

mp_rc
mp_note_identity(mp_trace *T, PyObject *obj)
{
    assert(obj != NULL);
    if (mp_is_constant(obj)) {
        mp_rc rc = mp_pin(T, obj);
        return rc != MP_OK ? rc : mp_refuse_nan(T, obj);
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    mp_rc rc = mp_refuse_unsure(T, n);
    rc = rc != MP_OK ? rc : mp_pin_deep(T, obj);
    if (n != NULL && (PyTuple_CheckExact(obj) || PyFrozenSet_CheckExact(obj))) {
        rc = rc != MP_OK ? rc : mp_read_all(T, obj);  // hashed with all that it holds
    }
    for (Py_ssize_t i = 0;
         rc == MP_OK && PyTuple_CheckExact(obj) && i < PyTuple_GET_SIZE(obj); i++) {
        rc = mp_note_identity(T, PyTuple_GET_ITEM(obj, i));
    }
    if (rc == MP_OK && PyMethod_Check(obj)) {  // it compares what it is bound to
        rc = n != NULL && n->reg >= 0 ? mp_record_method_parts(T, obj) : MP_OK;
        rc = rc != MP_OK ? rc : mp_note_identity(T, PyMethod_GET_SELF(obj));
    }
    if (n != NULL && n->reg >= 0 && !n->pinned) {
        n->compared = true;
        rc = rc != MP_OK ? rc : read_compared(T, obj, n);
    }
    return rc;
}

mp_rc
mp_note_items(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        PyObject *obj = args[i], *key;
        Py_ssize_t pos = 0;
        mp_node *n = mp_refgraph_find(&T->graph, obj);
        rc = mp_note_identity(T, obj);
        for (Py_ssize_t k = 0;
             rc == MP_OK && PyList_Check(obj) && k < PyList_GET_SIZE(obj); k++) {
            rc = mp_note_identity(T, PyList_GET_ITEM(obj, k));
        }
        while (rc == MP_OK && PyDict_Check(obj) && PyDict_Next(obj, &pos, &key, NULL)) {
            rc = mp_note_identity(T, key);
        }
        if (rc == MP_OK && n != NULL && n->kind == MP_NODE_FRESH && !mp_is_sized(obj)
            && (n->yields & MP_YIELDS_TUPLES)) {
            rc = mp_trace_abort(T, MP_AB_HASH, "tuples out of a %s", mp_type_name(obj));
        }
    }
    return rc;
}

/* It hashes by identity and the run made it: nothing that is older holds it. */
bool
mp_key_is_new(mp_trace *T, PyObject *key)
{
    mp_node *n = mp_is_constant(key) ? NULL : mp_refgraph_find(&T->graph, key);
    if (n != NULL && n->kind == MP_NODE_TENSOR) {
        return n->reg < 0 && mp_tensor_is(key);
    }
    return n != NULL && n->kind == MP_NODE_FRESH && !PyTuple_Check(key)
           && Py_TYPE(key)->tp_hash == PyBaseObject_Type.tp_hash;
}

mp_rc
mp_pin_key(mp_trace *T, PyObject *key)
{
    assert(key != NULL);
    mp_val n;
    if (mp_is_constant(key)) {
        return mp_pin(T, key);
    }
    mp_rc rc = mp_value(T, key, &n);
    if (rc == MP_OK && mp_guard_is_weak_key(key)) {
        // The run may have made the reference: which one it is does not matter.
        return mp_pin_key(T, mp_weakref_borrow(key));
    }
    if (rc == MP_OK && PyTuple_CheckExact(key)) {
        rc = mp_read_all(T, key);
        for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(key); i++) {
            rc = mp_pin_key(T, PyTuple_GET_ITEM(key, i));
        }
        return rc;
    }
    if (rc != MP_OK || mp_val_is_constant(n) || n.node->pinned) {
        return rc;
    }
    if (!mp_val_is_external(n) && !(mp_val_is_tensor(n) && mp_val_has_source(n))) {
        return mp_trace_abort(T, MP_AB_HASH, "a new %s as a key", mp_type_name(key));
    }
    return mp_load_const(T, key);
}

/* The recording has ended: no two of the objects that C code has compared may be one
 * object in a later call, unless guards pin both. */
mp_rc
mp_guard_compared(mp_trace *T)
{
    mp_node *all[MAX_COMPARED];
    int count = 0, pairs = 0;
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        mp_node *n = T->graph.nodes[i];
        if (!n->compared || n->reg < 0) {
            continue;
        }
        if (count == MAX_COMPARED || pairs > MAX_PAIRS) {
            return mp_trace_abort(T, MP_AB_HASH, "more than %d objects told apart",
                                  count);
        }
        for (int j = 0; j < count; j++) {
            if (n->type != all[j]->type || (n->pinned && all[j]->pinned)) {
                continue;
            }
            if (mp_refgraph_test(&T->graph, MP_G_NOT_SAME, n->reg, all[j]->reg, NULL, 0)
                < 0) {
                return MP_ERR;
            }
            pairs++;
        }
        all[count++] = n;
    }
    return MP_OK;
}

mp_rc
mp_record_method_parts(mp_trace *T, PyObject *method)
{
    PyObject *func = PyMethod_GET_FUNCTION(method), *self = PyMethod_GET_SELF(method);
    mp_val n;
    mp_rc rc = mp_value(T, method, &n);
    if (rc != MP_OK || n.node->reg < 0) {
        return rc != MP_OK ? rc : mp_result(T, func);
    }
    rc = mp_load(T, MP_G_LOAD_FIELD, n.node->reg, NULL, MP_F_METHOD_FUNC, func);
    return rc != MP_OK
               ? rc
               : mp_load(T, MP_G_LOAD_FIELD, n.node->reg, NULL, MP_F_METHOD_SELF, self);
}
