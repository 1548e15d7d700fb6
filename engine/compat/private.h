/* private.h - what the files of compat/ share, and CPython's private headers.
 *
 * Only compat/ may include this.
 */
#ifndef MP_COMPAT_PRIVATE_H
#define MP_COMPAT_PRIVATE_H

#include "compat/compat.h"

/* Versions whose frames we know.  Elsewhere the engine is off: frames answer nothing and
 * mp_watch_available says no. */
#ifdef Py_GIL_DISABLED
#define MP_CAN_WATCH 0
#elif PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030e0000
#define MP_CAN_WATCH 1
#elif PY_VERSION_HEX >= 0x030e0000 && PY_VERSION_HEX < 0x030f0000                      \
    && defined(MP_TRY_NEXT)
#define MP_CAN_WATCH 1  // not yet proven: for who works on it (docs/versions.md)
#else
#define MP_CAN_WATCH 0
#endif

/* Does every change of the dict change its version?  On 3.13 a store to an instance does not
 * count in a dict that shares its values; later versions keep none. */
bool mp_dict_is_counted(PyObject *dict);

#if MP_CAN_WATCH

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
/* https://github.com/python/cpython/issues/105268: a core header defines it again. */
#undef _PyGC_FINALIZED
#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX  // pycore_list.h wants POSIX's
#endif
#undef CO_FAST_LOCAL  // (compat.h has them for others)
#undef CO_FAST_CELL
#undef CO_FAST_FREE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#if PY_VERSION_HEX >= 0x030d0000
#include <internal/pycore_ceval.h>
#endif
#include <internal/pycore_code.h>
#include <internal/pycore_context.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_long.h>
#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_genobject.h>
#include <internal/pycore_interpframe.h>
#include <internal/pycore_stackref.h>
#endif
#pragma GCC diagnostic pop

/* -- Frames -- what has another name in each version -------------------------------- */

/* One place of a frame: a local or a value on the stack.  From 3.14 on its low bits tell whether
 * the frame owns the object, or borrows it from a local, or holds no object but a number. */
#if PY_VERSION_HEX >= 0x030e0000
typedef _PyStackRef mp_slot;

static inline PyObject *
mp_slot_borrow(mp_slot slot)
{
    return PyStackRef_IsTaggedInt(slot) ? NULL : PyStackRef_AsPyObjectBorrow(slot);
}

static inline mp_slot
mp_slot_steal(PyObject *value)
{
    return value == NULL ? PyStackRef_NULL : PyStackRef_FromPyObjectSteal(value);
}

static inline void
mp_slot_release(mp_slot slot)
{
    PyStackRef_XCLOSE(slot);
}
#else
typedef PyObject *mp_slot;

static inline PyObject *
mp_slot_borrow(mp_slot slot)
{
    return slot;
}

static inline mp_slot
mp_slot_steal(PyObject *value)
{
    return value;
}

static inline void
mp_slot_release(mp_slot slot)
{
    Py_XDECREF(slot);
}
#endif

/* Replace what the frame holds there, NULL: by nothing; takes over value. */
static inline void
mp_slot_set_steal(mp_slot *slot, PyObject *value)
{
    mp_slot old = *slot;
    *slot = mp_slot_steal(value);
    mp_slot_release(old);
}

static inline PyCodeObject *
mp_frame_code(const mp_frame *f)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (PyCodeObject *)PyStackRef_AsPyObjectBorrow(f->f_executable);
#elif PY_VERSION_HEX >= 0x030d0000
    return (PyCodeObject *)f->f_executable;
#else
    return f->f_code;
#endif
}

/* The innermost frame of a thread. */
static inline mp_frame **
mp_thread_frame(PyThreadState *ts)
{
#if PY_VERSION_HEX >= 0x030d0000
    return &ts->current_frame;
#else
    return &ts->cframe->current_frame;
#endif
}

