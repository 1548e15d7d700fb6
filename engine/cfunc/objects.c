/* cfunc/objects.c - objects of C types of the standard library that look up or call:
 * operator.itemgetter and its relatives, json's encoder and scanner, read-only views.
 *
 * The content of such an object never changes, so guarding the identity of an external
 * one covers it.  A call of the object is recorded as the look-up or call that it makes. */
#include "cfunc/cfunc.h"

#include <string.h>
#include <structmember.h>

#include "objects/names.h"
#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

/* Pin an external object that never changes. */
static mp_rc
pin_object(mp_trace *T, PyObject *obj)
{
    mp_val n;
    mp_rc rc = mp_value(T, obj, &n);
    return rc != MP_OK || !mp_val_has_source(n) ? rc : mp_load_const(T, obj);
}

static PyObject *newobj_function;  // copyreg.__newobj__; owned for the process

static PyObject *
imported_attr(const char *module, const char *name)
{
    PyObject *m = PyImport_ImportModule(module);
    PyObject *found = m == NULL ? NULL : PyObject_GetAttrString(m, name);
    Py_XDECREF(m);
    return found;
}

int
mp_objects_init(void)
{
    if (newobj_function == NULL) {
        newobj_function = imported_attr("copyreg", "__newobj__");
    }
    return newobj_function == NULL ? -1 : mp_re_init();
}

/* -- operator.itemgetter, attrgetter, methodcaller --------------------------------------------- */

/* What the getter holds: new tuple, each item a constant or known. */
static mp_rc
getter_parts(mp_trace *T, PyObject *get, PyObject **parts)
{
    *parts = NULL;
    mp_rc rc = pin_object(T, get);
    PyObject *reduced =
        rc == MP_OK ? PyObject_CallMethod(get, "__reduce__", NULL) : NULL;
    if (reduced == NULL) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    if (!PyTuple_Check(reduced) || PyTuple_GET_SIZE(reduced) != 2
        || PyTuple_GET_ITEM(reduced, 0) != (PyObject *)Py_TYPE(get)) {
        Py_DECREF(reduced);  // (a methodcaller with keywords)
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s with keywords",
                              mp_type_name(get));
    }
    *parts = Py_NewRef(PyTuple_GET_ITEM(reduced, 1));
    Py_DECREF(reduced);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(*parts) && rc == MP_OK; i++) {
        rc = mp_load_const(T, PyTuple_GET_ITEM(*parts, i));
    }
    if (rc != MP_OK) {
        Py_CLEAR(*parts);
    }
    return rc;
}

static mp_rc
call_itemgetter(mp_trace *T, mp_shadow *s, PyObject *keys, PyObject *obj)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keys);
    if (count == 1) {
        return mp_record_getitem(T, s, obj, PyTuple_GET_ITEM(keys, 0));
    }
    if (!mp_is_constant(obj) && !PyTuple_Check(obj) && !PyList_Check(obj)
        && !PyDict_CheckExact(obj)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "several items of a %s",
                              mp_type_name(obj));
    }
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_record_getitem(T, s, obj, PyTuple_GET_ITEM(keys, i));
    }
    s->post = MP_POST_RESULT;
    return rc;
}

/* The value of an attribute that is stored in obj, borrowed; NULL if code makes it. */
static PyObject *
stored_attr_borrow(PyObject *obj, PyObject *name)
{
    PyTypeObject *tp = Py_TYPE(obj);
    PyObject *descr = mp_type_lookup_borrow(tp, name);
    if (tp->tp_getattro != PyObject_GenericGetAttr || PyModule_Check(obj)) {
        return NULL;
    }
    if (descr != NULL && Py_IS_TYPE(descr, &PyMemberDescr_Type)) {
        PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
        bool is_object = m->type == T_OBJECT_EX || m->type == T_OBJECT;
        return is_object && mp_descr_fits(descr, obj)
                   ? *(PyObject **)((char *)obj + m->offset)
                   : NULL;
    }
    if (descr != NULL && Py_TYPE(descr)->tp_descr_get != NULL) {
        return NULL;
    }
    PyObject *dict = mp_instance_dict_borrow(obj);
    PyObject *found = dict == NULL ? NULL : PyDict_GetItemWithError(dict, name);
    mp_err_drop();  // no dict, or a look-up that failed: not stored there
    return found != NULL ? found : descr;
}

