/* effect/effect.c - build, commit, release: the replay of a recorded run.
 *
 * Invariants
 *   (1) Ops before n_commit only make objects that nobody else has seen, so giving up
 *       there undoes nothing but what sets a context variable or a hook (the token and
 *       the handle are the objects that it makes).  Whatever a write needs beyond them (type checks, the new
 *       content of a container) is staged before the first write, too.
 *   (2) From the first write to the last, no user code runs and no object of the
 *       collector is allocated (before 3.12 that may start a collection): every value
 *       that a write replaces is first put aside in `effect_past`.
 *   (3) The result is held before anything is released.
 *   (4) Files are written and warnings shown in program order, but after all other
 *       writes: nobody can tell, and what they allocate may start a collection.
 *
 * Ownership: mp_replay owns the objects in its ops.  A run borrows sources and graph
 * outputs and owns the registers from n_sources + n_graph on.
 *
 * Re-entrancy: building (collector) and releasing (__del__) may run any code, so a run
 * keeps its state on its own stack; the caller keeps the program alive. */
#include "effect/effect.h"

#include <structmember.h>

#include "compat/compat.h"
#include "effect/build.h"
#include "effect/plant.h"
#include "objects/array.h"
#include "objects/equal.h"
#include "objects/file.h"
#include "objects/warning.h"

enum { EFFECT_SMALL = 64, EFFECT_PAST_SMALL = 32 };

/* What a row asks of its op; `obj` is checked by effect_obj_fits. */
enum { A = 1, B = 2, PAIRS = 4, ITEMS = 8, STAGED = 16 };

static const struct {
    uint8_t operands;
    const char *id, *name;
} effect_rows[] = {
#define EFFECT(id, name, operands, format) {operands, #id, name},
#include "effect/effects.def"
#undef EFFECT
};

const char *
mp_effect_id(int kind)
{
    return effect_rows[kind].id;
}

const char *
mp_effect_name(int kind)
{
    return effect_rows[kind].name;
}

/* -- Programs ---------------------------------------------------------------------- */

/* An empty program: sources, graph outputs and operations are added by
 * rebuild/rebuild.c. */
