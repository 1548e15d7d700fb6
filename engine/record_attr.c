/* record_attr.c - attribute reads and writes.
 *
 * Follows PyObject_GenericGetAttr step by step, so that every place that the interpreter
 * looks at gets its guard: the class (through the MRO), the instance dict, absence where
 * something was not found.  Descriptors written in Python run as frames of the program and
 * are watched; nothing is called here.
 */
#include "trace.h"

#include <structmember.h>

/* Layout of `super` objects; the same on all supported versions. */
typedef struct {
    PyObject_HEAD
    PyTypeObject *type;
    PyObject *obj;
    PyTypeObject *obj_type;
} super_object;

static PyObject *str_getattribute, *str_getattr, *str_setattr, *str_delattr, *str_dict;

static int
attr_strings(void)
{
    if (str_dict != NULL) {
        return 0;
    }
    str_getattribute = PyUnicode_InternFromString("__getattribute__");
    str_getattr = PyUnicode_InternFromString("__getattr__");
    str_setattr = PyUnicode_InternFromString("__setattr__");
    str_delattr = PyUnicode_InternFromString("__delattr__");
    str_dict = PyUnicode_InternFromString("__dict__");
    return str_getattribute && str_getattr && str_setattr && str_delattr && str_dict
               ? 0
               : -1;
}

static bool
name_is(PyObject *name, const char *text)
{
    return PyUnicode_CompareWithASCIIString(name, text) == 0;
}

/* Python code of the program runs below this instruction. */
static mp_rc
attr_runs(mp_trace *T, mp_shadow *s, PyObject *func)
{
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    return mp_load_const(T, func);
}

mp_rc
mp_instance_dict_node(mp_trace *T, PyObject *owner, mp_node *n, PyObject **dict,
                      mp_node **dict_node)
{
    *dict_node = NULL;
    *dict = mp_instance_dict_borrow(owner);
    if (*dict == NULL) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    if (n == NULL || n->reg < 0) {
        *dict_node = mp_refgraph_find(&T->graph, *dict);
        return MP_OK;
    }
    mp_node *stale = mp_refgraph_find(&T->graph, *dict);
    if (stale != NULL && stale->kind == MP_NODE_FRESH) {
        // The dict was made just now, for an object that is not new.
        mp_refgraph_forget(&T->graph, *dict);
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_DICT, n->reg, NULL, 0, *dict);
    if (rc == MP_OK) {
        *dict_node = mp_refgraph_find(&T->graph, *dict);
    }
    return rc;
}

/* An attribute that is a C struct member or getset of a C object. */
static const struct {
    PyTypeObject *type;
    const char *name;
    mp_field field;
} attr_fields[] = {
    {&PyFunction_Type, "__closure__", MP_F_FUNC_CLOSURE},
    {&PyFunction_Type, "__defaults__", MP_F_FUNC_DEFAULTS},
    {&PyFunction_Type, "__kwdefaults__", MP_F_FUNC_KWDEFAULTS},
    {&PyFunction_Type, "__code__", MP_F_FUNC_CODE},
    {&PyFunction_Type, "__globals__", MP_F_FUNC_GLOBALS},
    {&PyFunction_Type, "__name__", MP_F_FUNC_NAME},
    {&PyFunction_Type, "__qualname__", MP_F_FUNC_QUALNAME},
    {&PyFunction_Type, "__doc__", MP_F_FUNC_DOC},
    {&PyFunction_Type, "__annotations__", MP_F_FUNC_ANNOTATIONS},
    {&PyFunction_Type, "__module__", MP_F_FUNC_MODULE},
    {&PyMethod_Type, "__func__", MP_F_METHOD_FUNC},
    {&PyMethod_Type, "__self__", MP_F_METHOD_SELF},
    {&PyProperty_Type, "fget", MP_F_PROP_GET},
    {&PyProperty_Type, "fset", MP_F_PROP_SET},
    {&PySlice_Type, "start", MP_F_SLICE_START},
    {&PySlice_Type, "stop", MP_F_SLICE_STOP},
    {&PySlice_Type, "step", MP_F_SLICE_STEP},
    {&PyStaticMethod_Type, "__func__", MP_F_STATIC_FUNC},
    {&PyClassMethod_Type, "__func__", MP_F_STATIC_FUNC},
};

