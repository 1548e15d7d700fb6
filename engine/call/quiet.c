/* call/quiet.c - does anything run when a hit lets go of what its writes replace?
 *
 * What stood at a place that the run has overwritten unseen has no guard, nor has what is
 * in a container that it has let go of.  A hit releases that after its last write, but eager
 * mode at once, and a finalizer can tell the difference.
 *
 * References that the hit gives up are counted; an object that has none left dies, and gives
 * up those that it holds (tp_traverse), as the interpreter would do it.  R: nothing is
 * changed, no code of the program runs. */
#include "call/quiet.h"

#include "effect/build.h"
#include "objects/equal.h"
#include "trace/trace.h"

enum {
    QUIET_KNOWN = 96,  // objects that others may hold, too
    QUIET_DEEP = 100,  // of objects in objects
};

typedef struct {
    PyObject *of[QUIET_KNOWN];
    Py_ssize_t left[QUIET_KNOWN];  // references that remain
    int n, deep;
    bool runs;  // or nobody knows
} quiet_count;

typedef struct {
    const mp_plan *plan;
    const PyCodeObject *code;  // of the outermost frame
    PyObject *const *regs, *const *row;
    int32_t n_row;
} quiet_hit;

static bool
is_plain(PyObject *o)
{
    return o == Py_None || PyUnicode_CheckExact(o) || PyLong_CheckExact(o)
           || PyFloat_CheckExact(o) || PyBool_Check(o) || PyBytes_CheckExact(o)
           || PyType_Check(o);
}

/* References to an object that one more or fewer holds: what remains, -1: too many objects. */
static Py_ssize_t
count(quiet_count *c, PyObject *o, int more)
{
    for (int i = 0; i < c->n; i++) {
        if (c->of[i] == o) {
            return c->left[i] += more;
        }
    }
    Py_ssize_t left = Py_REFCNT(o) + more;
    if (left <= 0) {
        return 0;
    }
    if (c->n == QUIET_KNOWN) {
        return -1;
    }
    c->of[c->n] = o;
    c->left[c->n++] = left;
    return left;
}

/* visitproc: a reference is given up. */
static int
give_up(PyObject *o, void *arg)
{
    quiet_count *c = arg;
    if (o == NULL || is_plain(o)) {
        return 0;
    }
    Py_ssize_t left = count(c, o, -1);
    if (left > 0) {
        return 0;
    }
    if (left < 0 || c->deep == QUIET_DEEP || mp_has_finalizer(o)) {
        c->runs = true;
        return 1;
    }
    c->deep++;
    if (mp_tensor_is_any(o)) {  // what it holds in C++ is torch's
        PyObject *dict = mp_instance_dict_borrow(o);
        c->runs = mp_err_drop();
        (void)give_up(dict, c);
    }
    else if (Py_TYPE(o)->tp_traverse != NULL) {
        (void)Py_TYPE(o)->tp_traverse(o, give_up, c);
    }
    c->deep--;
    return c->runs;
}

/* -- What a write lets go of -------------------------------------------------------------- */

static void
give_up_values(PyObject *dict, bool keys, quiet_count *c)
{
    PyObject *key, *value;
    for (Py_ssize_t at = 0; mp_dict_next(dict, &at, &key, &value, NULL);) {
        (void)give_up(value, c);
        (void)give_up(keys ? key : NULL, c);
    }
}

static void
give_up_key(PyObject *dict, PyObject *key, quiet_count *c)
{
    PyObject *value = NULL;
    Py_hash_t hash = key == NULL ? -1 : PyObject_Hash(key);
    if (hash == -1) {
        mp_err_drop();
    }
    int found = hash == -1 ? -1 : mp_guard_dict_find(dict, key, hash, &value);
    if (found < 0) {
        give_up_values(dict, false, c);
    }
    else if (found > 0) {
        (void)give_up(value, c);
    }
}

static void
give_up_deque(PyObject *deque, quiet_count *c)
{
    PySequenceMethods *methods = mp_effect_c.deque->tp_as_sequence;
    for (Py_ssize_t i = 0; i < methods->sq_length(deque); i++) {
        PyObject *item = methods->sq_item(deque, i);
        if (item == NULL) {
            mp_err_drop();
            c->runs = true;
            return;
        }
        Py_DECREF(item);  // the deque holds it
        (void)give_up(item, c);
    }
}

static void
give_up_members(PyObject *set, quiet_count *c)
{
    PyObject *key;
    Py_hash_t hash;
    for (Py_ssize_t at = 0; mp_set_next(set, &at, &key, &hash);) {
        (void)give_up(key, c);
    }
}

/* An iterator lets go of its container when it has nothing more to give. */
static void
give_up_container(const mp_replay *p, int32_t op, PyObject *it, quiet_count *c)
{
    Py_ssize_t before = 0;
    for (int32_t i = p->n_commit; i < op; i++) {
        before += p->ops[i].kind == MP_E_ADVANCE && p->ops[i].a == p->ops[op].a;
    }
    PyObject *item;
    if (mp_iterator_peek(it, before, &item) == 0) {
        (void)give_up(mp_iterator_sequence_borrow(it), c);
    }
}

/* The object in a register, if it was there before the call; NULL: the replay makes it. */
static PyObject *
source_borrow(const mp_replay *p, int32_t reg, PyObject *const *regs)
{
    int32_t from = reg >= 0 && reg < p->n_sources ? p->source_regs[reg] : -1;
    return from < 0 ? NULL : regs[from];
}

