/* record_item.c - containers: items, lengths, membership, iteration, comparison, operators.
 *
 * C code that walks a container reads all of it: mp_read_all guards the entry content
 * first, so whatever the C function does with the items is a function of guarded state.
 * Objects whose class defines the operation in Python run as frames and are watched.
 */
#include "trace.h"

#include <string.h>

static PyTypeObject *deque_type, *ordered_dict_type, *default_dict_type;

int
mp_container_types(void)
{
    if (deque_type != NULL) {
        return 0;
    }
    PyObject *m = PyImport_ImportModule("collections");
    if (m == NULL) {
        return -1;
    }
    ordered_dict_type = (PyTypeObject *)PyObject_GetAttrString(m, "OrderedDict");
    default_dict_type = (PyTypeObject *)PyObject_GetAttrString(m, "defaultdict");
    deque_type = (PyTypeObject *)PyObject_GetAttrString(m, "deque");
    Py_DECREF(m);
    return deque_type && ordered_dict_type && default_dict_type ? 0 : -1;
}

/* Enum members hash by name and compare by identity, unless the enum says otherwise. */
static bool
is_enum_member(PyObject *key)
{
    PyTypeObject *tp = Py_TYPE(key), *meta = Py_TYPE(tp);
    return (strcmp(meta->tp_name, "EnumType") == 0
            || strcmp(meta->tp_name, "EnumMeta") == 0)
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* The key's own __hash__ (an enum's) will run below this instruction. */
mp_rc
mp_prepare_key(mp_trace *T, mp_shadow *s, PyObject *key)
{
    mp_rc rc = mp_note_identity(T, key);
    if (rc != MP_OK || !is_enum_member(key)) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    return mp_prepare_instance(T, key);
}

/* Items are reached through a read-only view: go on with the mapping itself. */
mp_rc
mp_unwrap_proxy(mp_trace *T, PyObject **obj)
{
    mp_node *n;
    mp_rc rc = MP_OK;
    while (rc == MP_OK && Py_IS_TYPE(*obj, &PyDictProxy_Type)) {
        PyObject *mapping = *(PyObject **)(*obj + 1);
        rc = mp_value(T, *obj, &n);
        if (rc == MP_OK && n->reg >= 0) {
            rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_PROXY_MAP, mapping);
        }
        *obj = mapping;
    }
    return rc;
}

bool
mp_key_is_safe(PyObject *key)
{
    PyTypeObject *tp = Py_TYPE(key);
    if (tp == &PyUnicode_Type || tp == &PyLong_Type || tp == &PyBool_Type
        || key == Py_None || tp == &PyFloat_Type || tp == &PyBytes_Type
        || PyType_Check(key) || tp == &PyFunction_Type || PyCFunction_Check(key)) {
        return true;
    }
    if (tp == &PyTuple_Type) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!mp_key_is_safe(PyTuple_GET_ITEM(key, i))) {
                return false;
            }
        }
        return true;
    }
    if (mp_is_constant(key) || is_enum_member(key)) {
        return true;
    }
    return tp->tp_hash == PyBaseObject_Type.tp_hash
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* A look-up in a dict whose keys have their own __eq__ would run it. */
static bool
dict_is_safe(PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    if (mp_dict_keys_are_str(dict)) {
        return true;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!mp_key_is_safe(key)) {
            return false;
        }
    }
    return true;
}

/* Does the class define `name` in Python?  Then the instruction runs it: watch. */
mp_rc
mp_runs_python(mp_trace *T, mp_shadow *s, PyObject *obj, const char *name, bool *runs)
{
    *runs = false;
    if (s->raw || !(Py_TYPE(obj)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return MP_OK;
    }
    PyObject *func;
    mp_rc rc = mp_special(T, obj, name, &func);
    if (rc == MP_OK && func != NULL && PyFunction_Check(func)) {
        *runs = true;
        s->below = MP_BELOW_WATCH;
        s->post = MP_POST_RESULT;
    }
    return rc;
}

/* External and not yet rewritten: reads need guards. */
static bool
needs_guards(const mp_node *n)
{
    return n != NULL && n->reg >= 0 && !n->rewritten;
}

/* -- Whole content ----------------------------------------------------------------------- */

static mp_rc
read_sequence(mp_trace *T, mp_node *n, PyObject **items, Py_ssize_t size)
{
    mp_rc rc = mp_test(T, MP_G_LEN, n, NULL, size);
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        rc = mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, i, items[i]);
    }
    return rc;
}

