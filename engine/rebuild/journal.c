/* rebuild/journal.c - from the journal of a run to the writes of its replay.
 *
 * What a write leaves behind is read off the live object.  All values are built first
 * (stage_write); the writes follow in program order, and the result comes last. */
#include "rebuild/rebuilder.h"

#include <string.h>
#include <structmember.h>

#include "read/read.h"
#include "rebuild/shape.h"

/* Is the token of this entry still at its address, as far as the run can tell? */
static bool
token_is_there(const mp_trace *T, const mp_write *w)
{
    assert(w->kind == MP_W_CONTEXT && w->index != 0);
    if (w->key != NULL) {
        assert((Py_ssize_t)w->key == w->index);
        return Py_REFCNT(w->key) > 1;
    }
    const mp_node *n = mp_refgraph_at(&T->graph, (PyObject *)w->index);
    if (n == NULL || n->type != &PyContextToken_Type) {
        return false;
    }
    const mp_write *end = T->writes + T->n_writes;
    for (const mp_write *later = w + 1; later < end; later++) {
        if (later->kind == MP_W_CONTEXT && later->index == w->index) {
            return false;
        }
    }
    return true;
}

/* Does this entry of the journal do something that the end of the run still shows?  Not if
 * it was undone; nor if it set a ContextVar that was set again, and no token tells. */
bool
mp_rebuild_shows(const mp_trace *T, int i)
{
    const mp_write *w = &T->writes[i], *end = T->writes + T->n_writes;
    if (w->dead || w->kind != MP_W_CONTEXT) {
        return !w->dead;
    }
    for (const mp_write *later = w + 1; later < end; later++) {
        if (later->kind == MP_W_CONTEXT && !later->dead && later->node == w->node) {
            return token_is_there(T, w) || token_is_there(T, later);
        }
    }
    return true;
}

/* Of a variable that is set twice only the last value is there at the end. */
mp_rc
mp_rebuild_check_contexts(mp_trace *T)
{
    for (int i = 0; i < T->n_writes; i++) {
        for (int k = 0; k < i && T->writes[i].kind == MP_W_CONTEXT; k++) {
            const mp_write *w = &T->writes[k];
            if (w->kind == MP_W_CONTEXT && w->node == T->writes[i].node
                && mp_rebuild_shows(T, k) && mp_rebuild_shows(T, i)) {
                return mp_trace_abort(T, MP_AB_MUTATION,
                                      "a ContextVar that stays set twice");
            }
        }
    }
    return MP_OK;
}

static PyObject *
slot_value(PyObject *obj, PyObject *descr)
{
    assert(Py_IS_TYPE(descr, &PyMemberDescr_Type));
    return *(PyObject **)((char *)obj
                          + ((PyMemberDescrObject *)descr)->d_member->offset);
}

/* The value that a write leaves, as it is at the end: borrowed, NULL if the place is
 * empty now. */
static PyObject *
write_value_borrow(const mp_trace *T, const mp_write *w)
{
    PyObject *obj = w->node->obj;
    switch (w->kind) {
    case MP_W_WRITE:
        return mp_late_find(T, w->key) != NULL ? w->key : NULL;
    case MP_W_WARN:
        return (PyObject *)w->index;
    case MP_W_KEY_SET:
        return PyDict_GetItemWithError(obj, w->key);
    case MP_W_SLOT_SET:
        return slot_value(obj, w->key);
    case MP_W_CELL:
        return PyCell_GET(obj);
    case MP_W_TYPE:
        return PyDict_GetItemWithError(mp_type_dict_borrow((PyTypeObject *)obj),
                                       w->key);
    case MP_W_CACHED_FILL:
        return mp_cached_find_borrow(obj, w->key);
    case MP_W_CONTEXT:
        return mp_guard_context_borrow(obj);
    case MP_W_APPEND: {
        Py_ssize_t at = w->node->entry_len + w->index;
        return at < PyList_GET_SIZE(obj) ? PyList_GET_ITEM(obj, at) : NULL;
    }
    default:
        return NULL;
    }
}

