/* python/attr.c - attribute reads and writes: where the interpreter looks.
 *
 * mp_record_getattr follows PyObject_GenericGetAttr, type_getattro, module_getattro and
 * the rest step by step. Each place at which the interpreter looks gets its guard: the
 * class through its MRO (found, or absent), the instance dict, then __getattr__. A place
 * that the look-up does not reach is not guarded. What is done with a value that was
 * found in a class stands in python/descr.c.
 *
 * Hooks and descriptors written in Python run as frames of the program and are watched;
 * nothing is called here. C hooks of types that are not known abort. */
#include "cfunc/cfunc.h"
#include "graph/graph.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "objects/own.h"
#include "python/python.h"
#include "read/read.h"

/* Was the dict in `known` loaded as the __dict__ of n? Then the load need not be
 * repeated. */
static bool
is_dict_of(mp_trace *T, const mp_node *known, const mp_node *n)
{
    if (known == NULL || known->reg < 0) {
        return false;
    }
    const mp_guard *op = &T->guards->ops[T->guards->def[known->reg]];
    return (op->kind == MP_G_LOAD_DICT || op->kind == MP_G_LOAD_LOCAL)
           && op->a == n->reg;
}

/* The dict that a threading.local has in this thread: a later call loads that of its own. */
static mp_rc
local_dict_node(mp_trace *T, PyObject *owner, mp_node *n, PyObject **dict,
                mp_node **dict_node)
{
    *dict = mp_local_dict_make_borrow(owner);
    if (*dict == NULL) {
        return PyErr_Occurred() ? MP_ERR
                                : mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                                 "a %s that is new in this thread",
                                                 mp_type_name(owner));
    }
    mp_node *known = mp_refgraph_find(&T->graph, *dict);
    mp_rc rc = n == NULL || n->reg < 0 || is_dict_of(T, known, n)
                   ? MP_OK
                   : mp_load(T, MP_G_LOAD_LOCAL, n->reg, NULL, 0, *dict);
    *dict_node = rc == MP_OK ? mp_refgraph_find(&T->graph, *dict) : NULL;
    return rc;
}

/* The __dict__ of owner and the node that attribute reads and writes use. It is NULL for
 * objects without a dict; *dict_node is NULL for a new object's dict that nothing has
 * looked at. A dict that CPython makes lazily is made here, as an attribute store would. */
mp_rc
mp_instance_dict_node(mp_trace *T, PyObject *owner, mp_node *n, PyObject **dict,
                      mp_node **dict_node)
{
    *dict_node = NULL;
    if (mp_is_local(owner)) {
        return local_dict_node(T, owner, n, dict, dict_node);
    }
    *dict = mp_instance_dict_borrow(owner);
    bool make = *dict == NULL;
    if (make && !PyErr_Occurred()) {
        *dict = mp_instance_dict_make_borrow(owner);
    }
    if (*dict == NULL) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    mp_node *known = mp_refgraph_find(&T->graph, *dict);
    if (n == NULL || n->reg < 0 || is_dict_of(T, known, n)) {
        *dict_node = known;
        return MP_OK;
    }
    if (known != NULL && known->kind == MP_NODE_FRESH) {
        // The dict was made just now, for an object that is not new.
        mp_refgraph_forget(&T->graph, *dict);
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_DICT, n->reg, NULL, make, *dict);
    if (rc == MP_OK) {
        *dict_node = mp_refgraph_find(&T->graph, *dict);
    }
    return rc;
}

static bool
can_have_dict(PyObject *owner)
{
    return Py_TYPE(owner)->tp_dictoffset != 0
           || (Py_TYPE(owner)->tp_flags & Py_TPFLAGS_MANAGED_DICT);
}

/* Look at the instance dict: the key, or its absence; NO_DICT where there is no dict
 * yet, which says the same of the name without making one. */