mp_rc
mp_read_maxlen(mp_trace *T, PyObject *deque, mp_node *n)
{
    return mp_test(T, MP_G_MAXLEN, n, NULL, mp_guard_maxlen(deque_type, deque));
}

static mp_rc
read_deque(mp_trace *T, mp_node *n, PyObject *obj)
{
    Py_ssize_t size = Py_SIZE(obj);
    mp_rc rc = mp_test(T, MP_G_LEN, n, NULL, size);
    if (rc == MP_OK) {  // what is put in or copied depends on it
        rc = mp_read_maxlen(T, obj, n);
    }
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        PyObject *item = deque_type->tp_as_sequence->sq_item(obj, i);
        if (item == NULL) {
            return MP_ERR;
        }
        rc = mp_load(T, MP_G_LOAD_DEQUE, n->reg, NULL, i, item);
        Py_DECREF(item);
    }
    return rc;
}

static mp_rc
read_set(mp_trace *T, mp_node *n, PyObject *obj)
{
    // In order, which C code hands out; an __iter__ of the program's must not run.
    PyObject *iter = PySet_Type.tp_iter(obj);
    PyObject *items = iter == NULL ? NULL : PySequence_Tuple(iter);
    Py_XDECREF(iter);
    if (items == NULL) {
        return MP_ERR;
    }
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items) && rc == MP_OK; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        if (!mp_is_constant(item) && !mp_is_identity(item)) {
            rc = mp_trace_abort(T, MP_AB_HASH, "a set that holds a %s",
                                mp_type_name(item));
        }
        rc = rc != MP_OK ? rc : mp_refuse_nan(T, item);
    }
    if (rc == MP_OK) {
        rc = mp_test(T, MP_G_SET_EQUALS, n, items, 0);
    }
    Py_DECREF(items);
    return rc;
}

PyObject *
mp_dict_keys(PyObject *dict)
{
    // An OrderedDict has an order of its own, which its iterator knows.
    PyTypeObject *type = PyODict_Check(dict) ? &PyODict_Type : &PyDict_Type;
    PyObject *iter = type->tp_iter(dict);
    PyObject *keys = iter == NULL ? NULL : PySequence_Tuple(iter);
    Py_XDECREF(iter);
    return keys;
}

static mp_rc
read_dict(mp_trace *T, mp_node *n, PyObject *obj)
{
    PyObject *keys = n->entry_keys, *own = NULL;
    mp_rc rc = MP_OK;
    if (keys == NULL) {
        own = keys = mp_dict_keys(obj);
        if (keys == NULL) {
            return MP_ERR;
        }
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys) && rc == MP_OK; i++) {
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        if (!mp_key_is_safe(key)) {
            rc = mp_trace_abort(T, MP_AB_HASH, "a dict key of type %s",
                                mp_type_name(key));
        }
        else if (!mp_is_constant(key) && !PyTuple_Check(key)) {
            rc = mp_load_const(T, key);  // the guard below compares with this very key
        }
        rc = rc != MP_OK ? rc : mp_refuse_nan(T, key);
    }
    int first = rc == MP_OK ? mp_refgraph_first(&T->graph, MP_G_KEYS, n, 0) : 0;
    if (first < 0
        || (first > 0
            && mp_guards_test(T->guards, MP_G_KEYS, n->reg, -1, keys, 0, NULL) < 0)) {
        rc = MP_ERR;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys) && rc == MP_OK; i++) {
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        PyObject *value = PyDict_GetItemWithError(obj, key);
        if (value != NULL && !mp_node_wrote(n, key)) {
            rc = mp_load(T, MP_G_LOAD_KEY, n->reg, key, 0, value);
        }
    }
    Py_XDECREF(own);
    return rc;
}

