/* python/item.c - containers, item by item: look-up, store, membership, iteration.
 *
 * A look-up of a key or index guards that one item, or its absence, if that decides the
 * result of the instruction; everything else reads the whole content (read/content.c).
 * A method of the class in Python (__getitem__, __contains__, ...) runs in a frame and
 * is watched.  Keys whose hash or comparison is Python code are refused for external
 * containers, because a guard could not compare them; in containers that the run made,
 * the instruction runs that code and its frames are watched. */
#include "objects/equal.h"
#include "python/python.h"

#include <string.h>

#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "read/read.h"

/* -- Keys ----------------------------------------------------------------------------- */

/* The key is about to be hashed and compared.  Its identity or content becomes known; a
 * __hash__ in Python is watched, but for that of a tensor, which is torch's. */
mp_rc
mp_prepare_key(mp_trace *T, mp_shadow *s, PyObject *key)
{
    mp_rc rc = mp_note_identity(T, key);
    if (rc == MP_OK && mp_tensor_is(key)) {
        s->below = MP_BELOW_SKIP;
    }
    if (rc != MP_OK || (mp_key_is_safe(key) && !mp_is_enum_member(key))) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    return mp_prepare_instance(T, key);
}

/* -- Items -------------------------------------------------------------------------------- */

/* xs[i]: one item, and the length only if the index is out of range.  An index from the
 * end stays one from the end, so that a list that has grown still answers. */
static mp_rc
getitem_sequence(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, PyObject *key)
{
    mp_node *key_node = mp_refgraph_find(&T->graph, key);
    if (is_tensor_node(key_node)) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as an index");
    }
    s->post = MP_POST_RESULT;
    if (!PyLong_Check(key)) {
        s->below = MP_BELOW_WATCH;  // __index__
    }
    if (!mp_node_needs_guards(n)) {
        return MP_OK;
    }
    if (!PyLong_Check(key)) {
        mp_rc rc = mp_read_c_object(T, key, key_node);
        rc = rc != MP_OK ? rc : mp_read_all(T, obj);
        return rc != MP_OK ? rc : mp_box_in_place(T, obj);
    }
    Py_ssize_t i = PyLong_AsSsize_t(key), size = PySequence_Fast_GET_SIZE(obj);
    if (i == -1 && PyErr_Occurred()) {
        mp_err_drop();  // an index that no sequence has: IndexError is the program's
        return mp_read_len(T, obj);
    }
    Py_ssize_t at = i < 0 ? i + size : i;
    if (at < 0 || at >= size) {
        return mp_read_len(T, obj);
    }
    PyObject *item = PySequence_Fast_GET_ITEM(obj, at);
    if (!n->appended) {
        mp_rc rc = mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, i, item);
        mp_symbol_offer(T, item);
        return rc;
    }
    if (at >= n->entry_len) {  // appended by the run: from the end, however long it was
        return i < 0 ? MP_OK : mp_read_len(T, obj);
    }
    return mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, i < 0 ? at - n->entry_len : i,
                   item);
}

bool
mp_is_tuple_field(PyObject *descr)
{
    return mp_type_is(descr, MP_K_TUPLE_FIELD);
}

/* A field of a named tuple is an item of it; the index is in the C descriptor. */
mp_rc
mp_read_tuple_field(mp_trace *T, PyObject *owner, mp_node *n, PyObject *field)
{
    assert(mp_is_tuple_field(field));
    if (n == NULL || n->reg < 0 || !PyTuple_Check(owner)) {
        return MP_OK;  // (TypeError if it is no tuple)
    }
    PyObject *reduced = PyObject_CallMethod(field, "__reduce__", NULL);
    if (reduced == NULL) {
        return MP_ERR;
    }
    Py_ssize_t index =
        PyLong_AsSsize_t(PyTuple_GET_ITEM(PyTuple_GET_ITEM(reduced, 1), 0));
    Py_DECREF(reduced);
    if (index < 0 || index >= PyTuple_GET_SIZE(owner)) {
        return mp_read_len(T, owner);  // IndexError is the program's
    }
    mp_rc rc =
        mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, index, PyTuple_GET_ITEM(owner, index));
    mp_symbol_offer(T, PyTuple_GET_ITEM(owner, index));
    return rc;
}

