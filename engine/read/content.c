/* read/content.c - what containers hold as a whole: items, length, emptiness.
 *
 * C code that walks a container reads all of it. mp_read_all guards the content that the
 * container had at entry, so that whatever the C function does with the items is a
 * function of guarded state. mp_read_all reads one level, mp_read_deep every level.
 *
 * What must hold:
 *
 *  1 Guards describe entry: keys that the run wrote are skipped, of a list that was appended to
 *    only the entry part is guarded, and a container whose content the run replaced
 *    (`rewritten`) needs no guard at all (mp_node_needs_guards).
 *  2 No code of the program runs: walks use the slots of the builtin types, whatever a
 *    subclass overrides, and keys whose hash or comparison is Python code are refused.
 *  3 A container is not changed while it is walked, because guards are all that is made. */
#include <math.h>

#include "objects/equal.h"
#include "read/read.h"

static PyTypeObject *deque_type, *ordered_dict_type, *default_dict_type;

/* Find the types of `collections` once, for the life of the process. -1: exception. */
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

bool
mp_is_deque(PyObject *obj)
{
    return PyObject_TypeCheck(obj, deque_type);
}

/* Past any __getitem__ of a subclass: new reference. */
PyObject *
mp_deque_item(PyObject *deque, Py_ssize_t i)
{
    assert(mp_is_deque(deque) && i >= 0);
    return deque_type->tp_as_sequence->sq_item(deque, i);
}

bool
mp_is_default_dict(PyObject *obj)
{
    return PyObject_TypeCheck(obj, default_dict_type);
}

/* A read-only view (types.MappingProxyType): go on with the mapping behind it, which a
 * guard on the view's C member loads. */
mp_rc
mp_unwrap_proxy(mp_trace *T, PyObject **obj)
{
    mp_val n;
    mp_rc rc = MP_OK;
    while (rc == MP_OK && Py_IS_TYPE(*obj, &PyDictProxy_Type)) {
        PyObject *mapping = mp_proxy_mapping_borrow(*obj);
        rc = mp_value(T, *obj, &n);
        if (rc == MP_OK && n.node->reg >= 0) {
            rc =
                mp_load(T, MP_G_LOAD_FIELD, n.node->reg, NULL, MP_F_PROXY_MAP, mapping);
        }
        *obj = mapping;
    }
    return rc;
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

/* -- How much is read ---------------------------------------------------------------------- */

/* C code that reads the same items at each step of a loop takes a time that grows with the
 * square of its length.  What is read may grow with the instructions, and by what any recording
 * may read; then the recording ends.  An object takes as long as several numbers or texts. */
enum { READS_FREE = 1 << 24, READS_PER_INSTR = 256, READS_OF_OBJECT = 8 };

static Py_ssize_t
own_size(PyObject *sized)
{
    return PyDict_Check(sized)     ? PyDict_GET_SIZE(sized)
           : PyAnySet_Check(sized) ? PySet_GET_SIZE(sized)
                                   : Py_SIZE(sized);
}

static mp_rc
count_reads(mp_trace *T, PyObject *obj)
{
    T->n_reads += mp_is_sized(obj) ? own_size(obj) : 0;
    return T->n_reads <= READS_FREE + READS_PER_INSTR * T->n_instr
               ? MP_OK
               : mp_trace_abort(T, MP_AB_LIMIT,
                                "C code reads the same items again and again");
}

/* -- Whole content ----------------------------------------------------------------------- */

/* Length and items. The items of an external list or tuple were there at entry. */
static mp_rc
read_sequence(mp_trace *T, mp_node *n, PyObject **items, Py_ssize_t size)
{
    assert(n->reg >= 0);
    mp_rc rc = mp_test(T, MP_G_LEN, n, NULL, size);
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        rc = mp_load(T, MP_G_LOAD_ITEM, n->reg, NULL, i, items[i]);
    }
    return rc;
}