mp_rc
mp_read_all(mp_trace *T, PyObject *obj)
{
    mp_node *n;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    if (rc != MP_OK || !needs_guards(n) || is_tensor_node(n) || mp_is_identity(obj)) {
        return rc;
    }
    if (PyList_Check(obj)) {
        Py_ssize_t size = n->appended ? n->entry_len : PyList_GET_SIZE(obj);
        return read_sequence(T, n, ((PyListObject *)obj)->ob_item, size);
    }
    if (PyTuple_Check(obj)) {
        return read_sequence(T, n, ((PyTupleObject *)obj)->ob_item,
                             PyTuple_GET_SIZE(obj));
    }
    if (PyDict_Check(obj)) {
        return read_dict(T, n, obj);
    }
    if (PyAnySet_Check(obj)) {
        return read_set(T, n, obj);
    }
    if (PyObject_TypeCheck(obj, deque_type)) {
        return read_deque(T, n, obj);
    }
    return PyByteArray_CheckExact(obj) ? mp_read_bytes(T, obj, n) : MP_OK;
}

static mp_rc
read_child(mp_trace *T, PyObject *item, bool *has_tensor)
{
    mp_rc rc = mp_refuse_nan(T, item);
    return rc != MP_OK ? rc : mp_read_deep(T, item, has_tensor);
}

/* Children of a builtin container; a borrowed fast walk is safe: nothing runs here but
 * guard emission, which never touches the container. */
static mp_rc
read_children(mp_trace *T, PyObject *obj, bool *has_tensor)
{
    mp_rc rc = MP_OK;
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj) && rc == MP_OK; i++) {
            rc = read_child(T, PySequence_Fast_GET_ITEM(obj, i), has_tensor);
        }
    }
    else if (Py_IS_TYPE(obj, &PyDictProxy_Type)) {
        rc = mp_read_deep(T, *(PyObject **)(obj + 1), has_tensor);
    }
    else if (PyDict_Check(obj)) {
        PyObject *key, *value;
        Py_ssize_t pos = 0;
        while (rc == MP_OK && PyDict_Next(obj, &pos, &key, &value)) {
            rc = read_child(T, value, has_tensor);
        }
    }
    else if (PyObject_TypeCheck(obj, deque_type)) {
        for (Py_ssize_t i = 0; i < Py_SIZE(obj) && rc == MP_OK; i++) {
            PyObject *item = deque_type->tp_as_sequence->sq_item(obj, i);
            rc = item == NULL ? MP_ERR : read_child(T, item, has_tensor);
            Py_XDECREF(item);
        }
    }
    return rc;
}

