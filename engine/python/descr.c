/* python/descr.c - descriptors: what a value found in a class does to the attribute.
 *
 * mp_descr_bind and mp_descr_set take what a look-up (python/attr.c) found in a class and
 * guard what reading it, or storing through it, depends on: members and getsets of C types
 * by the field they stand for (attr_fields), slots by their content, functions by identity.
 * A C getter is called only where it is known to run nothing of the program; descriptors
 * written in Python run as frames of the program and are watched.
 * What answers from state that no guard can name is refused.
 */
#include "python/python.h"

#include <structmember.h>

#include "cfunc/cfunc.h"
#include "objects/operators.h"
#include "read/read.h"

/* Python code of the program runs below this instruction. */
mp_rc
mp_attr_runs(mp_trace *T, mp_shadow *s, PyObject *func)
{
    if (!PyFunction_Check(func)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a hook for attributes is a %s",
                              mp_type_name(func));
    }
    // (torch.ops.aten.add: the operator that is found is always the same.)
    bool loads = mp_op_flags_of(func) == (MP_TORCH_PURE | MP_TORCH_TRUSTED);
    s->below = loads ? MP_BELOW_TRUSTED : MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    s->passes = true;
    return mp_load_const(T, func);
}

/* -- C structs ------------------------------------------------------------------------ */

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
    {&PyFunction_Type, "__annotate__", MP_F_FUNC_ANNOTATE},
    {&PyFunction_Type, "__module__", MP_F_FUNC_MODULE},
    {&PyFunction_Type, "__type_params__", MP_F_FUNC_TYPE_PARAMS},
    {&PyMethod_Type, "__func__", MP_F_METHOD_FUNC},
    {&PyMethod_Type, "__self__", MP_F_METHOD_SELF},
    {&PyProperty_Type, "fget", MP_F_PROP_GET},
    {&PyProperty_Type, "fset", MP_F_PROP_SET},
    {&PyProperty_Type, "fdel", MP_F_PROP_DEL},
    {&PySlice_Type, "start", MP_F_SLICE_START},
    {&PySlice_Type, "stop", MP_F_SLICE_STOP},
    {&PySlice_Type, "step", MP_F_SLICE_STEP},
    {&PyStaticMethod_Type, "__func__", MP_F_STATIC_FUNC},
    {&PyClassMethod_Type, "__func__", MP_F_STATIC_FUNC},
};

int
mp_descr_find_field(PyObject *owner, PyObject *name)
{
    assert(PyUnicode_Check(name));
    PyTypeObject *tp = Py_TYPE(owner);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(attr_fields); i++) {
        if (attr_fields[i].type == tp && mp_name_is(name, attr_fields[i].name)) {
            return (int)attr_fields[i].field;
        }
    }
    if (mp_type_is(owner, MP_K_PARTIAL)) {
        return mp_name_is(name, "func")       ? MP_F_PARTIAL_FUNC
               : mp_name_is(name, "args")     ? MP_F_PARTIAL_ARGS
               : mp_name_is(name, "keywords") ? MP_F_PARTIAL_KW
                                              : -1;
    }
    return -1;
}

/* The value of a field, read the way the interpreter will: C getters only. */
mp_rc
mp_descr_load_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name, int field)
{
    assert(field >= 0 && field < MP_F_COUNT && n->reg >= 0);
    if (field == MP_F_FUNC_ANNOTATIONS && mp_func_waits_for_annotations(owner)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                              "annotations that are not made yet");
    }
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
    if (mp_name_is(name, "__dict__") && !PyType_Check(owner)) {
        PyObject *dict;
        mp_node *dict_node;
        mp_rc rc = mp_instance_dict_node(T, owner, n, &dict, &dict_node);
        if (rc == MP_OK && dict != NULL && dict_node == NULL) {
            rc = mp_fresh(T, dict);
        }
        return rc;
    }
    if (mp_name_is(name, "__class__")) {
        // The type was guarded when the object was loaded.
        return mp_load_const(T, (PyObject *)Py_TYPE(owner));
    }
    if (PyContextToken_CheckExact(owner) && mp_name_is(name, "old_value")) {
        // What a variable held that the run has set, or that it held nothing.
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "Token.old_value");
    }
    *done = false;
    s->post = MP_POST_RESULT;
    return MP_OK;
}

