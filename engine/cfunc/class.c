/* cfunc/class.c - isinstance and issubclass: the classes that they get, at any depth.
 *
 * The second argument is a class, a union, or a tuple of such, nested as deep as the
 * program likes.  Each class becomes known: through the items of a tuple, or because a
 * union never changes and the identity of an external one is guarded.  Any other object
 * answers by attributes that no guard covers, and is refused.  super() and direct calls
 * of property objects are handled here, too. */
#include "cfunc/cfunc.h"
#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

enum { MAX_CLASSES_DEPTH = 16 };

/* Called with every class that C code asks. */
typedef mp_rc (*class_step)(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *cls);

static mp_rc classes_walk(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *info,
                          int depth, class_step step);

static mp_rc
classes_of_union(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *info, int depth,
                 class_step step)
{
    mp_node *n = mp_refgraph_find(&T->graph, info);
    mp_rc rc = n != NULL && n->reg >= 0 ? mp_load_const(T, info) : MP_OK;
    PyObject *args = rc == MP_OK ? PyObject_GetAttrString(info, "__args__") : NULL;
    if (args == NULL) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(args); i++) {
        rc = mp_load_const(T, PyTuple_GET_ITEM(args, i));  // the union never changes
        rc = rc != MP_OK
                 ? rc
                 : classes_walk(T, s, obj, PyTuple_GET_ITEM(args, i), depth + 1, step);
    }
    Py_DECREF(args);
    return rc;
}

static mp_rc
classes_walk(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *info, int depth,
             class_step step)
{
    mp_rc rc = mp_know(T, info);
    if (rc == MP_OK && depth > MAX_CLASSES_DEPTH) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "classes nested too deeply");
    }
    if (rc == MP_OK && mp_type_is(info, MP_K_UNION)) {
        return classes_of_union(T, s, obj, info, depth, step);
    }
    if (rc != MP_OK || !PyTuple_Check(info)) {
        return rc != MP_OK ? rc : step(T, s, obj, info);
    }
    rc = mp_read_all(T, info);
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(info); i++) {
        rc = classes_walk(T, s, obj, PyTuple_GET_ITEM(info, i), depth + 1, step);
    }
    return rc;
}

/* An object that is no class answers by a method in Python, or from its attributes. */
static mp_rc
check_is_known(mp_trace *T, PyObject *cls, PyObject *check)
{
    return PyType_Check(cls) || (check != NULL && PyFunction_Check(check))
                   || mp_is_constant(cls)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a %s in place of a class",
                                mp_type_name(cls));
}

/* obj.__class__ is asked: object's own answers, or a property in Python, which runs. */
static mp_rc
ask_class(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    PyObject *found, *own;
    mp_rc rc = mp_special_any(T, obj, "__class__", &found);
    own = mp_dict_text_borrow(mp_type_dict_borrow(&PyBaseObject_Type), "__class__");
    if (rc != MP_OK || found == NULL || found == own || PyType_Check(obj)) {
        return rc;
    }
    PyObject *get =
        Py_IS_TYPE(found, &PyProperty_Type) ? mp_descr_part_borrow(found, 0) : NULL;
    bool is_in_c = mp_c_base(Py_TYPE(obj)) == Py_TYPE(obj);
    if (!is_in_c && get != NULL && PyFunction_Check(get)) {
        s->below = MP_BELOW_WATCH;
        return mp_load_part(T, found, MP_F_PROP_GET, get);
    }
    return is_in_c ? MP_OK
                   : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "__class__ of a %s",
                                    mp_type_name(obj));
}

static mp_rc
ask_instance(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *cls)
{
    PyObject *check;
    mp_rc rc = mp_special(T, cls, "__instancecheck__", &check);
    rc = rc != MP_OK ? rc : check_is_known(T, cls, check);
    if (rc == MP_OK && check != NULL && PyFunction_Check(check)) {
        // ABCs answer from the classes' registries; their own frames are of no use.
        bool is_abc = mp_is_module(PyFunction_GET_GLOBALS(check), MP_MODULE_ABC);
        s->below =
            is_abc && s->below != MP_BELOW_WATCH ? MP_BELOW_SKIP : MP_BELOW_WATCH;
        if (is_abc && !PyObject_TypeCheck(obj, (PyTypeObject *)cls)) {
            rc = mp_guard_abc(T);
        }
    }
    if (rc == MP_OK && PyType_Check(cls) && !mp_tensor_is_any(obj)
        && !PyObject_TypeCheck(obj, (PyTypeObject *)cls)) {
        // The type says no: what the object says of its class counts.
        rc = mp_special(T, obj, "__getattribute__", &check);
        rc = rc != MP_OK ? rc : ask_class(T, s, obj);
    }
    return rc;
}

mp_rc
mp_rule_isinstance(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = c->nargs == 2 ? mp_pass(T, c->args[0]) : MP_OK;
    if (rc != MP_OK || c->nargs != 2) {
        return rc;
    }
    rc = mp_guard_mro(T, Py_TYPE(c->args[0]));
    return rc != MP_OK ? rc
                       : classes_walk(T, s, c->args[0], c->args[1], 0, ask_instance);
}

static mp_rc
ask_subclass(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *cls)
{
    PyObject *check;
    mp_rc rc = mp_special(T, cls, "__subclasscheck__", &check);
    if (rc == MP_OK && check != NULL && PyFunction_Check(check)
        && !mp_is_module(PyFunction_GET_GLOBALS(check), MP_MODULE_ABC)) {
        s->below = MP_BELOW_WATCH;  // Python code of a metaclass, or of a type hint
    }
    return rc != MP_OK ? rc : check_is_known(T, cls, check);
}

