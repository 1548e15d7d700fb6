/* guard/cover.c - does one guard program ask for all that another one asks for?
 *
 * Verify mode records a hit again; what the new recording reads must be covered by the
 * guards that the hit relied on.  Two recordings of one path ask in the same order, so
 * each op is looked for behind the last one that was found first, then anywhere.
 *
 * Registers are matched by how they are loaded: a register of the new program stands
 * for the one of the old program whose load is the same, through the same parents.
 *
 * SAME may be missing in the old program: it looked at one object under two names, and
 * treats them as two.  That is right as long as it need not know, and if it does, the
 * rest differs.  So SAME only says which registers are interchangeable from there on, with
 * all that is loaded from them.
 *
 * Numbers are matched by what they are made of, down to their sources.
 *
 * NO_DICT of an old program stands for LOAD_DICT and NO_KEY of a new one (cover_no_dict). */
#include "guard/cover.h"

#include <string.h>

#include "objects/array.h"
#include "objects/equal.h"
#include "torch/tensor_state.h"

enum { COVER_DEPTH = 16 };

static bool
cover_items_same(PyObject *a, PyObject *b, int depth)
{
    Py_ssize_t n = PyTuple_GET_SIZE(a);
    if (depth == 0 || n != PyTuple_GET_SIZE(b)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *x = PyTuple_GET_ITEM(a, i), *y = PyTuple_GET_ITEM(b, i);
        bool tuples = PyTuple_CheckExact(x) && PyTuple_CheckExact(y);
        if (tuples ? !cover_items_same(x, y, depth - 1) : !mp_guard_same(x, y)) {
            return false;
        }
    }
    return true;
}

bool
mp_guard_same(PyObject *a, PyObject *b)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || Py_TYPE(a) != Py_TYPE(b)) {
        return false;
    }
    if (PyTuple_CheckExact(a)) {
        return cover_items_same(a, b, COVER_DEPTH);
    }
    if (mp_is_array(a)) {
        return mp_array_same(a, b);
    }
    return mp_guard_is_constant(b, 0) && mp_guard_equals(a, b) == 1;
}

/* Is `n` part of what the kind asks for?  Elsewhere a check keeps notes of its own. */
static bool
cover_has_number(mp_guard_kind kind)
{
    switch (kind) {
    case MP_G_LOAD_ARG:
    case MP_G_LOAD_ITEM:
    case MP_G_LOAD_DEQUE:
    case MP_G_LOAD_FIELD:
    case MP_G_LOAD_NEXT:
    case MP_G_ITEMS_LEFT:
    case MP_G_ROOM:
    case MP_G_LEN:
    case MP_G_MAXLEN:
        return true;
    default:
        return false;
    }
}

int
mp_cover_init(mp_cover *cover, const mp_guards *old, const mp_guards *fresh)
{
    cover->map = PyMem_New(int32_t, fresh->n_regs + 1);
    cover->same = PyMem_New(int32_t, old->n_regs + 1);
    cover->numbers = PyMem_New(int32_t, fresh->numbers.n + 1);
    if (cover->map == NULL || cover->same == NULL || cover->numbers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int32_t reg = 0; reg < fresh->n_regs; reg++) {
        cover->map[reg] = -2;
    }
    for (int32_t reg = 0; reg < old->n_regs; reg++) {
        cover->same[reg] = reg;
    }
    for (int32_t k = 0; k < fresh->numbers.n; k++) {
        cover->numbers[k] = -1;
    }
    return 0;
}

void
mp_cover_fini(mp_cover *cover)
{
    PyMem_Free(cover->map);
    PyMem_Free(cover->same);
    PyMem_Free(cover->numbers);
}

/* The one register of old that stands for all that hold the same object. */
static int32_t
cover_root(const mp_cover *cover, int32_t old)
{
    while (old >= 0 && cover->same[old] != old) {
        old = cover->same[old];
    }
    return old;
}

/* Do these registers, or -1, stand for one object? */
static bool
cover_has(const mp_cover *cover, int32_t old, int32_t fresh)
{
    if (old < 0 || fresh < 0) {
        return old == fresh;
    }
    return cover_root(cover, old) == cover_root(cover, cover->map[fresh]);
}

/* -- Numbers ---------------------------------------------------------------------- */

/* The number of old that a number of fresh stands for: a source by its register, an
 * operation by its operands; -1: none. */