static int
field_find(PyObject *owner, PyObject *name)
{
    PyTypeObject *tp = Py_TYPE(owner);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(attr_fields); i++) {
        if (attr_fields[i].type == tp && name_is(name, attr_fields[i].name)) {
            return (int)attr_fields[i].field;
        }
    }
    if (strcmp(tp->tp_name, "functools.partial") == 0) {
        return name_is(name, "func")       ? MP_F_PARTIAL_FUNC
               : name_is(name, "args")     ? MP_F_PARTIAL_ARGS
               : name_is(name, "keywords") ? MP_F_PARTIAL_KW
                                           : -1;
    }
    return -1;
}

/* The value of a field, read the way the interpreter will: C getters only. */
static mp_rc
load_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name, int field)
{
    PyObject *value = PyObject_GenericGetAttr(owner, name);
    if (value == NULL) {
        return MP_ERR;
    }
    mp_node *stale = mp_refgraph_find(&T->graph, value);
    if (stale != NULL && stale->kind == MP_NODE_FRESH) {
        mp_refgraph_forget(&T->graph, value);  // made just now by the getter
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, name, field, value);
    Py_DECREF(value);
    return rc;
}

/* __dict__ and __class__ exist on every object. */
static mp_rc
getset_common(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
              bool *done)
{
    *done = true;
    if (name_is(name, "__dict__") && !PyType_Check(owner)) {
        PyObject *dict;
        mp_node *dict_node;
        mp_rc rc = mp_instance_dict_node(T, owner, n, &dict, &dict_node);
        if (rc == MP_OK && dict != NULL && dict_node == NULL) {
            rc = mp_fresh(T, dict);
        }
        return rc;
    }
    if (name_is(name, "__class__")) {
        // The type was guarded when the object was loaded.
        return mp_load_const(T, (PyObject *)Py_TYPE(owner));
    }
    *done = false;
    s->post = MP_POST_RESULT;
    return MP_OK;
}