/* _abc_instancecheck(cls, instance), _abc_subclasscheck(cls, subclass): called by Python
 * code of abc that is watched. */
mp_rc
mp_rule_abc(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = MP_OK;
    s->below = MP_BELOW_SKIP;
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = mp_know(T, c->args[i]);
        rc = rc != MP_OK ? rc : mp_guard_mro_of(T, c->args[i]);
    }
    return rc != MP_OK ? rc : mp_guard_abc(T);
}

mp_rc
mp_rule_issubclass(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool has_tensor = false;
    mp_rc rc = c->count > 0 ? mp_guard_mro_of(T, c->args[0]) : MP_OK;
    s->below = MP_BELOW_SKIP;
    rc = rc != MP_OK ? rc : mp_read_args(T, c->args, c->count, false, &has_tensor);
    if (rc != MP_OK || c->count != 2) {
        return rc;
    }
    rc = classes_walk(T, s, c->args[0], c->args[1], 0, ask_subclass);
    return rc != MP_OK ? rc : mp_guard_subclass_hooks(T, c->args[1]);
}

/* property.__get__(p, obj, type) and its kin, called by themselves. */
mp_rc
mp_rule_property(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    static const int fields[] = {MP_F_PROP_GET, MP_F_PROP_SET, MP_F_PROP_DEL};
    int part = mp_data_of(c->callee);
    bool gets = part == 0;
    PyObject *func = mp_descr_part_borrow(c->args[0], part);
    mp_val n;
    mp_rc rc = mp_value(T, c->args[0], &n);
    if (rc != MP_OK || func == NULL || c->nargs < 2
        || (gets && c->args[1] == Py_None)) {
        return rc;
    }
    if (mp_val_has_source(n)) {
        rc = !Py_IS_TYPE(c->args[0], &PyProperty_Type)
                 ? mp_trace_abort(T, MP_AB_OPAQUE_CALL, "property.%s",
                                  mp_callee_name(c->callee))
                 : mp_load(T, MP_G_LOAD_FIELD, n.node->reg, NULL, fields[part], func);
    }
    else {
        rc = mp_result(T, func);
    }
    return rc != MP_OK ? rc
                       : mp_record_callee(T, s, func, c->args + 1,
                                          gets ? 1 : c->nargs - 1, NULL);
}

/* super(): the class and the object of the calling method. */
mp_rc
mp_rule_super(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_rc rc = mp_know_all(T, c->args, c->nargs);
    if (rc != MP_OK || c->nargs > 0) {
        return rc;
    }
    // Zero arguments: the class is in the cell __class__ of the function.
    PyCodeObject *code = s->info->code;
    int first = code->co_nlocalsplus - code->co_nfreevars;
    for (int i = first; i < code->co_nlocalsplus; i++) {
        PyObject *name = PyTuple_GET_ITEM(code->co_localsplusnames, i);
        if (!mp_name_is(name, "__class__")) {
            continue;
        }
        PyObject *cell = mp_frame_local_borrow(s->f, i);
        mp_node *n = mp_refgraph_find(&T->graph, cell);
        if (n == NULL) {
            rc = mp_load_const(T, cell);
            n = mp_refgraph_find(&T->graph, cell);
        }
        if (rc == MP_OK && n != NULL && n->reg >= 0 && PyCell_GET(cell) != NULL) {
            rc = mp_load(T, MP_G_LOAD_CELL, n->reg, NULL, 0, PyCell_GET(cell));
        }
    }
    return rc;
}

/* cls.__subclasses__(): guarded as a whole, by the references that the class keeps. */
mp_rc
mp_rule_subclasses(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *cls =
        PyCFunction_Check(c->callee) && PyCFunction_GET_SELF(c->callee) != NULL
            ? PyCFunction_GET_SELF(c->callee)
        : c->count == 1 ? c->args[0]
                        : NULL;
    mp_rc rc = cls == NULL ? MP_OK : mp_know(T, cls);
    if (cls == NULL || rc != MP_OK || !PyType_Check(cls)) {
        return rc;  // TypeError
    }
    PyObject *refs = mp_subclasses_refs((PyTypeObject *)cls);
    if (refs == NULL || mp_is_new_class(T, cls)) {
        Py_XDECREF(refs);
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s.__subclasses__",
                              ((PyTypeObject *)cls)->tp_name);
    }
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(refs); i++) {
        PyObject *sub = mp_weakref_borrow(PyTuple_GET_ITEM(refs, i));
        rc = mp_is_new_class(T, sub) || mp_is_of_call(T, sub)
                 ? mp_trace_abort(T, MP_AB_OPAQUE_CALL,
                                  "__subclasses__ with a class that the call made")
                 : mp_load_const(T, sub);
    }
    PyObject *row = rc == MP_OK ? PyTuple_Pack(2, cls, refs) : NULL;
    if (rc == MP_OK
        && (row == NULL
            || mp_guards_test(T->guards, MP_G_SUBCLASSES, -1, -1, row, 0, NULL) < 0)) {
        rc = MP_ERR;
    }
    Py_XDECREF(row);
    Py_DECREF(refs);
    s->post = MP_POST_FRESH;
    return rc;
}