mp_replay *
mp_replay_new(void)
{
    if (mp_effect_init() < 0 || mp_file_init() < 0 || mp_cached_init() < 0) {
        return NULL;
    }
    mp_replay *p = PyMem_Calloc(1, sizeof(*p));
    if (p == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    p->result = -1;
    return p;
}

void
mp_replay_free(mp_replay *p)
{
    if (p == NULL) {
        return;
    }
    for (int32_t i = 0; i < p->n_ops; i++) {
        if (!p->ops[i].loose) {
            Py_CLEAR(p->ops[i].obj);
        }
    }
    PyMem_Free(p->ops);
    PyMem_Free(p->pool);
    PyMem_Free(p->source_regs);
    PyMem_Free(p);
}

/* Not what mp_guards_weaken has made borrowed (`loose`): the program does not own that. */
int
mp_replay_visit(mp_replay *p, visitproc visit, void *arg)
{
    for (int32_t i = 0; i < p->n_ops; i++) {
        if (!p->ops[i].loose) {
            Py_VISIT(p->ops[i].obj);
        }
    }
    return 0;
}

static bool
effect_is_slot(PyObject *obj)
{
    if (obj == NULL || !Py_IS_TYPE(obj, &PyMemberDescr_Type)) {
        return false;
    }
    int kind = ((PyMemberDescrObject *)obj)->d_member->type;
    return kind == T_OBJECT || kind == T_OBJECT_EX;
}

/* Is obj what the row needs?  1 / 0, or -1: a type that cannot be built (TypeError). */
static int
effect_obj_fits(mp_effect_kind kind, PyObject *obj)
{
    switch (kind) {
    case MP_E_CONST:
        return obj != NULL;
    case MP_E_ARRAY:
        return obj != NULL && mp_is_array(obj);
    case MP_E_ARRAY_VIEW:
        return obj != NULL && PyTuple_CheckExact(obj) && PyTuple_GET_SIZE(obj) == 5;
    case MP_E_STRUCT:
    case MP_E_PARTIAL:
    case MP_E_EXCEPTION:
    case MP_E_SCALAR:
    case MP_E_INSTANCE:
    case MP_E_DICT_LIKE:
    case MP_E_LIST_LIKE:
    case MP_E_ITERATOR:
    case MP_E_ITER_CALL:
        if (obj == NULL || !PyType_Check(obj)) {
            return 0;
        }
        if (!mp_effect_can_make(kind, (PyTypeObject *)obj)) {
            PyErr_Format(PyExc_TypeError, "cannot rebuild an object of type %.200s",
                         ((PyTypeObject *)obj)->tp_name);
            return -1;
        }
        return 1;
    case MP_E_FUNCTION:
        return obj != NULL && PyCode_Check(obj);
    case MP_E_HOOK:
        return obj != NULL && PyCallable_Check(obj);
    case MP_E_BOUND:
        return obj != NULL
               && (Py_IS_TYPE(obj, &PyMethodDescr_Type)
                   || Py_IS_TYPE(obj, &PyWrapperDescr_Type));
    case MP_E_FILL_SLOT:
    case MP_E_SLOT_SET:
    case MP_E_SLOT_DEL:
        return effect_is_slot(obj);
    case MP_E_ATTRS_SET:
    case MP_E_ATTRS_DEL:
    case MP_E_TYPE_SET:
    case MP_E_TYPE_DEL:
    case MP_E_WRITE:
        return obj != NULL && PyUnicode_CheckExact(obj);
    case MP_E_CONTEXT_SET:
    case MP_E_TOKEN:
    case MP_E_CONTEXT_RESET:
        return obj != NULL && PyContextVar_CheckExact(obj);
    case MP_E_WARN:
    case MP_E_WARN_TEXT:
        return obj != NULL && mp_warning_check(obj);
    case MP_E_CACHED_HIT:
    case MP_E_CACHED_FILL:
    case MP_E_MEMO_SET:
        return obj != NULL && mp_guard_hash_is_c(obj, 0);
    case MP_E_DICT_SET:
    case MP_E_DICT_DEL:
        return 1;
    case MP_E_SET:
    case MP_E_FROZENSET:
    case MP_E_SET_ASSIGN:
        return obj == NULL || PyBytes_CheckExact(obj);
    case MP_E_SET_CHANGE:
        return obj != NULL && PyBytes_CheckExact(obj);
    default:
        return obj == NULL;
    }
}

/* Do the number of items and the row agree? */
static bool
effect_count_fits(mp_effect_kind kind, PyObject *obj, int32_t count)
{
    if (count < 0) {
        return false;
    }
    switch (kind) {
    case MP_E_SET_CHANGE:
        return mp_effect_is_script(obj, count);
    case MP_E_SLICE:
    case MP_E_PARTIAL:
        return count == 3;
    case MP_E_ITERATOR:
        return count == 0 || count == 2 || count == 3;
    case MP_E_FUNCTION:
        return count == MP_FN_COUNT;
    case MP_E_HOOK:
        return count == 1 || count == 2;
    case MP_E_DICT_SET:
    case MP_E_DICT_DEL:
        return count == (obj == NULL);
    default:
        if (effect_rows[kind].operands & PAIRS) {
            return count % 2 == 0;
        }
        return count == 0 || (effect_rows[kind].operands & ITEMS);
    }
}

/* Registers that the operation reads must be made by then; -1 stands for none, where the
 * row allows it. */
static bool
effect_regs_fit(const mp_replay *p, mp_effect_kind kind, int32_t a, int32_t b,
                const int32_t *items, int32_t count)
{
    int32_t least_a = effect_rows[kind].operands & A ? 0 : -1;
    int32_t least_b = effect_rows[kind].operands & B ? 0 : -1;
    if (a < least_a || a >= p->n_regs || b < least_b || b >= p->n_regs) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t least = kind == MP_E_FUNCTION && i > MP_FN_QUALNAME ? -1 : 0;
        if (items[i] < least || items[i] >= p->n_regs) {
            return false;
        }
    }
    return true;
}

/* Append an operation.  Returns the register that it makes, -1 if it makes none, -2 with
 * an exception.  Builders and fillers come before writes (1). */