/* A missing key of a defaultdict: its factory runs, and the key is written. */
static mp_rc
make_default(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, PyObject *key)
{
    PyObject *const name = MP_NAME(DEFAULT_FACTORY);
    mp_rc rc = mp_record_getattr(T, s, obj, name);
    PyObject *factory = rc == MP_OK ? PyObject_GenericGetAttr(obj, name) : NULL;
    if (rc == MP_OK && factory == NULL) {
        return MP_ERR;
    }
    if (rc == MP_OK && factory != Py_None) {
        rc = mp_result(T, factory);
        rc = rc != MP_OK ? rc : mp_record_callee(T, s, factory, NULL, 0, NULL);
        rc = rc != MP_OK || n == NULL ? rc : mp_write_key(T, n, key, false);
    }
    Py_XDECREF(factory);
    return rc;
}

/* d[k]: the key, or its absence, __missing__ and the factory of a defaultdict. */
static mp_rc
getitem_dict(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, PyObject *key)
{
    PyObject *value;
    bool runs;
    s->post = MP_POST_RESULT;
    if (!mp_key_is_safe(key) && !mp_node_needs_guards(n)) {
        mp_rc rc = mp_runs_python(T, s, key, "__hash__", &runs);
        return rc != MP_OK ? rc : mp_runs_python(T, s, key, "__eq__", &runs);
    }
    mp_rc rc = mp_read_key(T, obj, n, key, &value);
    if (rc != MP_OK || value != NULL || PyDict_CheckExact(obj)) {
        mp_symbol_offer(T, value);
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__missing__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    return mp_is_default_dict(obj) ? make_default(T, s, obj, n, key) : MP_OK;
}

/* C[x]: __class_getitem__, or a generic alias of a builtin class. */
static mp_rc
getitem_class(mp_trace *T, mp_shadow *s, PyTypeObject *cls, PyObject *key)
{
    PyObject *found = mp_type_lookup_borrow(cls, MP_NAME(CLASS_GETITEM));
    mp_rc rc = mp_guard_type_attr(T, cls, MP_NAME(CLASS_GETITEM), found);
    if (rc != MP_OK || found == NULL) {
        return rc;
    }
    if (Py_TYPE(found) == &PyClassMethod_Type) {
        PyObject *inner = mp_descr_part_borrow(found, 0);
        if (inner != NULL && PyFunction_Check(inner)) {
            s->below = MP_BELOW_WATCH;
            return mp_load_part(T, found, MP_F_STATIC_FUNC, inner);
        }
        // collections.abc.Callable[[int], str]: the class of its aliases is called.
        if (inner != NULL && PyType_Check(inner)) {
            PyObject *const args[] = {(PyObject *)cls, key};
            rc = mp_load_part(T, found, MP_F_STATIC_FUNC, inner);
            return rc != MP_OK ? rc : mp_record_callee(T, s, inner, args, 2, NULL);
        }
    }
    return Py_TYPE(found) == &PyClassMethodDescr_Type
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "subscript of class %s",
                                cls->tp_name);
}

/* A constant in a dict that the run made: the id of a new object may serve, too. */
static bool
is_own_key(PyObject *obj, const mp_node *n, PyObject *key)
{
    return PyDict_Check(obj) && n != NULL && n->kind == MP_NODE_FRESH
           && mp_is_constant(key);
}

/* obj[key]. A tensor: an operation.  Otherwise all of the key is read, for C code may
 * look at any of it. */
mp_rc
mp_record_getitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key)
{
    mp_val n, key_node;
    bool runs, has_tensor = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value_items(T, obj, &n);
    rc = rc != MP_OK || mp_val_is_tensor(n) ? rc : mp_prepare_key(T, s, key);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        PyObject *args[2] = {obj, key};
        return mp_op_begin(T, s, mp_operator_borrow("getitem"), args, 2, NULL,
                           MP_TORCH_CALL);
    }
    if (!PySlice_Check(key)) {
        rc = mp_value(T, key, &key_node);
    }
    else {
        rc = mp_fresh(T, key);
    }
    if (rc == MP_OK && !is_own_key(obj, n.node, key)) {
        rc = mp_read_deep(T, key, &has_tensor);
    }
    if (rc != MP_OK) {
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__getitem__", &runs);
    s->raw = false;  // (what else runs, runs: __missing__, methods of the key)
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        return getitem_sequence(T, s, obj, n.node, key);
    }
    if (PyDict_Check(obj)) {
        return getitem_dict(T, s, obj, n.node, key);
    }
    s->post = MP_POST_RESULT;
    if (PyType_Check(obj)) {
        return getitem_class(T, s, (PyTypeObject *)obj, key);
    }
    if (has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as an index");
    }
    if (mp_val_is_constant(n) || mp_val_is_fresh(n)) {
        return MP_OK;
    }
    if (mp_is_deque(obj) || PyByteArray_CheckExact(obj)) {
        rc = mp_read_all(T, obj);
        return rc != MP_OK ? rc : mp_box_in_place(T, obj);
    }
    if (mp_is_array(obj)) {
        return mp_array_read(T, obj, n.node);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "item of a %s", mp_type_name(obj));
}