static mp_rc
type_name_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name, bool *done)
{
    *done = true;
    int field = name_is(name, "__name__")       ? MP_F_TYPE_NAME
                : name_is(name, "__qualname__") ? MP_F_TYPE_QUALNAME
                                                : -1;
    if (field < 0) {
        *done = false;
        return MP_OK;
    }
    PyTypeObject *tp = (PyTypeObject *)owner;
    if (!(tp->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return MP_OK;
    }
    PyHeapTypeObject *heap = (PyHeapTypeObject *)tp;
    return mp_load(T, MP_G_LOAD_FIELD, n->reg, name, field,
                   field == MP_F_TYPE_NAME ? heap->ht_name : heap->ht_qualname);
}

/* What a class stores about itself; its version changes with it. */
static mp_rc
type_stored(mp_trace *T, PyObject *owner, PyObject *name)
{
    PyTypeObject *tp = (PyTypeObject *)owner;
    mp_rc rc = mp_guard_type_attr(T, tp, name, mp_type_lookup_borrow(tp, name));
    rc = rc != MP_OK ? rc : mp_guard_mro(T, tp);
    PyObject *value = rc == MP_OK ? PyType_Type.tp_getattro(owner, name) : NULL;
    if (value == NULL) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    rc = mp_load_const(T, value);
    Py_DECREF(value);
    return rc;
}

static mp_rc
get_getset(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    bool done;
    mp_rc rc = getset_common(T, s, owner, n, name, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    if (n == NULL || n->reg < 0) {
        return mp_read_frame_attr(T, owner, name);  // (all others are known)
    }
    int field = field_find(owner, name);
    if (field >= 0) {
        return load_field(T, n, owner, name, field);
    }
    if (PyType_Check(owner)) {
        rc = type_name_field(T, n, owner, name, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
        if (name_is(name, "__mro__") || name_is(name, "__bases__")
            || name_is(name, "__base__") || name_is(name, "__module__")
            || name_is(name, "__doc__") || name_is(name, "__flags__")) {
            return type_stored(T, owner, name);
        }
        rc = mp_read_class_attr(T, n, owner, name, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
    }
    if (PyCFunction_Check(owner) || Py_TYPE(owner) == &PyCode_Type
        || Py_TYPE(owner) == &PyMethodDescr_Type
        || Py_TYPE(owner) == &PyWrapperDescr_Type) {
        return MP_OK;  // immutable
    }
    if (mp_is_deque(owner) && name_is(name, "maxlen")) {
        return mp_read_maxlen(T, owner, n);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attribute %U of %s", name,
                          mp_type_name(owner));
}

static mp_rc
get_member(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *descr,
           PyObject *name)
{
    PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
    if (n == NULL || n->reg < 0 || PyCode_Check(owner)) {
        s->post = MP_POST_RESULT;
        return mp_read_frame_attr(T, owner, name);
    }
    int field = field_find(owner, name);
    if (field >= 0) {
        return load_field(T, n, owner, name, field);
    }
    if (PyType_Check(owner)) {
        return get_getset(T, s, owner, n, name);
    }
    if (m->type != T_OBJECT_EX && m->type != T_OBJECT) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attribute %U of %s", name,
                              mp_type_name(owner));
    }
    if (mp_node_wrote_slot(n, descr)) {
        return MP_OK;
    }
    PyObject *value = *(PyObject **)((char *)owner + m->offset);
    if (value == NULL) {
        s->below = MP_BELOW_WATCH;  // __getattr__
        return mp_test(T, MP_G_SLOT_EMPTY, n, descr, 0);
    }
    return mp_load(T, MP_G_LOAD_SLOT, n->reg, descr, 0, value);
}

/* Special method `name` of a descriptor's class, if it is Python code. */
static mp_rc
descr_runs(mp_trace *T, mp_shadow *s, PyObject *descr, PyTypeObject *owner_type,
           const char *name, bool *runs)
{
    PyObject *func;
    mp_rc rc = mp_special(T, descr, name, &func);
    *runs = rc == MP_OK && func != NULL && PyFunction_Check(func);
    if (!*runs) {
        return rc;
    }
    rc = mp_load_const(T, descr);
    rc = rc != MP_OK ? rc : mp_load_const(T, (PyObject *)owner_type);
    return rc != MP_OK ? rc : attr_runs(T, s, func);
}

/* A value found in a class: bind it to the owner as its type says. */
static mp_rc
bind_class_value(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
                 PyObject *descr)
{
    PyTypeObject *tp = Py_TYPE(descr);
    s->post = MP_POST_RESULT;
    if (tp == &PyProperty_Type) {
        PyObject *getter_func = ((PyObject **)((char *)descr + sizeof(PyObject)))[0];
        mp_rc rc = mp_load_const(T, descr);
        if (rc != MP_OK || getter_func == NULL) {
            return rc;
        }
        if (PyFunction_Check(getter_func)) {
            return attr_runs(T, s, getter_func);
        }
        rc = mp_load_const(T, getter_func);
        return rc != MP_OK ? rc : mp_record_callee(T, s, getter_func, &owner, 1, NULL);
    }
    if ((tp == &PyMemberDescr_Type || tp == &PyGetSetDescr_Type) && !PyType_Check(owner)
        && !mp_descr_fits(descr, owner)) {
        return MP_OK;  // TypeError: it is another class's
    }
    if (tp == &PyMemberDescr_Type) {
        return get_member(T, s, owner, n, descr, name);
    }
    if (tp == &PyGetSetDescr_Type) {
        return get_getset(T, s, owner, n, name);
    }
    if (mp_is_tuple_field(descr)) {
        return mp_read_tuple_field(T, owner, n, descr);
    }
    if (tp == &PyFunction_Type || tp == &PyMethodDescr_Type
        || tp == &PyWrapperDescr_Type || tp == &PyClassMethodDescr_Type) {
        return mp_load_const(T, descr);
    }
    if (tp == &PyStaticMethod_Type || tp == &PyClassMethod_Type) {
        PyObject *inner = ((PyObject **)((char *)descr + sizeof(PyObject)))[0];
        mp_rc rc = mp_load_const(T, (PyObject *)Py_TYPE(owner));
        return rc != MP_OK || inner == NULL ? rc : mp_load_const(T, inner);
    }
    if (tp == &PyInstanceMethod_Type) {
        // pybind11's methods: what is bound is the C function inside
        return mp_load_const(T, PyInstanceMethod_GET_FUNCTION(descr));
    }
    if (tp->tp_descr_get == NULL) {
        return mp_load_const(T, descr);
    }
    bool runs;
    mp_rc rc = descr_runs(T, s, descr, Py_TYPE(owner), "__get__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (strcmp(tp->tp_name, "functools._lru_cache_wrapper") == 0
        || PyCFunction_Check(descr)) {
        return mp_load_const(T, descr);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "descriptor of type %s", tp->tp_name);
}

/* Look at the instance dict; *found tells whether the name is there. */
static mp_rc
get_from_dict(mp_trace *T, PyObject *owner, mp_node *n, PyObject *name, bool *found)
{
    PyObject *dict;
    mp_node *node;
    *found = false;
    if (Py_TYPE(owner)->tp_dictoffset == 0
        && !(Py_TYPE(owner)->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        return MP_OK;  // such objects never get a dict
    }
    if (n != NULL && n->reg >= 0 && !PyModule_Check(owner)
        && mp_instance_dict_borrow(owner) == NULL) {
        return PyErr_Occurred() ? MP_ERR : mp_test(T, MP_G_NO_DICT, n, name, 0);
    }
    mp_rc rc = mp_instance_dict_node(T, owner, n, &dict, &node);
    if (rc != MP_OK || dict == NULL) {
        return rc;
    }
    PyObject *value;
    rc = mp_read_key(T, dict, node, name, &value);
    *found = rc == MP_OK && value != NULL;
    return rc;
}

static bool
is_data_descriptor(PyObject *descr)
{
    return Py_TYPE(descr)->tp_descr_get != NULL && Py_TYPE(descr)->tp_descr_set != NULL;
}

/* What was found in the class stands before the instance dict if its own class has __get__
 * and one of __set__ and __delete__. */
static mp_rc
guard_descr_kind(mp_trace *T, PyObject *descr)
{
    static const char *const names[] = {"__get__", "__set__", "__delete__"};
    PyObject *found;
    mp_rc rc = MP_OK;
    if (descr != NULL && (Py_TYPE(descr)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        rc = mp_load_const(T, descr);  // descr.__class__ = ...
    }
    for (size_t i = 0; descr != NULL && i < Py_ARRAY_LENGTH(names) && rc == MP_OK;
         i++) {
        rc = mp_special(T, descr, names[i], &found);
    }
    return rc;
}

mp_rc
mp_record_generic_getattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                          bool with_hook)
{
    mp_node *n;
    PyTypeObject *tp = Py_TYPE(owner);
    mp_rc rc = mp_value(T, owner, &n);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    rc = mp_guard_type_attr(T, tp, name, descr);
    if (rc != MP_OK) {
        return rc;
    }
    if (with_hook && descr != NULL && (tp->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        // A descriptor that raises AttributeError hands over to __getattr__.
        PyObject *hook = mp_type_lookup_borrow(tp, str_getattr);
        rc = mp_guard_type_attr(T, tp, str_getattr, hook);
        if (rc == MP_OK && hook != NULL && PyFunction_Check(hook)) {
            rc = mp_load_const(T, hook);
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    rc = guard_descr_kind(T, descr);
    if (rc == MP_OK && descr != NULL && is_data_descriptor(descr)) {
        return bind_class_value(T, s, owner, n, name, descr);
    }
    bool found = false;
    rc = rc != MP_OK ? rc : get_from_dict(T, owner, n, name, &found);
    if (rc != MP_OK || found) {
        return rc;
    }
    if (descr != NULL) {
        return bind_class_value(T, s, owner, n, name, descr);
    }
    if (!with_hook) {
        return MP_OK;  // AttributeError, and the guards know why
    }
    PyObject *hook = mp_type_lookup_borrow(tp, str_getattr);
    rc = mp_guard_type_attr(T, tp, str_getattr, hook);
    if (rc != MP_OK || hook == NULL) {
        return rc;
    }
    if (!PyFunction_Check(hook)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "__getattr__ of %s", tp->tp_name);
    }
    return attr_runs(T, s, hook);
}

/* -- Tensors -------------------------------------------------------------------------- */

/* Known of a tensor even when its shape is not. */
static bool
is_fixed_metadata(PyObject *name)
{
    return name_is(name, "dtype") || name_is(name, "device") || name_is(name, "layout")
           || name_is(name, "requires_grad") || name_is(name, "is_cuda")
           || name_is(name, "is_cpu");
}

static mp_rc
get_tensor_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    mp_rc rc = mp_guard_type_attr(T, tp, name, descr);
    if (rc != MP_OK) {
        return rc;
    }
    bool is_data = descr != NULL && is_data_descriptor(descr);
    if (!is_data) {
        // Attributes that the user put on a tensor live in its dict.
        PyObject *dict = mp_instance_dict_borrow(owner);
        if (dict == NULL && PyErr_Occurred()) {
            return MP_ERR;
        }
        if (dict != NULL && PyDict_Contains(dict, name) != 0) {
            return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
        }
        rc = mp_test(T, MP_G_NO_DICT, n, name, 0);
        if (rc != MP_OK) {
            return rc;
        }
    }
    if (descr == NULL) {
        return MP_OK;
    }
    int flags = mp_op_flags_of(descr);
    if (!is_data || flags == 0) {
        return bind_class_value(T, s, owner, n, name, descr);
    }
    if (flags & MP_TORCH_HOST_READ) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "Tensor.%U", name);
    }
    if (flags == MP_TORCH_METADATA) {
        s->post = MP_POST_CONST;
        return is_fixed_metadata(name) ? MP_OK : mp_tensor_observe(T, owner);
    }
    if (flags & MP_TORCH_CALL) {
        PyObject *args[2] = {owner, name};
        if (PyUnicode_CompareWithASCIIString(name, "data") == 0) {
            T->uncounted = true;
        }
        return mp_op_begin(T, s, mp_operator_borrow("getattr"), args, 2, NULL, flags);
    }
    return mp_record_leaf_attr(T, s, owner, n, name);
}

/* -- Modules, classes, super, methods --------------------------------------------------- */

static mp_rc
get_module_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    PyObject *hook;
    mp_node *n;
    mp_rc rc = mp_value(T, owner, &n);
    if (rc == MP_OK) {  // a module is pinned by identity, but its class may change
        rc = mp_test(T, MP_G_TYPE_IS, n, (PyObject *)Py_TYPE(owner), 0);
    }
    rc = rc != MP_OK ? rc : mp_record_generic_getattr(T, s, owner, name, false);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *dict = PyModule_GetDict(owner);
    if (PyDict_GetItemWithError(dict, name) != NULL
        || mp_type_lookup_borrow(Py_TYPE(owner), name) != NULL) {
        return MP_OK;
    }
    rc = mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), str_getattr, &hook);
    if (rc != MP_OK || hook == NULL) {
        return rc;
    }
    if (!PyFunction_Check(hook)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "module __getattr__");
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    return MP_OK;
}

