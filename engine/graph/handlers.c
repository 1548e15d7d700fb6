/* graph/handlers.c - would the program end an exception of an operation?
 *
 * A hit runs the whole graph before any effect, so a handler that ends the exception, or
 * puts another in its place, must run in eager mode, on the state that eager has there
 * (writes.c).  Handlers that only pass it on need no care: `finally`, `except E: raise`,
 * `except E` where E is none of what operations raise, `with` whose `__exit__` answers
 * nothing.  If the graph can be undone they run in eager mode all the same; if not, the
 * exception is the graph's, and what they would set back no hit has set yet.
 *
 * All is read from code and from live objects; nothing is guarded, because it decides only
 * what happens to a graph that raises. */
#include "graph/graph.h"
#include "objects/operators.h"

/* The walk through a handler gives up behind so many instructions, and blocks around it. */
enum { MAX_STEPS = 512, MAX_BLOCKS = 32 };

typedef struct {
    mp_frame *f;
    const mp_code_info *info;
    int at;      // the instruction
    int blocks;  // how many handlers an exception of it has passed
    bool any;    // it may raise whatever there is
} place;

static bool place_ends(place p);

/* -- Classes of exceptions --------------------------------------------------------------- */

/* Does no operation raise what this class catches? */
static bool
is_other_class(PyObject *cls)
{
    PyObject *const others[] = {PyExc_LookupError,   PyExc_AttributeError,
                                PyExc_ImportError,   PyExc_StopIteration,
                                PyExc_NameError,     PyExc_StopAsyncIteration,
                                PyExc_OSError,       PyExc_EOFError,
                                PyExc_GeneratorExit, PyExc_SystemExit};
    if (!PyType_Check(cls) || cls == PyExc_LookupError
        || PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)PyExc_IndexError)) {
        return false;
    }
    bool other = false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(others) && !other; i++) {
        other = PyType_IsSubtype((PyTypeObject *)cls, (PyTypeObject *)others[i]);
    }
    return other;
}

/* The class that a LOAD_GLOBAL of this frame would load now: borrowed, or NULL. */
static PyObject *
global_now(place p, int name)
{
    PyObject *text = PyTuple_GET_ITEM(p.info->code->co_names, name);
    PyObject *spaces[] = {mp_frame_globals_borrow(p.f), mp_frame_builtins_borrow(p.f)};
    PyObject *found = NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(spaces) && found == NULL; i++) {
        if (spaces[i] == NULL || !PyDict_CheckExact(spaces[i])) {
            return NULL;
        }
        found = PyDict_GetItemWithError(spaces[i], text);
        mp_err_drop();  // texts compare without errors
    }
    return found;
}

/* `except E:` or `except (E, F):` from this instruction on, where all are other classes: the
 * instruction that an exception goes on at; -1 if it is anything else. */
static int
skips_clause(place p)
{
    const mp_instr *at = p.info->at;
    int i = p.any ? -1 : p.at, count = 0;
    if (i < 0) {
        return -1;
    }
    for (; at[i].op == MP_OP_LOAD_GLOBAL; i = at[i].next, count++) {
        PyObject *cls = global_now(p, at[i].arg);
        if (cls == NULL || !is_other_class(cls)) {
            return -1;
        }
    }
    if (at[i].op == MP_OP_BUILD_TUPLE && at[i].arg == count) {
        i = at[i].next;
    }
    else if (count != 1) {
        return -1;
    }
    int jump = at[i].op == MP_OP_CHECK_EXC_MATCH ? at[i].next : -1;
    return jump >= 0 && at[jump].op == MP_OP_POP_JUMP_IF_FALSE ? at[jump].target : -1;
}

/* -- Blocks -------------------------------------------------------------------------------- */

/* Is there a jump to this instruction?  `return a or None` jumps to its end with `a`. */
static bool
is_target(const mp_code_info *info, int at)
{
    bool found = false;
    for (int i = 0; i < info->count && !found; i++) {
        found = info->at[i].target == at;
    }
    return found;
}

/* Does this function answer nothing that is true?  Then an exception goes on behind it. */
static bool
answers_nothing(PyObject *func)
{
    const mp_code_info *info =
        mp_code_info_get((PyCodeObject *)PyFunction_GET_CODE(func));
    int before = -1;
    mp_err_drop();  // no memory: it is not known
    for (int i = 0; info != NULL && i < info->count; before = i, i = info->at[i].next) {
        int op = info->at[i].op, from = op == MP_OP_RETURN_CONST ? i : before;
        if (op == MP_OP_RETURN_GENERATOR || op == MP_OP_RAISE_VARARGS) {
            return false;
        }
        if (op != MP_OP_RETURN_VALUE && op != MP_OP_RETURN_CONST) {
            continue;
        }
        if (from < 0
            || (from == before
                && (info->at[from].op != MP_OP_LOAD_CONST || is_target(info, i)))) {
            return false;
        }
        PyObject *value = PyTuple_GET_ITEM(info->code->co_consts, info->at[from].arg);
        if (value != Py_None && value != Py_False) {
            return false;
        }
    }
    return info != NULL;
}

/* A context manager of contextlib passes the exception to its generator, which waits. */
static bool
generator_passes_on(PyObject *manager, bool any)
{
    PyObject *dict = mp_instance_dict_borrow(manager);
    PyObject *gen = dict == NULL ? NULL : mp_dict_text_borrow(dict, "gen");
    mp_frame *f = gen == NULL ? NULL : mp_gen_frame_borrow(gen);
    const mp_code_info *info =
        f == NULL ? NULL : mp_code_info_get(mp_frame_code_borrow(f));
    mp_err_drop();  // no memory: it is not known
    int at = info == NULL ? -1 : mp_frame_lasti(f);
    return at >= 0 && !place_ends((place){f, info, at, 0, any});
}