/* `d[step] = value` with a number that varies, and is new in a dict that has grown so before:
 * a recording of its own for each would never answer.  Of a few keys each has its own. */
enum { FEW_KEYS = 4 };

static mp_rc
refuse_new_number(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key)
{
    PyObject *found;
    if (mp_symbol_find(T, key) == NULL || !PyLong_CheckExact(key)
        || PyDict_GET_SIZE(dict) < FEW_KEYS) {
        return MP_OK;
    }
    mp_rc rc = mp_find_key(T, dict, n, key, &found);
    return rc != MP_OK || found != NULL
               ? rc
               : mp_trace_abort(T, MP_AB_VOLATILE, "a key that is new in each call");
}

/* What is looked at to store under it: the key, and all items that a slice takes. */
static mp_rc
know_stored(mp_trace *T, mp_shadow *s, PyObject *obj, mp_val n, PyObject *key,
            PyObject *value, bool *has_tensor)
{
    mp_rc rc = PySlice_Check(key) ? mp_fresh(T, key) : mp_know(T, key);
    rc = rc != MP_OK || value == NULL ? rc : mp_pass(T, value);
    if (rc == MP_OK && !is_own_key(obj, n.node, key)) {
        rc = mp_read_deep(T, key, has_tensor);
    }
    if (rc == MP_OK && value != NULL && PySlice_Check(key)) {
        rc = mp_read_items(T, value);
        rc = rc != MP_OK ? rc : mp_prepare_instance(T, value);
        s->below = MP_BELOW_WATCH;  // a list takes all items of the value
    }
    return rc;
}

static mp_rc
set_tensor_item(mp_trace *T, mp_shadow *s, PyObject *tensor, PyObject *key,
                PyObject *value)
{
    PyObject *args[3] = {tensor, key, value};
    if (value == NULL) {
        return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "del of a tensor's item");
    }
    mp_rc rc =
        mp_op_begin(T, s, mp_operator_borrow("setitem"), args, 3, NULL, MP_TORCH_CALL);
    s->post = MP_POST_STORE;
    return rc;
}

/* A dict: one key is journalled. */
static mp_rc
set_dict_item(mp_trace *T, mp_shadow *s, PyObject *dict, mp_val n, PyObject *key,
              PyObject *value)
{
    assert(PyDict_Check(dict));
    bool runs, journals_it = mp_val_has_source(n) && mp_guard_is_weak_key(key);
    if (!mp_key_is_safe(key) && !journals_it) {
        if (mp_val_has_source(n)) {
            return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
        }
        mp_rc rc = mp_runs_python(T, s, key, "__hash__", &runs);
        rc = rc != MP_OK ? rc : mp_runs_python(T, s, key, "__eq__", &runs);
        s->post = MP_POST_NONE;
        return rc;
    }
    if (mp_val_is_constant(n) || mp_val_is_fresh(n)) {
        return MP_OK;
    }
    if (value == NULL) {
        PyObject *old;  // del looks whether it is there
        mp_rc rc = mp_read_key(T, dict, n.node, key, &old);
        if (rc != MP_OK || old == NULL) {
            return rc;
        }
    }
    return mp_write_key(T, n.node, key, value == NULL);
}