static mp_rc
get_from_dict(mp_trace *T, PyObject *owner, mp_node *n, PyObject *name, bool *found)
{
    PyObject *dict;
    mp_node *node;
    *found = false;
    bool local = mp_is_local(owner);
    if (!local && !can_have_dict(owner)) {
        return MP_OK;
    }
    if (!local && mp_instance_dict_borrow(owner) == NULL) {
        return PyErr_Occurred()           ? MP_ERR
               : n != NULL && n->reg >= 0 ? mp_test(T, MP_G_NO_DICT, n, name, 0)
                                          : MP_OK;
    }
    mp_rc rc = mp_instance_dict_node(T, owner, n, &dict, &node);
    if (rc != MP_OK || dict == NULL) {
        return rc;
    }
    PyObject *value;
    rc = mp_read_key(T, dict, node, name, &value);
    *found = rc == MP_OK && value != NULL;
    if (*found) {
        mp_symbol_offer(T, value);
    }
    return rc;
}

/* The class's __getattr__, which answers for what nothing else has: Python code is watched,
 * a dict's own look-up (`__getattr__ = dict.get`) recorded. */
static mp_rc
getattr_hook(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name, PyObject *hook)
{
    mp_rule rule = mp_rule_of(hook);
    if (PyFunction_Check(hook)) {
        return mp_attr_runs(T, s, hook);
    }
    if (rule != RULE_GETITEM && rule != RULE_DICT_GET) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "__getattr__ of %s",
                              mp_type_name(owner));
    }
    PyObject *args[] = {owner, name};
    mp_rc rc = mp_load_const(T, hook);
    return rc != MP_OK ? rc : mp_record_callee(T, s, hook, args, 2, NULL);
}

/* PyObject_GenericGetAttr: a data descriptor of the class, then the instance dict, then
 * what else the class has, then __getattr__ (with_hook). */
mp_rc
mp_record_generic_getattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                          bool with_hook)
{
    assert(PyUnicode_Check(name));
    mp_val n;
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
        PyObject *hook = mp_type_lookup_borrow(tp, MP_NAME(GETATTR));
        rc = mp_guard_type_attr(T, tp, MP_NAME(GETATTR), hook);
        if (rc == MP_OK && hook != NULL) {
            bool raises = Py_TYPE(descr)->tp_descr_get != NULL
                          && !PyFunction_Check(descr)
                          && !Py_IS_TYPE(descr, &PyMethodDescr_Type);
            rc = PyFunction_Check(hook) || !raises
                     ? mp_load_const(T, hook)
                     : mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "__getattr__ of %s",
                                      tp->tp_name);
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    rc = mp_descr_guard_kind(T, descr);
    if (rc == MP_OK && descr != NULL && mp_descr_is_data(descr)) {
        return mp_descr_bind(T, s, owner, n.node, name, descr);
    }
    bool found = false;
    rc = rc != MP_OK ? rc : get_from_dict(T, owner, n.node, name, &found);
    if (rc != MP_OK || found) {
        return rc;
    }
    if (descr != NULL) {
        return mp_descr_bind(T, s, owner, n.node, name, descr);
    }
    if (!with_hook) {
        return MP_OK;  // AttributeError, and the guards know why
    }
    PyObject *hook = mp_type_lookup_borrow(tp, MP_NAME(GETATTR));
    rc = mp_guard_type_attr(T, tp, MP_NAME(GETATTR), hook);
    if (rc != MP_OK || hook == NULL) {
        return rc;
    }
    return getattr_hook(T, s, owner, name, hook);
}

/* -- Tensors -------------------------------------------------------------------------- */

/* Metadata that a tensor has even when its shape depends on data. */
static bool
is_fixed_metadata(PyObject *name)
{
    return mp_name_is(name, "dtype") || mp_name_is(name, "device")
           || mp_name_is(name, "layout") || mp_name_is(name, "requires_grad")
           || mp_name_is(name, "is_cuda") || mp_name_is(name, "is_cpu");
}

/* Attributes that the program set on a tensor live in its __dict__, which most tensors
 * never get. */