/* One look-up of attrgetter: "a", or a path "a.b.c". */
static mp_rc
get_path(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *path)
{
    Py_ssize_t start = 0, size = PyUnicode_GET_LENGTH(path), dot;
    mp_rc rc = MP_OK;
    if (!PyUnicode_CheckExact(path)) {
        return mp_trace_abort(T, MP_AB_HASH, "an attribute name of type %s",
                              mp_type_name(path));
    }
    for (; rc == MP_OK && start <= size; start = dot + 1) {
        dot = PyUnicode_FindChar(path, '.', start, size, 1);
        bool last = dot < 0;
        dot = last ? size : dot;
        PyObject *name = PyUnicode_Substring(path, start, dot);
        if (name == NULL) {
            return MP_ERR;
        }
        PyUnicode_InternInPlace(&name);
        rc = mp_record_getattr(T, s, obj, name);
        if (rc == MP_OK && !last) {
            obj = stored_attr_borrow(obj, name);
            rc = obj != NULL ? MP_OK
                             : mp_trace_abort(T, MP_AB_OPAQUE_CALL,
                                              "a path over computed attributes");
        }
        Py_DECREF(name);
    }
    return rc;
}

/* operator.attrgetter(*paths)(obj): a look-up for each path. */
static mp_rc
call_attrgetter(mp_trace *T, mp_shadow *s, PyObject *paths, PyObject *obj)
{
    Py_ssize_t count = PyTuple_GET_SIZE(paths);
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = get_path(T, s, obj, PyTuple_GET_ITEM(paths, i));
        if (rc == MP_OK && count > 1 && (s->owns_op || s->post == MP_POST_CONST)) {
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "several attributes of a %s",
                                  mp_type_name(obj));
        }
    }
    s->post = s->post == MP_POST_NONE || count > 1 ? MP_POST_RESULT : s->post;
    return rc;
}

/* operator.methodcaller(name, ...)(obj): a look-up of the name and a call. */
static mp_rc
call_methodcaller(mp_trace *T, mp_shadow *s, PyObject *parts, PyObject *obj)
{
    PyObject *name = PyTuple_GET_ITEM(parts, 0), *all[16];
    Py_ssize_t count = PyTuple_GET_SIZE(parts);
    mp_rc rc = PyUnicode_CheckExact(name) ? mp_record_getattr(T, s, obj, name) : MP_OK;
    PyObject *method = mp_type_lookup_borrow(Py_TYPE(obj), name);
    PyObject *dict = rc == MP_OK ? mp_instance_dict_borrow(obj) : NULL;
    if (rc != MP_OK || PyErr_Occurred()) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    bool is_method =
        method != NULL
        && (PyFunction_Check(method) || Py_IS_TYPE(method, &PyMethodDescr_Type));
    if (!is_method || count > 16 || PyType_Check(obj) || PyModule_Check(obj)
        || Py_TYPE(obj)->tp_getattro != PyObject_GenericGetAttr || s->owns_op
        || !PyUnicode_CheckExact(name)
        || (dict != NULL && PyDict_Contains(dict, name) != 0)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a methodcaller on a %s",
                              mp_type_name(obj));
    }
    all[0] = obj;
    for (Py_ssize_t i = 1; i < count; i++) {
        all[i] = PyTuple_GET_ITEM(parts, i);
    }
    s->post = MP_POST_RESULT;
    return mp_record_callee(T, s, method, all, count, NULL);
}

/* A call of an itemgetter, attrgetter or methodcaller: recorded as the expression it
 * stands for. */