static mp_rc
content_shape(mp_shape *s, PyObject *obj)
{
    assert(obj != NULL);
    memset(s, 0, sizeof(*s));
    return PyDict_Check(obj) ? mp_shape_pairs(s, obj) : mp_shape_sequence(s, obj);
}

mp_rc
mp_rebuild_scan_write(mp_rebuilder *b, const mp_write *w)
{
    assert(!w->dead);
    mp_rc rc = mp_rebuild_source_add(b, w->node->reg);
    if (rc != MP_OK) {
        return rc;
    }
    if (w->kind == MP_W_CONTENT && PyByteArray_CheckExact(w->node->obj)) {
        return MP_OK;
    }
    if (w->kind == MP_W_CONTENT && PyAnySet_Check(w->node->obj) && !w->node->whole) {
        PyObject *script, *operands;
        rc = mp_set_script(w->node, &script, &operands);
        for (Py_ssize_t i = 0; rc == MP_OK && i < PyList_GET_SIZE(operands); i++) {
            PyObject *operand = PyList_GET_ITEM(operands, i);
            rc = mp_rebuild_scan(b, operand);
            if (rc == MP_OK && !mp_rebuild_set_takes(operand)) {
                rc =
                    mp_trace_abort(b->T, MP_AB_HASH, "a set that gets a key of type %s",
                                   mp_type_name(operand));
            }
        }
        Py_XDECREF(script);
        Py_XDECREF(operands);
        return rc;
    }
    if (w->kind == MP_W_CONTENT) {
        mp_shape s;
        rc = content_shape(&s, w->node->obj);
        rc = rc != MP_OK ? rc : mp_rebuild_scan_all(b, s.items, s.n_items, 1);
        mp_shape_fini(&s);
        return rc;
    }
    PyObject *value = write_value_borrow(b->T, w);
    return value == NULL ? MP_OK : mp_rebuild_scan(b, value);
}

typedef struct {
    mp_effect_kind kind;
    PyObject *obj;
    int32_t a, b;
    int32_t *items;
    int count;
} staged;

/* Is the dict the __dict__ of an object? Then the effect is an attribute's, and its text
 * says so. */
static bool
is_attrs(mp_trace *T, const mp_node *n)
{
    assert(n->reg >= 0);
    return T->guards->ops[T->guards->def[n->reg]].kind == MP_G_LOAD_DICT;
}

static mp_rc
stage_bytes(mp_rebuilder *b, PyObject *obj, staged *out)
{
    assert(PyByteArray_Check(obj));
    PyObject *bytes = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(obj),
                                                PyByteArray_GET_SIZE(obj));
    mp_rc rc = bytes == NULL ? MP_ERR : mp_rebuild_make(b, bytes, &out->b);
    out->kind = MP_E_BYTES_ASSIGN;
    Py_XDECREF(bytes);
    return rc;
}

/* Has the run only set items of a deque?  An iterator made before its first write tells:
 * any other change, though the items are the same again, makes it raise. */
static bool
iterators_go_on(const mp_node *deque)
{
    PyObject *it = deque->entry_iterator;
    PyObject *item = it == NULL ? NULL : Py_TYPE(it)->tp_iternext(it);
    bool fits = it != NULL && !PyErr_Occurred();
    Py_XDECREF(item);
    mp_err_drop();  // RuntimeError: changed
    return fits;
}

/* The changes of a set.  The entry keeps the script. */
static mp_rc
stage_set(mp_rebuilder *b, mp_write *w, staged *out)
{
    PyObject *script, *operands;
    mp_rc rc = mp_set_script(w->node, &script, &operands);
    if (rc != MP_OK) {
        return rc;
    }
    mp_shape s;
    memset(&s, 0, sizeof(s));
    rc = mp_shape_sequence(&s, operands);
    rc = rc != MP_OK ? rc : mp_rebuild_make_all(b, s.items, s.n_items, &out->items);
    out->count = s.n_items;
    out->kind = MP_E_SET_CHANGE;
    Py_XSETREF(w->key, script);
    out->obj = w->key;
    mp_shape_fini(&s);
    Py_DECREF(operands);
    return rc;
}

