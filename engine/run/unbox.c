/* run/unbox.c - when a segment has ended, boxes of symbols leave the program.
 *
 * A box (trace/symbol.h) is told from what the program would have in its place by its address:
 * `n is 5`, or nan that is looked for in a list.  From here on nobody recognises it, so
 * variables, the result and all that the run has made or written hold again what eager mode
 * would have put there.
 *
 * The walk goes where a box can be: only what the run has made or written holds one.  It ends
 * as soon as nobody but the graph owns a box.  R: it runs no code of the program. */
#include "objects/types.h"
#include "read/read.h"
#include "run/run.h"

/* The box of a number is as good as the number, but for its address, so that walk has an end;
 * that of a bool is no bool. */
enum { MAX_WALKED = 4096, FIRST_SLOTS = 4096 };

typedef struct {
    mp_trace *T;
    PyObject **queue;  // borrowed: nothing dies meanwhile
    PyObject **slots;  // what was queued, by address
    int32_t n, at, cap;
    size_t n_slots;  // a power of two
} walk;

/* Box i: of symbols, and behind them of late values; NULL: there is none. */
static PyObject *
box_borrow(const mp_trace *T, int32_t i)
{
    return i < T->symbols.cap ? T->symbols.all[i].box
                              : T->lates.all[i - T->symbols.cap].box;
}

static PyObject *
value_of_box_borrow(const mp_trace *T, int32_t i)
{
    return i < T->symbols.cap ? T->symbols.all[i].value
                              : T->lates.all[i - T->symbols.cap].value;
}

/* Does anybody but the graph own a box? */
static bool
boxes_left(const mp_trace *T)
{
    for (int32_t i = 0; i < T->symbols.cap + T->lates.n; i++) {
        PyObject *box = box_borrow(T, i);
        if (box != NULL && Py_REFCNT(box) > 1) {
            return true;
        }
    }
    return false;
}

/* The slot of o, or the free one for it. */
static PyObject **
walk_slot(const walk *w, PyObject *o)
{
    size_t at = ((size_t)o >> 4) * 2654435761U & (w->n_slots - 1);
    while (w->slots[at] != NULL && w->slots[at] != o) {
        at = (at + 1) & (w->n_slots - 1);
    }
    return &w->slots[at];
}

/* Room for one more; false without memory. */
static bool
walk_grow(walk *w)
{
    if (mp_grow(&w->queue, &w->cap, w->n + 1, sizeof(*w->queue)) < 0) {
        return false;
    }
    if ((size_t)w->n * 2 < w->n_slots) {
        return true;
    }
    size_t count = w->n_slots == 0 ? FIRST_SLOTS : w->n_slots * 2;
    PyObject **slots = PyMem_Calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    PyMem_Free(w->slots);
    w->slots = slots;
    w->n_slots = count;
    for (int32_t i = 0; i < w->n; i++) {
        *walk_slot(w, w->queue[i]) = w->queue[i];
    }
    return true;
}

static void
walk_add(walk *w, PyObject *o)
{
    if (o == NULL || !(PyObject_IS_GC(o) || PyRange_Check(o))
        || (w->n >= MAX_WALKED && w->T->lates.n == 0)) {
        return;
    }
    if (!walk_grow(w)) {
        mp_err_drop();  // without memory some boxes stay
        return;
    }
    PyObject **slot = walk_slot(w, o);
    if (*slot == NULL) {
        *slot = w->queue[w->n++] = o;
    }
}

/* A `visitproc`.  What was there before the run is walked through if the run wrote to it,
 * which walk_roots finds. */
static int
walk_visit(PyObject *o, void *ctx)
{
    walk *w = ctx;
    const mp_node *n = mp_refgraph_at(&w->T->graph, o);
    bool may = n == NULL ? !PyModule_Check(o) && !PyType_Check(o) && !PyCode_Check(o)
                               && !Py_IS_TYPE(o, &PyDictProxy_Type)
                         : n->kind == MP_NODE_FRESH;
    if (may) {
        walk_add(w, o);
    }
    return 0;
}

static bool
was_written(const mp_node *n)
{
    if (n->kind == MP_NODE_TENSOR) {
        return n->attrs && mp_node_is_alive(n);
    }
    return n->kind == MP_NODE_EXTERNAL && !n->released
           && (n->written != NULL || n->changes != NULL || n->appended || n->rewritten
               || n->takes_new || n->whole || n->taken > 0);
}

static void
swap_in_deque(PyObject *o, PyObject *box, PyObject *plain)
{
    PySequenceMethods *as = ((PyTypeObject *)mp_known[MP_K_DEQUE])->tp_as_sequence;
    for (Py_ssize_t i = 0; i < Py_SIZE(o); i++) {
        PyObject *held = as->sq_item(o, i);
        bool is_box = held == box;
        Py_XDECREF(held);
        if (held == NULL || (is_box && as->sq_ass_item(o, i, plain) < 0)) {
            mp_err_drop();
        }
    }
}

