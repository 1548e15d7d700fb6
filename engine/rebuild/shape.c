/* rebuild/shape.c - recipes: what a live object is made of.
 *
 * mp_shape_of looks at an object that the run made and that outlives it, and fills an
 * mp_shape: which builder makes such an object (kind, type), and from which parts. The
 * parts are live objects, too; the caller (rebuild/rebuild.c) makes recipes of them in
 * turn. A type without a builder aborts with OUTPUT.
 *
 * Content is read by C layout, without any __iter__, __getitem__ or descriptor of the
 * object's class, so no code of the program runs. The shape owns its parts; `type` and
 * `dict` are borrowed from the object. */
#include "rebuild/shape.h"

#include <string.h>
#include <structmember.h>

#include "effect/build.h"
#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"

/* Append o (or NULL, which stands for "none") to an array of owned references. */
static int
vec_add(PyObject ***vec, int *count, int *cap, PyObject *o)
{
    assert(*count >= 0 && *count <= *cap);
    if (mp_grow(vec, cap, *count + 1, sizeof(**vec)) < 0) {
        return -1;
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

/* All items that the iterator of the C type `base` gives, without an __iter__ of obj's
 * class. */
static mp_rc
shape_iterate(mp_shape *s, PyTypeObject *base, PyObject *obj)
{
    PyObject *it = base->tp_iter(obj), *item;
    while (it != NULL && (item = PyIter_Next(it)) != NULL) {
        int rc = shape_item(s, item);
        Py_DECREF(item);
        if (rc < 0) {
            break;
        }
    }
    Py_XDECREF(it);
    return PyErr_Occurred() ? MP_ERR : MP_OK;
}

/* Items of a list, tuple, set or deque, or of a subclass, whose own __iter__ does not
 * run. */
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
    return shape_iterate(s, mp_effect_c.deque, obj);
}

/* key, value, key, value... in the dict's order. */
mp_rc
mp_shape_pairs(mp_shape *s, PyObject *dict)
{
    assert(PyDict_Check(dict));
    mp_shape keys = {.n_items = 0};
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    if (!PyODict_Check(dict)) {
        while (PyDict_Next(dict, &pos, &key, &value)) {
            if (shape_item(s, key) < 0 || shape_item(s, value) < 0) {
                return MP_ERR;
            }
        }
        return MP_OK;
    }
    // OrderedDict keeps its own order; its C iterator knows it.
    mp_rc rc = shape_iterate(&keys, &PyODict_Type, dict);
    for (int i = 0; rc == MP_OK && i < keys.n_items; i++) {
        value = PyDict_GetItemWithError(dict, keys.items[i]);
        if (value == NULL && !PyErr_Occurred()) {
            PyErr_SetObject(PyExc_KeyError, keys.items[i]);  // it is out of step
        }
        if (value == NULL || shape_item(s, keys.items[i]) < 0
            || shape_item(s, value) < 0) {
            rc = MP_ERR;
        }
    }
    mp_shape_fini(&keys);
    return rc;
}

/* The __dict__ of an instance: names and values. s->dict is noted, because an object
 * beside its own __dict__ cannot be rebuilt. */
static mp_rc
shape_attrs(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyObject *dict = mp_instance_dict_borrow(obj), *key, *value;
    Py_ssize_t pos = 0;
    if (dict == NULL) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    s->dict = dict;
    // An empty one, too, is seen: in the __reduce__ of an exception, say.
    s->shows_dict = !PyType_HasFeature(Py_TYPE(obj), Py_TPFLAGS_MANAGED_DICT);
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!PyUnicode_CheckExact(key)) {
            return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s with a %s in its __dict__",
                                  mp_type_name(obj), mp_type_name(key));
        }
        if (vec_add(&s->attrs, &s->n_attrs, &s->cap_attrs, key) < 0
            || vec_add(&s->attrs, &s->n_attrs, &s->cap_attrs, value) < 0) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