/* `C.name`: the metaclass first, then the MRO of C. */
static mp_rc
get_type_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    PyTypeObject *cls = (PyTypeObject *)owner, *meta = Py_TYPE(owner);
    PyObject *from_meta = mp_type_lookup_borrow(meta, name);
    mp_rc rc = mp_guard_type_attr(T, meta, name, from_meta);
    rc = rc != MP_OK ? rc : guard_descr_kind(T, from_meta);
    if (rc == MP_OK && (meta->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        rc = mp_test(T, MP_G_TYPE_IS, n, (PyObject *)meta, 0);  // C.__class__ = ...
    }
    if (rc != MP_OK) {
        return rc;
    }
    s->post = MP_POST_RESULT;
    if (from_meta != NULL && is_data_descriptor(from_meta)) {
        return bind_class_value(T, s, owner, n, name, from_meta);
    }
    if (n->written != NULL && mp_node_wrote(n, name)) {
        return MP_OK;
    }
    PyObject *attr = mp_type_lookup_borrow(cls, name);
    rc = mp_guard_type_attr(T, cls, name, attr);
    if (rc != MP_OK) {
        return rc;
    }
    if (attr == NULL) {
        if (from_meta != NULL) {
            return bind_class_value(T, s, owner, n, name, from_meta);
        }
        PyObject *hook = mp_type_lookup_borrow(meta, str_getattr);
        rc = mp_guard_type_attr(T, meta, str_getattr, hook);
        return rc != MP_OK || hook == NULL ? rc : attr_runs(T, s, hook);
    }
    PyTypeObject *tp = Py_TYPE(attr);
    if (tp == &PyStaticMethod_Type || tp == &PyClassMethod_Type) {
        PyObject *inner = ((PyObject **)((char *)attr + sizeof(PyObject)))[0];
        return inner == NULL ? MP_OK : mp_load_const(T, inner);
    }
    if (tp->tp_descr_get == NULL || tp == &PyFunction_Type || tp == &PyMethodDescr_Type
        || tp == &PyWrapperDescr_Type || tp == &PyClassMethodDescr_Type
        || tp == &PyProperty_Type || tp == &PyMemberDescr_Type
        || tp == &PyGetSetDescr_Type || PyCFunction_Check(attr)) {
        return mp_load_const(T, attr);
    }
    bool runs;
    rc = descr_runs(T, s, attr, cls, "__get__", &runs);
    return rc != MP_OK || runs ? rc : mp_load_const(T, attr);
}

