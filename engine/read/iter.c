/* read/iter.c - the containers behind the iterators that C code advances.
 *
 * `max(reversed(xs))` compares the items of xs.  An iterator cannot be asked for its
 * container without advancing it, but its tp_traverse shows the objects that it refers
 * to: the container, or another iterator.  All of the container is read, whatever part of
 * it is left. */
#include "objects/names.h"
#include "objects/rows.h"
#include "read/read.h"

enum { MAX_CHAIN = 16 };

typedef struct {
    mp_trace *T;
    mp_rc rc;
    int depth;
    bool before_next;  // C code in between reads each item when it is asked for it
    bool
        takes_all;  // C code takes the items, but not those that a function answers with
    bool has_tensor;  // takes_all: a tensor is among them
} look_state;

/* Iterators that give the items of their containers, as they are or in tuples. */
static bool
hands_out_items(PyObject *obj)
{
    return (mp_type_marks(obj) & MP_MARK_HANDS_ON) != 0;
}

/* Iterators that call a function with each item, or test it. */
static bool
reads_items(PyObject *obj)
{
    return (mp_type_marks(obj) & MP_MARK_CALLS_ITEMS) != 0;
}

/* Iterators that give what a function answers. */
static bool
answers_items(PyObject *obj)
{
    return (mp_type_marks(obj) & MP_MARK_ANSWERS) != 0;
}

/* Keys of a dict are hashable: no content of theirs changes, and its values do not matter. */
static bool
hands_out_keys(PyObject *obj)
{
    return PyObject_TypeCheck(obj, &PyDictKeys_Type)
           || Py_IS_TYPE(obj, &PyDictIterKey_Type)
           || Py_IS_TYPE(obj, &PyDictRevIterKey_Type);
}

static int look_at_referent(PyObject *obj, void *arg);

static void
look_behind(look_state *look, PyObject *obj)
{
    if (++look->depth > MAX_CHAIN) {
        look->rc =
            mp_trace_abort(look->T, MP_AB_OPAQUE_TYPE, "iterators over iterators");
    }
    else if (Py_TYPE(obj)->tp_traverse != NULL) {  // (a range's iterator holds nothing)
        (void)Py_TYPE(obj)->tp_traverse(obj, look_at_referent, look);
    }
    look->depth--;
}

/* The tuple in which map() and zip() keep their iterators: C code has made it, whatever was at
 * its address before. */
static bool
holds_iterators(PyObject *obj)
{
    bool all = PyTuple_CheckExact(obj) && PyTuple_GET_SIZE(obj) > 0;
    for (Py_ssize_t i = 0; all && i < PyTuple_GET_SIZE(obj); i++) {
        all = hands_out_items(PyTuple_GET_ITEM(obj, i));
    }
    return all;
}

/* An object that an iterator refers to, as tp_traverse shows it: another iterator is
 * followed, a known container is read, anything else is refused. */
static int
look_at_referent(PyObject *obj, void *arg)
{
    look_state *look = arg;
    bool has_tensor = false;
    if (look->rc != MP_OK || mp_is_constant(obj) || mp_is_identity(obj)
        || mp_tensor_is_any(obj)) {
        return look->rc != MP_OK;  // (tensors: in node->yields)
    }
    bool known = mp_refgraph_find(&look->T->graph, obj) != NULL;
    if (look->takes_all && (answers_items(obj) || hands_out_keys(obj))) {
        return 0;  // (answers: mp_look_at_answer, mp_look_before_next)
    }
    if (hands_out_items(obj) || (!known && PyTuple_CheckExact(obj))
        || holds_iterators(obj) || (look->before_next && reads_items(obj))) {
        look_behind(look, obj);
    }
    else if (look->before_next
             && (!known || PyCallable_Check(obj) || PyGen_CheckExact(obj))) {
        return 0;  // made or called by C code; results of Python code: mp_look_at_answer
    }
    else if (known) {
        look->rc = mp_read_deep(look->T, obj, &has_tensor);
    }
    else {
        look->rc = mp_trace_abort(look->T, MP_AB_OPAQUE_TYPE, "an iterator over a %s",
                                  mp_type_name(obj));
    }
    look->has_tensor = look->has_tensor || has_tensor;
    if (look->rc == MP_OK && has_tensor && look->before_next && !look->takes_all) {
        look->rc = mp_trace_abort(look->T, MP_AB_HOST_READ, "C code looks at a tensor");
    }
    return look->rc != MP_OK;
}

/* Read the containers behind an iterator (read/iter.c). */
static mp_rc
read_behind(mp_trace *T, PyObject *iterator, const char *who)
{
    assert(iterator != NULL && who != NULL);
    look_state look = {.T = T, .rc = MP_OK};
    const mp_shadow *s = T->n_stack > 0 ? &T->stack[T->n_stack - 1] : NULL;
    if (PyGen_CheckExact(iterator) && s != NULL && (s->looks || s->spreads)) {
        return MP_OK;  // what it yields is examined by mp_look_at_answer
    }
    if (!hands_out_items(iterator)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "%s over containers", who);
    }
    look_behind(&look, iterator);
    return look.rc;
}

typedef struct {
    mp_trace *T;
    bool reads;
} maker_state;