/* Members of __slots__, of every class in the MRO that is written in Python. */
static mp_rc
shape_slots(mp_shape *s, PyObject *obj)
{
    assert(obj != NULL);
    PyObject *mro = Py_TYPE(obj)->tp_mro, *key, *descr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *tp = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        Py_ssize_t pos = 0;
        if (!(tp->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
            continue;
        }
        while (PyDict_Next(mp_type_dict_borrow(tp), &pos, &key, &descr)) {
            if (Py_TYPE(descr) != &PyMemberDescr_Type || !mp_descr_fits(descr, obj)) {
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

/* The fields in the order in which the builder FUNCTION takes them. */
static mp_rc
shape_function(mp_trace *T, mp_shape *s, PyObject *obj)
{
    assert(PyFunction_Check(obj));
    PyFunctionObject *f = (PyFunctionObject *)obj;
    if (T->compiles) {  // (its code may be new, too)
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new function beside code of a text");
    }
    if (f->func_dict != NULL && mp_fresh(T, f->func_dict) != MP_OK) {
        return MP_ERR;
    }
    PyObject *parts[] = {
        f->func_globals,  f->func_name,        f->func_qualname,
        f->func_defaults, f->func_kwdefaults,  f->func_closure,
        f->func_dict,     f->func_annotations, mp_func_annotate_borrow(obj),
        f->func_doc,      f->func_module};
    s->kind = MP_E_FUNCTION;
    s->type = f->func_code;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        if (shape_item(s, parts[i]) < 0) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

/* The value of a C member of obj, whatever its class has under that name: new reference. */
static PyObject *
shape_member(PyObject *descr, PyObject *obj)
{
    return Py_TYPE(descr)->tp_descr_get(descr, obj, (PyObject *)Py_TYPE(obj));
}

/* Subclasses of dict, list, set and deque, and the C types of collections: content, and
 * default_factory or maxlen. */
static mp_rc
shape_container(mp_shape *s, PyObject *obj)
{
    PyObject *descr = NULL;
    mp_rc rc;
    if (PyDict_Check(obj)) {
        s->kind = MP_E_DICT_LIKE;
        rc = mp_shape_pairs(s, obj);
        descr = PyObject_TypeCheck(obj, mp_effect_c.defaultdict)
                    ? mp_effect_c.default_factory
                    : NULL;
    }
    else {
        s->kind = MP_E_LIST_LIKE;
        rc = mp_shape_sequence(s, obj);
        descr = PyObject_TypeCheck(obj, mp_effect_c.deque) ? mp_effect_c.deque_maxlen
                                                           : NULL;
    }
    if (rc == MP_OK && descr != NULL) {
        s->extra = shape_member(descr, obj);
        rc = s->extra == NULL ? MP_ERR : MP_OK;
    }
    return rc;
}

/* function, args and keywords of functools.partial. */
static mp_rc
shape_partial(mp_trace *T, mp_shape *s, PyObject *obj)
{
    assert(PyCallable_Check(obj));
    mp_rc rc = MP_OK;
    s->kind = MP_E_PARTIAL;
    for (int i = 0; i < 3 && rc == MP_OK; i++) {
        PyObject *part = shape_member(mp_effect_c.partial_parts[i], obj);
        // The dict of keywords is its own, made by C; of a new partial it is new.
        bool own = part != NULL && PyDict_Check(part);
        rc = part == NULL || (own && mp_fresh(T, part) != MP_OK)
                     || shape_item(s, part) < 0
                 ? MP_ERR
                 : MP_OK;
        Py_XDECREF(part);
    }
    return rc;
}

/* args, and what is in the __dict__. An exception that was raised has a traceback of
 * frames that a hit does not have. */
static mp_rc
shape_exception(mp_trace *T, mp_shape *s, PyObject *obj)
{
    assert(PyExceptionInstance_Check(obj));
    PyBaseExceptionObject *e = (PyBaseExceptionObject *)obj;
    PyObject *notes =
        e->dict == NULL ? NULL : mp_dict_text_borrow(e->dict, "__notes__");
    if (notes != NULL && mp_fresh(T, notes) != MP_OK) {  // the list that add_note made
        return MP_ERR;
    }
    if (e->traceback != NULL && e->traceback != Py_None) {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a %s that was raised",
                              mp_type_name(obj));
    }
    if (e->cause != NULL || e->context != NULL || e->suppress_context) {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s with a cause",
                              mp_type_name(obj));
    }
    s->kind = MP_E_EXCEPTION;
    return shape_item(s, e->args) < 0 ? MP_ERR : MP_OK;
}

/* The value that C code sees in an instance of a subclass of str, int, float, bytes or
 * complex, as an exact object: new reference. */
static PyObject *
shape_plain_value(PyObject *obj)
{
    if (PyUnicode_Check(obj)) {
        return PyUnicode_FromObject(obj);
    }
    if (PyLong_Check(obj)) {
        return PyLong_Type.tp_as_number->nb_int(obj);
    }
    if (PyFloat_Check(obj)) {
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(obj));
    }
    if (PyBytes_Check(obj)) {
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj));
    }
    return PyComplex_FromCComplex(((PyComplexObject *)obj)->cval);
}

