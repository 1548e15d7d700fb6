/* frame.c - access to interpreter frames; one function writes.
 *
 * Everything answered is borrowed from the frame and dies with it, or at the next
 * instruction that replaces the slot.  Nothing here allocates or runs Python.  On versions
 * whose frames are not known all answers are NULL or -1; no frame is ever handed out there.
 */
#include "compat/private.h"

#if MP_CAN_WATCH

_Static_assert(CO_FAST_LOCAL == 0x20 && CO_FAST_CELL == 0x40 && CO_FAST_FREE == 0x80,
               "compat.h repeats these values");

PyCodeObject *
mp_frame_code_borrow(mp_frame *f)
{
    return mp_frame_code(f);
}

PyObject *
mp_frame_func_borrow(mp_frame *f)
{
#if PY_VERSION_HEX < 0x030c0000
    return (PyObject *)f->f_func;
#elif PY_VERSION_HEX < 0x030e0000
    return f->f_funcobj;
#else
    return PyStackRef_AsPyObjectBorrow(f->f_funcobj);
#endif
}

PyObject *
mp_frame_globals_borrow(mp_frame *f)
{
    return f->f_globals;
}

PyObject *
mp_frame_builtins_borrow(mp_frame *f)
{
    return f->f_builtins;
}

PyObject *
mp_frame_names_borrow(mp_frame *f)
{
    return mp_frame_code(f)->co_flags & CO_OPTIMIZED ? NULL : f->f_locals;
}

PyObject *
mp_frame_local_borrow(mp_frame *f, int i)
{
    assert(i >= 0 && i < mp_frame_code(f)->co_nlocalsplus);
    return mp_slot_borrow(f->localsplus[i]);
}

/* The evaluator keeps the stack pointer in a C local, but it has written every slot below
 * it to memory before it calls out. */
PyObject *
mp_frame_stack_borrow(mp_frame *f, int i)
{
    assert(i >= 0 && i < mp_frame_code(f)->co_stacksize);
    return mp_slot_borrow(f->localsplus[mp_frame_code(f)->co_nlocalsplus + i]);
}

/* CALL finds [method, self, arguments] or [NULL, callable, arguments]; from 3.13 on
 * [callable, self or NULL, arguments], and of calls with names (flag) these on top. */
PyObject *
mp_frame_callee_borrow(mp_frame *f, const mp_instr *in, int *first)
{
    assert(in->op == MP_OP_CALL);
    int base = in->depth - in->arg - 2 - in->flag;
    PyObject *below = mp_frame_stack_borrow(f, base);
    PyObject *above = mp_frame_stack_borrow(f, base + 1);
#if PY_VERSION_HEX >= 0x030d0000
    *first = above != NULL ? base + 1 : base + 2;
    return below;
#else
    *first = below != NULL ? base + 1 : base + 2;
    return below != NULL ? below : above;
#endif
}

/* CALL_FUNCTION_EX: below the tuple, and below the dict if there is one; from 3.13 on a NULL
 * stands between. */
PyObject *
mp_frame_callee_ex_borrow(mp_frame *f, const mp_instr *in)
{
    enum { GAP = PY_VERSION_HEX >= 0x030d0000 };
    return mp_frame_stack_borrow(f, in->depth - (in->arg & 1 ? 3 : 2) - GAP);
}

/* From 3.14 on two places: [function, self or NULL]. */
PyObject *
mp_frame_exit_borrow(mp_frame *f, int depth, PyObject **self)
{
    PyObject *top = mp_frame_stack_borrow(f, depth - 1);
#if PY_VERSION_HEX >= 0x030e0000
    *self = top;
    return mp_frame_stack_borrow(f, depth - 2);
#else
    *self = NULL;
    return top;
#endif
}

/* LOAD_ATTR as a method: [NULL, attribute], and from 3.13 on [attribute, NULL]. */
int
mp_frame_result_slot(mp_frame *f, int depth)
{
    int top = depth - 1;
    return top > 0 && mp_frame_stack_borrow(f, top) == NULL ? top - 1 : top;
}

void
mp_frame_stack_set_steal(mp_frame *f, int i, PyObject *value)
{
    assert(i >= 0 && i < mp_frame_code(f)->co_stacksize);
    mp_slot_set_steal(&f->localsplus[mp_frame_code(f)->co_nlocalsplus + i], value);
}

/* From 3.14 on, where the compiler knows that the local keeps it. */
bool
mp_frame_borrows(mp_frame *f, PyObject *obj)
{
#if PY_VERSION_HEX >= 0x030e0000
    const mp_slot *at = f->localsplus + mp_frame_code(f)->co_nlocalsplus;
    for (; at < f->stackpointer; at++) {
        if (mp_slot_borrow(*at) == obj && !PyStackRef_RefcountOnObject(*at)) {
            return true;
        }
    }
#else
    (void)f;
    (void)obj;
#endif
    return false;
}