int32_t
mp_replay_emit(mp_replay *p, mp_effect_kind kind, PyObject *obj, int32_t a, int32_t b,
               const int32_t *items, int32_t count)
{
    bool builder = kind < MP_E_FILL_LIST, writes = kind >= MP_E_DICT_SET;
    if (p->n_ops == 0) {
        p->n_regs = p->n_sources + p->n_graph;
    }
    if (mp_plant_has_effect(kind)) {
        if (!builder) {
            return -1;
        }
        kind = MP_E_CONST;
        obj = Py_None;
        a = b = -1;
        count = 0;
    }
    int fits = (unsigned)kind < MP_E_COUNT ? effect_obj_fits(kind, obj) : 0;
    if (fits < 0) {
        return -2;
    }
    if (!fits || !effect_count_fits(kind, obj, count)
        || !effect_regs_fit(p, kind, a, b, items, count)
        || (!writes && p->n_commit < p->n_ops)) {  // (1)
        PyErr_Format(PyExc_SystemError, "ill-formed replay op %d", (int)kind);
        return -2;
    }
    if (mp_grow(&p->ops, &p->cap_ops, p->n_ops + 1, sizeof(*p->ops)) < 0
        || mp_grow(&p->pool, &p->cap_pool, p->n_pool + count, sizeof(*p->pool)) < 0) {
        return -2;
    }
    bool makes = builder || (effect_rows[kind].operands & STAGED);
    assert(p->n_ops < p->cap_ops && p->n_pool + count <= p->cap_pool);
    p->ops[p->n_ops++] = (mp_effect){
        .kind = (uint16_t)kind,
        .dst = makes ? p->n_regs++ : -1,
        .a = a,
        .b = b,
        .items = p->n_pool,
        .count = count,
        .obj = Py_XNewRef(obj),
    };
    for (int32_t i = 0; i < count; i++) {
        p->pool[p->n_pool++] = items[i];
    }
    if (!writes) {
        p->n_commit = p->n_ops;
    }
    if (kind == MP_E_RETURN) {
        p->result = a;
    }
    p->has_memos = p->has_memos || kind == MP_E_MEMO_SET;
    assert(p->n_commit <= p->n_ops && p->result < p->n_regs);
    return builder ? p->n_regs - 1 : -1;
}

/* -- Committing -------------------------------------------------------------------- */

/* What the writes replaced, in order: strong references. */
typedef struct {
    PyObject **at;
    Py_ssize_t n, cap;
    PyObject *small[EFFECT_PAST_SMALL];
} effect_past;

/* Room for `extra` more references, so that no write has to allocate. */
static int
effect_past_reserve(effect_past *past, Py_ssize_t extra)
{
    if (extra <= past->cap - past->n) {
        return 0;
    }
    if (extra > PY_SSIZE_T_MAX / 4 - past->n) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t cap = Py_MAX(past->n + extra, 2 * past->cap);
    PyObject **at = PyMem_New(PyObject *, cap);
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(at, past->at, (size_t)past->n * sizeof(*at));
    if (past->at != past->small) {
        PyMem_Free(past->at);
    }
    past->at = at;
    past->cap = cap;
    return 0;
}

/* Keep what is about to be replaced alive until the last write is done (2). */
static int
effect_past_add(effect_past *past, PyObject *o)
{
    if (o == NULL) {
        return 0;
    }
    if (effect_past_reserve(past, 1) < 0) {
        return -1;
    }
    assert(past->n < past->cap);
    past->at[past->n++] = Py_NewRef(o);
    return 0;
}

static void
effect_past_release(effect_past *past)
{
    for (Py_ssize_t i = 0; i < past->n; i++) {
        Py_DECREF(past->at[i]);
    }
    if (past->at != past->small) {
        PyMem_Free(past->at);
    }
}

/* type.__setattr__ would call a data descriptor of the metaclass; those of `type`
 * itself are C. */
static bool
effect_type_takes(PyObject *o, PyObject *name)
{
    if (!PyType_Check(o)
        || PyType_HasFeature((PyTypeObject *)o, Py_TPFLAGS_IMMUTABLETYPE)) {
        return false;
    }
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(o), name);
    return found == NULL || Py_TYPE(found)->tp_descr_set == NULL
           || Py_IS_TYPE(found, &PyGetSetDescr_Type);
}