static int32_t
cover_number(const mp_guards *old, const mp_cover *cover, mp_number k)
{
    if (mp_number_is_source(k.op)) {
        for (int32_t i = 0; i < old->numbers.n; i++) {
            const mp_number *known = &old->numbers.ops[i];
            if (known->op == k.op && known->n == k.n
                && cover_has(cover, known->a, k.a)) {
                return i;
            }
        }
        return -1;
    }
    int32_t a = k.a < 0 ? -1 : cover->numbers[k.a];
    int32_t b = k.b < 0 ? -1 : cover->numbers[k.b];
    if ((k.a >= 0 && a < 0) || (k.b >= 0 && b < 0)) {
        return -1;
    }
    k.a = a;
    k.b = b;
    return mp_numbers_find(&old->numbers, &k);
}

/* Find the numbers of fresh below `upto`, whose registers are all mapped by now. */
static void
cover_numbers(const mp_guards *old, const mp_guards *fresh, mp_cover *cover,
              int32_t upto)
{
    for (int32_t k = 0; k < upto; k++) {
        if (cover->numbers[k] < 0) {
            cover->numbers[k] = cover_number(old, cover, fresh->numbers.ops[k]);
        }
    }
}

bool
mp_cover_given(const mp_cover *cover, int32_t old, int32_t fresh)
{
    if (old < 0 || fresh < 0) {
        return old < 0 && fresh < 0 && cover->numbers[~fresh] == ~old;
    }
    return cover_has(cover, old, fresh);
}

/* -- Ops -------------------------------------------------------------------------- */

/* Register i of an APART row. */
static int32_t
cover_apart_reg(PyObject *row, Py_ssize_t i)
{
    int32_t reg;
    memcpy(&reg, PyBytes_AS_STRING(row) + i * (Py_ssize_t)sizeof(reg), sizeof(reg));
    return reg;
}

/* APART may ask for more than it has to: what is written in fresh is written in old, and
 * what is looked at in fresh is looked at in old. */
static bool
cover_apart(const mp_guard *old, const mp_guard *fresh, const mp_cover *cover)
{
    Py_ssize_t n = PyBytes_GET_SIZE(fresh->obj) / (Py_ssize_t)sizeof(int32_t);
    Py_ssize_t n_old = PyBytes_GET_SIZE(old->obj) / (Py_ssize_t)sizeof(int32_t);
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t limit = i < fresh->n ? (Py_ssize_t)old->n : n_old, k = 0;
        int32_t reg = cover_apart_reg(fresh->obj, i);
        while (k < limit && !cover_has(cover, cover_apart_reg(old->obj, k), reg)) {
            k++;
        }
        if (k == limit) {
            return false;
        }
    }
    return true;
}

/* Does `old` ask for what `fresh` asks for? */
static bool
cover_op_same(const mp_guard *old, const mp_guard *fresh, const mp_cover *cover)
{
    mp_guard_kind kind = (mp_guard_kind)fresh->kind;
    if (old->kind != fresh->kind || (cover_has_number(kind) && old->n != fresh->n)) {
        return false;
    }
    if (kind == MP_G_HOLDS) {
        return cover->numbers[fresh->n] == old->n;
    }
    if (kind == MP_G_APART || kind == MP_G_ALONE) {
        return cover_apart(old, fresh, cover);
    }
    bool straight =
        cover_has(cover, old->a, fresh->a) && cover_has(cover, old->b, fresh->b);
    bool crossed = kind == MP_G_NOT_SAME && cover_has(cover, old->a, fresh->b)
                   && cover_has(cover, old->b, fresh->a);
    if (!straight && !crossed) {
        return false;
    }
    if (kind == MP_G_TENSOR) {
        return mp_tensor_meta_covers(old->meta, fresh->meta);
    }
    return mp_guard_same(old->obj, fresh->obj);
}

/* Index of the op of old that asks for the same, searched from `at` on; -1: none. */
static int32_t
cover_find(const mp_guards *old, const mp_guard *fresh, const mp_cover *cover,
           int32_t at)
{
    for (int32_t k = 0; k < old->n_ops; k++) {
        int32_t i = (at + k) % old->n_ops;
        if (cover_op_same(&old->ops[i], fresh, cover)) {
            return i;
        }
    }
    return -1;
}