static mp_rc
get_from_tensor_dict(mp_trace *T, PyObject *owner, mp_node *n, PyObject *name,
                     bool *found)
{
    PyObject *dict = mp_instance_dict_borrow(owner);
    PyObject *value = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
    mp_node *known = dict == NULL ? NULL : mp_refgraph_find(&T->graph, dict);
    if (PyErr_Occurred()) {
        return MP_ERR;
    }
    if (n->reg < 0) {
        *found = value != NULL;
        return value == NULL ? MP_OK : mp_pass(T, value);
    }
    if (value == NULL && (known == NULL || known->reg < 0)) {
        return mp_test(T, MP_G_NO_DICT, n, name, 0);
    }
    return get_from_dict(T, owner, n, name, found);
}

/* An attribute of a tensor: the class is guarded as for any object; then the table of
 * torch callables says what the descriptor found there is: metadata (a constant), a host
 * read, an operation (x.T, x.data), or state. */
static mp_rc
get_tensor_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    assert(mp_tensor_is_any(owner));
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    mp_rc rc = mp_guard_type_attr(T, tp, name, descr);
    if (rc != MP_OK) {
        return rc;
    }
    bool is_data = descr != NULL && mp_descr_is_data(descr), found = false;
    if (!is_data) {
        rc = get_from_tensor_dict(T, owner, n, name, &found);
        if (rc != MP_OK || found) {
            return rc;
        }
    }
    else if (n->reg < 0 && mp_name_is(name, "__dict__")) {
        // What the program puts into it directly would be lost.
        return mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U", name);
    }
    if (descr == NULL) {
        return MP_OK;
    }
    int flags = mp_op_flags_of(descr);
    if (!is_data || flags == 0) {
        return mp_descr_bind(T, s, owner, n, name, descr);
    }
    if (flags & MP_TORCH_HOST_READ) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "Tensor.%U", name);
    }
    if (flags == MP_TORCH_METADATA) {
        s->post = MP_POST_CONST;
        bool own_shape = n->sized || (n->dynamic && !n->blind);
        if (own_shape && mp_name_is(name, "shape")) {
            return mp_shape_attr(T, s, n);
        }
        if (own_shape && mp_name_is(name, "ndim")) {
            return mp_shape_ndim(T, s, n);
        }
        rc = mp_odd_ask(T, s, owner);
        return rc != MP_OK || is_fixed_metadata(name) ? rc
                                                      : mp_tensor_observe(T, owner);
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

/* `module.name`: the module's dict, then a function __getattr__ in that dict. */
static mp_rc
get_module_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    assert(PyModule_Check(owner));
    PyObject *hook;
    mp_val n;
    mp_rc rc = mp_value(T, owner, &n);
    if (rc == MP_OK) {  // a module is pinned by identity, but its class may change
        rc = mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)Py_TYPE(owner), 0);
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
    rc = mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), MP_NAME(GETATTR),
                     &hook);
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

/* A staticmethod or classmethod, and the callable inside, which __init__ can replace. */
static mp_rc
load_method_part(mp_trace *T, PyObject *method)
{
    PyObject *inner = mp_descr_part_borrow(method, 0);
    return inner == NULL ? mp_load_const(T, method)
                         : mp_load_part(T, method, MP_F_STATIC_FUNC, inner);
}

/* `C.name`: a data descriptor of the metaclass, then the MRO of C, then what else the
 * metaclass has, then its __getattr__. */