void
mp_frame_local_set_steal(mp_frame *f, int i, PyObject *value)
{
    PyObject *old = mp_frame_local_borrow(f, i);
    assert(old != NULL);
    if (mp_local_kind(mp_frame_code(f), i) & CO_FAST_CELL && PyCell_Check(old)) {
        PyCell_Set(old, value);
        Py_DECREF(value);
        return;
    }
    if (mp_frame_borrows(f, old)) {  // C code that the frame has called may have it
        mp_watch_keep_steal(Py_NewRef(old));
    }
    mp_slot_set_steal(&f->localsplus[i], value);
}

/* Frames that stand for C code, or that have not reached their first RESUME. */
static bool
frame_is_hidden(mp_frame *f)
{
#if PY_VERSION_HEX >= 0x030e0000
    if (f->owner >= FRAME_OWNED_BY_INTERPRETER) {
        return true;
    }
#elif PY_VERSION_HEX >= 0x030c0000
    if (f->owner == FRAME_OWNED_BY_CSTACK) {
        return true;
    }
#endif
    return _PyFrame_IsIncomplete(f);
}

mp_frame *
mp_frame_previous(mp_frame *f)
{
    do {
        f = f->previous;
    } while (f != NULL && frame_is_hidden(f));
    return f;
}

/* 3.13 knows the instruction that a frame is in, and so the first one of a new frame. */
int
mp_frame_lasti(mp_frame *f)
{
    int i = _PyInterpreterFrame_LASTI(f);
#if PY_VERSION_HEX >= 0x030d0000
    if (i == 0 && f->owner != FRAME_OWNED_BY_GENERATOR) {
        return -1;  // (no instruction that is told stands there)
    }
#endif
    return i;
}

bool
mp_frame_is_in_block(mp_frame *f)
{
    int depth, at = mp_code_handler(mp_frame_code(f), mp_frame_lasti(f), &depth);
    const mp_code_info *info = at < 0 ? NULL : mp_code_info_get(mp_frame_code(f));
    if (at >= 0 && info == NULL) {
        mp_err_drop();  // no memory: as if it were
        return true;
    }
    // 3.12 puts a handler of its own around all of a generator.
    return at >= 0 && info->at[at].op != MP_OP_CALL_INTRINSIC_1;
}

PyObject *
mp_frame_generator_borrow(mp_frame *f)
{
    return f->owner == FRAME_OWNED_BY_GENERATOR ? mp_frame_generator(f) : NULL;
}

mp_frame *
mp_gen_frame_borrow(PyObject *o)
{
    PyGenObject *gen = (PyGenObject *)o;
    bool waits = (PyGen_Check(o) || PyCoro_CheckExact(o) || PyAsyncGen_CheckExact(o))
                 && gen->gi_frame_state != FRAME_CREATED
                 && gen->gi_frame_state < FRAME_EXECUTING;
    return waits ? mp_gen_frame(o) : NULL;
}

/* A generator that has started, is not running now, and waits inside a block of its own. */
bool
mp_gen_runs_code(PyObject *o)
{
    mp_frame *f = mp_gen_frame_borrow(o);
    return f != NULL && mp_frame_is_in_block(f);
}

/* The collector.  A recording switches it off, because a collection would run finalizers
 * in the middle of it; afterwards the collection that was due is made up for.  From 3.12 on
 * the interpreter only schedules a collection and does it at a later instruction: the count
 * is raised by a margin, so that objects which die until then do not take it below the
 * threshold again. */
enum { GC_MARGIN = PY_VERSION_HEX >= 0x030c0000 ? 1000 : 0 };

int
mp_gc_waiting(void)
{
    return PyInterpreterState_Get()->gc.generations[0].count;
}

bool
mp_gc_is_due(void)
{
    const struct gc_generation *young = &PyInterpreterState_Get()->gc.generations[0];

    return young->threshold > 0 && young->count > young->threshold;
}

bool
mp_gc_take_scheduled(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyThreadState *ts = PyThreadState_Get();
    if (_Py_eval_breaker_bit_is_set(ts, _PY_GC_SCHEDULED_BIT)) {
        _Py_unset_eval_breaker_bit(ts, _PY_GC_SCHEDULED_BIT);
        return true;
    }
#elif PY_VERSION_HEX >= 0x030c0000
    struct _ceval_state *ceval = &PyInterpreterState_Get()->ceval;
    if (_Py_atomic_load_relaxed(&ceval->gc_scheduled)) {
        _Py_atomic_store_relaxed(&ceval->gc_scheduled, 0);
        return true;
    }
#endif
    return false;
}

