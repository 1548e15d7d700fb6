/* rebuild_shape.c - layouts: what a live object is made of.
 *
 * Content is read by C layout, past any __iter__ or __getitem__ of the object's class, so
 * nothing here runs the user's code.
 */
#include "rebuild_shape.h"

#include <string.h>
#include <structmember.h>

#include "effect_build.h"

static int
vec_add(PyObject ***vec, int *count, int *cap, PyObject *o)
{
    if (*count == *cap) {
        int more = *cap ? *cap * 2 : 8;
        PyObject **v = PyMem_Realloc(*vec, (size_t)more * sizeof(*v));
        if (v == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        *vec = v;
        *cap = more;
    }
    (*vec)[(*count)++] = Py_XNewRef(o);
    return 0;
}

static void
vec_free(PyObject **vec, int count)
{
    for (int i = 0; i < count; i++) {
        Py_XDECREF(vec[i]);
    }
    PyMem_Free(vec);
}

void
mp_shape_fini(mp_shape *s)
{
    vec_free(s->items, s->n_items);
    vec_free(s->attrs, s->n_attrs);
    vec_free(s->slots, s->n_slots);
    Py_XDECREF(s->extra);
}

static int
shape_item(mp_shape *s, PyObject *o)
{
    return vec_add(&s->items, &s->n_items, &s->cap_items, o);
}

static mp_rc
shape_sequence(mp_shape *s, PyObject *obj)
{
    PyObject *fast = PySequence_List(obj);
    mp_rc rc = fast == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyList_GET_SIZE(fast); i++) {
        rc = shape_item(s, PyList_GET_ITEM(fast, i)) < 0 ? MP_ERR : MP_OK;
    }
    Py_XDECREF(fast);
    return rc;
}

/* list, tuple, set and deque subclasses may override __iter__: read the C layout. */
mp_rc
mp_shape_sequence(mp_shape *s, PyObject *obj)
{
    if (PyTuple_Check(obj) || PyList_Check(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            if (shape_item(s, PySequence_Fast_GET_ITEM(obj, i)) < 0) {
                return MP_ERR;
            }
        }
        return MP_OK;
    }
    if (PyAnySet_Check(obj)) {
        PyObject *key;
        Py_ssize_t pos = 0;
        Py_hash_t hash;
        while (mp_set_next(obj, &pos, &key, &hash)) {
            if (shape_item(s, key) < 0) {
                return MP_ERR;
            }
        }
        return MP_OK;
    }
    return shape_sequence(s, obj);
}

mp_rc
mp_shape_pairs(mp_shape *s, PyObject *dict)
{
    // OrderedDict keeps its own order; its C iterator knows it.
    PyObject *keys = PyODict_Check(dict)
                         ? PyObject_CallOneArg((PyObject *)&PyList_Type, dict)
                         : PyDict_Keys(dict);
    mp_rc rc = keys == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyList_GET_SIZE(keys); i++) {
        PyObject *key = PyList_GET_ITEM(keys, i);
        PyObject *value = PyDict_GetItemWithError(dict, key);
        if (value == NULL && !PyErr_Occurred()) {
            PyErr_SetObject(PyExc_KeyError, key);  // an OrderedDict out of step
        }
        if (value == NULL || shape_item(s, key) < 0 || shape_item(s, value) < 0) {
            rc = MP_ERR;
        }
    }
    Py_XDECREF(keys);
    return rc;
}