mp_rc
mp_call_getter(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *get = c->callee, *parts;
    mp_rc rc = getter_parts(T, get, &parts);
    s->post = MP_POST_RESULT;
    if (rc != MP_OK) {
        return rc;
    }
    if (c->nargs != 1 || c->kwnames != NULL) {
        rc = MP_OK;  // TypeError
    }
    else if (mp_type_is(get, MP_K_ITEMGETTER)) {
        rc = call_itemgetter(T, s, parts, c->args[0]);
    }
    else if (mp_type_is(get, MP_K_ATTRGETTER)) {
        rc = call_attrgetter(T, s, parts, c->args[0]);
    }
    else {
        rc = call_methodcaller(T, s, parts, c->args[0]);
    }
    Py_DECREF(parts);
    return rc;
}

/* C code will read these attributes of the object, and use their values. */
static mp_rc
look_at_attrs(mp_trace *T, mp_shadow *s, PyObject *paths, PyObject *obj)
{
    bool has_tensor = false;
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(paths) && rc == MP_OK; i++) {
        PyObject *path = PyTuple_GET_ITEM(paths, i);
        rc = get_path(T, s, obj, path);
        PyObject *value = rc != MP_OK ? NULL : stored_attr_borrow(obj, path);
        PyObject *descr =
            rc != MP_OK ? NULL : mp_type_lookup_borrow(Py_TYPE(obj), path);
        if (value != NULL) {
            rc = mp_read_deep(T, value, &has_tensor);
        }
        else if (rc == MP_OK
                 && (descr == NULL || !Py_IS_TYPE(descr, &PyProperty_Type))) {
            // (what a property answers passes by: mp_look_at_answer)
            return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "C code gets attributes");
        }
    }
    return rc == MP_OK && has_tensor
               ? mp_trace_abort(T, MP_AB_HOST_READ, "C code looks at a tensor")
               : rc;
}

/* A getter that C code calls for each item (sorted(x, key=attrgetter("n"))): all
 * attributes are read now, before the C code runs. */
mp_rc
mp_look_at_getter(mp_trace *T, mp_shadow *s, const mp_call *c, PyObject *get)
{
    PyObject *parts;
    const char *who = mp_callee_name(c->callee);
    if (!(c->traits & MP_TRAIT_KEYS_NOW)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s calls a %s", who,
                              mp_type_name(get));
    }
    mp_rc rc = getter_parts(T, get, &parts);
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        if (c->args[i] == get || mp_is_constant(c->args[i])) {
            continue;
        }
        if (!PyList_Check(c->args[i]) && !PyTuple_Check(c->args[i])) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s over a %s", who,
                                mp_type_name(c->args[i]));
            break;
        }
        rc = mp_read_all(T, c->args[i]);
        for (Py_ssize_t k = 0; rc == MP_OK && k < PySequence_Fast_GET_SIZE(c->args[i]);
             k++) {
            rc = look_at_attrs(T, s, parts, PySequence_Fast_GET_ITEM(c->args[i], k));
        }
    }
    Py_XDECREF(parts);
    s->post = MP_POST_RESULT;
    return rc;
}

/* -- functools.cmp_to_key ------------------------------------------------------------------------ */

/* A `visitproc`: does the key hold anything but functions and types? */
static int
visit_function(PyObject *obj, void *arg)
{
    bool *only_functions = arg;
    *only_functions = *only_functions && (PyFunction_Check(obj) || PyType_Check(obj));
    return 0;
}

/* A key that the run made of a function in Python: its frames are watched. */
bool
mp_is_watched_key(mp_trace *T, PyObject *obj)
{
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    bool only_functions =
        n != NULL && n->kind == MP_NODE_FRESH && mp_type_is(obj, MP_K_CMP_KEY);
    if (only_functions) {
        (void)Py_TYPE(obj)->tp_traverse(obj, visit_function, &only_functions);
    }
    return only_functions;
}

/* -- weakref.proxy(x) ---------------------------------------------------------------------------- */

/* weakref.proxy(x): only of an object that the recording made, which is then still
 * alive. */