/* Such an instance: its plain value; attributes and slots are added by the caller. */
static mp_rc
shape_scalar(mp_shape *s, PyObject *obj)
{
    PyObject *value = shape_plain_value(obj);
    int rc = value == NULL ? -1 : shape_item(s, value);
    s->kind = MP_E_SCALAR;
    Py_XDECREF(value);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* Fields of a struct sequence that have a name but no index (os.stat_result). */
static mp_rc
shape_hidden_fields(mp_shape *s, PyObject *obj)
{
    if (Py_TYPE(obj)->tp_new != mp_effect_c.struct_new) {
        return MP_OK;
    }
    PyObject *number = PyObject_GetAttrString((PyObject *)Py_TYPE(obj), "n_fields");
    Py_ssize_t n = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    for (Py_ssize_t i = Py_SIZE(obj); i < n; i++) {
        PyObject *value = ((PyTupleObject *)obj)->ob_item[i];
        if (shape_item(s, value == NULL ? Py_None : value) < 0) {
            return MP_ERR;
        }
    }
    return PyErr_Occurred() ? MP_ERR : MP_OK;
}

/* Instances of classes in Python, and of C types whose instances have attributes.
 * Content first, by what C type the object extends, then attributes and slots. */
static mp_rc
shape_subclass(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    mp_rc rc = MP_OK;
    s->type = (PyObject *)tp;
    if (PyTuple_Check(obj)) {
        s->kind = MP_E_STRUCT;
        rc = mp_shape_sequence(s, obj);
        rc = rc != MP_OK ? rc : shape_hidden_fields(s, obj);
    }
    else if (PyDict_Check(obj) || PyList_Check(obj) || PyAnySet_Check(obj)
             || PyObject_TypeCheck(obj, mp_effect_c.deque)) {
        rc = shape_container(s, obj);
    }
    else if (mp_effect_can_make(MP_E_INSTANCE, tp)) {
        s->kind = MP_E_INSTANCE;
    }
    else if (mp_effect_can_make(MP_E_PARTIAL, tp)) {
        rc = shape_partial(T, s, obj);
    }
    else if (mp_effect_can_make(MP_E_EXCEPTION, tp)) {
        rc = shape_exception(T, s, obj);
    }
    else if (mp_effect_can_make(MP_E_SCALAR, tp)) {
        rc = shape_scalar(s, obj);
    }
    else {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", tp->tp_name);
    }
    rc = rc != MP_OK ? rc : shape_attrs(T, s, obj);
    return rc != MP_OK ? rc : shape_slots(s, obj);
}

/* An iterator inside another one (zip(iter(a))): it was made for it by C code, or is
 * known. */
static mp_rc
shape_inner(mp_trace *T, mp_shape *s, PyObject *it)
{
    if (!mp_effect_can_make(MP_E_ITERATOR, Py_TYPE(it))
        && !mp_effect_can_make(MP_E_ITER_CALL, Py_TYPE(it))) {
        return mp_trace_abort(T, MP_AB_OUTPUT, "an iterator over a %s",
                              mp_type_name(it));
    }
    mp_rc rc = mp_fresh(T, it);
    return rc == MP_OK && shape_item(s, it) < 0 ? MP_ERR : rc;
}

/* enumerate, zip, map, filter: __reduce__ of these C types gives the arguments with
 * which a call of the type makes an iterator in the same state. */
static mp_rc
shape_iter_call(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyObject *state = PyObject_CallMethod(obj, "__reduce__", NULL);
    if (state == NULL) {
        return MP_ERR;
    }
    PyObject *args = PyTuple_GET_ITEM(state, 1);
    bool has_function = Py_IS_TYPE(obj, &PyMap_Type) || Py_IS_TYPE(obj, &PyFilter_Type);
    mp_rc rc = MP_OK;
    if (PyTuple_GET_SIZE(state) != 2) {  // zip(strict=True)
        rc = mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", mp_type_name(obj));
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args) && rc == MP_OK; i++) {
        PyObject *arg = PyTuple_GET_ITEM(args, i);
        bool plain = (has_function && i == 0) || PyLong_CheckExact(arg);
        rc = !plain ? shape_inner(T, s, arg) : shape_item(s, arg) < 0 ? MP_ERR : MP_OK;
    }
    s->kind = MP_E_ITER_CALL;
    s->type = (PyObject *)Py_TYPE(obj);
    Py_DECREF(state);
    return rc;
}

/* An iterator over a builtin container, a range or a str: the sequence and the position.
 * A used-up iterator has no sequence. */
