/* graph/levels.c - levels of torch.func and of forward differentiation (vmap, grad, jvp).
 *
 * The Python code of torch.func is watched like any other; the C functions below it, which open
 * and close levels and wrap tensors, are operations of the graph.  No level is open when a
 * recording begins (torch/ambient.def), so the number of each is the same in every call.
 * R: a graph ends with all of its levels closed, and no tensor of one leaves it.  A break inside
 * moves out to before the call that opened the outermost level. */
#include "torch/levels.h"
#include "graph/graph.h"
#include "objects/operators.h"

/* The innermost instruction of the program on the stack, below which torch opens a level. */
static mp_site
opening_site(const mp_trace *T)
{
    int at = T->n_stack - 1;
    while (at > 0 && mp_is_library(mp_frame_globals_borrow(T->stack[at].f))) {
        at--;
    }
    return at < 0 ? MP_NO_SITE : (mp_site){T->stack[at].code_no, T->stack[at].pending};
}

mp_rc
mp_level_begin(mp_trace *T, int flags)
{
    if (flags & MP_TORCH_CLOSES && T->n_levels == 0) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a level that is open is closed");
    }
    if (!(flags & MP_TORCH_OPENS) || T->n_levels > 0) {
        return MP_OK;
    }
    if (T->inside > 0) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW,
                              "a transform of torch.func in a body");
    }
    if (mp_levels_expect() < 0) {
        return MP_ERR;
    }
    T->opened = opening_site(T);
    T->all_static = true;  // questions about sizes (magpy/shapes) follow no wrappers
    return mp_pin_everything(T);
}

void
mp_level_end(mp_trace *T, int flags)
{
    T->n_levels += flags & MP_TORCH_OPENS ? 1 : flags & MP_TORCH_CLOSES ? -1 : 0;
}

mp_rc
mp_check_levels(mp_trace *T)
{
    if (T->n_levels == 0) {
        return MP_OK;
    }
    mp_blame(T, T->opened);
    return mp_trace_abort(T, MP_AB_AMBIENT, "a transform of torch.func is at work");
}

mp_rc
mp_check_leaving(mp_trace *T, PyObject *tensor)
{
    if (!mp_level_wraps(tensor)) {
        return MP_OK;
    }
    mp_blame(T, T->opened);
    return mp_trace_abort(T, MP_AB_OUTPUT, "a tensor of a transform that has ended");
}