/* How many places are in use, locals and stack. */
static inline void
mp_frame_set_top(mp_frame *f, int n_slots)
{
#if PY_VERSION_HEX >= 0x030e0000
    f->stackpointer = f->localsplus + n_slots;
#else
    f->stacktop = n_slots;
#endif
}

/* Push on a stack whose top is saved. */
static inline void
mp_frame_push_steal(mp_frame *f, PyObject *value)
{
#if PY_VERSION_HEX >= 0x030e0000
    *f->stackpointer++ = mp_slot_steal(value);
#else
    f->localsplus[f->stacktop++] = value;
#endif
}

/* The k-th value from the top of such a stack: 1 is the top. */
static inline PyObject *
mp_frame_top_borrow(mp_frame *f, int k)
{
#if PY_VERSION_HEX >= 0x030e0000
    return mp_slot_borrow(f->stackpointer[-k]);
#else
    return f->localsplus[f->stacktop - k];
#endif
}

/* Pop and release. */
static inline void
mp_frame_pop(mp_frame *f)
{
#if PY_VERSION_HEX >= 0x030e0000
    mp_slot_release(*--f->stackpointer);
#else
    f->stacktop--;
    Py_CLEAR(f->localsplus[f->stacktop]);
#endif
}

/* The frame of a generator or coroutine that has one. */
static inline mp_frame *
mp_gen_frame(PyObject *generator)
{
#if PY_VERSION_HEX >= 0x030e0000
    return &((PyGenObject *)generator)->gi_iframe;
#else
    return (mp_frame *)((PyGenObject *)generator)->gi_iframe;
#endif
}

/* Of a frame that a generator or coroutine owns: borrowed. */
static inline PyObject *
mp_frame_generator(mp_frame *f)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (PyObject *)_PyGen_GetGeneratorFromFrame(f);
#else
    return (PyObject *)_PyFrame_GetGenerator(f);
#endif
}

/* The frame goes on with code unit i: of a frame that calls, with the unit behind it. */
static inline void
mp_frame_go_on_at(mp_frame *f, int i)
{
#if PY_VERSION_HEX >= 0x030d0000
    f->instr_ptr = _PyCode_CODE(mp_frame_code(f)) + i;
#else
    f->prev_instr = _PyCode_CODE(mp_frame_code(f)) + i - 1;
#endif
}

/* The frame stands in code unit i, which calls another frame. */
static inline void
mp_frame_stand_at(mp_frame *f, int i)
{
#if PY_VERSION_HEX >= 0x030d0000
    f->instr_ptr = _PyCode_CODE(mp_frame_code(f)) + i;
#else
    f->prev_instr = _PyCode_CODE(mp_frame_code(f)) + i;
#endif
}

/* An exception comes out of code unit i: its handler is looked for there. */
static inline void
mp_frame_raise_at(mp_frame *f, int i)
{
#if PY_VERSION_HEX >= 0x030d0000
    f->instr_ptr =
        _PyCode_CODE(mp_frame_code(f)) + i + 1;  // it looks at the one before
#else
    f->prev_instr = _PyCode_CODE(mp_frame_code(f)) + i;
#endif
}

/* -- Instructions (opcodes.c) -- raw numbers of this version ------------------------ */

int mp_opcode_is_prefix(int raw);
int mp_opcode_is_cache(int raw);
/* Fill all of *out but depth.  next: index of the following instruction. */
void mp_opcode_decode(int raw, int oparg, int next, mp_instr *out);
/* Change of the stack depth, as the evaluator does it. */
int mp_opcode_effect(int raw, int oparg, bool jump);
bool mp_opcode_falls_through(int op);  // canonical

/* -- Code objects (code.c) ---------------------------------------------------------- */

/* What code extra holds: one raw heap block, freed with the code object. */
typedef struct {
    mp_code_info info;  // first: mp_code_info_get answers its address
    uint8_t *tells;     // per code unit: an event there is reported to the watcher
    int32_t armed;      // watchers that have switched instruction events on (3.12)
    uint64_t armed_by;  // serial of the last of them
} mp_code_entry;