static PyObject *
super_lookup_borrow(PyTypeObject *obj_type, PyTypeObject *after, PyObject *name)
{
    PyObject *mro = obj_type->tp_mro;
    Py_ssize_t i = 0, count = mro == NULL ? 0 : PyTuple_GET_SIZE(mro);
    while (i < count && PyTuple_GET_ITEM(mro, i) != (PyObject *)after) {
        i++;
    }
    for (i++; i < count; i++) {
        PyObject *dict = mp_type_dict_borrow((PyTypeObject *)PyTuple_GET_ITEM(mro, i));
        PyObject *found = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static mp_rc
guard_super_attr(mp_trace *T, PyTypeObject *obj_type, PyTypeObject *after,
                 PyObject *name, PyObject *found)
{
    if (mp_is_new_class(T, (PyObject *)obj_type)) {
        return mp_guard_new_class(T, obj_type, after, name);
    }
    PyObject *row = PyTuple_Pack(4, (PyObject *)obj_type, (PyObject *)after, name,
                                 found ? found : mp_guard_absent());
    if (row == NULL) {
        return MP_ERR;
    }
    int r = mp_guards_test(T->guards, MP_G_SUPER_ATTR, -1, -1, row, 0, NULL);
    Py_DECREF(row);
    return r < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_record_super_attr(mp_trace *T, mp_shadow *s, PyTypeObject *after, PyObject *obj,
                     PyTypeObject *obj_type, PyObject *name)
{
    mp_node *n;
    mp_rc rc = mp_value(T, obj, &n);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *found = super_lookup_borrow(obj_type, after, name);
    rc = guard_super_attr(T, obj_type, after, name, found);
    if (rc != MP_OK) {
        return rc;
    }
    s->post = MP_POST_RESULT;
    if (found == NULL) {
        return MP_OK;
    }
    if (Py_TYPE(found) == &PyClassMethod_Type || PyType_Check(obj)) {
        rc = mp_load_const(T, (PyObject *)obj_type);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return bind_class_value(T, s, obj, n, name, found);
}

static mp_rc
get_super_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    super_object *su = (super_object *)owner;
    if (su->obj == NULL || su->obj_type == NULL || name_is(name, "__class__")) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "unbound super");
    }
    return mp_record_super_attr(T, s, su->type, su->obj, su->obj_type, name);
}

static mp_rc
get_method_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    s->post = MP_POST_RESULT;
    if (name_is(name, "__func__") || name_is(name, "__self__")) {
        int field = field_find(owner, name);
        return n->reg < 0 ? MP_OK : load_field(T, n, owner, name, field);
    }
    PyObject *func = PyMethod_GET_FUNCTION(owner);
    if (n->reg >= 0) {
        mp_rc rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_METHOD_FUNC, func);
        if (rc != MP_OK) {
            return rc;
        }
    }
    return mp_record_getattr(T, s, func, name);
}