/* The builder sets the variable and makes the token, whether or not it is still there. */
static mp_rc
make_context(mp_rebuilder *b, const mp_write *w)
{
    PyObject *value = write_value_borrow(b->T, w);
    int32_t held, token;
    mp_rc rc = value == NULL ? mp_trace_abort(b->T, MP_AB_MUTATION, "a ContextVar")
                             : mp_rebuild_make(b, value, &held);
    rc = rc != MP_OK ? rc
                     : mp_rebuild_emit(b, MP_E_CONTEXT_SET, w->node->obj, held, -1,
                                       NULL, 0, &token);
    bool there = rc == MP_OK && token_is_there(b->T, w);
    return there && mp_rebuild_mark(b, (PyObject *)w->index, REG_BASE + token) < 0
               ? MP_ERR
               : rc;
}

/* The whole content of a container. */
static mp_rc
stage_content(mp_rebuilder *b, mp_write *w, staged *out)
{
    PyObject *obj = w->node->obj;
    if (PyByteArray_CheckExact(obj)) {
        return stage_bytes(b, obj, out);
    }
    if (PyAnySet_Check(obj) && !w->node->whole) {
        return stage_set(b, w, out);
    }
    mp_shape s;
    mp_rc rc = content_shape(&s, obj);
    rc = rc != MP_OK ? rc : mp_rebuild_make_all(b, s.items, s.n_items, &out->items);
    out->count = s.n_items;
    rc = rc != MP_OK || !PySet_Check(obj) ? rc : mp_rebuild_keep_table(b->T, w);
    if (rc == MP_OK) {
        out->obj = w->key;  // of a set only
        out->kind = PyDict_Check(obj)          ? MP_E_DICT_ASSIGN
                    : PySet_Check(obj)         ? MP_E_SET_ASSIGN
                    : PyList_Check(obj)        ? MP_E_LIST_ASSIGN
                    : iterators_go_on(w->node) ? MP_E_DEQUE_ITEMS
                                               : MP_E_DEQUE_ASSIGN;
    }
    mp_shape_fini(&s);
    return rc;
}

/* The effect of a write, if it has left a value there, and if it has not. */
typedef struct {
    mp_effect_kind with, without;
    const char *lost;  // there is no effect without one: why not
} write_effect;

static const write_effect WRITE_EFFECTS[] = {
    [MP_W_SLOT_SET] = {MP_E_SLOT_SET, MP_E_SLOT_DEL, NULL},
    [MP_W_SLOT_DEL] = {MP_E_SLOT_SET, MP_E_SLOT_DEL, NULL},
    [MP_W_CELL] = {MP_E_CELL_SET, MP_E_CELL_DEL, NULL},
    [MP_W_TYPE] = {MP_E_TYPE_SET, MP_E_TYPE_DEL, NULL},
    [MP_W_APPEND] = {MP_E_LIST_APPEND, MP_E_COUNT, "an appended list that shrank"},
    [MP_W_CACHED_FILL] = {MP_E_CACHED_FILL, MP_E_COUNT, "a cache that lost an answer"},
    [MP_W_WRITE] = {MP_E_WRITE_TEXT, MP_E_WRITE, NULL},
    [MP_W_WARN] = {MP_E_WARN_TEXT, MP_E_WARN, NULL},
    // These have none.
    [MP_W_ADVANCE] = {MP_E_COUNT, MP_E_ADVANCE, NULL},
    [MP_W_CACHED_HIT] = {MP_E_COUNT, MP_E_CACHED_HIT, NULL},
    [MP_W_CACHED_MISS] = {MP_E_COUNT, MP_E_CACHED_MISS, NULL},
    [MP_W_FLUSH] = {MP_E_COUNT, MP_E_FLUSH, NULL},
    [MP_W_FILTERS] = {MP_E_COUNT, MP_E_FILTERS, NULL},
    [MP_W_CONTEXT_BACK] = {MP_E_COUNT, MP_E_CONTEXT_RESET, NULL},
};