mp_rc
mp_rule_proxy(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n = MP_NO_VALUE;
    mp_rc rc = c->count > 0 ? mp_value(T, c->args[0], &n) : MP_OK;
    if (rc != MP_OK) {
        return rc;
    }
    if (c->count != 1 || !mp_val_is_fresh(n)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "weakref.proxy");
    }
    // C code asks the object behind it for what its class says.
    rc = mp_prepare_instance(T, c->args[0]);
    return rc != MP_OK ? rc : mp_guard_mro(T, Py_TYPE(c->args[0]));
}

/* -- list[int], int | None ------------------------------------------------------------------------ */

/* An attribute of a type with a C hook for attributes: a proxy of a new object stands
 * for that object; of generic aliases and unions the parts may be read. */
mp_rc
mp_record_alias_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name)
{
    mp_node *known = mp_refgraph_find(&T->graph, owner);
    if (PyWeakref_CheckProxy(owner) && known != NULL && known->kind == MP_NODE_FRESH) {
        return mp_record_getattr(T, s, mp_weakref_borrow(owner), name);
    }
    bool is_alias = mp_type_is(owner, MP_K_GENERIC_ALIAS);
    bool is_args = mp_name_is(name, "__args__");
    bool is_origin = mp_name_is(name, "__origin__");
    if (!(is_alias && (is_args || is_origin))
        && !(mp_type_is(owner, MP_K_UNION) && is_args)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attributes of %s",
                              mp_type_name(owner));
    }
    mp_rc rc = pin_object(T, owner);
    PyObject *value = rc == MP_OK ? PyObject_GenericGetAttr(owner, name) : NULL;
    if (value == NULL) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    mp_node *n = mp_refgraph_find(&T->graph, owner);
    bool is_new = n == NULL || n->reg < 0;
    rc = is_new ? mp_result(T, value) : mp_load_const(T, value);
    for (Py_ssize_t i = 0; rc == MP_OK && is_new && PyTuple_CheckExact(value)
                           && i < PyTuple_GET_SIZE(value);
         i++) {
        rc = mp_result(T, PyTuple_GET_ITEM(value, i));
    }
    Py_DECREF(value);
    s->post = MP_POST_RESULT;
    return rc;
}

/* -- Read-only views of dicts ---------------------------------------------------------------------- */

/* A method of a mappingproxy: recorded as that method of the dict behind it, which is an
 * OrderedDict in inspect.Signature.parameters. */
mp_rc
mp_record_proxy_method(mp_trace *T, mp_shadow *s, const mp_call *c, bool *found)
{
    PyObject *all[4], *mapping = c->args[0],
                      *name = ((PyDescrObject *)c->callee)->d_name;
    mp_rc rc = mp_unwrap_proxy(T, &mapping);
    bool is_dict = PyDict_CheckExact(mapping) || PyODict_CheckExact(mapping);
    PyObject *method = mp_type_lookup_borrow(Py_TYPE(mapping), name);
    *found = rc != MP_OK
             || (is_dict && method != NULL && c->count <= 4
                 && Py_IS_TYPE(c->callee, &PyMethodDescr_Type));
    if (rc != MP_OK || !*found) {
        return rc;
    }
    memcpy(all, c->args, (size_t)c->count * sizeof(*all));
    all[0] = mapping;
    rc = mp_load_const(T, method);
    return rc != MP_OK ? rc : mp_record_callee(T, s, method, all, c->nargs, c->kwnames);
}

/* -- object.__reduce_ex__: how copy takes objects apart -------------------------------------------- */

/* Does the class leave `name` to object?  Clears *plain if not. */
static mp_rc
reduce_by_object(mp_trace *T, PyTypeObject *tp, PyObject *name, bool *plain)
{
    PyObject *found = mp_type_lookup_borrow(tp, name);
    *plain = *plain && found == mp_type_lookup_borrow(&PyBaseObject_Type, name);
    return mp_guard_type_attr(T, tp, name, found);
}

/* copyreg notes the slots of a class in the class, when it is asked first.  Clears *plain
 * if it has not been asked, or if there are slots. */