void
mp_gc_catch_up(void)
{
    struct gc_generation *young = &PyInterpreterState_Get()->gc.generations[0];

    // Objects have died since it was due; from 3.12 on, more may until it runs.
    if (young->count <= young->threshold + GC_MARGIN) {
        young->count = young->threshold + GC_MARGIN + 1;
    }
    PyObject *cell = PyCell_New(NULL);  // it looks at its counts when an object is made

    mp_err_drop();  // without memory it runs later
    Py_XDECREF(cell);
}

/* close() raises GeneratorExit in the frame, where a handler would run code of the
 * program.  While the code object has an empty exception table there is no handler. */
void
mp_gen_discard(PyObject *o)
{
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);  // a singleton
    PyCodeObject *code =
        (PyCodeObject *)Py_NewRef(mp_frame_code_borrow(mp_gen_frame(o)));
    PyObject *table = code->co_exceptiontable;

    code->co_exceptiontable = empty;
    PyObject *done = PyObject_CallMethod(o, "close", NULL);
    mp_err_drop();  // it may have been closed by force already
    Py_XDECREF(done);
    Py_SETREF(code->co_exceptiontable, table);
    Py_DECREF(code);
}

int
mp_frame_line(mp_frame *f)
{
    return mp_code_line(mp_frame_code(f), mp_frame_lasti(f));
}

int
mp_frame_depth_saved(mp_frame *f)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (int)(f->stackpointer - f->localsplus) - mp_frame_code(f)->co_nlocalsplus;
#else
    return f->stacktop < 0 ? -1 : f->stacktop - mp_frame_code(f)->co_nlocalsplus;
#endif
}

int
mp_local_kind(PyCodeObject *code, int i)
{
    int kind = _PyLocals_GetKind(code->co_localspluskinds, i);
    return kind & (CO_FAST_LOCAL | CO_FAST_CELL | CO_FAST_FREE);
}

#else  // !MP_CAN_WATCH: stubs, so that the rest of the engine links

PyCodeObject *
mp_frame_code_borrow(mp_frame *f)
{
    return NULL;
}

PyObject *
mp_frame_func_borrow(mp_frame *f)
{
    return NULL;
}

PyObject *
mp_frame_globals_borrow(mp_frame *f)
{
    return NULL;
}

PyObject *
mp_frame_builtins_borrow(mp_frame *f)
{
    return NULL;
}

PyObject *
mp_frame_names_borrow(mp_frame *f)
{
    return NULL;
}

PyObject *
mp_frame_local_borrow(mp_frame *f, int i)
{
    return NULL;
}

PyObject *
mp_frame_stack_borrow(mp_frame *f, int i)
{
    return NULL;
}

PyObject *
mp_frame_callee_borrow(mp_frame *f, const mp_instr *in, int *first)
{
    *first = 0;
    return NULL;
}

PyObject *
mp_frame_callee_ex_borrow(mp_frame *f, const mp_instr *in)
{
    return NULL;
}

PyObject *
mp_frame_exit_borrow(mp_frame *f, int depth, PyObject **self)
{
    *self = NULL;
    return NULL;
}

int
mp_frame_result_slot(mp_frame *f, int depth)
{
    return depth - 1;
}

bool
mp_frame_borrows(mp_frame *f, PyObject *obj)
{
    return false;
}

void
mp_frame_stack_set_steal(mp_frame *f, int i, PyObject *value)
{
    Py_DECREF(value);
}

void
mp_frame_local_set_steal(mp_frame *f, int i, PyObject *value)
{
    Py_DECREF(value);
}

mp_frame *
mp_frame_previous(mp_frame *f)
{
    return NULL;
}

int
mp_frame_lasti(mp_frame *f)
{
    return -1;
}

bool
mp_frame_is_in_block(mp_frame *f)
{
    return false;
}

PyObject *
mp_frame_generator_borrow(mp_frame *f)
{
    return NULL;
}

bool
mp_gen_runs_code(PyObject *o)
{
    return false;  // never called
}

mp_frame *
mp_gen_frame_borrow(PyObject *o)
{
    return NULL;
}

int
mp_gc_waiting(void)
{
    return 0;
}

bool
mp_gc_is_due(void)
{
    return false;
}

bool
mp_gc_take_scheduled(void)
{
    return false;
}

void
mp_gc_catch_up(void)
{
}

void
mp_gen_discard(PyObject *o)
{
}

int
mp_frame_line(mp_frame *f)
{
    return -1;
}

int
mp_frame_depth_saved(mp_frame *f)
{
    return -1;
}

int
mp_local_kind(PyCodeObject *code, int i)
{
    return 0;
}

#endif