/* Is the object of a type that this write can change past the methods of its class? */
static bool
effect_fits_target(const mp_effect *op, PyObject *a)
{
    switch (op->kind) {
    case MP_E_DICT_SET:
    case MP_E_DICT_DEL:
    case MP_E_MEMO_SET:
    case MP_E_ATTRS_SET:
    case MP_E_ATTRS_DEL:
    case MP_E_DICT_ASSIGN:
        return PyDict_Check(a);
    case MP_E_SLOT_SET:
    case MP_E_SLOT_DEL:
        return mp_effect_slot(op, a) != NULL;
    case MP_E_CELL_SET:
    case MP_E_CELL_DEL:
        return PyCell_Check(a);
    case MP_E_TYPE_SET:
    case MP_E_TYPE_DEL:
        return effect_type_takes(a, op->obj);
    case MP_E_LIST_APPEND:
    case MP_E_LIST_ASSIGN:
        return PyList_Check(a);
    case MP_E_SET_ASSIGN:
    case MP_E_SET_CHANGE:
        return PySet_Check(a);
    case MP_E_DEQUE_ASSIGN:
    case MP_E_DEQUE_ITEMS:
        return PyObject_TypeCheck(a, mp_effect_c.deque);
    case MP_E_BYTES_ASSIGN:
        return PyByteArray_Check(a);
    case MP_E_ADVANCE: {
        PyObject *item;
        return mp_iterator_peek(a, 0, &item) >= 0 || Py_IS_TYPE(a, &PyRangeIter_Type);
    }
    case MP_E_CACHED_HIT:
    case MP_E_CACHED_MISS:
    case MP_E_CACHED_FILL:
        return mp_is_cached(a);
    case MP_E_WRITE_TEXT:
        return mp_file_check(a);  // (b: effect_run_late)
    case MP_E_WRITE:
    case MP_E_FLUSH:
        return mp_file_check(a);
    case MP_E_CONTEXT_RESET:
        return PyContextToken_CheckExact(a) && mp_token_var_borrow(a) == op->obj
               && !mp_token_is_used(a);
    case MP_E_WARN:
    case MP_E_WARN_TEXT:
    case MP_E_FILTERS:
        return PyCFunction_CheckExact(a);
    default:  // MP_E_RETURN
        return true;
    }
}

/* How many references the write will put aside, as things are before the commit. */
static Py_ssize_t
effect_replaces(const mp_effect *op, PyObject *a)
{
    switch (op->kind) {
    case MP_E_DICT_ASSIGN:
        return 2 * PyDict_GET_SIZE(a);
    case MP_E_DEQUE_ASSIGN:
    case MP_E_DEQUE_ITEMS:
        return mp_effect_c.deque->tp_as_sequence->sq_length(a);
    case MP_E_SET_ASSIGN:
        return PySet_GET_SIZE(a);
    default:
        return 1;
    }
}

/* May the bytearray get this content?  If not, with the exception that eager raises. */
static bool
effect_bytes_fit(PyObject *a, PyObject *bytes)
{
    if (!PyBytes_CheckExact(bytes)) {
        PyErr_SetString(PyExc_TypeError, "a bytearray is assigned bytes");
        return false;
    }
    if (((PyByteArrayObject *)a)->ob_exports > 0
        && PyByteArray_GET_SIZE(a) != PyBytes_GET_SIZE(bytes)) {
        PyErr_SetString(PyExc_BufferError,
                        "Existing exports of data: object cannot be re-sized");
        return false;
    }
    return true;
}

/* Everything about the writes that can fail before the first of them is done (1). */
static int
effect_stage(const mp_replay *p, PyObject **regs, effect_past *past)
{
    assert(p->n_commit <= p->n_ops && past->n == 0);
    Py_ssize_t expected = 0;
    for (int32_t i = p->n_commit; i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        PyObject *a = regs[op->a];
        if (!effect_fits_target(op, a)) {
            return mp_effect_wrong_target(op, a);
        }
        if (op->kind == MP_E_BYTES_ASSIGN && !effect_bytes_fit(a, regs[op->b])) {
            return -1;
        }
        if (op->dst >= 0) {
            regs[op->dst] = mp_effect_build(op, p->pool + op->items, regs);
            if (regs[op->dst] == NULL) {
                return -1;
            }
        }
        expected += effect_replaces(op, a);
    }
    return effect_past_reserve(past, expected);
}