static mp_rc
type_name_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name, bool *done)
{
    *done = true;
    int field = mp_name_is(name, "__name__")       ? MP_F_TYPE_NAME
                : mp_name_is(name, "__qualname__") ? MP_F_TYPE_QUALNAME
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

/* A getset descriptor, or the like, found in the class of owner.  Only getters that are
 * known may be read: those of struct members (guard/fields.def), of immutable objects,
 * and a few with a row of their own.  Any other C getter of an external object is
 * refused. */
static mp_rc
get_getset(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name)
{
    bool done;
    mp_rc rc = getset_common(T, s, owner, n, name, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    if (mp_is_array(owner)) {
        return mp_array_attr(T, owner, n, name);
    }
    if (n == NULL || n->reg < 0) {
        if (mp_name_is(name, "__annotations__")) {
            s->below = MP_BELOW_WATCH;  // from 3.14 on code of the program makes them
        }
        return mp_read_frame_attr(T, owner, name);  // (all others are known)
    }
    int field = mp_descr_find_field(owner, name);
    if (field >= 0) {
        return mp_descr_load_field(T, n, owner, name, field);
    }
    if (PyType_Check(owner)) {
        rc = type_name_field(T, n, owner, name, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
        if (mp_name_is(name, "__mro__") || mp_name_is(name, "__bases__")
            || mp_name_is(name, "__base__") || mp_name_is(name, "__module__")
            || mp_name_is(name, "__doc__") || mp_name_is(name, "__flags__")) {
            return type_stored(T, owner, name);
        }
        rc = mp_read_class_attr(T, n, owner, name, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
    }
    if (mp_type_is(owner, MP_K_PATTERN)) {
        return mp_read_pattern(T, s, owner, name);
    }
    if (PyCFunction_Check(owner) || Py_TYPE(owner) == &PyCode_Type
        || Py_TYPE(owner) == &PyMethodDescr_Type
        || Py_TYPE(owner) == &PyWrapperDescr_Type) {
        return MP_OK;  // immutable
    }
    if (mp_is_deque(owner) && mp_name_is(name, "maxlen")) {
        return mp_read_maxlen(T, owner, n);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attribute %U of %s", name,
                          mp_type_name(owner));
}

/* A member descriptor: a slot (__slots__), which may be empty, or a member of a C
 * struct. */
static mp_rc
get_member(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *descr,
           PyObject *name)
{
    PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
    if (n == NULL || n->reg < 0 || PyCode_Check(owner)) {
        s->post = MP_POST_RESULT;
        return mp_read_frame_attr(T, owner, name);
    }
    int field = mp_descr_find_field(owner, name);
    if (field >= 0) {
        return mp_descr_load_field(T, n, owner, name, field);
    }
    if (PyType_Check(owner) || mp_type_is(owner, MP_K_PATTERN)) {
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
    mp_rc rc = mp_load(T, MP_G_LOAD_SLOT, n->reg, descr, 0, value);
    mp_symbol_offer(T, value);
    return rc;
}

/* -- Descriptors ---------------------------------------------------------------------- */

bool
mp_descr_is_data(PyObject *descr)
{
    return Py_TYPE(descr)->tp_descr_get != NULL && Py_TYPE(descr)->tp_descr_set != NULL;
}

/* What was found in the class stands before the instance dict if its own class has __get__
 * and one of __set__ and __delete__. */
mp_rc
mp_descr_guard_kind(mp_trace *T, PyObject *descr)
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

/* Special method `name` of a descriptor's class, if it is Python code. */
mp_rc
mp_descr_runs(mp_trace *T, mp_shadow *s, PyObject *descr, PyTypeObject *owner_type,
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
    return rc != MP_OK ? rc : mp_attr_runs(T, s, func);
}

/* A property or the like, found in a class, and the object inside, which its __init__
 * can replace. */
mp_rc
mp_load_part(mp_trace *T, PyObject *descr, int field, PyObject *part)
{
    assert(field >= 0 && field < MP_F_COUNT);
    mp_rc rc = mp_load_const(T, descr);
    return rc != MP_OK
               ? rc
               : mp_load_wrapped(T, mp_refgraph_find(&T->graph, descr), field, part);
}

/* A value found in a class: bind it to the owner as its type says. */
mp_rc
mp_descr_bind(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
              PyObject *descr)
{
    PyTypeObject *tp = Py_TYPE(descr);
    s->post = MP_POST_RESULT;
    if (tp->tp_descr_get == PyProperty_Type.tp_descr_get) {
        PyObject *getter_func = mp_descr_part_borrow(descr, 0);
        mp_rc rc = mp_load_part(T, descr, MP_F_PROP_GET,
                                getter_func == NULL ? Py_None : getter_func);
        if (rc != MP_OK || getter_func == NULL) {
            return rc;
        }
        if (PyFunction_Check(getter_func)) {
            return mp_attr_runs(T, s, getter_func);
        }
        return mp_record_callee(T, s, getter_func, &owner, 1, NULL);
    }
    if ((tp == &PyMemberDescr_Type || tp == &PyGetSetDescr_Type) && !PyType_Check(owner)
        && !mp_descr_fits(descr, owner)) {
        return MP_OK;  // TypeError: it is another class's
    }
    if ((tp == &PyMemberDescr_Type || tp == &PyGetSetDescr_Type)
        && mp_is_dtype(owner)) {
        s->below = MP_BELOW_SKIP;        // dtype.name is Python code of numpy
        return mp_load_const(T, owner);  // it never changes
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
        PyObject *inner = mp_descr_part_borrow(descr, 0);
        mp_rc rc = mp_load_const(T, (PyObject *)Py_TYPE(owner));
        return rc != MP_OK || inner == NULL
                   ? rc
                   : mp_load_part(T, descr, MP_F_STATIC_FUNC, inner);
    }
    if (tp == &PyInstanceMethod_Type) {
        // pybind11's methods: what is bound is the C function inside
        return mp_load_const(T, PyInstanceMethod_GET_FUNCTION(descr));
    }
    if (tp->tp_descr_get == NULL) {
        return mp_load_const(T, descr);
    }
    bool runs;
    mp_rc rc = mp_descr_runs(T, s, descr, Py_TYPE(owner), "__get__", &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (mp_is_cached(descr) || PyCFunction_Check(descr)) {
        return mp_load_const(T, descr);
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "descriptor of type %s", tp->tp_name);
}

mp_rc
mp_descr_set(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n, PyObject *name,
             PyObject *value, PyObject *descr)
{
    PyTypeObject *tp = Py_TYPE(descr), *tp_owner = Py_TYPE(owner);
    mp_rc rc;
    if (tp->tp_descr_set == PyProperty_Type.tp_descr_set) {
        PyObject *setter_func = mp_descr_part_borrow(descr, value != NULL ? 1 : 2);
        rc = mp_load_part(T, descr, value != NULL ? MP_F_PROP_SET : MP_F_PROP_DEL,
                          setter_func == NULL ? Py_None : setter_func);
        if (rc != MP_OK || setter_func == NULL) {
            return rc;  // AttributeError: no setter
        }
        if (!PyFunction_Check(setter_func)) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "setter of %U", name);
        }
        return mp_attr_runs(T, s, setter_func);
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
    rc = mp_descr_runs(T, s, descr, tp_owner, value != NULL ? "__set__" : "__delete__",
                       &runs);
    if (rc != MP_OK || runs) {
        return rc;
    }
    if (mp_is_array(owner) && value != NULL) {  // a.flat = x, a.shape = (2, 3)
        bool has_tensor = false;
        rc = mp_read_deep(T, value, &has_tensor);
        if (rc != MP_OK || has_tensor) {
            return rc != MP_OK ? rc
                               : mp_trace_abort(T, MP_AB_HOST_READ, "a tensor in a %s",
                                                mp_type_name(owner));
        }
        s->below = MP_BELOW_SKIP;
    }
    if (tp == &PyGetSetDescr_Type && n != NULL && n->kind == MP_NODE_FRESH
        && !mp_name_is(name, "__dict__")
        && (!mp_name_is(name, "__class__") || mp_may_become(value))) {
        return MP_OK;  // f.__name__ = ... on a function that the run made
    }
    return mp_trace_abort(T, MP_AB_MUTATION, "attribute %U of %s", name,
                          mp_type_name(owner));
}