/* A list, deque or bytearray: the whole content, which is read first. */
static mp_rc
set_other_item(mp_trace *T, mp_shadow *s, PyObject *obj, mp_val n, PyObject *key,
               PyObject *value, bool has_tensor)
{
    bool is_list = PyList_Check(obj) || mp_is_deque(obj);
    mp_rc rc = MP_OK;
    if (!is_list) {
        // An array, a bytearray: C code that makes a number of the value.
        rc = value == NULL ? MP_OK : mp_read_deep(T, value, &has_tensor);
        s->below = mp_is_array(obj) ? MP_BELOW_SKIP : s->below;
    }
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor in a %s, or as its index",
                              mp_type_name(obj));
    }
    if (rc != MP_OK || mp_val_is_constant(n) || mp_val_is_fresh(n)) {
        return rc;
    }
    if (is_list) {
        rc = mp_write_content(T, n.node);
        return rc != MP_OK ? rc : mp_box_in_place(T, obj);
    }
    if (PyByteArray_CheckExact(obj)) {
        return mp_write_bytes(T, s, n.node, key, value);
    }
    return mp_trace_abort(T, MP_AB_MUTATION, "item of a %s", mp_type_name(obj));
}

/* obj[key] = value, or del obj[key] if value is NULL. */
mp_rc
mp_record_setitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key,
                  PyObject *value)
{
    mp_val n;
    bool runs, has_tensor = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value(T, obj, &n);
    if (rc == MP_OK && mp_val_is_tensor(n)) {
        return set_tensor_item(T, s, obj, key, value);
    }
    if (rc == MP_OK && value != NULL && mp_val_has_source(n) && PyDict_Check(obj)) {
        rc = refuse_new_number(T, obj, n.node, key);
    }
    rc = rc != MP_OK ? rc : mp_prepare_key(T, s, key);
    rc = rc != MP_OK ? rc : know_stored(T, s, obj, n, key, value, &has_tensor);
    if (rc == MP_OK) {
        rc = mp_runs_python(T, s, obj, value ? "__setitem__" : "__delitem__", &runs);
        s->raw = false;
        s->post = MP_POST_NONE;
    }
    if (rc != MP_OK || runs) {
        return rc;
    }
    return PyDict_Check(obj) ? set_dict_item(T, s, obj, n, key, value)
                             : set_other_item(T, s, obj, n, key, value, has_tensor);
}

/* Is it a member of this set from outside, which the run has not changed?  The set is read as
 * a whole if only an __eq__ of the program knows. */
static mp_rc
read_member(mp_trace *T, mp_node *set, PyObject *item)
{
    Py_hash_t hash = mp_guard_key_hash(item);
    if (hash == -1 && PyErr_Occurred()) {
        return MP_ERR;
    }
    int found = mp_guard_set_find(set->obj, item, hash);
    return found < 0 ? mp_read_all(T, set->obj)
                     : mp_test(T, found ? MP_G_HAS_KEY : MP_G_NO_KEY, set, item, 0);
}

/* A tensor is looked for, or in one: only where nothing but its identity counts.  *done: all
 * is known. */
static mp_rc
contains_tensor(mp_trace *T, mp_shadow *s, PyObject *obj, mp_val n, PyObject *item,
                mp_val wanted, bool *done)
{
    bool holds = mp_val_is_tensor(wanted) && !mp_val_is_constant(n);
    *done = holds && (PyDict_Check(obj) || PyAnySet_Check(obj)) && mp_val_is_fresh(n);
    if (*done) {
        s->below = MP_BELOW_WATCH;
        return mp_load_const(T, item);  // tensors hash by identity: pin it
    }
    return holds && PyDict_Check(obj) && mp_tensor_is(item)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_HOST_READ, "`in` with a tensor");
}

/* A dict or a set: HAS_KEY or NO_KEY. */
static mp_rc
contains_key(mp_trace *T, mp_shadow *s, PyObject *obj, mp_val n, PyObject *item)
{
    bool is_dict = PyDict_Check(obj);
    PyObject *value = NULL;
    if (!mp_key_is_safe(item) && !is_dict) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(item));
    }
    mp_rc rc = is_dict ? mp_find_key(T, obj, n.node, item, &value) : MP_OK;
    if (rc != MP_OK) {
        return rc;
    }
    if (!mp_node_needs_guards(n.node) || (is_dict && mp_key_is_new(T, item))) {
        s->below = mp_tensor_is(item) ? MP_BELOW_SKIP : MP_BELOW_WATCH;
        return MP_OK;
    }
    rc = mp_pin_key(T, item);
    if (rc != MP_OK || (is_dict && mp_node_wrote(n.node, item))) {
        return rc;
    }
    return is_dict
               ? mp_test(T, value != NULL ? MP_G_HAS_KEY : MP_G_NO_KEY, n.node, item, 0)
               : read_member(T, n.node, item);
}