mp_rc
mp_record_getattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    mp_node *n;
    PyTypeObject *tp = Py_TYPE(owner);
    if (attr_strings() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value(T, owner, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (n != NULL && n->kind == MP_NODE_TENSOR) {
        return get_tensor_attr(T, s, owner, n, name);
    }
    if (tp == &PySuper_Type) {
        return get_super_attr(T, s, owner, name);
    }
    if (tp == &PyMethod_Type) {
        return get_method_attr(T, s, owner, n, name);
    }
    if (PyType_Check(owner)) {
        PyObject *over = mp_type_lookup_borrow(tp, str_getattribute);
        if (over != NULL && PyFunction_Check(over)) {
            return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "metaclass __getattribute__");
        }
        return get_type_attr(T, s, owner, n, name);
    }
    if (tp == &PyModule_Type) {
        return get_module_attr(T, s, owner, name);
    }
    PyObject *over = mp_type_lookup_borrow(tp, str_getattribute);
    rc = mp_guard_type_attr(T, tp, str_getattribute, over);
    if (rc != MP_OK) {
        return rc;
    }
    if (over != NULL && PyFunction_Check(over)) {
        return attr_runs(T, s, over);
    }
    if (PyModule_Check(owner)) {
        rc = mp_test(T, MP_G_TYPE_IS, n, (PyObject *)tp, 0);  // its class can change
        return rc != MP_OK ? rc : mp_record_generic_getattr(T, s, owner, name, true);
    }
    if (over != NULL && tp->tp_getattro != PyObject_GenericGetAttr
        && !(Py_TYPE(over) == &PyWrapperDescr_Type
             && ((PyWrapperDescrObject *)over)->d_wrapped
                    == (void *)PyObject_GenericGetAttr)
        && over != mp_type_lookup_borrow(&PyBaseObject_Type, str_getattribute)) {
        return mp_record_alias_attr(T, s, owner, name);
    }
    return mp_record_generic_getattr(T, s, owner, name, true);
}