int mp_code_init(void);
mp_code_entry *mp_code_entry_get(PyCodeObject *code);

/* -- Watching (watch.c, events.c) --------------------------------------------------- */

/* One mp_watch_call; lives on its C stack. */
typedef struct mp_watcher {
    const mp_watch_ops *ops;
    void *ctx;
    struct mp_watcher *outer;  // the watcher that waits for this one; NULL
    int paused;                // depth of mp_watch_pause
    bool stopped;
    uint64_t serial;
    PyCodeObject **codes;  // owned references: code objects armed by this watcher
    int32_t n_codes, cap_codes;
    struct mp_muted *muted;  // owned; set while the call is being left (watch.c)
    int32_t n_muted, cap_muted;
    PyObject *leaving;  // owned; the exception that leaves the call, or NULL
    PyObject *kept;     // owned list, or NULL: what stacks borrow from locals (frame.c)
    bool abandoned;     // mp_watch_abandon
    int collects;       // was the collector on then?
} mp_watcher;

/* One run of the evaluator on a frame that was reported to `enter`; lives on the C
 * stack. */
typedef struct mp_activation {
    mp_frame *frame;
    mp_watcher *watcher;
    mp_code_entry *entry;  // borrowed from the frame's code; NULL: not watched
    struct mp_activation *outer;
    int told;       // code unit of the instruction that was told last; -1: none yet
    bool from_top;  // it began at the beginning of its function
    bool flagged;   // 3.11: the frame object's flags below were replaced
    char trace_lines, trace_opcodes;
} mp_activation;

/* The activation of frame f if its instructions are to be told now, else NULL. */
mp_activation *mp_watch_current(mp_frame *f);
mp_activation *mp_watch_activations(void);  // innermost of this thread
/* The object lives until the innermost watched call has returned. */
void mp_watch_keep_steal(PyObject *value);
/* Does this thread have a watcher that has not stopped? */
bool mp_watch_has_running(void);
/* Tell the instruction that the frame is about to run.  -1, with an exception that no
 * handler sees: the frame is to be left. */
int mp_watch_tell(mp_activation *act);

/* A chain that is being rebuilt (resume.c); lives on the C stack. */
typedef struct {
    const mp_resume_frame *frames;
    int32_t n, i;  // frames[i] is next
    bool told;     // to the watcher
} mp_resume;

/* Run the frames that f called, and prepare f to continue; *throwflag: with an
 * exception. */
void mp_resume_callees(PyThreadState *ts, mp_frame *f, mp_resume *r, int *throwflag);
/* The frame of r->frames[r->i - 1] is complete: run it. */
PyObject *mp_watch_run_rebuilt(PyThreadState *ts, mp_frame *f, mp_resume *r);
PyObject *mp_resume_chain(mp_resume *r);
/* The frame that f called has ended; takes result over.  false: exception.  *next: where f
 * goes on. */
bool mp_answer_finish(mp_frame *f, const mp_instr *in, uint8_t how, PyObject *result,
                      int *next);

/* The source of instruction events: the trace slot on 3.11, sys.monitoring on 3.12. */
int mp_events_available(const char **why);               // 1, or 0 and a static text
int mp_events_begin(void);                               // 0, or -1 with an exception
int mp_events_arm(mp_watcher *w, mp_code_entry *entry);  // 0, or -1 with an exception
void mp_events_end(mp_watcher *w);                       // keeps an exception in flight
const char *mp_events_lost(void);  // static text if another tool took over
MP_MAYRUN PyObject *mp_events_run(PyThreadState *ts, mp_frame *f, int throwflag,
                                  bool on, _PyFrameEvalFunction next);
void
mp_events_rebuilt(mp_activation *act);  // its frame does not begin at its beginning
void mp_events_fini(void);

#endif  // MP_CAN_WATCH

#endif