mp_rc
mp_read_maxlen(mp_trace *T, PyObject *deque, mp_node *n)
{
    assert(mp_is_deque(deque));
    return mp_test(T, MP_G_MAXLEN, n, NULL, mp_guard_maxlen(deque_type, deque));
}

static mp_rc
read_deque(mp_trace *T, mp_node *n, PyObject *obj)
{
    assert(mp_is_deque(obj));
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

/* The items in the order in which C code meets them, as one constant tuple. Only scalars
 * and objects that hash by identity can be compared by a guard; of equal NaNs none is
 * told from another. */
static mp_rc
read_set(mp_trace *T, mp_node *n, PyObject *obj)
{
    assert(PyAnySet_Check(obj));
    // In the order in which C code meets them; an __iter__ of the program must not run.
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
        rc = mp_test(T, MP_G_SET_EQUALS, n, items, mp_set_is_odd(obj));
    }
    if (rc == MP_OK
        && mp_set_is_odd(obj)) {  // the order of a copy follows from the table
        PyObject *layout = mp_set_layout(obj);
        rc = layout == NULL ? MP_ERR : mp_test(T, MP_G_SET_LAYOUT, n, layout, 0);
        Py_XDECREF(layout);
    }
    Py_DECREF(items);
    return rc;
}

PyObject *
mp_dict_keys(PyObject *dict)
{
    assert(PyDict_Check(dict));
    // An OrderedDict has an order of its own, which its iterator knows.
    PyTypeObject *type = PyODict_Check(dict) ? &PyODict_Type : &PyDict_Type;
    PyObject *iter = type->tp_iter(dict);
    PyObject *keys = iter == NULL ? NULL : PySequence_Tuple(iter);
    Py_XDECREF(iter);
    return keys;
}

/* Keys in order, and the values that the run has not written. entry_keys: the keys
 * before the first write of the run. */
static mp_rc
read_dict(mp_trace *T, mp_node *n, PyObject *obj)
{
    assert(PyDict_Check(obj));
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

/* One level of any builtin container; nothing for objects without content of that kind.
 * The types are asked with Py*_Check, so subclasses are read as what C code sees of
 * them. */
mp_rc
mp_read_all(mp_trace *T, PyObject *obj)
{
    assert(obj != NULL);
    mp_val n;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value_items(T, obj, &n);
    if (rc == MP_OK && mp_val_has_source(n) && n.node->rewritten && PySet_Check(obj)) {
        return T->any_order ? MP_OK : mp_read_order(T, n.node);
    }
    if (rc != MP_OK || !mp_node_needs_guards(n.node) || mp_val_is_tensor(n)
        || mp_is_identity(obj) || (rc = count_reads(T, obj)) != MP_OK) {
        return rc;
    }
    if (PyList_Check(obj)) {
        Py_ssize_t size = n.node->appended ? n.node->entry_len : PyList_GET_SIZE(obj);
        return read_sequence(T, n.node, ((PyListObject *)obj)->ob_item, size);
    }
    if (PyTuple_Check(obj)) {
        return read_sequence(T, n.node, ((PyTupleObject *)obj)->ob_item,
                             PyTuple_GET_SIZE(obj));
    }
    if (PyDict_Check(obj)) {
        return read_dict(T, n.node, obj);
    }
    if (PyAnySet_Check(obj)) {
        return read_set(T, n.node, obj);
    }
    if (PyObject_TypeCheck(obj, deque_type)) {
        return read_deque(T, n.node, obj);
    }
    return PyByteArray_CheckExact(obj) ? mp_read_bytes(T, obj, n.node) : MP_OK;
}

/* For C code that takes items out of anything that has some. Objects of C types that no
 * guard can look into are refused; an array is guarded as a whole. */
mp_rc
mp_read_items(mp_trace *T, PyObject *obj)
{
    mp_val n;
    mp_rc rc = mp_value_items(T, obj, &n);
    if (rc == MP_OK && mp_is_opaque_external(obj, n.node)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the items of a %s",
                              mp_type_name(obj));
    }
    return rc != MP_OK                            ? rc
           : mp_is_array(obj) && n.node->reg >= 0 ? mp_array_read(T, obj, n.node)
                                                  : mp_read_all(T, obj);
}