static mp_rc
get_type_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    assert(PyType_Check(owner));
    PyTypeObject *cls = (PyTypeObject *)owner, *meta = Py_TYPE(owner);
    PyObject *from_meta = mp_type_lookup_borrow(meta, name);
    mp_rc rc = mp_guard_type_attr(T, meta, name, from_meta);
    rc = rc != MP_OK ? rc : mp_descr_guard_kind(T, from_meta);
    if (rc == MP_OK && (meta->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        rc = mp_test(T, MP_G_TYPE_IS, n, (PyObject *)meta, 0);  // C.__class__ = ...
    }
    if (rc != MP_OK) {
        return rc;
    }
    s->post = MP_POST_RESULT;
    if (from_meta != NULL && mp_descr_is_data(from_meta)) {
        return mp_descr_bind(T, s, owner, n, name, from_meta);
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
            return mp_descr_bind(T, s, owner, n, name, from_meta);
        }
        PyObject *hook = mp_type_lookup_borrow(meta, MP_NAME(GETATTR));
        rc = mp_guard_type_attr(T, meta, MP_NAME(GETATTR), hook);
        return rc != MP_OK || hook == NULL ? rc : mp_attr_runs(T, s, hook);
    }
    PyTypeObject *tp = Py_TYPE(attr);
    if (tp == &PyStaticMethod_Type || tp == &PyClassMethod_Type) {
        return load_method_part(T, attr);
    }
    if (tp->tp_descr_get == NULL || tp == &PyFunction_Type || tp == &PyMethodDescr_Type
        || tp == &PyWrapperDescr_Type || tp == &PyClassMethodDescr_Type
        || tp == &PyProperty_Type || tp == &PyMemberDescr_Type
        || tp == &PyGetSetDescr_Type || PyCFunction_Check(attr)) {
        return mp_load_const(T, attr);
    }
    bool runs;
    rc = mp_descr_runs(T, s, attr, cls, "__get__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    return PyObject_TypeCheck(attr, &PyStaticMethod_Type)
                   || PyObject_TypeCheck(attr, &PyClassMethod_Type)
               ? load_method_part(T, attr)
               : mp_load_const(T, attr);
}

/* The first class after `after` in the MRO that has the name. */
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

/* SUPER_ATTR: a look-up of the name in the MRO of obj_type behind `after` finds this, or
 * nothing. */
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

/* `super(after, obj).name`; obj may be a class (in a classmethod). */
mp_rc
mp_record_super_attr(mp_trace *T, mp_shadow *s, PyTypeObject *after, PyObject *obj,
                     PyTypeObject *obj_type, PyObject *name)
{
    assert(PyUnicode_Check(name));
    mp_val n;
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
    return mp_descr_bind(T, s, obj, n.node, name, found);
}

/* The same through a `super` object, whose parts say after which class to look. */
static mp_rc
get_super_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    PyTypeObject *after = (PyTypeObject *)mp_descr_part_borrow(owner, 0);
    PyObject *obj = mp_descr_part_borrow(owner, 1);
    PyTypeObject *cls = (PyTypeObject *)mp_descr_part_borrow(owner, 2);
    if (obj == NULL || cls == NULL || mp_name_is(name, "__class__")) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "unbound super");
    }
    return mp_record_super_attr(T, s, after, obj, cls, name);
}

/* An attribute of a bound method: its own parts, or an attribute of its function. */
static mp_rc
get_method_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    s->post = MP_POST_RESULT;
    if (mp_name_is(name, "__func__") || mp_name_is(name, "__self__")) {
        int field = mp_descr_find_field(owner, name);
        return n->reg < 0 ? MP_OK : mp_descr_load_field(T, n, owner, name, field);
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

/* An attribute of a compiled function: `__wrapped__`, or an attribute of what it wraps.
 * Methods of its own type are refused. */
static mp_rc
get_compiled_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                  PyObject *name)
{
    static const char *const named[] = {"__name__", "__qualname__", "__module__",
                                        "__doc__", "__dict__"};
    PyObject *original = mp_compiled_original_borrow(owner);
    PyObject *wrapped = PyObject_GenericGetAttr(owner, MP_NAME(WRAPPED));
    Py_XDECREF(wrapped);  // only which one it is counts
    mp_err_drop();        // one without it is none of magpy.compile()
    bool is_wrapped = mp_name_is(name, "__wrapped__");
    bool passes = mp_type_lookup_borrow(Py_TYPE(owner), name) == NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(named) && !passes; i++) {
        passes = mp_name_is(name, named[i]);
    }
    if (wrapped != original || !(is_wrapped || passes)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "%U of a compiled function", name);
    }
    s->post = MP_POST_RESULT;
    mp_rc rc = mp_load_wrapped(T, n, MP_F_COMPILED, original);
    return rc != MP_OK || is_wrapped ? rc : mp_record_getattr(T, s, original, name);
}