/* What is searched item by item: its whole content, since each comparison depends on it. */
static mp_rc
contains_searched(mp_trace *T, PyObject *obj, PyObject *item)
{
    bool has_tensor = false;
    mp_rc rc = mp_read_deep(T, obj, &has_tensor);
    rc = rc != MP_OK || item == NULL ? rc : mp_read_deep(T, item, &has_tensor);
    rc = rc != MP_OK || item == NULL ? rc : mp_prepare_instance(T, item);
    return rc == MP_OK && has_tensor
               ? mp_trace_abort(T, MP_AB_HOST_READ, "`in` over tensors")
               : rc;
}

/* `item in obj` */
mp_rc
mp_record_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item)
{
    mp_val n, wanted;
    bool runs, done = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_number_contains(T, s, obj, item, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    rc = rc != MP_OK ? rc : mp_prepare_key(T, s, item);
    rc = rc != MP_OK ? rc : mp_value(T, item, &wanted);
    if (rc == MP_OK && (mp_val_is_tensor(n) || mp_val_is_tensor(wanted))) {
        rc = contains_tensor(T, s, obj, n, item, wanted, &done);
    }
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__contains__", &runs);
    s->raw = false;
    s->post = MP_POST_NONE;
    s->looks = true;
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (PyDict_Check(obj) || PyAnySet_Check(obj)) {
        return contains_key(T, s, obj, n, item);
    }
    if (mp_val_is_constant(n) || PyList_Check(obj) || PyTuple_Check(obj)
        || mp_is_deque(obj) || PyByteArray_CheckExact(obj)) {
        s->below = MP_BELOW_WATCH;
        return contains_searched(T, obj, item);
    }
    rc = mp_runs_python(T, s, obj, "__iter__", &runs);
    s->post = MP_POST_NONE;
    rc = rc != MP_OK ? rc : contains_searched(T, obj, NULL);
    if (rc != MP_OK || runs || mp_val_is_fresh(n) || mp_is_array(obj)) {
        s->below = MP_BELOW_WATCH;
        return rc;  // (mp_read_deep has read an array)
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "`in` a %s", mp_type_name(obj));
}

/* -- Iteration ------------------------------------------------------------------------------ */

/* iter(obj): C code or a loop will go through all items, so all of them are read now.
 * An __iter__ in Python, and generators, run their own frames. */
mp_rc
mp_record_iter(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_val n;
    bool runs;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value_items(T, obj, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        rc = mp_shape_rows(T, n.node);
        if (rc != MP_OK) {
            return rc;
        }
    }
    rc = mp_runs_python(T, s, obj, "__iter__", &runs);
    if (rc == MP_OK && !runs && !mp_is_sized(obj)) {
        rc = mp_runs_python(T, s, obj, "__getitem__", &runs);
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_is_array(obj) && (rc = mp_array_expose(T, obj)) != MP_OK) {
        return rc;
    }
    s->post = MP_POST_RESULT;
    s->through_c = !PyGen_CheckExact(obj);
    s->yields = mp_yields(T, NULL, &obj, 1, false);
    if (runs) {
        return MP_OK;
    }
    if (mp_val_is_constant(n) || mp_val_is_fresh(n)) {
        s->below = MP_BELOW_WATCH;  // generators, map objects: their code may start
        rc = mp_note_set_order(T, obj);
        return rc != MP_OK ? rc : mp_look_before_next(T, obj);
    }
    if (mp_is_sized(obj)) {
        return mp_read_all(T, obj);
    }
    if (mp_is_array(obj)) {
        return mp_array_read(T, obj, n.node);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "iteration over a %s",
                          mp_type_name(obj));
}

/* a, b = obj: as iteration; how many items there are decides, too, and is part of the
 * content. */
mp_rc
mp_record_unpack(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_rc rc = mp_record_iter(T, s, obj);
    s->post = MP_POST_UNPACK;
    return rc;
}
