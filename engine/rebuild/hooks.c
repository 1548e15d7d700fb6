/* rebuild/hooks.c - hooks that the run has set (graph/hook.c) are effects: a builder sets each,
 * and what it makes is the handle.
 *
 * R: hooks of one tensor run in the order in which they were set. */
#include "graph/graph.h"
#include "rebuild/rebuilder.h"

mp_rc
mp_rebuild_scan_hooks(mp_rebuilder *b)
{
    mp_rc rc = mp_hooks_check(b->T);
    for (int32_t i = 0; rc == MP_OK && i < b->T->n_hooks; i++) {
        const mp_hook *h = &b->T->hooks[i];
        if (h->method != NULL) {
            rc = mp_rebuild_scan(b, h->made == Py_None ? h->owner : h->made);
        }
    }
    return rc;
}

mp_rc
mp_rebuild_emit_hook(mp_rebuilder *b, PyObject *handle, const mp_shape *s,
                     const int32_t *items, int32_t *reg)
{
    const mp_hook *h = &b->T->hooks[b->n_hooked];
    while (h->method == NULL) {
        h++;
    }
    if (h->made != handle) {  // the function of an earlier one holds this handle
        mp_blame(b->T, h->at);
        return mp_trace_abort(b->T, MP_AB_OUTPUT, "handles of hooks in another order");
    }
    b->n_hooked = (int32_t)(h - b->T->hooks) + 1;
    return mp_rebuild_emit(b, MP_E_HOOK, s->type, -1, -1, items, s->n_items, reg);
}

/* One without a handle: retain_grad. */
static mp_rc
make_silent(mp_rebuilder *b, const mp_hook *h)
{
    int32_t owner, reg;
    mp_shape s = {.type = h->method, .n_items = 1};
    mp_rc rc = mp_rebuild_make(b, h->owner, &owner);
    return rc != MP_OK ? rc : mp_rebuild_emit_hook(b, Py_None, &s, &owner, &reg);
}

mp_rc
mp_rebuild_make_hooks(mp_rebuilder *b)
{
    mp_rc rc = MP_OK;
    for (int32_t i = 0; rc == MP_OK && i < b->T->n_hooks; i++) {
        const mp_hook *h = &b->T->hooks[i];
        int32_t reg;
        if (h->method == NULL) {
            continue;
        }
        rc = h->made == Py_None ? make_silent(b, h) : mp_rebuild_make(b, h->made, &reg);
    }
    return rc;
}