/* The same of a key in a dict, which may be an object's __dict__ or a memo. */
static mp_effect_kind
key_effect(mp_trace *T, const mp_write *w, const PyObject *value)
{
    bool attrs = PyUnicode_CheckExact(w->key) && is_attrs(T, w->node);
    if (value == NULL) {
        return attrs ? MP_E_ATTRS_DEL : MP_E_DICT_DEL;
    }
    return w->memo ? MP_E_MEMO_SET : attrs ? MP_E_ATTRS_SET : MP_E_DICT_SET;
}

/* Build the values of one write; its commit comes after all building. */
static mp_rc
stage_write(mp_rebuilder *b, mp_write *w, staged *out)
{
    assert(!w->dead);
    *out =
        (staged){MP_E_COUNT, w->key, mp_rebuild_source(b, w->node->reg), -1, NULL, 0};
    if (w->kind == MP_W_CONTENT) {
        return stage_content(b, w, out);
    }
    if (w->kind == MP_W_CONTEXT) {
        return make_context(b, w);
    }
    PyObject *value = write_value_borrow(b->T, w);
    const write_effect *effect = &WRITE_EFFECTS[w->kind];
    if (value == NULL && effect->lost != NULL) {
        return mp_trace_abort(b->T, MP_AB_MUTATION, "%s", effect->lost);
    }
    out->kind = w->kind == MP_W_KEY_SET || w->kind == MP_W_KEY_DEL
                    ? key_effect(b->T, w, value)
                : value != NULL ? effect->with
                                : effect->without;
    assert(out->kind != MP_E_COUNT);
    if (out->kind == MP_E_WRITE_TEXT) {
        out->obj = NULL;  // the text is a value
    }
    return value == NULL ? MP_OK : mp_rebuild_make(b, value, &out->b);
}

/* All values, then the writes in the journal's order, then the result. */
mp_rc
mp_rebuild_emit_writes(mp_rebuilder *b)
{
    assert(b->T->result != NULL && b->p->n_ops == 0);
    mp_trace *T = b->T;
    mp_rc rc = MP_OK;
    staged *all = PyMem_Calloc((size_t)T->n_writes + 1, sizeof(*all));
    if (all == NULL) {
        PyErr_NoMemory();
        return MP_ERR;
    }
    rc = mp_rebuild_make_hooks(b);
    for (int i = 0; i < T->n_writes && rc == MP_OK; i++) {
        if (mp_rebuild_shows(T, i)) {
            rc = stage_write(b, &T->writes[i], &all[i]);
        }
    }
    int32_t result = -1;
    rc = rc != MP_OK ? rc : mp_rebuild_make(b, T->result, &result);
    rc = rc != MP_OK ? rc : mp_rebuild_make_attrs(b);
    rc = rc != MP_OK ? rc : mp_rebuild_make_later(b);
    for (int i = 0; i < T->n_writes && rc == MP_OK; i++) {
        if (mp_rebuild_shows(T, i) && all[i].kind != MP_E_COUNT) {
            rc = mp_rebuild_emit(b, all[i].kind, all[i].obj, all[i].a, all[i].b,
                                 all[i].items, all[i].count, NULL);
        }
    }
    for (int i = 0; i < T->n_writes; i++) {
        PyMem_Free(all[i].items);
    }
    PyMem_Free(all);
    return rc != MP_OK
               ? rc
               : mp_rebuild_emit(b, MP_E_RETURN, NULL, result, -1, NULL, 0, NULL);
}