mp_rc
mp_read_deep(mp_trace *T, PyObject *obj, bool *has_tensor)
{
    mp_node *n;
    mp_rc rc = mp_value(T, obj, &n);
    if (rc != MP_OK || n == NULL) {
        return rc != MP_OK ? rc : mp_refuse_fresh_id(T, obj);
    }
    if (is_tensor_node(n)) {
        *has_tensor = *has_tensor || !mp_tensor_is_constant(T, obj);
        return MP_OK;
    }
    if (mp_is_opaque_external(obj, n)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the content of a %s",
                              mp_type_name(obj));
    }
    if (!mp_is_sized(obj)) {
        *has_tensor = *has_tensor || (n->yields & MP_YIELDS_TENSORS) != 0;
        rc = mp_look_at_yields(T, obj, "C code");
    }
    rc = rc != MP_OK ? rc : mp_read_c_object(T, obj, n);
    rc = rc != MP_OK ? rc : mp_read_all(T, obj);
    rc = rc != MP_OK ? rc : mp_prepare_instance(T, obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (!mp_is_sized(obj) && !mp_is_identity(obj)) {
        rc = mp_note_identity(T, obj);
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (Py_EnterRecursiveCall(" while recording")) {
        PyErr_Clear();  // a container that holds itself, or is nested too deeply
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a container nested too deeply");
    }
    rc = read_children(T, obj, has_tensor);
    Py_LeaveRecursiveCall();
    return rc;
}

static Py_ssize_t
entry_size(const mp_node *n, PyObject *obj)
{
    if (n->appended) {
        return n->entry_len;
    }
    if (n->entry_keys != NULL) {
        return PyTuple_GET_SIZE(n->entry_keys);
    }
    return PyDict_Check(obj)     ? PyDict_GET_SIZE(obj)
           : PyAnySet_Check(obj) ? PySet_GET_SIZE(obj)
                                 : Py_SIZE(obj);
}

bool
mp_is_sized(PyObject *obj)
{
    return PyList_Check(obj) || PyTuple_Check(obj) || PyDict_Check(obj)
           || PyAnySet_Check(obj) || PyObject_TypeCheck(obj, deque_type)
           || PyByteArray_CheckExact(obj);
}

mp_rc
mp_read_len(mp_trace *T, PyObject *obj)
{
    mp_node *n;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    if (rc != MP_OK || !needs_guards(n)) {
        return rc;
    }
    if (!mp_is_sized(obj)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "length of a %s",
                              mp_type_name(obj));
    }
    return mp_test(T, MP_G_LEN, n, NULL, entry_size(n, obj));
}

mp_rc
mp_read_truth(mp_trace *T, PyObject *obj, mp_shadow *s)
{
    mp_node *n;
    bool runs;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value(T, obj, &n);
    if (rc != MP_OK || n == NULL || (mp_is_identity(obj) && !PyType_Check(obj))) {
        return rc;
    }
    if (is_tensor_node(n) && mp_tensor_is_constant(T, obj)) {
        return MP_OK;
    }
    if (is_tensor_node(n)) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "bool(tensor)");
    }
    rc = mp_runs_python(T, s, obj, "__bool__", &runs);
    if (rc == MP_OK && !runs) {
        rc = mp_runs_python(T, s, obj, "__len__", &runs);
    }
    if (rc != MP_OK || runs) {
        s->post = MP_POST_NONE;
        return rc;
    }
    if (PyType_Check(obj)) {
        return mp_test(T, MP_G_TYPE_IS, n, (PyObject *)Py_TYPE(obj), 0);
    }
    if (!needs_guards(n)) {
        return MP_OK;
    }
    if (mp_is_sized(obj)) {
        if (n->appended || n->entry_keys != NULL || entry_size(n, obj) == 0) {
            return mp_test(T, MP_G_LEN, n, NULL, entry_size(n, obj));
        }
        return mp_test(T, MP_G_NONEMPTY, n, NULL, 0);
    }
    rc = mp_read_c_object(T, obj, n);
    if (rc != MP_OK || n->pinned) {
        return rc;
    }
    PyNumberMethods *nb = Py_TYPE(obj)->tp_as_number;
    PyMappingMethods *mp = Py_TYPE(obj)->tp_as_mapping;
    PySequenceMethods *sq = Py_TYPE(obj)->tp_as_sequence;
    if ((nb && nb->nb_bool) || (mp && mp->mp_length) || (sq && sq->sq_length)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "truth of a %s", mp_type_name(obj));
    }
    return MP_OK;
}

/* -- Items -------------------------------------------------------------------------------- */