/* Of a threading.local: as of any object, but that its dict is that of this thread. */
static mp_rc
get_local_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    PyObject *dict;
    mp_node *ignored;
    if (!mp_local_is_plain(Py_TYPE(owner))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attributes of %s",
                              mp_type_name(owner));
    }
    if (!mp_name_is(name, "__dict__")) {
        return mp_record_generic_getattr(T, s, owner, name, true);
    }
    s->post = MP_POST_RESULT;
    return mp_instance_dict_node(T, owner, n, &dict, &ignored);
}

/* `owner.name` as the type of owner looks it up. A __getattribute__ in Python is
 * watched; one in C is followed only if it is one of those above, or an alias of them. */
mp_rc
mp_record_getattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    assert(PyUnicode_Check(name));
    mp_val n;
    PyTypeObject *tp = Py_TYPE(owner);
    mp_rc rc = mp_value(T, owner, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        return get_tensor_attr(T, s, owner, n.node, name);
    }
    if (T->n_hooks > 0 && mp_hook_find(T, owner) != NULL
        && (rc = mp_hook_check_attr(T, owner, name)) != MP_OK) {
        return rc;
    }
    if (!mp_type_names_are_str(PyType_Check(owner) ? (PyTypeObject *)owner : tp)) {
        return mp_trace_abort(T, MP_AB_HASH, "a class with a name that is no str");
    }
    if (tp == &PySuper_Type) {
        return get_super_attr(T, s, owner, name);
    }
    if (tp == &PyMethod_Type) {
        return get_method_attr(T, s, owner, n.node, name);
    }
    if (mp_compiled_original_borrow(owner) != NULL) {
        return get_compiled_attr(T, s, owner, n.node, name);
    }
    if (PyType_Check(owner)) {
        PyObject *over = mp_type_lookup_borrow(tp, MP_NAME(GETATTRIBUTE));
        if (over != NULL
            && over != mp_type_lookup_borrow(&PyType_Type, MP_NAME(GETATTRIBUTE))
            && mp_c_base(tp) != tp) {
            return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "metaclass __getattribute__");
        }
        return get_type_attr(T, s, owner, n.node, name);
    }
    if (tp == &PyModule_Type) {
        return get_module_attr(T, s, owner, name);
    }
    PyObject *over = mp_type_lookup_borrow(tp, MP_NAME(GETATTRIBUTE));
    rc = mp_guard_type_attr(T, tp, MP_NAME(GETATTRIBUTE), over);
    if (rc != MP_OK) {
        return rc;
    }
    if (over != NULL && PyFunction_Check(over)) {
        return mp_attr_runs(T, s, over);
    }
    if (PyModule_Check(owner)) {
        rc = mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)tp,
                     0);  // its class can change
        return rc != MP_OK ? rc : mp_record_generic_getattr(T, s, owner, name, true);
    }
    if (mp_is_local(owner)) {
        return get_local_attr(T, s, owner, n.node, name);
    }
    if (over != NULL && tp->tp_getattro != PyObject_GenericGetAttr
        && !(Py_TYPE(over) == &PyWrapperDescr_Type
             && ((PyWrapperDescrObject *)over)->d_wrapped
                    == (void *)PyObject_GenericGetAttr)
        && over != mp_type_lookup_borrow(&PyBaseObject_Type, MP_NAME(GETATTRIBUTE))) {
        return mp_record_alias_attr(T, s, owner, name);
    }
    return mp_record_generic_getattr(T, s, owner, name, true);
}

/* -- Stores ----------------------------------------------------------------------------- */

/* `del C.name` looks into C alone: guard that C itself has the name, or that no class of
 * its MRO has. */
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

/* PyObject_GenericSetAttr: a data descriptor of the class, else the instance dict. value
 * == NULL: delete. */
