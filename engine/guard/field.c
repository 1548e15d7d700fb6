/* guard/field.c - C struct members that LOAD_FIELD reads (guard/fields.def).
 *
 * A member is found by its public struct where there is one, else by its member
 * descriptor; the mapping of a proxy is believed to follow the object head only after one
 * was made and looked at.  Found once per process (mp_guard_field_init), never changed.
 * Reading one runs no user code and makes nothing.
 */
#include "guard/field.h"

#include <stddef.h>  // offsetof

#include "compat/compat.h"
#include "objects/equal.h"
#include "objects/own.h"

static const char *const guard_field_names[] = {
#define FIELD(id, name) name,
#include "guard/fields.def"
#undef FIELD
};

/* Where a field lives: up to two types have it; none: guard_field_borrow knows. */
typedef struct {
    PyTypeObject *type[2];  // borrowed static types, or owned for ever (partial)
    Py_ssize_t offset[2];
} guard_layout;

static guard_layout guard_fields[MP_F_COUNT];

static int
guard_field_find(mp_field field, int at, PyTypeObject *type)
{
    Py_ssize_t offset = mp_guard_member_offset(type, guard_field_names[field]);
    guard_fields[field].type[at] = type;
    guard_fields[field].offset[at] = offset;
    return offset < 0 ? -1 : 0;
}

PyObject *
mp_guard_import(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *found = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return found;
}

