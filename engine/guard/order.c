/* guard/order.c - which ops does an unchanged dict settle?
 *
 * A dict of a known version holds the very objects that it held, and they are alive.  So
 * it settles
 *   - what is asked of the dict itself: keys, absence, length, and the loads of its items
 *     (the order of an OrderedDict changes without its version: KEYS is not settled there);
 *   - what follows from the identity of such an item: that it is this object, the value of
 *     an immutable constant, the type of an object that cannot change it, the items of a
 *     tuple.
 * What an item contains otherwise is not settled: it may change under the same dict.
 *
 * A block stands where the first key of its dict is asked for: the register of the dict
 * is loaded and type-tested there, and its other ops need that register or each other
 * alone.  They only move forward, so whatever is loaded through them stays behind.
 *
 * Ownership: the order owns no object; `known` borrows as `regs` of a check do. */
#include "guard/order.h"

#include <string.h>

enum { NOT_SETTLED = -1, ALWAYS_SETTLED = -2 };

enum { REG_IS_DICT = 1, REG_IS_TUPLE = 2 };  // exactly

typedef struct {
    int32_t settled;  // dict that settles what the register holds, or one of the above
    int32_t dict;     // dict that the register holds, once a key of it was asked for
    int32_t type;     // REG_IS_...
} order_reg;

typedef struct {
    const mp_guards *g;
    int32_t *by_op;  // dict that settles the op, or NOT_SETTLED
    int32_t *next;   // the next op that the same dict settles; 0: none
    int32_t *last;   // per dict: its last such op so far, or -1
    order_reg *regs;
} ordering;

/* Can an object of this type be given another one?  (__class__ can be set between heap
 * types, and from one type of modules to another.) */
static bool
order_type_is_final(PyObject *type)
{
    PyTypeObject *t = (PyTypeObject *)type;
    return !PyType_HasFeature(t, Py_TPFLAGS_HEAPTYPE)
           && !PyType_IsSubtype(t, &PyModule_Type);
}

static int32_t
order_dict_of_op(const ordering *o, const mp_guard *op)
{
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_KEY:
    case MP_G_HAS_KEY:
    case MP_G_NO_KEY:
        return op->dict;
    case MP_G_KEYS:
        return o->regs[op->a].type == REG_IS_DICT ? op->dict : NOT_SETTLED;
    default:
        return NOT_SETTLED;
    }
}

/* The length of a dict with a block, or of a tuple that is settled. */
static int32_t
order_settle_len(const order_reg *reg)
{
    if (reg->dict >= 0) {
        return reg->dict;
    }
    return reg->type == REG_IS_TUPLE ? reg->settled : NOT_SETTLED;
}

static int32_t
order_settle_pair(const ordering *o, const mp_guard *op)
{
    assert(op->a >= 0 && op->b >= 0);
    int32_t a = o->regs[op->a].settled, b = o->regs[op->b].settled;
    if (a == ALWAYS_SETTLED) {
        return b;
    }
    return b == ALWAYS_SETTLED || a == b ? a : NOT_SETTLED;
}

/* Which dict settles the op, if it asks about the identity of a settled register? */
static int32_t
order_settle(const ordering *o, const mp_guard *op)
{
    const order_reg *reg = op->a < 0 ? NULL : &o->regs[op->a];
    switch ((mp_guard_kind)op->kind) {
    case MP_G_LOAD_CONST:
        return ALWAYS_SETTLED;
    case MP_G_TYPE_IS:
        return order_type_is_final(op->obj) ? reg->settled : NOT_SETTLED;
    case MP_G_IS:
    case MP_G_EQUALS:
        return reg->settled;
    case MP_G_LOAD_ITEM:
        return reg->type == REG_IS_TUPLE ? reg->settled : NOT_SETTLED;
    case MP_G_LEN:
    case MP_G_NONEMPTY:
        return order_settle_len(reg);
    case MP_G_SAME:
    case MP_G_NOT_SAME:
        return order_settle_pair(o, op);
    default:
        return NOT_SETTLED;
    }
}

/* What the op tells about registers. */
static void
order_learn(ordering *o, const mp_guard *op, int32_t dict)
{
    if (op->dst >= 0) {
        o->regs[op->dst].settled = dict;
    }
    if (op->dict >= 0 && dict >= 0) {
        o->regs[op->a].dict = op->dict;
    }
    if (op->kind == MP_G_TYPE_IS) {
        o->regs[op->a].type = op->obj == (PyObject *)&PyTuple_Type  ? REG_IS_TUPLE
                              : op->obj == (PyObject *)&PyDict_Type ? REG_IS_DICT
                                                                    : 0;
    }
}

