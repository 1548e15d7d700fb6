/* effect/same.c - do two replay programs build, write and return the same?
 *
 * Two recordings of one path emit in the same order, so ops are compared one by one.
 * Registers are compared by what they stand for: a source by the guard register or the
 * number behind it, a tensor of the graph and a built object by position.
 *
 * The members of a set of objects that hash by address come in another order each time,
 * and so do the ops that build them.  Programs that both have such a set, and differ,
 * may be the same: they are taken to be. */
#include "effect/same.h"

typedef struct {
    const mp_replay *old, *fresh;
    const mp_cover *cover;  // of their guard registers
} effect_pair;

static bool
same_reg(const effect_pair *p, int32_t old, int32_t fresh)
{
    int32_t old_built = p->old->n_sources + p->old->n_graph;
    int32_t fresh_built = p->fresh->n_sources + p->fresh->n_graph;
    if (old < 0 || fresh < 0) {
        return old == fresh;
    }
    if (old < p->old->n_sources || fresh < p->fresh->n_sources) {
        return old < p->old->n_sources && fresh < p->fresh->n_sources
               && mp_cover_given(p->cover, p->old->source_regs[old],
                                 p->fresh->source_regs[fresh]);
    }
    if (old < old_built || fresh < fresh_built) {
        return old - p->old->n_sources == fresh - p->fresh->n_sources;
    }
    return old - old_built == fresh - fresh_built;
}

static bool
same_op(const effect_pair *p, const mp_effect *old, const mp_effect *fresh)
{
    if (old->kind != fresh->kind || old->count != fresh->count
        || !same_reg(p, old->a, fresh->a) || !same_reg(p, old->b, fresh->b)
        || !mp_guard_same(old->obj, fresh->obj)) {
        return false;
    }
    for (int32_t i = 0; i < old->count; i++) {
        if (!same_reg(p, p->old->pool[old->items + i],
                      p->fresh->pool[fresh->items + i])) {
            return false;
        }
    }
    return true;
}

static bool
same_is_constant(const mp_replay *p, int32_t reg)
{
    for (int32_t i = 0; i < p->n_commit; i++) {
        if (p->ops[i].dst == reg) {
            return p->ops[i].kind == MP_E_CONST;
        }
    }
    return false;
}

/* Is there a set whose order another run need not repeat?  An empty one is filled later,
 * because it contains itself. */
static bool
same_is_unordered(const mp_replay *p)
{
    for (int32_t i = 0; i < p->n_ops; i++) {
        const mp_effect *op = &p->ops[i];
        bool set =
            op->kind == MP_E_SET || op->kind == MP_E_FROZENSET
            || op->kind == MP_E_SET_ASSIGN
            || (op->kind == MP_E_LIST_LIKE
                && (PyType_IsSubtype((PyTypeObject *)op->obj, &PySet_Type)
                    || PyType_IsSubtype((PyTypeObject *)op->obj, &PyFrozenSet_Type)));
        if (set && op->count == 0) {
            return true;
        }
        for (int32_t k = 0; set && op->count > 1 && k < op->count; k++) {
            if (!same_is_constant(p, p->pool[op->items + k])) {
                return true;
            }
        }
    }
    return false;
}

static bool
same_ops(const effect_pair *pair)
{
    const mp_replay *old = pair->old, *fresh = pair->fresh;
    if (old->n_ops != fresh->n_ops || old->n_graph != fresh->n_graph
        || !same_reg(pair, old->result, fresh->result)) {
        return false;
    }
    for (int32_t i = 0; i < old->n_ops; i++) {
        if (!same_op(pair, &old->ops[i], &fresh->ops[i])) {
            return false;
        }
    }
    return true;
}

bool
mp_replay_same(const mp_replay *old, const mp_replay *fresh, const mp_cover *cover)
{
    effect_pair pair = {old, fresh, cover};
    return same_ops(&pair) || (same_is_unordered(old) && same_is_unordered(fresh));
}