/* The LOAD_DICT that an op of fresh is, or whose dict it asks what NO_DICT asks, too. */
static const mp_guard *
cover_dict_load(const mp_guards *fresh, const mp_guard *op)
{
    bool asks = op->kind == MP_G_NO_KEY || op->kind == MP_G_NOT_SAME
                || (op->kind == MP_G_TYPE_IS && op->obj == (PyObject *)&PyDict_Type);
    const mp_guard *load = asks ? &fresh->ops[fresh->def[op->a]] : op;
    return load->kind == MP_G_LOAD_DICT ? load : NULL;
}

/* An object may have a dict that it had not when old was recorded: NO_DICT asks for a name
 * that is missing, either way.  fresh looks for the name in a dict that it has loaded; what
 * else it asks that dict is not covered.  That it is not a written one (NOT_SAME) NO_DICT
 * asks only where that name is written. */
static bool
cover_no_dict(const mp_guards *old, const mp_guards *fresh, const mp_guard *op,
              const mp_cover *cover)
{
    const mp_guard *load = cover_dict_load(fresh, op);
    for (int32_t i = 0; load != NULL && i < old->n_ops; i++) {
        const mp_guard *known = &old->ops[i];
        if (known->kind == MP_G_NO_DICT && cover_has(cover, known->a, load->a)
            && (op->kind != MP_G_NO_KEY || mp_guard_same(known->obj, op->obj))) {
            return true;
        }
    }
    return false;
}

bool
mp_cover_is_vague(const mp_cover *cover, const mp_guards *old, const mp_guard *fresh)
{
    if (old->dead) {
        return true;
    }
    bool empty = fresh->kind == MP_G_IS && PyTuple_CheckExact(fresh->obj)
                 && PyTuple_GET_SIZE(fresh->obj) == 0;
    for (int32_t i = 0; empty && i < old->n_ops; i++) {
        const mp_guard *op = &old->ops[i];
        if (op->kind == MP_G_TYPE_IS && op->obj == (PyObject *)&PyTuple_Type
            && cover_has(cover, op->a, fresh->a)) {
            return true;
        }
    }
    return false;
}

static bool
cover_is_child(const mp_cover *cover, const mp_guard *op, int32_t root)
{
    return op->dst >= 0 && op->a >= 0 && cover_root(cover, op->a) == root;
}

/* These registers of old hold one object, and so do those that are loaded alike from
 * them.  (Each turn leaves one object less, so this ends.) */
static void
cover_join(const mp_guards *old, mp_cover *cover, int32_t a, int32_t b)
{
    a = cover_root(cover, a);
    b = cover_root(cover, b);
    if (a < 0 || b < 0 || a == b) {
        return;
    }
    cover->same[a] = b;
    for (int32_t i = 0; i < old->n_ops; i++) {
        const mp_guard *one = &old->ops[i];
        for (int32_t k = i + 1;
             k < old->n_ops && cover_is_child(cover, one, cover_root(cover, b)); k++) {
            const mp_guard *other = &old->ops[k];
            if (other->kind == one->kind
                && cover_is_child(cover, other, cover_root(cover, b))
                && (!cover_has_number((mp_guard_kind)one->kind) || one->n == other->n)
                && mp_guard_same(one->obj, other->obj)) {
                cover_join(old, cover, one->dst, other->dst);
            }
        }
    }
}

int32_t
mp_guards_uncovered(const mp_guards *old, const mp_guards *fresh, int32_t limit,
                    mp_cover *cover)
{
    assert(limit <= fresh->n_ops);
    int32_t at = 0;  // behind the last op that was found
    for (int32_t i = 0; !old->dead && !fresh->dead && i < fresh->n_ops; i++) {
        const mp_guard *op = &fresh->ops[i];
        if (op->kind == MP_G_SAME) {
            cover_join(old, cover, cover->map[op->a], cover->map[op->b]);
            continue;
        }
        if (op->kind == MP_G_COMPUTED) {
            continue;  // each program ends with the numbers that it needs
        }
        if (op->kind == MP_G_HOLDS) {
            cover_numbers(old, fresh, cover, (int32_t)op->n + 1);
        }
        int32_t found = cover_find(old, op, cover, at);
        if (found < 0 && i < limit && !cover_no_dict(old, fresh, op, cover)) {
            return i;
        }
        if (found < 0) {
            continue;
        }
        at = found + 1;
        if (op->dst >= 0) {
            cover->map[op->dst] = old->ops[found].dst;
        }
    }
    if (!old->dead && !fresh->dead) {
        cover_numbers(old, fresh, cover, fresh->numbers.n);
    }
    return -1;
}