/* A text or number that is what it looks like: no symbol, late value, address or NaN. */
static bool
is_plain_item(const mp_trace *T, PyObject *item)
{
    if (T->symbols.n_open > 0 || T->lates.n > 0 || T->fresh_ids != NULL) {
        return false;
    }
    return PyLong_CheckExact(item) || PyUnicode_CheckExact(item) || item == Py_None
           || PyBool_Check(item)
           || (PyFloat_CheckExact(item) && !isnan(PyFloat_AS_DOUBLE(item)));
}

static mp_rc
read_child(mp_trace *T, PyObject *item, bool *has_tensor)
{
    if (is_plain_item(T, item)) {
        return MP_OK;
    }
    T->n_reads += READS_OF_OBJECT;
    mp_rc rc = mp_refuse_nan(T, item);
    return rc != MP_OK ? rc : mp_read_deep(T, item, has_tensor);
}

/* Children of a builtin container; a borrowed fast walk is safe: nothing runs here but
 * guard emission, which never touches the container. */
static mp_rc
read_children(mp_trace *T, PyObject *obj, bool *has_tensor)
{
    mp_rc rc = count_reads(T, obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj) && rc == MP_OK; i++) {
            rc = read_child(T, PySequence_Fast_GET_ITEM(obj, i), has_tensor);
        }
    }
    else if (Py_IS_TYPE(obj, &PyDictProxy_Type)) {
        rc = mp_read_deep(T, mp_proxy_mapping_borrow(obj), has_tensor);
    }
    else if (PySlice_Check(obj)) {
        PySliceObject *slice = (PySliceObject *)obj;
        rc = mp_read_deep(T, slice->start, has_tensor);
        rc = rc != MP_OK ? rc : mp_read_deep(T, slice->stop, has_tensor);
        rc = rc != MP_OK ? rc : mp_read_deep(T, slice->step, has_tensor);
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

/* Everything that C code may see of obj: all levels of containers, the parts of C
 * objects, the special methods of instances (which C code may call), and the identity of
 * what has no content. *has_tensor: a tensor is among it, which makes a pure function a
 * host read. */
mp_rc
mp_read_deep(mp_trace *T, PyObject *obj, bool *has_tensor)
{
    assert(obj != NULL);
    mp_val n;
    mp_rc rc = mp_value(T, obj, &n);
    if (rc != MP_OK || mp_val_is_constant(n)) {
        return rc != MP_OK ? rc : mp_refuse_fresh_id(T, obj);
    }
    rc = mp_pin_deep(T, obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        *has_tensor = *has_tensor || !mp_tensor_is_constant(T, obj);
        return MP_OK;
    }
    if (mp_is_opaque_external(obj, n.node)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the content of a %s",
                              mp_type_name(obj));
    }
    if (!mp_is_sized(obj)) {
        *has_tensor = *has_tensor || (n.node->yields & MP_YIELDS_TENSORS) != 0;
        rc = mp_look_at_yields(T, obj, "C code", has_tensor);
    }
    rc = rc != MP_OK ? rc : mp_read_c_object(T, obj, n.node);
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
        mp_err_drop();  // a container that holds itself, or is nested too deeply
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a container nested too deeply");
    }
    rc = read_children(T, obj, has_tensor);
    Py_LeaveRecursiveCall();
    return rc;
}

/* -- Length and truth ----------------------------------------------------------------- */

/* The number of items at entry, whatever the run has added since. */
static Py_ssize_t
entry_size(const mp_node *n, PyObject *obj)
{
    if (n->appended) {
        return n->entry_len;
    }
    if (n->entry_keys != NULL) {
        return PyTuple_GET_SIZE(n->entry_keys);
    }
    return own_size(obj);
}