mp_rc
mp_read_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key, PyObject **value)
{
    *value = NULL;
    if (!mp_key_is_safe(key)) {
        return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    if (!dict_is_safe(dict)) {
        return mp_trace_abort(T, MP_AB_HASH, "a dict whose keys have their own __eq__");
    }
    *value = PyDict_GetItemWithError(dict, key);
    if (*value == NULL && PyErr_Occurred()) {
        return MP_ERR;
    }
    if (!needs_guards(n) || mp_key_is_new(T, key)) {
        return MP_OK;
    }
    mp_rc rc = mp_pin_key(T, key);
    if (rc != MP_OK || mp_node_wrote(n, key)) {
        return rc;
    }
    if (*value == NULL) {
        return mp_test(T, MP_G_NO_KEY, n, key, 0);
    }
    return mp_load(T, MP_G_LOAD_KEY, n->reg, key, 0, *value);
}

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
    if (!needs_guards(n)) {
        return MP_OK;
    }
    if (!PyLong_Check(key)) {
        mp_rc rc = mp_read_c_object(T, key, key_node);
        return rc != MP_OK ? rc : mp_read_all(T, obj);
    }
    Py_ssize_t i = PyLong_AsSsize_t(key), size = PySequence_Fast_GET_SIZE(obj);
    if (i == -1 && PyErr_Occurred()) {
        PyErr_Clear();  // an index that no sequence has: IndexError is the program's
        return mp_read_len(T, obj);
    }
    Py_ssize_t at = i < 0 ? i + size : i;
    if (at < 0 || at >= size) {
        return mp_read_len(T, obj);
    }
    PyObject *item = PySequence_Fast_GET_ITEM(obj, at);
    if (!n->appended) {
        return mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, i, item);
    }
    mp_rc rc = i < 0 || at >= n->entry_len ? mp_read_len(T, obj) : MP_OK;
    return rc != MP_OK || at >= n->entry_len
               ? rc
               : mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, at, item);
}

bool
mp_is_tuple_field(PyObject *descr)
{
    const char *name = mp_type_name(descr);
    return strcmp(name, "_collections._tuplegetter") == 0
           || strcmp(name, "collections._tuplegetter") == 0;
}

mp_rc
mp_read_tuple_field(mp_trace *T, PyObject *owner, mp_node *n, PyObject *field)
{
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
    return mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, index,
                   PyTuple_GET_ITEM(owner, index));
}