static mp_rc
shape_iterator(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyObject *sequence, *index;
    int known = mp_effect_iterator_state(obj, &sequence, &index);
    mp_rc rc = known < 0 ? MP_ERR : MP_OK;
    s->kind = MP_E_ITERATOR;
    s->type = (PyObject *)Py_TYPE(obj);
    mp_node *n = sequence == NULL || !PyDict_Check(sequence)
                     ? NULL
                     : mp_refgraph_find(&T->graph, sequence);
    if (known == 0 || (n != NULL && n->reg >= 0 && (n->written || n->rewritten))) {
        // (The items that it has given may not be the first ones of the dict at entry.)
        rc = mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", mp_type_name(obj));
    }
    else if (known > 0 && sequence != NULL
             && (shape_item(s, sequence) < 0 || shape_item(s, index) < 0)) {
        rc = MP_ERR;
    }
    else if (rc == MP_OK && n != NULL && n->reg < 0) {
        // The dict may be filled behind it: how many it will have.
        PyObject *size = PyLong_FromSsize_t(PyDict_GET_SIZE(sequence));
        rc = size == NULL || shape_item(s, size) < 0 ? MP_ERR : MP_OK;
        Py_XDECREF(size);
    }
    Py_XDECREF(sequence);
    Py_XDECREF(index);
    return rc;
}

/* A C method bound to an object, a read-only view, a weak reference, a bytearray: one
 * part, or the bytes. Any other C object has no recipe. */
static mp_rc
shape_c_object(mp_trace *T, mp_shape *s, PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    PyObject *inner = NULL;  // borrowed from obj
    if (PyCFunction_Check(obj) || mp_is_method_wrapper(obj)) {
        s->kind = MP_E_BOUND;
        s->type = mp_bound_descr_borrow(obj);
        inner = s->type == NULL ? NULL : mp_bound_self_borrow(obj);
    }
    else if (tp == &PyDictProxy_Type) {
        s->kind = MP_E_PROXY;
        inner = mp_descr_part_borrow(obj, 0);
    }
    else if (tp == &_PyWeakref_RefType && ((PyWeakReference *)obj)->wr_callback == NULL
             && mp_weakref_borrow(obj) != Py_None) {
        s->kind = MP_E_WEAKREF;
        inner = mp_weakref_borrow(obj);
    }
    else if (tp == &PyByteArray_Type) {
        PyObject *bytes = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(obj),
                                                    PyByteArray_GET_SIZE(obj));
        int rc = bytes == NULL ? -1 : shape_item(s, bytes);
        s->kind = MP_E_BYTEARRAY;
        Py_XDECREF(bytes);
        return rc < 0 ? MP_ERR : MP_OK;
    }
    if (inner == NULL) {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", tp->tp_name);
    }
    return shape_item(s, inner) < 0 ? MP_ERR : MP_OK;
}

/* An array of numpy: a copy kept by the plan, or a view of the array that owns the
 * memory. */
static mp_rc
shape_array(mp_trace *T, mp_shape *s, PyObject *obj)
{
    assert(mp_is_array(obj));
    PyObject *root;
    mp_rc rc = mp_array_check_output(T, obj, &root);
    s->kind = root == NULL ? MP_E_ARRAY : MP_E_ARRAY_VIEW;
    s->type = obj;
    if (rc == MP_OK && root != NULL && shape_item(s, root) < 0) {
        rc = MP_ERR;
    }
    Py_XDECREF(root);
    return rc;
}

/* A handle of a hook is what setting that hook answers; a node of the autograd graph is that of
 * its tensor. */
static mp_rc
shape_hook(mp_shape *s, const mp_hook *h)
{
    s->kind = h->method == NULL ? MP_E_GRAD_FN : MP_E_HOOK;
    s->type = h->method;
    return shape_item(s, h->owner) < 0
                   || (h->function != NULL && shape_item(s, h->function) < 0)
               ? MP_ERR
               : MP_OK;
}

/* Exact builtin types first, then C objects, then everything that has a class. */
mp_rc
mp_shape_of(mp_trace *T, mp_shape *s, PyObject *obj)
{
    assert(obj != NULL);
    PyTypeObject *tp = Py_TYPE(obj);
    memset(s, 0, sizeof(*s));
    const mp_hook *hook = T->n_hooks > 0 ? mp_hook_find(T, obj) : NULL;
    if (hook != NULL) {
        return shape_hook(s, hook);
    }
    if (PyType_Check(obj) || mp_is_new_class(T, (PyObject *)tp)) {
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new class, or an object of one");
    }
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
    if (tp == &PyFunction_Type) {
        return shape_function(T, s, obj);
    }
    if (PyCFunction_Check(obj) || mp_is_method_wrapper(obj) || tp == &PyDictProxy_Type
        || tp == &_PyWeakref_RefType || tp == &PyByteArray_Type) {
        return shape_c_object(T, s, obj);
    }
    if (mp_is_array(obj)) {
        return shape_array(T, s, obj);
    }
    if (mp_effect_can_make(MP_E_ITERATOR, tp)) {
        return shape_iterator(T, s, obj);
    }
    if (mp_effect_can_make(MP_E_ITER_CALL, tp)) {
        return shape_iter_call(T, s, obj);
    }
    return shape_subclass(T, s, obj);
}