/* Has it a length that guards can read (LEN)? */
bool
mp_is_sized(PyObject *obj)
{
    return PyList_Check(obj) || PyTuple_Check(obj) || PyDict_Check(obj)
           || PyAnySet_Check(obj) || PyObject_TypeCheck(obj, deque_type)
           || PyByteArray_CheckExact(obj);
}

/* len(obj) of a builtin container: guards the length alone. */
mp_rc
mp_read_len(mp_trace *T, PyObject *obj)
{
    mp_val n;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_unwrap_proxy(T, &obj);
    rc = rc != MP_OK ? rc : mp_value_items(T, obj, &n);
    if (rc != MP_OK || !mp_node_needs_guards(n.node)) {
        return rc;
    }
    if (mp_is_array(obj)) {
        return mp_array_read(T, obj, n.node);
    }
    if (!mp_is_sized(obj)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "length of a %s",
                              mp_type_name(obj));
    }
    return mp_test(T, MP_G_LEN, n.node, NULL, entry_size(n.node, obj));
}

/* The truth of a value, as `if` takes it.  Python methods are watched.  For a container
 * emptiness is guarded, or the length, if it is empty or the run has added to it.  Other C
 * types with a slot for truth or length are refused. */
mp_rc
mp_read_length(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    bool plain = n != NULL && mp_node_needs_guards(n) && n->entry_keys == NULL
                 && n->written == NULL
                 && (PyList_CheckExact(obj) || PyTuple_CheckExact(obj)
                     || PyDict_CheckExact(obj) || PyAnySet_CheckExact(obj)
                     || (mp_type_is(obj, MP_K_DEQUE) && !n->rewritten));
    int32_t number = -1;
    mp_rc rc = !plain ? MP_OK
                      : mp_symbol_length(T, n->reg, obj, entry_size(n, obj),
                                         mp_guard_len(obj), &number);
    if (rc == MP_OK && number >= 0) {
        s->number = number;
        s->post = MP_POST_NUMBER;
        return MP_OK;
    }
    return rc != MP_OK ? rc : mp_read_len(T, obj);
}

mp_rc
mp_read_truth(mp_trace *T, PyObject *obj, mp_shadow *s)
{
    mp_val n;
    bool runs;
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value_symbol(T, obj, &n);
    if (rc == MP_OK && n.kind == MP_VAL_SYMBOL) {
        return mp_symbol_truth(T, obj);
    }
    if (rc != MP_OK || mp_val_is_constant(n)
        || (mp_is_identity(obj) && !PyType_Check(obj))) {
        return rc;
    }
    if (mp_val_is_tensor(n) && mp_tensor_is_constant(T, obj)) {
        return MP_OK;
    }
    if (mp_val_is_tensor(n)) {
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
        return mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)Py_TYPE(obj), 0);
    }
    if (!mp_node_needs_guards(n.node)) {
        return MP_OK;
    }
    if (mp_is_sized(obj)) {
        if (n.node->appended || n.node->entry_keys != NULL
            || entry_size(n.node, obj) == 0) {
            return mp_test(T, MP_G_LEN, n.node, NULL, entry_size(n.node, obj));
        }
        return mp_test(T, MP_G_NONEMPTY, n.node, NULL, 0);
    }
    rc = mp_read_c_object(T, obj, n.node);
    if (rc != MP_OK || n.node->pinned || mp_is_array(obj)) {
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

/* Defaults of keyword-only parameters live in a dict, which the program can change in
 * place, so identity is not enough. */
mp_rc
mp_read_kwdefaults(mp_trace *T, PyObject *func)
{
    assert(PyFunction_Check(func));
    // Defaults of keyword-only parameters live in a dict that can change in place.
    PyObject *kw = ((PyFunctionObject *)func)->func_kwdefaults;
    mp_node *n = mp_refgraph_find(&T->graph, func);
    if (kw == NULL || n == NULL || n->reg < 0) {
        return MP_OK;
    }
    mp_rc rc = mp_load_const(T, kw);
    return rc != MP_OK ? rc : mp_read_all(T, kw);
}