static void
unbox_in(mp_trace *T, PyObject *o)
{
    PyTypeObject *deque = (PyTypeObject *)mp_known[MP_K_DEQUE];
    bool is_deque = deque != NULL && PyObject_TypeCheck(o, deque);
    for (int32_t i = 0; i < T->symbols.cap + T->lates.n; i++) {
        PyObject *box = box_borrow(T, i);
        if (box == NULL || Py_REFCNT(box) == 1) {
            continue;
        }
        mp_swap_held(o, box, value_of_box_borrow(T, i));
        if (is_deque) {
            swap_in_deque(o, box, value_of_box_borrow(T, i));
        }
    }
}

/* However many there are: the program's own containers (read/boxes.c) hold no box. */
static void
unbox_outside(mp_trace *T)
{
    for (int32_t i = 0; T->symbols.are_outside && i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (!n->boxed || n->released) {
            continue;
        }
        if (PyList_Check(n->obj)) {
            mp_unbox_list(T, n->obj);
        }
        else {
            unbox_in(T, n->obj);
        }
    }
}

/* Live values on the stack of a frame; depth: those of the innermost. */
static int
stack_depth(const mp_trace *T, int k, int depth)
{
    const mp_shadow *s = &T->stack[k];
    if (k == T->n_stack - 1 && depth != MP_DEPTH_CALLS) {
        return depth;
    }
    // (A frame without its first event has nothing on its stack yet.)
    if (s->info == NULL || s->pending < 0) {
        return 0;
    }
    const mp_instr *in = &s->info->at[s->pending];
    int after = in->next < s->info->count ? s->info->at[in->next].depth : 0;
    return Py_MIN(in->depth, after - 1);
}

static void
unbox_frames(walk *w, int depth)
{
    mp_trace *T = w->T;
    for (int k = 0; k < T->n_stack; k++) {
        mp_frame *f = T->stack[k].f;
        int count = mp_frame_code_borrow(f)->co_nlocalsplus;
        for (int i = 0; i < count; i++) {
            PyObject *local = mp_frame_local_borrow(f, i);
            PyObject *value = local == NULL ? NULL : mp_symbol_value_borrow(T, local);
            if (value != NULL) {
                mp_frame_local_set_steal(f, i, Py_NewRef(value));
            }
            else if (local != NULL) {
                walk_visit(local, w);
            }
        }
        for (int i = 0; i < stack_depth(T, k, depth); i++) {
            PyObject *held = mp_frame_stack_borrow(f, i);
            PyObject *value = held == NULL ? NULL : mp_symbol_value_borrow(T, held);
            if (value != NULL) {
                mp_frame_stack_set_steal(f, i, Py_NewRef(value));
            }
            else if (held != NULL) {
                walk_visit(held, w);
            }
        }
    }
}

/* The boxes that somebody but the graph owns. */
static PyObject *
boxes_list(const mp_trace *T)
{
    PyObject *boxes = PyList_New(0);
    for (int32_t i = 0; boxes != NULL && i < T->symbols.cap + T->lates.n; i++) {
        PyObject *box = box_borrow(T, i);
        if (box != NULL && Py_REFCNT(box) > 1 && PyList_Append(boxes, box) < 0) {
            Py_CLEAR(boxes);
        }
    }
    return boxes;
}

/* C code that runs below the end of a recording (`list(map(f, xs))`) holds boxes where no frame
 * leads to: the collector knows who. */
static void
unbox_behind_c(mp_trace *T)
{
    PyObject *boxes = boxes_list(T), *holders = NULL;
    PyObject *args = boxes == NULL ? NULL : PyList_AsTuple(boxes);
    Py_XDECREF(boxes);
    PyObject *gc = PyImport_ImportModuleLevel("gc", NULL, NULL, NULL, 0);
    PyObject *ask = gc == NULL ? NULL : PyObject_GetAttrString(gc, "get_referrers");
    if (ask != NULL && args != NULL && PyCFunction_Check(ask)) {
        holders = PyObject_CallObject(ask, args);
    }
    Py_XDECREF(args);
    for (Py_ssize_t i = 0; holders != NULL && i < PyList_GET_SIZE(holders); i++) {
        unbox_in(T, PyList_GET_ITEM(holders, i));
    }
    Py_XDECREF(holders);
    Py_XDECREF(ask);
    Py_XDECREF(gc);
    mp_err_drop();  // without memory some boxes stay
}

void
mp_unbox(mp_trace *T, PyObject **result, PyObject *raised, int depth)
{
    if (!boxes_left(T)) {
        return;
    }
    PyObject *value =
        result == NULL || *result == NULL ? NULL : mp_symbol_value_borrow(T, *result);
    if (value != NULL) {
        Py_SETREF(*result, Py_NewRef(value));
    }
    unbox_outside(T);
    walk w = {.T = T};
    if (depth != MP_DEPTH_GONE) {
        unbox_frames(&w, depth);
    }
    if (result != NULL && *result != NULL) {
        walk_visit(*result, &w);
    }
    if (raised != NULL) {
        walk_visit(raised, &w);
    }
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        if (was_written(T->graph.nodes[i])) {
            walk_add(&w, T->graph.nodes[i]->obj);
        }
    }
    for (; w.at < w.n && boxes_left(T); w.at++) {
        PyObject *o = w.queue[w.at];
        unbox_in(T, o);
        mp_visit_held(o, walk_visit, &w);
    }
    PyMem_Free(w.queue);
    PyMem_Free(w.slots);
    if (T->state == MP_TRACE_ABORTED && boxes_left(T)) {
        unbox_behind_c(T);
    }
}
