/* run/run.h - a recording from its begin to its end. */
#ifndef MP_RUN_H
#define MP_RUN_H

#include "trace/trace.h"

/* What a callback puts aside: the exception in flight, and the collector.  Before 3.12 a
 * collection can start in any allocation; its finalizers could change a container that a
 * handler is walking through. */
typedef struct {
    PyObject *exc;  // owned or NULL
    int collects;
    int calm;  // of mp_calm_begin; -1: no mode of the program is on
} mp_callback;

extern const mp_watch_ops mp_record_watch;

/* -- death.c ----------------------------------------------------------------------- */

int mp_death_init(void);
/* The frame is no part of the program: it runs because something died. */
bool mp_is_finalizer(mp_trace *T, mp_frame *f);
/* It is one that the recording cannot hold. */
bool mp_runs_as_it_dies(mp_trace *T, mp_frame *f, bool fresh);
/* Code of the library, or of the collector's users. */
bool mp_death_is_harmless(mp_frame *f);
/* Code of WeakKeyDictionary, WeakSet and the like. */
bool mp_is_weakref_frame(mp_frame *f);
/* So many objects that the collector looks at have been made since it was switched off that
 * it has to run now.  What runs then and is not the library's ends the recording. */
void mp_collect_garbage(mp_trace *T);
/* No segment is recorded any more: the collector makes up for what it has missed. */
MP_MAYRUN void mp_collector_restore(mp_trace *T);
bool mp_reaches_finalizer(PyObject *v);

/* -- frame.c ----------------------------------------------------------------------- */

/* The first event of a frame: its arguments. */
mp_rc mp_frame_start(mp_trace *T, mp_shadow *s);
/* The number that was loaded meanwhile becomes a symbol, if the instruction before
 * answers with it. */
mp_rc mp_frame_take_number(mp_trace *T, mp_shadow *s, int index);
/* The instruction `before` has ended: its result, seen at index. */
mp_rc mp_frame_result(mp_trace *T, mp_shadow *s, const mp_instr *before, int index);

/* -- mode.c ------------------------------------------------------------------------ */

int mp_mode_init(void);
/* If C code below s may call operations: after the last callback before it runs. */
void mp_mode_on(mp_trace *T, const mp_shadow *s);
/* Before any Python code runs. */
void mp_mode_off(mp_trace *T);

/* -- outer.c ----------------------------------------------------------------------- */

/* The frame of s waits in an instruction that runs the frame of inner.  Can that go on without
 * the C code between them?  *how: what that does with the result; *made: borrowed, see there
 * (compat/compat.h), or NULL. */
bool mp_outer_continues(const mp_shadow *s, const mp_shadow *inner, uint8_t *how,
                        PyObject **made);

/* -- record.c ---------------------------------------------------------------------- */

/* Run a step of the innermost watched frame as a callback. */
void mp_record_step(mp_trace *T, mp_rc (*step)(mp_trace *, mp_shadow *, void *),
                    void *arg);

/* -- enter.c ----------------------------------------------------------------------- */

/* The innermost watched frame, or NULL. */
static inline mp_shadow *
mp_shadow_top(mp_trace *T)
{
    return T->n_stack == 0 ? NULL : &T->stack[T->n_stack - 1];
}

void mp_shadow_fini(mp_shadow *s);
/* Of mp_watch_ops (compat/compat.h). */
bool mp_on_enter(void *ctx, mp_frame *f, bool fresh);
void mp_on_leave(void *ctx, mp_frame *f, bool watched, PyObject *result);
void mp_on_missed(void *ctx, mp_frame *f);

/* -- callback.c -------------------------------------------------------------------- */

/* No event may be lost or seen twice while the recorder works: the exception state is put
 * aside, the collector goes off. */
mp_callback mp_callback_begin(mp_trace *T);
/* Also releases the objects of a segment that has ended, because what follows is eager. */
MP_MAYRUN void mp_callback_end(mp_trace *T, mp_callback saved);
/* MP_ERR inside a callback is our failure, never the user's: the recording ends with reason
 * INTERNAL.  What a signal handler raised is raised again in the program. */
void mp_trace_settle(mp_trace *T, mp_rc rc);
bool mp_has_made_boxes(const mp_trace *T);
/* At the begin or the end of a frame: if the recording ends there, the frames around it, which
 * wait for a call, go on without boxes. */
void mp_unbox_callers(mp_trace *T, mp_callback saved);
/* The recording was given up in __torch_function__, below the innermost frame (trace/abort.c). */
bool mp_ended_in_mode(const mp_trace *T);
/* Then the program goes on without boxes from here on. */
void mp_stop_after_mode(mp_trace *T, int depth);

/* -- region.c ---------------------------------------------------------------------- */

/* Put the region where the interpreter will find it: in the place of its callee. */
mp_rc mp_region_install(mp_trace *T, mp_shadow *s, int depth);

/* Call a function of ours that can be called again until it has come to its end: a signal
 * that comes meanwhile waits.  arg: or NULL.  New, or NULL with an exception. */
PyObject *mp_call_whole(PyObject *function, PyObject *arg);
/* What takes back what bodies do that the program has not asked for; NULL with an exception. */
PyObject *mp_aside_begin(void);
/* Do that.  The recording ends if they have warned. */
void mp_aside_end(mp_trace *T, PyObject *state);
/* A body could not be recorded: break before its instruction from now on. */
void mp_region_fail(mp_trace *T, const mp_region *r, bool outermost);

/* -- arm.c ------------------------------------------------------------------------- */

/* Put the region where the interpreter will ask whether it is true. */
mp_rc mp_branch_install(mp_trace *T, mp_shadow *s, int depth);
bool mp_is_arm(mp_trace *T, const mp_shadow *parent, mp_frame *f);
/* s: of the copy, which begins. */
mp_rc mp_arm_enter(mp_trace *T, mp_shadow *s);

/* -- run.c ------------------------------------------------------------------------- */

MP_MAYRUN void mp_trace_drop(mp_trace *T);  // run/run.c
/* run/run.c: forget the segment but for the frames; NULL if it cannot be planned. */
mp_rc mp_trace_again(mp_trace *T);
mp_plan *mp_plan_make(mp_trace *T, PyObject *result);

/* -- segment.c --------------------------------------------------------------------- */

/* The instruction that s is about to run cannot be recorded: can the segment end before it?
 * n_writes: length of the journal before the instruction was looked at. */
bool mp_segment_break(mp_trace *T, mp_shadow *s, int n_writes);
/* An event in the gap.  *begun: this instruction is the first of a segment. */
mp_rc mp_segment_gap(mp_trace *T, mp_shadow *s, const mp_code_info *info, int index,
                     bool *begun);

/* -- trial.c ----------------------------------------------------------------------- */

/* A trial: the generator of frame f has yielded. */
mp_rc mp_trial_yielded(mp_trace *T, mp_frame *f);
/* The call is over: it has failed if a generator waits in a block, which is closed, or if
 * what it has replaced may run code as it dies. */
void mp_trial_end(mp_trace *T);
/* What it has written is told (mp_compiling.left): 0 or -1. */
int mp_trial_left(mp_trace *T);
/* All is as it was. */
void mp_trial_undo(mp_trace *T);

/* -- unbox.c ----------------------------------------------------------------------- */

/* The segment has ended: boxes of symbols leave the program's variables, what it has made or
 * written, *result and what it raised (NULL: there is none).  depth: of the innermost frame's
 * stack (compat/compat.h). */
void mp_unbox(mp_trace *T, PyObject **result, PyObject *raised, int depth);

#endif