mp_rc
mp_record_generic_setattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                          PyObject *value)
{
    assert(PyUnicode_Check(name));
    mp_node *dict_node;
    mp_val n;
    PyObject *dict;
    mp_rc rc = mp_value(T, owner, &n);
    if (rc == MP_OK && value != NULL) {
        rc = mp_pass(T, value);
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        bool done;
        rc = mp_record_tensor_store(T, s, owner, n.node, name, value, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
    }
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    rc = mp_guard_type_attr(T, tp, name, descr);
    rc = rc != MP_OK ? rc : mp_descr_guard_kind(T, descr);
    if (rc != MP_OK) {
        return rc;
    }
    if (descr != NULL && Py_TYPE(descr)->tp_descr_set != NULL) {
        return mp_descr_set(T, s, owner, n.node, name, value, descr);
    }
    if (!mp_val_has_source(n)) {
        return MP_OK;
    }
    if (PyType_Check(owner)) {
        rc = value != NULL
                 ? MP_OK
                 : guard_own_class_attr(T, n.node, (PyTypeObject *)owner, name);
        return rc != MP_OK ? rc : mp_write_type(T, n.node, name);
    }
    rc = mp_instance_dict_node(T, owner, n.node, &dict, &dict_node);
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

/* `owner.name = value`, or `del owner.name` if value is NULL: a hook in Python is
 * watched, C types with a hook of their own are refused. */
mp_rc
mp_record_setattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                  PyObject *value)
{
    assert(PyUnicode_Check(name));
    mp_val n;
    mp_rc rc = mp_value(T, owner, &n);
    if (rc != MP_OK) {
        return rc;
    }
    if (PyWeakref_CheckProxy(owner) && mp_val_is_fresh(n)) {
        owner = mp_weakref_borrow(owner);
        return mp_record_setattr(T, s, owner, name, value);
    }
    PyTypeObject *tp = Py_TYPE(owner);
    PyObject *hook_name = value != NULL ? MP_NAME(SETATTR) : MP_NAME(DELATTR);
    PyObject *hook = mp_type_lookup_borrow(tp, hook_name);
    rc = mp_guard_type_attr(T, tp, hook_name, hook);
    if (rc == MP_OK && PyModule_Check(owner)) {
        rc = mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)tp,
                     0);  // its class can change
    }
    if (rc != MP_OK) {
        return rc;
    }
    if (hook != NULL && PyFunction_Check(hook)) {
        if (value != NULL) {
            rc = mp_pass(T, value);
            if (rc != MP_OK) {
                return rc;
            }
        }
        rc = mp_attr_runs(T, s, hook);
        s->post = MP_POST_NONE;
        return rc;
    }
    if (hook != NULL && mp_rule_of(hook) == RULE_SETITEM) {
        // __setattr__ = dict.__setitem__, of dicts whose keys are attributes, too.
        PyObject *args[] = {owner, name, value};
        rc = mp_load_const(T, hook);
        rc = rc != MP_OK
                 ? rc
                 : mp_record_callee(T, s, hook, args, value == NULL ? 2 : 3, NULL);
        s->post = MP_POST_NONE;
        return rc;
    }
    // A class with only one of __setattr__ and __delattr__ has object's for the other.
    bool is_objects =
        hook != NULL && Py_IS_TYPE(hook, &PyWrapperDescr_Type)
        && ((PyWrapperDescrObject *)hook)->d_wrapped == (void *)PyObject_GenericSetAttr;
    if (!is_objects && tp->tp_setattro != PyObject_GenericSetAttr
        && !(mp_is_local(owner) && mp_local_is_plain(tp)
             && !mp_name_is(name, "__dict__"))
        && tp->tp_setattro != PyType_Type.tp_setattro) {
        // C code of its own (a proxy, thread-local state), or a hook of another kind.
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a %s sets its attributes itself",
                              mp_type_name(owner));
    }
    s->post = MP_POST_NONE;
    return mp_record_generic_setattr(T, s, owner, name, value);
}