static void
order_visit(ordering *o, int32_t i)
{
    assert(i >= 0 && i < o->g->n_ops);
    const mp_guard *op = &o->g->ops[i];
    int32_t dict = order_dict_of_op(o, op);
    if (dict < 0) {
        dict = order_settle(o, op);
    }
    order_learn(o, op, dict);
    if (dict < 0) {  // what always holds is a load of a constant, or costs as little
        o->by_op[i] = NOT_SETTLED;
        return;
    }
    assert(dict < o->g->n_dicts);
    o->by_op[i] = dict;
    if (o->last[dict] >= 0) {
        o->next[o->last[dict]] = i;
    }
    o->last[dict] = i;
}

/* Append the block of dict d, whose first op is i, to the order. */
static void
order_put_block(mp_guards *g, const int32_t *next, int32_t i, int32_t d)
{
    assert(d >= 0 && d < g->n_dicts && g->dicts[d].n_settled == 0);
    mp_guard_dict *dict = &g->dicts[d];
    g->order[g->n_order++] = ~d;
    dict->known = g->n_known;
    do {
        g->order[g->n_order++] = i;
        dict->n_settled++;
        if (g->ops[i].dst >= 0) {
            g->known[g->n_known++] = (mp_guard_known){.reg = g->ops[i].dst};
            dict->n_known++;
        }
        i = next[i];
    } while (i != 0);
}

/* The order in which a check runs: constants, then the program's order, with the
 * operations that one dict settles moved together into a block. */
static void
order_put(mp_guards *g, const ordering *o)
{
    g->n_order = g->n_known = 0;
    for (int32_t d = 0; d < g->n_dicts; d++) {
        g->dicts[d].n_settled = g->dicts[d].n_known = 0;
        g->dicts[d].seen = NULL;
    }
    // Constants first: a block may stand before the op that loads one for it to compare.
    for (int32_t i = 0; i < g->n_ops; i++) {
        if (g->ops[i].kind == MP_G_LOAD_CONST) {
            g->order[g->n_order++] = i;
        }
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        int32_t d = o->by_op[i];
        if (g->ops[i].kind == MP_G_LOAD_CONST) {
            continue;
        }
        if (d == NOT_SETTLED) {
            g->order[g->n_order++] = i;
        }
        else if (g->dicts[d].n_settled == 0) {
            order_put_block(g, o->next, i, d);
        }
    }
    assert(g->n_order <= g->n_ops + g->n_dicts && g->n_known <= g->n_regs);
    g->n_ordered = g->n_ops;
}

/* Make room, find out which dict settles which operation, and order them. */
static int
order_make(mp_guards *g, ordering *o)
{
    int32_t *order =
        PyMem_Realloc(g->order, (size_t)(g->n_ops + g->n_dicts + 1) * sizeof(*order));
    if (order == NULL) {
        return -1;
    }
    g->order = order;
    mp_guard_known *known =
        PyMem_Realloc(g->known, (size_t)(g->n_regs + 1) * sizeof(*known));
    if (known == NULL) {
        return -1;
    }
    g->known = known;
    for (int32_t d = 0; d < g->n_dicts; d++) {
        o->last[d] = -1;
    }
    for (int32_t r = 0; r < g->n_regs; r++) {
        o->regs[r] = (order_reg){.settled = NOT_SETTLED, .dict = NOT_SETTLED};
    }
    for (int32_t i = 0; i < g->n_ops; i++) {
        order_visit(o, i);
    }
    order_put(g, o);
    return 0;
}

int
mp_guards_order(mp_guards *g)
{
    size_t n_ops = (size_t)g->n_ops, n_dicts = (size_t)g->n_dicts;
    int32_t *words = PyMem_Calloc(2 * n_ops + n_dicts + 1, sizeof(*words));
    order_reg *regs = PyMem_Malloc(((size_t)g->n_regs + 1) * sizeof(*regs));
    int rc = -1;
    if (words != NULL && regs != NULL) {
        ordering o = {.g = g,
                      .by_op = words,
                      .next = words + n_ops,
                      .last = words + 2 * n_ops,
                      .regs = regs};
        rc = order_make(g, &o);
    }
    PyMem_Free(words);
    PyMem_Free(regs);
    return rc;
}