PyTypeObject *
mp_guard_import_type(const char *module_name, const char *name)
{
    PyObject *type = mp_guard_import(module_name, name);
    if (type != NULL && !PyType_Check(type)) {
        PyErr_Format(PyExc_SystemError, "%s.%s is no class", module_name, name);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

static void
guard_fields_public(void)
{
#define PUT(id, at, tp, object, member)                                                \
    guard_fields[MP_F_##id].type[at] = &tp;                                            \
    guard_fields[MP_F_##id].offset[at] = (Py_ssize_t)offsetof(object, member)
    PUT(METHOD_FUNC, 0, PyMethod_Type, PyMethodObject, im_func);
    PUT(METHOD_SELF, 0, PyMethod_Type, PyMethodObject, im_self);
    PUT(METHOD_SELF, 1, PyCFunction_Type, PyCFunctionObject, m_self);
    PUT(FUNC_CLOSURE, 0, PyFunction_Type, PyFunctionObject, func_closure);
    PUT(FUNC_DEFAULTS, 0, PyFunction_Type, PyFunctionObject, func_defaults);
    PUT(FUNC_KWDEFAULTS, 0, PyFunction_Type, PyFunctionObject, func_kwdefaults);
    PUT(FUNC_CODE, 0, PyFunction_Type, PyFunctionObject, func_code);
    PUT(FUNC_GLOBALS, 0, PyFunction_Type, PyFunctionObject, func_globals);
    PUT(FUNC_NAME, 0, PyFunction_Type, PyFunctionObject, func_name);
    PUT(FUNC_QUALNAME, 0, PyFunction_Type, PyFunctionObject, func_qualname);
    PUT(FUNC_DOC, 0, PyFunction_Type, PyFunctionObject, func_doc);
    PUT(FUNC_ANNOTATIONS, 0, PyFunction_Type, PyFunctionObject, func_annotations);
    PUT(FUNC_MODULE, 0, PyFunction_Type, PyFunctionObject, func_module);
    PUT(SLICE_START, 0, PySlice_Type, PySliceObject, start);
    PUT(SLICE_STOP, 0, PySlice_Type, PySliceObject, stop);
    PUT(WEAKREF, 0, _PyWeakref_RefType, PyWeakReference, wr_object);
    PUT(SLICE_STEP, 0, PySlice_Type, PySliceObject, step);
#undef PUT
}

static int
guard_fields_members(void)
{
    if (guard_field_find(MP_F_STATIC_FUNC, 0, &PyStaticMethod_Type) < 0
        || guard_field_find(MP_F_STATIC_FUNC, 1, &PyClassMethod_Type) < 0
        || guard_field_find(MP_F_PROP_GET, 0, &PyProperty_Type) < 0
        || guard_field_find(MP_F_PROP_SET, 0, &PyProperty_Type) < 0
        || guard_field_find(MP_F_PROP_DEL, 0, &PyProperty_Type) < 0) {
        return -1;
    }
    PyTypeObject *partial = mp_guard_import_type("functools", "partial");
    if (partial == NULL || guard_field_find(MP_F_PARTIAL_FUNC, 0, partial) < 0
        || guard_field_find(MP_F_PARTIAL_ARGS, 0, partial) < 0
        || guard_field_find(MP_F_PARTIAL_KW, 0, partial) < 0) {
        return -1;
    }
    return 0;
}

/* The mapping of a proxy follows the object head: believed only if it does. */
static int
guard_proxy_prove(void)
{
    PyObject *dict = PyDict_New();
    PyObject *proxy = dict == NULL ? NULL : PyDictProxy_New(dict);
    if (proxy != NULL && PyDictProxy_Type.tp_basicsize > (Py_ssize_t)sizeof(PyObject)
        && mp_proxy_mapping_borrow(proxy) == dict) {
        guard_fields[MP_F_PROXY_MAP].type[0] = &PyDictProxy_Type;
        guard_fields[MP_F_PROXY_MAP].offset[0] = (Py_ssize_t)sizeof(PyObject);
    }
    int rc = proxy == NULL ? -1 : 0;
    Py_XDECREF(proxy);
    Py_XDECREF(dict);
    return rc;
}

static PyObject *
guard_type_name_borrow(PyObject *o, bool qualified)
{
    if (!PyType_Check(o) || !(((PyTypeObject *)o)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return NULL;
    }
    PyHeapTypeObject *type = (PyHeapTypeObject *)o;
    return qualified ? type->ht_qualname : type->ht_name;
}

PyObject *
mp_guard_field_borrow(PyObject *o, int64_t field)
{
    assert(field >= 0 && field < MP_F_COUNT);
    if (field == MP_F_TYPE) {
        return (PyObject *)Py_TYPE(o);
    }
    if (field == MP_F_TYPE_MRO) {
        return PyType_Check(o) ? ((PyTypeObject *)o)->tp_mro : NULL;
    }
    if (field == MP_F_TYPE_NAME || field == MP_F_TYPE_QUALNAME) {
        return guard_type_name_borrow(o, field == MP_F_TYPE_QUALNAME);
    }
    if (field == MP_F_FUNC_TYPE_PARAMS) {
        return PyFunction_Check(o) ? mp_func_type_params_borrow(o) : NULL;
    }
    if (field == MP_F_FUNC_ANNOTATE) {
        PyObject *annotate = PyFunction_Check(o) ? mp_func_annotate_borrow(o) : NULL;
        return annotate != NULL || !PyFunction_Check(o) ? annotate : Py_None;
    }
    if (field == MP_F_TOKEN_OLD) {
        return PyContextToken_CheckExact(o) ? mp_token_old_borrow(o) : NULL;
    }
    if (field == MP_F_GRAD) {
        return mp_tensor_grad_borrow(o);
    }
    if (field == MP_F_COMPILED) {
        return mp_compiled_original_borrow(o);
    }
    const guard_layout *where = &guard_fields[field];
    for (int i = 0; i < 2; i++) {
        if (where->type[i] != NULL && PyObject_TypeCheck(o, where->type[i])) {
            PyObject *value = *(PyObject **)((char *)o + where->offset[i]);
            return value == NULL ? Py_None : value;  // the getters say None too
        }
    }
    return NULL;
}

PyObject *const *
mp_guard_field_place(PyObject *o, int64_t field)
{
    assert(field >= 0 && field < MP_F_COUNT);
    const guard_layout *where = &guard_fields[field];
    for (int i = 0; field != MP_F_WEAKREF && i < 2; i++) {
        if (where->type[i] != NULL && PyObject_TypeCheck(o, where->type[i])) {
            return (PyObject *const *)((char *)o + where->offset[i]);
        }
    }
    return NULL;
}

/* Both stay NULL, and no guard is made of them, where no cache is known. */
static void
guard_fields_cached(void)
{
    guard_fields[MP_F_CACHED_TABLE].type[0] = mp_cached_type();
    guard_fields[MP_F_CACHED_TABLE].offset[0] = mp_cached_table_offset();
    guard_fields[MP_F_CACHED_ANSWER].type[0] = mp_cached_link_type();
    guard_fields[MP_F_CACHED_ANSWER].offset[0] = mp_cached_result_offset();
}

int
mp_guard_field_init(void)
{
    if (mp_cached_init() < 0 || mp_lock_init() < 0 || mp_local_init() < 0) {
        return -1;
    }
    guard_fields_public();
    guard_fields_cached();
    return guard_fields_members() < 0 ? -1 : guard_proxy_prove();
}