/* -- Stores ----------------------------------------------------------------------------- */

static mp_rc
set_descriptor(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
               PyObject *value, PyObject *descr)
{
    PyTypeObject *tp = Py_TYPE(descr), *tp_owner = Py_TYPE(owner);
    mp_rc rc;
    if (tp == &PyProperty_Type) {
        PyObject **fields = (PyObject **)((char *)descr + sizeof(PyObject));
        PyObject *setter_func = value != NULL ? fields[1] : fields[2];
        rc = mp_load_const(T, descr);
        if (rc != MP_OK || setter_func == NULL) {
            return rc;  // AttributeError: no setter
        }
        if (!PyFunction_Check(setter_func)) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "setter of %U", name);
        }
        return attr_runs(T, s, setter_func);
    }
    if (tp == &PyMemberDescr_Type) {
        int type = ((PyMemberDescrObject *)descr)->d_member->type;
        if (n == NULL || n->reg < 0 || !mp_descr_fits(descr, owner)) {
            return MP_OK;  // (TypeError if it is another class's)
        }
        if (type != T_OBJECT_EX && type != T_OBJECT) {
            return mp_trace_abort(T, MP_AB_MUTATION, "member %U of %s", name,
                                  mp_type_name(owner));
        }
        if (value == NULL) {
            rc = get_member(T, s, owner, n, descr,
                            name);  // AttributeError if it is empty
            s->post = MP_POST_NONE;
            if (rc != MP_OK
                || *(PyObject **)((char *)owner
                                  + ((PyMemberDescrObject *)descr)->d_member->offset)
                       == NULL) {
                return rc;
            }
        }
        return mp_write_slot(T, n, descr, value == NULL);
    }
    bool runs;
    rc = descr_runs(T, s, descr, tp_owner, value != NULL ? "__set__" : "__delete__",
                    &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (tp == &PyGetSetDescr_Type && n != NULL && n->kind == MP_NODE_FRESH
        && !name_is(name, "__dict__")
        && (!name_is(name, "__class__") || mp_may_become(value))) {
        return MP_OK;  // f.__name__ = ... on a function that the run made
    }
    return mp_trace_abort(T, MP_AB_MUTATION, "attribute %U of %s", name,
                          mp_type_name(owner));
}