static mp_rc
shape_attrs(mp_shape *s, PyObject *obj)
{
    PyObject *dict = mp_instance_dict_borrow(obj), *key, *value;
    Py_ssize_t pos = 0;
    if (dict == NULL) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (vec_add(&s->attrs, &s->n_attrs, &s->cap_attrs, key) < 0
            || vec_add(&s->attrs, &s->n_attrs, &s->cap_attrs, value) < 0) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

/* __slots__ of all classes in the MRO that were written in Python. */
static mp_rc
shape_slots(mp_shape *s, PyObject *obj)
{
    PyObject *mro = Py_TYPE(obj)->tp_mro, *key, *descr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *tp = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        Py_ssize_t pos = 0;
        if (!(tp->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
            continue;
        }
        while (PyDict_Next(mp_type_dict_borrow(tp), &pos, &key, &descr)) {
            if (Py_TYPE(descr) != &PyMemberDescr_Type) {
                continue;
            }
            PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
            if (m->type != T_OBJECT_EX) {
                continue;
            }
            PyObject *value = *(PyObject **)((char *)obj + m->offset);
            if (value != NULL
                && (vec_add(&s->slots, &s->n_slots, &s->cap_slots, descr) < 0
                    || vec_add(&s->slots, &s->n_slots, &s->cap_slots, value) < 0)) {
                return MP_ERR;
            }
        }
    }
    return MP_OK;
}

static mp_rc
shape_function(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyFunctionObject *f = (PyFunctionObject *)obj;
    if (f->func_dict != NULL && mp_fresh(T, f->func_dict) != MP_OK) {
        return MP_ERR;
    }
    PyObject *parts[] = {f->func_globals,  f->func_name,        f->func_qualname,
                         f->func_defaults, f->func_kwdefaults,  f->func_closure,
                         f->func_dict,     f->func_annotations, f->func_doc,
                         f->func_module};
    s->kind = MP_E_FUNCTION;
    s->type = f->func_code;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        if (shape_item(s, parts[i]) < 0) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

static mp_rc
shape_subclass(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    s->type = (PyObject *)tp;
    mp_rc rc;
    if (PyTuple_Check(obj)) {
        s->kind = MP_E_STRUCT;
        rc = mp_shape_sequence(s, obj);
    }
    else if (PyDict_Check(obj)) {
        s->kind = MP_E_DICT_LIKE;
        rc = mp_shape_pairs(s, obj);
        if (strcmp(tp->tp_name, "collections.defaultdict") == 0) {
            s->extra = PyObject_GetAttrString(obj, "default_factory");
            rc = s->extra == NULL ? MP_ERR : rc;
        }
    }
    else if (PyList_Check(obj) || PyAnySet_Check(obj)
             || strcmp(tp->tp_name, "collections.deque") == 0) {
        s->kind = MP_E_LIST_LIKE;
        rc = mp_shape_sequence(s, obj);
        if (strcmp(tp->tp_name, "collections.deque") == 0) {
            s->extra = PyObject_GetAttrString(obj, "maxlen");
            rc = s->extra == NULL ? MP_ERR : rc;
        }
    }
    else if (mp_effect_can_make(MP_E_INSTANCE, tp)) {
        s->kind = MP_E_INSTANCE;
        rc = MP_OK;
    }
    else {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", tp->tp_name);
    }
    if (rc == MP_OK && tp->tp_flags & Py_TPFLAGS_HEAPTYPE) {
        rc = shape_attrs(s, obj);
        rc = rc != MP_OK ? rc : shape_slots(s, obj);
    }
    return rc;
}

mp_rc
mp_shape_of(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    memset(s, 0, sizeof(*s));
    if (tp == &PyTuple_Type || tp == &PyList_Type || tp == &PySet_Type
        || tp == &PyFrozenSet_Type) {
        s->kind = tp == &PyTuple_Type  ? MP_E_TUPLE
                  : tp == &PyList_Type ? MP_E_LIST
                  : tp == &PySet_Type  ? MP_E_SET
                                       : MP_E_FROZENSET;
        return mp_shape_sequence(s, obj);
    }
    if (tp == &PyDict_Type) {
        s->kind = MP_E_DICT;
        return mp_shape_pairs(s, obj);
    }
    if (tp == &PySlice_Type) {
        PySliceObject *sl = (PySliceObject *)obj;
        s->kind = MP_E_SLICE;
        return shape_item(s, sl->start) < 0 || shape_item(s, sl->stop) < 0
                       || shape_item(s, sl->step) < 0
                   ? MP_ERR
                   : MP_OK;
    }
    if (tp == &PyCell_Type) {
        s->kind = MP_E_CELL;
        return shape_item(s, PyCell_GET(obj)) < 0 ? MP_ERR : MP_OK;
    }
    if (tp == &PyMethod_Type) {
        s->kind = MP_E_METHOD;
        return shape_item(s, PyMethod_GET_FUNCTION(obj)) < 0
                       || shape_item(s, PyMethod_GET_SELF(obj)) < 0
                   ? MP_ERR
                   : MP_OK;
    }
    if (tp == &_PyWeakref_RefType && ((PyWeakReference *)obj)->wr_callback == NULL
        && PyWeakref_GET_OBJECT(obj) != Py_None) {
        s->kind = MP_E_WEAKREF;
        return shape_item(s, PyWeakref_GET_OBJECT(obj)) < 0 ? MP_ERR : MP_OK;
    }
    if (tp == &PyFunction_Type) {
        return shape_function(T, s, obj);
    }
    return shape_subclass(T, s, obj);
}