static mp_rc
reduce_without_slots(mp_trace *T, PyTypeObject *tp, bool *plain)
{
    PyObject *dict = mp_type_dict_borrow(tp);
    PyObject *slots = dict == NULL ? NULL : mp_dict_text_borrow(dict, "__slotnames__");
    if (slots == NULL) {
        return mp_trace_abort(T, MP_AB_FILLED, "the slots of %s", tp->tp_name);
    }
    *plain = *plain && PyList_CheckExact(slots) && PyList_GET_SIZE(slots) == 0;
    mp_rc rc = *plain ? mp_guard_type_attr(T, tp, MP_NAME(SLOTNAMES), slots) : MP_OK;
    rc = rc == MP_OK && *plain ? mp_load_const(T, slots) : rc;
    return rc == MP_OK && *plain ? mp_read_all(T, slots) : rc;
}

/* What __getstate__ will take: the instance's __dict__. Clears *plain if the instance
 * hides `__getstate__`, or if it could get a __dict__ later. */
static mp_rc
reduce_state(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, bool *plain)
{
    PyObject *dict;
    mp_node *dict_node;
    mp_rc rc = mp_record_getattr(T, s, obj, MP_NAME(GETSTATE));
    rc = rc != MP_OK ? rc : mp_instance_dict_node(T, obj, n, &dict, &dict_node);
    if (rc == MP_OK && dict != NULL) {
        rc = dict_node == NULL ? mp_fresh(T, dict) : MP_OK;
        int hidden = PyDict_Contains(dict, MP_NAME(GETSTATE));
        if (rc == MP_OK && (hidden < 0 || n->reg >= 0)) {
            rc = hidden < 0 ? MP_ERR : mp_read_truth(T, dict, s);
        }
        *plain = *plain && hidden == 0;
    }
    else if (rc == MP_OK && n->reg >= 0) {
        *plain = false;  // it may get a __dict__, which no guard would notice
    }
    return rc;
}

/* Everything that object.__reduce_ex__ looks at: the class's hooks, its slots, its
 * state.  Clears *plain if any of it is the user's own. */
static mp_rc
reduce_instance(mp_trace *T, mp_shadow *s, PyObject *obj, mp_node *n, bool *plain)
{
    PyObject *const names[] = {MP_NAME(REDUCE), MP_NAME(GETSTATE),
                               MP_NAME(GETNEWARGS_EX), MP_NAME(GETNEWARGS)};
    PyTypeObject *tp = Py_TYPE(obj);
    mp_rc rc = MP_OK;
    *plain = mp_c_base(tp) == &PyBaseObject_Type && tp != &PyBaseObject_Type;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && rc == MP_OK; i++) {
        rc = reduce_by_object(T, tp, names[i], plain);
    }
    rc = rc != MP_OK || !*plain ? rc : reduce_without_slots(T, tp, plain);
    rc = rc != MP_OK || !*plain ? rc : reduce_state(T, s, obj, n, plain);
    rc = rc != MP_OK ? rc : mp_load_const(T, (PyObject *)tp);
    return rc != MP_OK ? rc : mp_load_const(T, newobj_function);
}

/* object.__reduce_ex__(protocol): recorded for protocol 2 and above and for instances
 * whose reduction runs no code of the user. */
mp_rc
mp_rule_reduce(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    bool plain = false, proto = c->nargs == 2 && PyLong_CheckExact(c->args[1]);
    mp_rc rc = mp_value(T, c->args[0], &n);
    if (rc != MP_OK) {
        return rc;
    }
    s->post = MP_POST_RESULT;
    if (proto && !mp_val_is_constant(n) && PyLong_AsLong(c->args[1]) >= 2) {
        rc = reduce_instance(T, s, c->args[0], n.node, &plain);
    }
    s->post = MP_POST_RESULT;
    return rc != MP_OK || plain
               ? rc
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "object.__reduce_ex__ of a %s",
                                mp_type_name(c->args[0]));
}