/* `del C.name` looks into C alone: guard that C itself has the name, or that nobody has. */
static mp_rc
guard_own_class_attr(mp_trace *T, mp_node *n, PyTypeObject *cls, PyObject *name)
{
    if (n->written != NULL && mp_node_wrote(n, name)) {
        return MP_OK;
    }
    PyObject *inherited = super_lookup_borrow(cls, cls, name);
    PyObject *found = mp_type_lookup_borrow(cls, name);
    if (inherited != NULL && inherited == found) {
        return mp_trace_abort(T, MP_AB_MUTATION, "del of inherited %s.%U", cls->tp_name,
                              name);
    }
    mp_rc rc = mp_guard_type_attr(T, cls, name, found);
    return rc != MP_OK || found == NULL
               ? rc
               : guard_super_attr(T, cls, cls, name, inherited);
}

mp_rc
mp_record_generic_setattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                          PyObject *value)
{
    mp_node *n, *ignored, *dict_node;
    PyObject *dict;
    mp_rc rc = mp_value(T, owner, &n);
    if (rc == MP_OK && value != NULL) {
        rc = mp_value(T, value, &ignored);
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (n != NULL && n->kind == MP_NODE_TENSOR) {
        return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
    }
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    rc = mp_guard_type_attr(T, tp, name, descr);
    rc = rc != MP_OK ? rc : guard_descr_kind(T, descr);
    if (rc != MP_OK) {
        return rc;
    }
    if (descr != NULL && Py_TYPE(descr)->tp_descr_set != NULL) {
        return set_descriptor(T, s, owner, n, name, value, descr);
    }
    if (n == NULL || n->reg < 0) {
        return MP_OK;
    }
    if (PyType_Check(owner)) {
        rc = value != NULL ? MP_OK
                           : guard_own_class_attr(T, n, (PyTypeObject *)owner, name);
        return rc != MP_OK ? rc : mp_write_type(T, n, name);
    }
    rc = mp_instance_dict_node(T, owner, n, &dict, &dict_node);
    if (rc != MP_OK || dict == NULL) {
        return rc;  // no dict: AttributeError
    }
    if (value == NULL) {
        PyObject *old;
        rc = mp_read_key(T, dict, dict_node, name, &old);
        if (rc != MP_OK || old == NULL) {
            return rc;  // AttributeError
        }
    }
    return mp_write_key(T, dict_node, name, value == NULL);
}

mp_rc
mp_record_setattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                  PyObject *value)
{
    mp_node *n;
    if (attr_strings() < 0) {
        return MP_ERR;
    }
    mp_rc rc = mp_value(T, owner, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyWeakref_CheckProxy(owner) && n->kind == MP_NODE_FRESH) {
        owner = PyWeakref_GET_OBJECT(owner);
        return mp_record_setattr(T, s, owner, name, value);
    }
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *hook_name = value != NULL ? str_setattr : str_delattr;
    PyObject *hook = mp_type_lookup_borrow(tp, hook_name);
    rc = mp_guard_type_attr(T, tp, hook_name, hook);
    if (rc != MP_OK) {
        return rc;
    }
    if (hook != NULL && PyFunction_Check(hook)
        && !(n != NULL && n->kind == MP_NODE_TENSOR)) {
        if (value != NULL) {
            mp_node *ignored;
            rc = mp_value(T, value, &ignored);
            if (rc != MP_OK) {
                return rc;
            }
        }
        rc = attr_runs(T, s, hook);
        s->post = MP_POST_NONE;
        return rc;
    }
    rc = mp_record_generic_setattr(T, s, owner, name, value);
    s->post = MP_POST_NONE;
    return rc;
}
