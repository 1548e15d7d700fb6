/* trace/sites.c - which instruction the recording has come to, for those who ask later.
 *
 * A row is made when a guard or an operation is new, not for each instruction; `site` of a
 * shadow is the row of its instruction in progress.
 *
 * Places are for people: without memory for a row the caller's stands in for it, and no
 * recording ends for want of one. */
#include "trace/trace.h"

/* The guard register of the frame's first argument: of `self`, for one. */
static int32_t
sites_self(mp_trace *T, const mp_shadow *s)
{
    bool has = !s->ended && s->info->code->co_argcount > 0;
    PyObject *self = has ? mp_frame_local_borrow(s->f, 0) : NULL;
    if (self != NULL && PyCell_Check(self)) {
        self = PyCell_GET(self);
    }
    const mp_node *n = self == NULL ? NULL : mp_refgraph_find(&T->graph, self);
    return n == NULL || n->kind != MP_NODE_EXTERNAL ? -1 : n->reg;
}

/* The row of the instruction in progress in the frame at this depth; that of its caller, if it
 * has not begun; -1: there is none. */
static int32_t
sites_row(mp_trace *T, int depth)
{
    assert(depth < T->n_stack);
    mp_sites *sites = &T->sites;
    mp_shadow *s = &T->stack[depth];
    const mp_site_row *last = s->site > 0 ? &sites->rows[s->site - 1] : NULL;
    if (last != NULL && last->index == s->pending) {
        return s->site - 1;
    }
    int32_t caller = last != NULL ? last->caller
                     : depth > 0  ? sites_row(T, depth - 1)
                                  : -1;
    int32_t self = last != NULL ? last->self : -1;
    if (s->pending < 0 || s->info == NULL) {
        return caller;
    }
    if (mp_grow(&sites->rows, &sites->cap_rows, sites->n_rows + 1, sizeof(*sites->rows))
        < 0) {
        mp_err_drop();
        return caller;
    }
    self = self >= 0 ? self : sites_self(T, s);
    sites->rows[sites->n_rows] = (mp_site_row){s->code_no, s->pending, caller, self};
    s->site = ++sites->n_rows;
    return s->site - 1;
}

void
mp_sites_note_new(mp_trace *T)
{
    int32_t row = T->n_stack > 0 ? sites_row(T, T->n_stack - 1) : -1;
    mp_sites_mark(&T->sites.guards, T->guards->n_ops, row);
    mp_sites_mark(&T->sites.ops, (int32_t)PyList_GET_SIZE(T->ops), row);
}

void
mp_sites_forget(mp_trace *T)
{
    for (int i = 0; i < T->n_stack; i++) {
        T->stack[i].site = 0;
    }
}

PyObject *
mp_trace_stack(const mp_trace *T)
{
    PyObject *stack = PyList_New(0);
    for (int i = 0; stack != NULL && i < T->n_stack; i++) {
        const mp_shadow *s = &T->stack[i];
        if (s->info == NULL || s->pending < 0) {
            continue;
        }
        PyCodeObject *code = s->info->code;
        PyObject *frame = Py_BuildValue("(OiO)", code->co_filename,
                                        mp_code_line(code, s->pending), code->co_name);
        if (frame == NULL || PyList_Append(stack, frame) < 0) {
            Py_CLEAR(stack);
        }
        Py_XDECREF(frame);
    }
    return stack;
}