/* A missing key of a defaultdict: its factory runs, and the key is written. */
static mp_rc
make_default(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, PyObject *key)
{
    PyObject *name = PyUnicode_InternFromString("default_factory");
    if (name == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_record_getattr(T, s, obj, name);
    PyObject *factory = rc == MP_OK ? PyObject_GenericGetAttr(obj, name) : NULL;
    Py_DECREF(name);
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

static mp_rc
getitem_dict(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, PyObject *key)
{
    PyObject *value;
    bool runs;
    s->post = MP_POST_RESULT;
    if (!mp_key_is_safe(key) && !needs_guards(n)) {
        mp_rc rc = mp_runs_python(T, s, key, "__hash__", &runs);
        return rc != MP_OK ? rc : mp_runs_python(T, s, key, "__eq__", &runs);
    }
    mp_rc rc = mp_read_key(T, obj, n, key, &value);
    if (rc != MP_OK || value != NULL || PyDict_CheckExact(obj)) {
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__missing__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    return PyObject_TypeCheck(obj, default_dict_type) ? make_default(T, s, obj, n, key)
                                                      : MP_OK;
}

/* C[x]: __class_getitem__, or a generic alias of a builtin class. */
static mp_rc
getitem_class(mp_trace *T, mp_shadow *s, PyTypeObject *cls)
{
    PyObject *name = PyUnicode_InternFromString("__class_getitem__");
    if (name == NULL) {
        return MP_ERR;
    }
    PyObject *found = mp_type_lookup_borrow(cls, name);
    mp_rc rc = mp_guard_type_attr(T, cls, name, found);
    Py_DECREF(name);
    if (rc != MP_OK || found == NULL) {
        return rc;
    }
    if (Py_TYPE(found) == &PyClassMethod_Type) {
        PyObject *inner = ((PyObject **)((char *)found + sizeof(PyObject)))[0];
        if (inner != NULL && PyFunction_Check(inner)) {
            s->below = MP_BELOW_WATCH;
            return mp_load_const(T, inner);
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

mp_rc
mp_record_getitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key)
{
    mp_node *n, *key_node;
    bool runs, has_tensor = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    rc = rc != MP_OK ? rc : mp_prepare_key(T, s, key);
    if (rc != MP_OK) {
        return rc;
    }
    if (is_tensor_node(n)) {
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
    if (rc == MP_OK && !is_own_key(obj, n, key)) {
        rc = mp_read_deep(T, key, &has_tensor);
    }
    if (rc != MP_OK) {
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__getitem__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        return getitem_sequence(T, s, obj, n, key);
    }
    if (PyDict_Check(obj)) {
        return getitem_dict(T, s, obj, n, key);
    }
    s->post = MP_POST_RESULT;
    if (PyType_Check(obj)) {
        return getitem_class(T, s, (PyTypeObject *)obj);
    }
    if (n == NULL || n->kind == MP_NODE_FRESH) {
        return MP_OK;
    }
    if (PyObject_TypeCheck(obj, deque_type) || PyByteArray_CheckExact(obj)) {
        return has_tensor ? mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as an index")
                          : mp_read_all(T, obj);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "item of a %s", mp_type_name(obj));
}

mp_rc
mp_record_setitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key,
                  PyObject *value)
{
    mp_node *n, *ignored;
    bool runs, has_tensor = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value(T, obj, &n);
    rc = rc != MP_OK ? rc : mp_prepare_key(T, s, key);
    if (rc != MP_OK) {
        return rc;
    }
    if (is_tensor_node(n)) {
        PyObject *args[3] = {obj, key, value};
        if (value == NULL) {
            return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "del of a tensor's item");
        }
        rc = mp_op_begin(T, s, mp_operator_borrow("setitem"), args, 3, NULL,
                         MP_TORCH_CALL);
        s->post = MP_POST_STORE;
        return rc;
    }
    rc = PySlice_Check(key) ? mp_fresh(T, key) : mp_value(T, key, &ignored);
    if (rc == MP_OK && value != NULL) {
        rc = mp_value(T, value, &ignored);
    }
    if (rc == MP_OK && !is_own_key(obj, n, key)) {
        rc = mp_read_deep(T, key, &has_tensor);
    }
    if (rc == MP_OK && value != NULL && PySlice_Check(key)) {
        rc = mp_read_all(T, value);
        rc = rc != MP_OK ? rc : mp_prepare_instance(T, value);
        s->below = MP_BELOW_WATCH;  // a list takes what the value hands out
    }
    if (rc == MP_OK) {
        rc = mp_runs_python(T, s, obj, value ? "__setitem__" : "__delitem__", &runs);
        s->post = MP_POST_NONE;
    }
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (has_tensor && PyList_Check(obj)) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "a tensor as an index");
    }
    if (PyDict_Check(obj) && !mp_key_is_safe(key)) {
        if (n != NULL && n->reg >= 0) {
            return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
        }
        rc = mp_runs_python(T, s, key, "__hash__", &runs);
        if (rc == MP_OK) {
            rc = mp_runs_python(T, s, key, "__eq__", &runs);
        }
        s->post = MP_POST_NONE;
        return rc;
    }
    if (n == NULL || n->kind == MP_NODE_FRESH) {
        return MP_OK;
    }
    if (PyDict_Check(obj)) {
        PyObject *old;
        if (value == NULL) {
            rc = mp_read_key(T, obj, n, key, &old);  // del looks whether it is there
            if (rc != MP_OK || old == NULL) {
                return rc;
            }
        }
        return mp_write_key(T, n, key, value == NULL);
    }
    if (PyList_Check(obj) || PyObject_TypeCheck(obj, deque_type)) {
        return mp_write_content(T, n);
    }
    if (PyByteArray_CheckExact(obj)) {
        return mp_write_bytes(T, s, n, key, value);
    }
    return mp_trace_abort(T, MP_AB_MUTATION, "item of a %s", mp_type_name(obj));
}

mp_rc
mp_record_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item)
{
    mp_node *n, *ignored;
    bool runs, has_tensor = false;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    rc = rc != MP_OK ? rc : mp_prepare_key(T, s, item);
    if (rc == MP_OK) {
        rc = mp_value(T, item, &ignored);
    }
    if (rc == MP_OK && (is_tensor_node(n) || is_tensor_node(ignored))) {
        if (is_tensor_node(ignored) && n != NULL
            && (PyDict_Check(obj) || PyAnySet_Check(obj)) && n->kind == MP_NODE_FRESH) {
            s->below = MP_BELOW_WATCH;
            return mp_load_const(T, item);  // tensors hash by identity: pin it
        }
        return mp_trace_abort(T, MP_AB_HOST_READ, "`in` with a tensor");
    }
    if (rc == MP_OK) {
        rc = mp_runs_python(T, s, obj, "__contains__", &runs);
        s->post = MP_POST_NONE;
        s->looks = true;
    }
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (PyDict_Check(obj) || PyAnySet_Check(obj)) {
        if (!mp_key_is_safe(item)) {
            return mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(item));
        }
        if (!needs_guards(n) || (PyDict_Check(obj) && mp_key_is_new(T, item))) {
            s->below = MP_BELOW_WATCH;
            return MP_OK;
        }
        rc = mp_pin_key(T, item);
        if (rc != MP_OK || (PyDict_Check(obj) && mp_node_wrote(n, item))) {
            return rc;
        }
        if (PyDict_Check(obj) && !dict_is_safe(obj)) {
            return mp_trace_abort(T, MP_AB_HASH, "keys with their own __eq__");
        }
        rc = PyAnySet_Check(obj) ? mp_read_all(T, obj) : MP_OK;
        if (rc != MP_OK) {
            return rc;
        }
        int found =
            PyDict_Check(obj) ? PyDict_Contains(obj, item) : PySet_Contains(obj, item);
        if (found < 0) {
            return MP_ERR;
        }
        return mp_test(T, found ? MP_G_HAS_KEY : MP_G_NO_KEY, n, item, 0);
    }
    if (n == NULL || PyList_Check(obj) || PyTuple_Check(obj)
        || PyObject_TypeCheck(obj, deque_type) || PyByteArray_CheckExact(obj)) {
        s->below = MP_BELOW_WATCH;
        rc = mp_read_deep(T, obj, &has_tensor);
        if (rc == MP_OK && PyByteArray_CheckExact(obj)) {
            rc = mp_read_deep(T, item, &has_tensor);
        }
        rc = rc != MP_OK ? rc : mp_prepare_instance(T, item);
        if (rc == MP_OK && has_tensor) {
            return mp_trace_abort(T, MP_AB_HOST_READ, "`in` over tensors");
        }
        return rc;
    }
    rc = mp_runs_python(T, s, obj, "__iter__", &runs);
    s->post = MP_POST_NONE;
    rc = rc != MP_OK ? rc : mp_read_deep(T, obj, &has_tensor);
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "`in` over tensors");
    }
    if (rc != MP_OK || runs || n->kind == MP_NODE_FRESH) {
        s->below = MP_BELOW_WATCH;
        return rc;
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "`in` a %s", mp_type_name(obj));
}

/* -- Iteration ------------------------------------------------------------------------------ */

mp_rc
mp_record_iter(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_node *n;
    bool runs;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value(T, obj, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (is_tensor_node(n)) {
        rc = mp_tensor_observe(T, obj);
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
    s->post = MP_POST_RESULT;
    s->through_c = !PyGen_CheckExact(obj);
    s->yields = mp_yields(T, NULL, &obj, 1, false);
    if (runs) {
        return MP_OK;
    }
    if (n == NULL || n->kind == MP_NODE_FRESH) {
        s->below = MP_BELOW_WATCH;  // generators, map objects: their code may start
        return mp_look_before_next(T, obj);
    }
    if (mp_is_sized(obj)) {
        return mp_read_all(T, obj);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "iteration over a %s",
                          mp_type_name(obj));
}

mp_rc
mp_record_unpack(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_rc rc = mp_record_iter(T, s, obj);
    s->post = MP_POST_UNPACK;
    return rc;
}

bool
mp_is_deque(PyObject *obj)
{
    return PyObject_TypeCheck(obj, deque_type);
}