static int
look_at_maker(PyObject *obj, void *arg)
{
    maker_state *look = arg;
    mp_node *n = mp_refgraph_find(&look->T->graph, obj);
    look->reads = look->reads || (n != NULL && (n->yields & MP_YIELDS_READ) != 0);
    return look->reads;
}

/* Does C code read each item of a fresh iterator before it hands it out?  A group reads what
 * the groupby() that made it reads. */
static bool
reads_first(mp_trace *T, PyObject *iterator, const mp_node *n)
{
    maker_state look = {T, (n->yields & MP_YIELDS_READ) != 0};
    if (!look.reads && reads_items(iterator)) {
        (void)Py_TYPE(iterator)->tp_traverse(iterator, look_at_maker, &look);
    }
    return look.reads;
}

mp_rc
mp_look_before_next(mp_trace *T, PyObject *iterator)
{
    mp_node *n = mp_refgraph_find(&T->graph, iterator);
    if (n == NULL || n->kind != MP_NODE_FRESH
        || !(hands_out_items(iterator) || reads_items(iterator))
        || !reads_first(T, iterator, n)) {
        return MP_OK;
    }
    look_state look = {.T = T, .rc = MP_OK, .before_next = true};
    look_behind(&look, iterator);
    return look.rc;
}

/* The dict behind d.values() or d.items(), borrowed, or NULL. */
PyObject *
mp_viewed_dict(PyObject *obj)
{
    return PyObject_TypeCheck(obj, &PyDictValues_Type)
                   || PyObject_TypeCheck(obj, &PyDictItems_Type)
               ? mp_view_dict_borrow(obj)
               : NULL;
}

/* What an object that the run made shows of itself in C code, borrowed, or NULL. */
static PyObject *
held_borrow(PyObject *obj)
{
    return PyExceptionInstance_Check(obj)        ? ((PyBaseExceptionObject *)obj)->args
           : mp_is_instance(obj, MP_K_NAMESPACE) ? mp_instance_dict_borrow(obj)
                                                 : NULL;
}

/* The items were harmless when the iterator or view was made; others may have come since. */
static mp_rc
look_at_items_since(mp_trace *T, PyObject *obj, bool *has_tensor)
{
    if (answers_items(obj) || hands_out_keys(obj)
        || !(hands_out_items(obj) || reads_items(obj))) {
        return MP_OK;
    }
    look_state look = {.T = T, .rc = MP_OK, .before_next = true, .takes_all = true};
    look_behind(&look, obj);
    *has_tensor = *has_tensor || look.has_tensor;
    return look.rc;
}

mp_rc
mp_look_at_yields(mp_trace *T, PyObject *obj, const char *who, bool *sees_tensor)
{
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    bool has_tensor = false;
    PyObject *held = n != NULL && n->kind == MP_NODE_FRESH ? held_borrow(obj) : NULL;
    if (held != NULL) {
        mp_rc rc = mp_fresh(T, held);
        rc = rc != MP_OK ? rc : mp_read_deep(T, held, &has_tensor);
        return rc == MP_OK && has_tensor
                   ? mp_trace_abort(T, MP_AB_HOST_READ, "C code looks at a tensor")
                   : rc;
    }
    if (n == NULL || n->kind != MP_NODE_FRESH) {
        return MP_OK;
    }
    mp_rc rc = mp_look_before_next(T, obj);
    if (rc != MP_OK) {
        return rc;
    }
    if (!(n->yields & MP_YIELDS_OBJECTS)) {
        return look_at_items_since(T, obj, sees_tensor);
    }
    PyObject *dict = mp_viewed_dict(obj);
    return dict != NULL ? mp_read_deep(T, dict, &has_tensor) : read_behind(T, obj, who);
}

/* C code gets at items or bytes of such an object without an iterator of its own. */
static bool
hands_out_raw(PyTypeObject *base)
{
    PySequenceMethods *sequence = base->tp_as_sequence;
    PyBufferProcs *buffer = base->tp_as_buffer;
    return (sequence != NULL && sequence->sq_item != NULL)
           || (buffer != NULL && buffer->bf_getbuffer != NULL);
}

bool
mp_is_opaque_external(PyObject *obj, const mp_node *n)
{
    if (n == NULL || n->reg < 0 || n->kind == MP_NODE_TENSOR || mp_is_identity(obj)
        || PyMethod_Check(obj) || Py_IS_TYPE(obj, &PyDictProxy_Type) || mp_is_array(obj)
        || mp_is_dtype(obj)) {
        return false;  // (mp_read_all looks through a proxy)
    }
    if (mp_is_sized(obj) || PyUnicode_Check(obj) || PyBytes_Check(obj)) {
        return false;
    }
    if (Py_TYPE(obj)->tp_iter == NULL) {
        return hands_out_raw(mp_c_base(Py_TYPE(obj)));
    }
    // A class in Python has a function there; array.array and those that extend it do not.
    PyObject *iter = mp_type_lookup_borrow(Py_TYPE(obj), MP_NAME(ITER));
    return iter != NULL && Py_IS_TYPE(iter, &PyWrapperDescr_Type);
}

/* Code that no mode looks into must not advance an iterator that calls operations. */
mp_rc
mp_refuse_lazy(mp_trace *T, PyObject *arg)
{
    return T->lazy_calls && PyIter_Check(arg)
               ? mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a %s is an argument",
                                mp_type_name(arg))
               : MP_OK;
}