/* `with`: an `__exit__` that answers nothing, or that of a generator which passes the
 * exception on.  What torch and warnings set back a replay has not set. */
static bool
exit_passes_on(place p, int depth)
{
    PyObject *self, *func = mp_frame_exit_borrow(p.f, depth, &self);
    if (func != NULL && PyMethod_Check(func)) {
        self = PyMethod_GET_SELF(func);
        func = PyMethod_GET_FUNCTION(func);
    }
    if (self == NULL || func == NULL || !PyFunction_Check(func)) {
        return false;
    }
    PyObject *globals = PyFunction_GET_GLOBALS(func);
    return mp_is_of_package(globals, "torch")
           || mp_is_module(globals, MP_MODULE_WARNINGS) || answers_nothing(func)
           || (mp_is_module(globals, MP_MODULE_CONTEXTLIB)
               && generator_passes_on(self, p.any));
}

typedef struct {
    place p;
    int n_work, n_seen;
    int work[MAX_STEPS], seen[MAX_STEPS];
} walk;

static bool
walk_reach(walk *w, int at)
{
    for (int i = 0; i < w->n_seen; i++) {
        if (w->seen[i] == at) {
            return true;
        }
    }
    if (at < 0 || at >= w->p.info->count || w->n_seen == MAX_STEPS) {
        return false;
    }
    w->seen[w->n_seen++] = at;
    w->work[w->n_work++] = at;
    return true;
}

/* Does an exception that is raised again here leave the frame? */
static bool
goes_on(place p, int at)
{
    return at >= 0 && !place_ends((place){p.f, p.info, at, p.blocks + 1, p.any});
}

/* One instruction of a handler; false if the exception may end there. */
static bool
walk_step(walk *w, int at)
{
    const mp_instr *in = &w->p.info->at[at];
    place here = w->p;
    here.at = at;
    int skips;
    switch (in->op) {
    case MP_OP_RERAISE:
        return goes_on(w->p, at);
    case MP_OP_RAISE_VARARGS:
        return in->arg == 0 && goes_on(w->p, at);
    case MP_OP_POP_EXCEPT:
    case MP_OP_CHECK_EG_MATCH:
    case MP_OP_RETURN_VALUE:
    case MP_OP_RETURN_CONST:
    case MP_OP_YIELD_VALUE:
        return false;
    case MP_OP_JUMP_FORWARD:
    case MP_OP_JUMP_BACKWARD:
        return walk_reach(w, in->target);
    case MP_OP_LOAD_GLOBAL:
        skips = skips_clause(here);
        return walk_reach(w, skips >= 0 ? skips : in->next);
    default:
        return walk_reach(w, in->next) && (in->target < 0 || walk_reach(w, in->target));
    }
}

/* Does the handler at `at` only pass the exception on? */
static bool
handler_passes_on(place p, int at)
{
    walk w = {.p = p};
    bool passes = walk_reach(&w, at);
    while (passes && w.n_work > 0) {
        passes = walk_step(&w, w.work[--w.n_work]);
    }
    return passes;
}

static int
next_reraise(const mp_code_info *info, int i)
{
    while (i >= 0 && i < info->count && info->at[i].op != MP_OP_RERAISE) {
        i = info->at[i].next;
    }
    return i < info->count ? i : -1;
}

/* Could this frame end an exception of the instruction?  Handlers of the compiler's own only
 * pass it on. */
static bool
place_ends(place p)
{
    assert(p.at >= 0 && p.at < p.info->count);
    int depth, at = mp_code_handler(p.info->code, p.at, &depth);
    if (at < 0) {
        return false;
    }
    if (p.blocks == MAX_BLOCKS) {
        return true;
    }
    if (p.info->at[at].op != MP_OP_PUSH_EXC_INFO) {
        return !goes_on(p, next_reraise(p.info, at));
    }
    if (p.info->at[p.info->at[at].next].op == MP_OP_WITH_EXCEPT_START) {
        return depth < 1 || !exit_passes_on(p, depth)
               || !goes_on(p, next_reraise(p.info, at));
    }
    return !handler_passes_on(p, at);
}

static bool
frame_catches(const mp_shadow *s, bool any)
{
    return s->info != NULL && s->pending >= 0
           && PyBytes_GET_SIZE(s->info->code->co_exceptiontable) > 0
           && place_ends((place){s->f, s->info, s->pending, 0, any});
}

bool
mp_shadow_catches(const mp_shadow *s)
{
    return s->caught || frame_catches(s, false);
}

/* An operation of torch.library or a function of the program may raise anything. */
static bool
is_of_the_program(const mp_pending_op *op)
{
    return op->effects == NULL || mp_is_op_object(op->target);
}

/* What frames remember (`caught`) holds for operations of torch. */
static bool
any_frame_catches(const mp_trace *T)
{
    bool catches = false;
    for (int32_t i = 0; i < T->n_stack && !catches; i++) {
        catches = frame_catches(&T->stack[i], true);
    }
    return catches;
}

void
mp_op_note_caught(mp_trace *T, const mp_shadow *s)
{
    assert(T->op.target != NULL);
    if (!(T->op_caught && T->op_ended)
        && (mp_shadow_catches(s)
            || (is_of_the_program(&T->op) && any_frame_catches(T)))) {
        T->op_caught = true;
        T->op_ended = T->op_ended || mp_op_may_raise(T);
    }
    if (T->filters_change && !T->op_filtered) {
        T->op_filtered = true;
        T->filtered = T->graph.at;
    }
    mp_op_note_clash(T);
}
