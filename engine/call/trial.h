/* call/trial.h - another recording of a call that broke, told that a compiler is at work.
 *
 * The oracle is eager, where nobody is told so.  Where a recording broke at a value that
 * it could not know, and the program had asked (is_compiling = "auto"), the next call that
 * it would answer, and each that nothing answers, is recorded twice: tried, told True and
 * given up before it changes what cannot be put back; then really, in eager.  The entry of the
 * trial is kept if both results agree, and what both have written.
 *
 * judge: an object of Python with
 *   save() -> state           of the random generators
 *   restore(state)
 *   agree(ours, theirs, given, writes) -> None, or in what they differ: str; writes: of each
 *     key that the trial has set (key, what it wrote, what is there after the real call) */
#ifndef MP_TRIAL_H
#define MP_TRIAL_H

#include "call/compiled.h"
#include "trace/host.h"

typedef struct {
    PyObject *const *args;
    size_t nargsf;
    PyObject *kwnames;
} mp_call_args;

/* Could they be of use for this object?  Are they? */
bool mp_trial_may_be(const mp_CompiledObject *op);
bool mp_trial_is_due(const mp_CompiledObject *op);
/* A recording has ended, told False: was it one for which they are?  broke: the entry that
 * it made, or NULL. */
void mp_trial_note(mp_CompiledObject *op, const mp_compiling *told, mp_entry *broke);
/* A hit of an entry that is still timed has taken so long.  One that is slower than eager
 * goes, and there are no more trials. */
MP_MAYRUN void mp_trial_time(mp_CompiledObject *op, mp_entry *entry, int64_t ns);
/* Try it, and call the original.  1: *result is the answer of the call, or NULL with its
 * exception; 0: no trial, nothing has happened; -1: exception, nothing has happened.
 * broke: the entry that would answer, or NULL. */
MP_MAYRUN int mp_trial_call(mp_CompiledObject *op, const mp_call_args *call,
                            mp_entry *broke, PyObject **result);
/* Try what a call with this result, which took `spent`, would have been, from the random state
 * that it began with.
 * 1: the entry is kept; 0: not; -1: exception. */
MP_MAYRUN int mp_trial_after(mp_CompiledObject *op, const mp_call_args *call,
                             PyObject *state, PyObject *result, int64_t spent);

#endif