static PyObject *
key_borrow(const mp_replay *p, const mp_effect *op, PyObject *const *regs)
{
    if (op->obj != NULL || op->count == 0) {
        return op->obj;
    }
    int32_t reg = p->pool[op->items];
    for (int32_t i = 0; i < p->n_commit; i++) {
        if (p->ops[i].dst == reg && p->ops[i].kind == MP_E_CONST) {
            return p->ops[i].obj;
        }
    }
    return source_borrow(p, reg, regs);
}

static void
give_up_replaced(const mp_replay *p, int32_t at, PyObject *const *regs, quiet_count *c)
{
    const mp_effect *op = &p->ops[at];
    PyObject *a = source_borrow(p, op->a, regs), **slot;
    if (a == NULL) {
        return;
    }
    switch (op->kind) {
    case MP_E_DICT_SET:
    case MP_E_DICT_DEL:
    case MP_E_MEMO_SET:
    case MP_E_ATTRS_SET:
    case MP_E_ATTRS_DEL:
        give_up_key(a, key_borrow(p, op, regs), c);
        break;
    case MP_E_TYPE_SET:
    case MP_E_TYPE_DEL:
        give_up_key(mp_type_dict_borrow((PyTypeObject *)a), op->obj, c);
        break;
    case MP_E_SLOT_SET:
    case MP_E_SLOT_DEL:
        slot = mp_effect_slot(op, a);
        (void)give_up(slot == NULL ? NULL : *slot, c);
        break;
    case MP_E_CELL_SET:
    case MP_E_CELL_DEL:
        (void)give_up(PyCell_GET(a), c);
        break;
    case MP_E_LIST_ASSIGN:
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(a); i++) {
            (void)give_up(PyList_GET_ITEM(a, i), c);
        }
        break;
    case MP_E_SET_ASSIGN:
    case MP_E_SET_CHANGE:
        give_up_members(a, c);
        break;
    case MP_E_DICT_ASSIGN:
        give_up_values(a, true, c);
        break;
    case MP_E_DEQUE_ASSIGN:
    case MP_E_DEQUE_ITEMS:
        give_up_deque(a, c);
        break;
    case MP_E_ADVANCE:
        give_up_container(p, at, a, c);
        break;
    default:
        break;
    }
}

/* -- What a hit lets go of ----------------------------------------------------------------- */

/* What an operation puts somewhere: its operands, but for what it writes to.  The first one
 * has number -2. */
static PyObject *
put_borrow(const mp_replay *p, int32_t at, int32_t k, PyObject *const *regs)
{
    const mp_effect *op = &p->ops[at];
    if (k >= 0) {
        return source_borrow(p, p->pool[op->items + k], regs);
    }
    bool writes = at >= p->n_commit && op->kind != MP_E_RETURN;
    return source_borrow(p, k == -1 ? op->b : writes ? -1 : op->a, regs);
}

static bool
is_put_somewhere(const mp_replay *p, PyObject *const *regs, PyObject *o)
{
    for (int32_t i = 0; i < p->n_ops; i++) {
        for (int32_t k = -2; k < p->ops[i].count; k++) {
            if (put_borrow(p, i, k, regs) == o) {
                return true;
            }
        }
    }
    return false;
}

/* What the replay puts somewhere has one holder more.  False: too many objects. */
static bool
count_kept(const mp_replay *p, PyObject *const *regs, quiet_count *c)
{
    for (int32_t i = 0; i < p->n_ops; i++) {
        for (int32_t k = -2; k < p->ops[i].count; k++) {
            PyObject *o = put_borrow(p, i, k, regs);
            if (o != NULL && !is_plain(o) && count(c, o, 1) < 0) {
                return false;
            }
        }
    }
    return true;
}

/* Does it die when the outermost frame ends, after all else?  Then eager mode is no earlier. */
static bool
stays(const mp_plan *plan, const PyCodeObject *code, int32_t at)
{
    bool stored = plan->exit != NULL || at < MP_POINT_SLOTS
                  || at >= MP_POINT_SLOTS + code->co_nlocalsplus;
    for (int32_t i = 0; !stored && i < plan->n_stores; i++) {
        stored = plan->stores[i] == at;
    }
    return !stored;
}

static void
give_up_all(const quiet_hit *hit, quiet_count *c)
{
    const mp_replay *p = hit->plan->replay;
    c->runs = false;
    for (int32_t i = p->n_commit; i < p->n_ops && !c->runs; i++) {
        give_up_replaced(p, i, hit->regs, c);
    }
    for (int32_t i = 0; i < hit->n_row && !c->runs; i++) {
        PyObject *o = hit->row[i];
        if (o != NULL && !is_plain(o) && !stays(hit->plan, hit->code, i)
            && (Py_REFCNT(o) > 1 || !is_put_somewhere(p, hit->regs, o))) {
            (void)give_up(o, c);
        }
    }
}

bool
mp_is_quiet(const mp_plan *plan, const PyCodeObject *code, PyObject *const *regs,
            PyObject *const *row, int32_t n_row)
{
    const quiet_hit hit = {plan, code, regs, row, n_row};
    quiet_count c;
    c.n = c.deep = 0;
    give_up_all(&hit, &c);
    if (!c.runs) {
        return true;
    }
    c.n = c.deep = 0;
    if (count_kept(plan->replay, regs, &c)) {
        give_up_all(&hit, &c);
    }
    return !c.runs;
}