/* The size fits, or nothing holds a view of the bytes (effect_bytes_fit). */
static int
effect_put_bytes(PyObject *a, PyObject *bytes)
{
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    if (PyByteArray_GET_SIZE(a) != size && PyByteArray_Resize(a, size) < 0) {
        return -1;
    }
    memcpy(PyByteArray_AS_STRING(a), PyBytes_AS_STRING(bytes), (size_t)size);
    return 0;
}

/* Set a slot or a cell, or empty it (value NULL). */
static int
effect_put_slot(PyObject **slot, PyObject *value, effect_past *past)
{
    if (effect_past_add(past, *slot) < 0) {
        return -1;
    }
    Py_XSETREF(*slot, Py_XNewRef(value));
    return 0;
}

/* Set dict[key], or delete it if value is NULL; ordered: an OrderedDict may come. */
static int
effect_put_item(PyObject *dict, PyObject *key, PyObject *value, bool ordered,
                effect_past *past)
{
    PyObject *old = PyDict_GetItemWithError(dict, key);  // borrowed from dict
    if (old == NULL && (PyErr_Occurred() || value == NULL)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (effect_past_add(past, old) < 0) {
        return -1;
    }
    if (ordered && PyODict_Check(dict)) {
        return value == NULL ? PyODict_DelItem(dict, key)
                             : PyODict_SetItem(dict, key, value);
    }
    return value == NULL ? PyDict_DelItem(dict, key) : PyDict_SetItem(dict, key, value);
}

/* As type.__setattr__ does it, so that the type's caches and C slots follow; an own
 * __setattr__ of the metaclass is passed by. */
static int
effect_put_type_attr(PyTypeObject *type, PyObject *name, PyObject *value,
                     effect_past *past)
{
    PyObject *old = PyDict_GetItemWithError(mp_type_dict_borrow(type), name);
    if (old == NULL && (PyErr_Occurred() || value == NULL)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (effect_past_add(past, old) < 0) {
        return -1;
    }
    return PyType_Type.tp_setattro((PyObject *)type, name, value);
}

/* Exchange the content of two lists: cannot fail, frees nothing. */
static void
effect_swap_lists(PyListObject *a, PyListObject *b)
{
    PyObject **items = a->ob_item;
    Py_ssize_t size = Py_SIZE(a), allocated = a->allocated;
    a->ob_item = b->ob_item;
    a->allocated = b->allocated;
    Py_SET_SIZE(a, Py_SIZE(b));
    b->ob_item = items;
    b->allocated = allocated;
    Py_SET_SIZE(b, size);
}

/* Take out and put in what differs, as the program did: the order of a set, and what its
 * pop() takes, depend on what was in it before. */
static int
effect_replace_set(PyObject *set, PyObject *content, effect_past *past)
{
    PyObject *key;
    Py_hash_t hash;
    Py_ssize_t pos = 0, size = PySet_GET_SIZE(set),
               kept = mp_effect_set_keeps(set, content);
    if (kept < 0 || (kept == 0 && size > 0)) {
        mp_effect_swap_sets((PySetObject *)set, (PySetObject *)content);
        return 0;
    }
    if (effect_past_reserve(past, size) < 0) {
        return -1;
    }
    Py_ssize_t first = past->n;
    while (mp_set_next(set, &pos, &key, &hash)) {
        if (!PySet_Contains(content, key)) {
            past->at[past->n++] = Py_NewRef(key);
        }
    }
    for (Py_ssize_t i = first; i < past->n; i++) {
        if (PySet_Discard(set, past->at[i]) < 0) {
            return -1;
        }
    }
    for (pos = 0; mp_set_next(content, &pos, &key, &hash);) {
        if (PySet_Add(set, key) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The keys in the order of `content`.  An OrderedDict gets its items one by one. */
static int
effect_replace_dict(PyObject *dict, PyObject *content, effect_past *past)
{
    PyObject *key = NULL, *value = NULL;  // borrowed from dict, then from content
    Py_ssize_t pos = 0;
    if (effect_past_reserve(past, 2 * PyDict_GET_SIZE(dict)) < 0) {
        return -1;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        past->at[past->n++] = Py_NewRef(key);
        past->at[past->n++] = Py_NewRef(value);
    }
    if (!PyODict_Check(dict)) {
        PyDict_Clear(dict);
        return PyDict_Update(dict, content);  // one allocation: dict is empty
    }
    PyObject *none = PyObject_CallOneArg(mp_effect_c.odict_clear, dict);
    if (none == NULL) {
        return -1;
    }
    Py_DECREF(none);
    for (pos = 0; PyDict_Next(content, &pos, &key, &value);) {
        if (PyODict_SetItem(dict, key, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Each item is set in its place if the run did no more than that (DEQUE_ITEMS): then
 * iterators over the deque stay valid. */
static int
effect_replace_deque(PyObject *deque, const mp_effect *op, const int32_t *items,
                     PyObject *const *regs, effect_past *past)
{
    PySequenceMethods *methods = mp_effect_c.deque->tp_as_sequence;
    Py_ssize_t size = methods->sq_length(deque);
    if (effect_past_reserve(past, size) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = methods->sq_item(deque, i);
        if (item == NULL) {
            return -1;
        }
        past->at[past->n++] = item;
    }
    if (op->kind == MP_E_DEQUE_ITEMS && size == op->count) {  // iterators go on
        for (Py_ssize_t i = 0; i < size; i++) {
            if (methods->sq_ass_item(deque, i, regs[items[i]]) < 0) {
                return -1;
            }
        }
        return 0;
    }
    return mp_effect_refill_deque(deque, items, op->count, regs);
}

/* An exhausted iterator releases its container, which is put aside like replaced values. */
static int
effect_advance(PyObject *it, effect_past *past)
{
    PyObject *sequence = mp_iterator_sequence_borrow(it);
    if (sequence != NULL) {
        past->at[past->n++] = Py_NewRef(sequence);
    }
    PyObject *item = Py_TYPE(it)->tp_iternext(it);
    Py_XDECREF(item);  // what hands it out holds it, or it is a number
    return item == NULL && PyErr_Occurred() ? -1 : 0;
}

/* One write.  Its target and its value were checked (effect_stage): it fails for want of
 * memory only. */
static int
effect_commit(const mp_effect *op, const int32_t *items, PyObject *const *regs,
              effect_past *past)
{
    PyObject *a = regs[op->a];
    PyObject *b = mp_effect_reg_borrow(regs, op->b);  // NULL in the DEL rows
    switch (op->kind) {
    case MP_E_DICT_SET:
    case MP_E_DICT_DEL:
    case MP_E_MEMO_SET:
        return effect_put_item(a, op->obj ? op->obj : regs[items[0]], b, true, past);
    case MP_E_ATTRS_SET:
    case MP_E_ATTRS_DEL:
        return effect_put_item(a, op->obj, b, false, past);
    case MP_E_SLOT_SET:
    case MP_E_SLOT_DEL:
        return effect_put_slot(mp_effect_slot(op, a), b, past);
    case MP_E_CELL_SET:
    case MP_E_CELL_DEL:
        return effect_put_slot(&((PyCellObject *)a)->ob_ref, b, past);
    case MP_E_TYPE_SET:
    case MP_E_TYPE_DEL:
        return effect_put_type_attr((PyTypeObject *)a, op->obj, b, past);
    case MP_E_LIST_APPEND:
        return PyList_Append(a, b);
    case MP_E_LIST_ASSIGN:
        effect_swap_lists((PyListObject *)a, (PyListObject *)regs[op->dst]);
        return 0;
    case MP_E_SET_ASSIGN:
        return op->obj != NULL ? mp_effect_swap_tables(a, regs[op->dst])
                               : effect_replace_set(a, regs[op->dst], past);
    case MP_E_SET_CHANGE:
        return mp_effect_change_set(a, op->obj, items, regs);
    case MP_E_DICT_ASSIGN:
        return effect_replace_dict(a, regs[op->dst], past);
    case MP_E_DEQUE_ASSIGN:
    case MP_E_DEQUE_ITEMS:
        return effect_replace_deque(a, op, items, regs, past);
    case MP_E_BYTES_ASSIGN:
        return effect_put_bytes(a, b);
    case MP_E_ADVANCE:
        return effect_advance(a, past);
    case MP_E_CACHED_HIT:
        return mp_cached_count_hit(a, op->obj);
    case MP_E_CACHED_MISS:
        mp_cached_count_miss(a);
        return 0;
    case MP_E_CACHED_FILL:
        return mp_cached_fill(a, op->obj, b);
    default:  // MP_E_RETURN, and what effect_run_late does
        return 0;
    }
}

/* -- Running ----------------------------------------------------------------------- */

/* Phase 1. */
static int
effect_run_builders(const mp_replay *p, PyObject **regs)
{
    for (int32_t i = 0; i < p->n_commit; i++) {
        const mp_effect *op = &p->ops[i];
        const int32_t *items = p->pool + op->items;
        if (op->dst < 0) {
            if (mp_effect_fill(op, items, regs) < 0) {
                return -1;
            }
            continue;
        }
        assert(op->dst < p->n_regs && regs[op->dst] == NULL);
        regs[op->dst] = mp_effect_build(op, items, regs);
        if (regs[op->dst] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* (4) */
static int
effect_run_late(const mp_effect *op, PyObject *a, PyObject *b)
{
    switch (op->kind) {
    case MP_E_WRITE:
        return mp_file_write(a, op->obj);
    case MP_E_WRITE_TEXT:
        if (!PyUnicode_CheckExact(b)) {  // no answer of the graph that was recorded
            PyErr_BadInternalCall();
            return -1;
        }
        return mp_file_write(a, b);
    case MP_E_FLUSH:
        return mp_file_flush(a);
    case MP_E_CONTEXT_RESET:
        return PyContextVar_Reset(op->obj, a);
    case MP_E_WARN:
        return mp_warning_show(op->obj, NULL);
    case MP_E_WARN_TEXT:
        return mp_warning_show(op->obj, b);
    case MP_E_FILTERS:
        return mp_warning_forget(a);
    default:
        return 0;
    }
}

/* Files and warnings (4). */
static bool
effect_is_late(const mp_effect *op)
{
    return op->kind >= MP_E_WRITE && op->kind <= MP_E_FILTERS;
}

/* Phase 2. */
static int
effect_run_writes(const mp_replay *p, PyObject **regs, bool holds, effect_past *past)
{
    if (p->n_commit == p->n_ops
        || (p->n_commit == p->n_ops - 1 && p->ops[p->n_commit].kind == MP_E_RETURN)) {
        return 0;
    }
    if (effect_stage(p, regs, past) < 0) {
        mp_effect_take_back(p, regs);
        return -1;
    }
    bool late = false;
    for (int32_t i = p->n_commit; i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        late = late || effect_is_late(op);
        bool now = !effect_is_late(op) && (holds || op->kind != MP_E_MEMO_SET);
        if (now && effect_commit(op, p->pool + op->items, regs, past) < 0) {
            return -1;
        }
    }
    for (int32_t i = p->n_commit; late && i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        if (effect_run_late(op, regs[op->a], op->b < 0 ? NULL : regs[op->b]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* All three phases; see effect/effect.h. */
PyObject *
mp_replay_run(const mp_replay *p, PyObject *const *sources, PyObject *const *graph,
              bool holds)
{
    PyObject *small[EFFECT_SMALL];
    PyObject **regs = small;  // [0, given) borrowed from the caller, the others owned
    PyObject *result = NULL;  // owned
    effect_past past;
    int32_t given = p->n_sources + p->n_graph;
    int32_t n_regs = p->n_ops == 0 ? given : p->n_regs;

    past.at = past.small;
    past.n = 0;
    past.cap = EFFECT_PAST_SMALL;
    if (n_regs > EFFECT_SMALL) {
        regs = PyMem_New(PyObject *, n_regs);
        if (regs == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    for (int32_t i = 0; i < p->n_sources; i++) {
        regs[i] = sources[i];
    }
    for (int32_t i = 0; i < p->n_graph; i++) {
        regs[p->n_sources + i] = graph[i];
    }
    for (int32_t i = given; i < n_regs; i++) {
        regs[i] = NULL;
    }
    if (effect_run_builders(p, regs) < 0) {
        mp_effect_take_back(p, regs);
    }
    else if (effect_run_writes(p, regs, holds, &past) == 0) {
        result = Py_NewRef(p->result < 0 ? Py_None : regs[p->result]);  // (3)
    }
    effect_past_release(&past);
    for (int32_t i = given; i < n_regs; i++) {
        Py_XDECREF(regs[i]);
    }
    if (regs != small) {
        PyMem_Free(regs);
    }
    return result;
}
