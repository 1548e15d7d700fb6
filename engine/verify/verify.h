/* verify/verify.h - verify mode: a hit proves itself against the real call.
 *
 * Guards hold -> the graph runs dry, on clones of what it writes -> the real call runs,
 * recorded once more -> the new recording and the dry run are compared with the entry.
 * The real call's result is the answer; nothing of the entry is committed.
 *
 * A call that breaks does so segment by segment: one that an entry answers ends where the
 * entry ends, is compared there, and the real program goes on.  No frame is left. */
#ifndef MP_VERIFY_H
#define MP_VERIFY_H

#include "call/compiled.h"
#include "call/session.h"

/* What Python gives to verify with: any object with
 *   run(graph, callable, boxed, inputs) -> notes   run the graph dry; must leave no trace.
 *                                                  What the graph raises is a note, too
 *   compare(notes, outputs, graph) -> str or None  the first difference from the real
 *                                                  call, which returned these tensors and
 *                                                  has this graph
 *   raised(notes) -> bool                          did the graph raise?
 *   report(info) -> exception or None              a divergence: a dict of entry, part,
 *                                                  source, expected, found, file, line.
 *                                                  An exception is raised to the caller
 * While a call is in progress, only `report` waits until it is over. */

/* 0, or -1 with an exception set.  *notes: new, or NULL if there is nothing to run. */
MP_MAYRUN int mp_verify_dry(PyObject *verifier, const mp_entry *entry,
                            PyObject *const *inputs, PyObject **notes);
/* The new recording against the entry.  outputs: list of the tensors that its graph
 * returns; strayed: it was not where the entry ends when it should have been.  *report:
 * new dict of the first difference; stays NULL if there is none.  0 / -1. */
MP_MAYRUN int mp_verify_compare(PyObject *verifier, const mp_entry *entry,
                                PyObject *notes, const mp_plan *fresh,
                                PyObject *outputs, bool strayed, PyObject **report);
/* The segment raised exc: did the graph? */
MP_MAYRUN int mp_verify_raised(PyObject *verifier, const mp_entry *entry,
                               PyObject *notes, PyObject *exc, PyObject **report);

/* A call of which segments are verified; lives on the C stack (verify/call.c). */
struct mp_verification {
    mp_CompiledObject *op;  // borrowed from the caller of the compiled function
    mp_entry *entry;    // owned; the segment in progress is compared with it, or NULL
    PyObject *notes;    // owned; of its graph's dry run, or NULL
    PyObject *outputs;  // owned list: gets the tensors of the plan in the making
    PyObject *stop;     // owned; what mp_host.avoids answers where the entry ends
    int64_t seen;       // instructions of the segment so far
    bool due;           // this instruction is where the entry ends
    bool strayed;       // as many as the entry has, and not where it ends
    bool counts;        // the segment in progress is the call's hit
    PyObject *report;   // owned; the first divergence, or NULL
    PyObject *error;    // owned; an interrupt of ours, or NULL
};

/* The segments of this call are verified: 0 / -1.  s and v must be there until
 * mp_verify_finish, which raises what a report asks for, or result. */
int mp_verify_start(mp_verification *v, mp_session *s);
MP_MAYRUN PyObject *mp_verify_finish(mp_verification *v, PyObject *result);
/* The segment that begins is compared with entry. */
void mp_verify_follow(mp_verification *v, mp_entry *entry, PyObject *notes);
/* mp_host.avoids, .ends and .reads of such a segment. */
PyObject *mp_verify_avoids(mp_verification *v, PyCodeObject *code, int index);
bool mp_verify_ends(const mp_verification *v);
bool mp_verify_reads(const mp_verification *v, int32_t at);
/* It has ended with a plan, or raised exc, or cannot be planned.  0; -1: the rest of the
 * call is not verified. */
MP_MAYRUN int mp_verify_judge(mp_verification *v, const mp_plan *fresh, PyObject *exc,
                              const mp_abort_info *why);
/* An exception of ours is set: keep an interrupt for the end of the call. */
MP_MAYRUN void mp_verify_failed(mp_verification *v);

/* The real call, which is compared with the entry and counted.  notes: of the dry run,
 * or NULL.  Whoever calls holds a reference to entry. */
MP_MAYRUN PyObject *mp_verify_call(mp_CompiledObject *op, mp_entry *entry,
                                   PyObject *notes, PyObject *const *args,
                                   size_t nargsf, PyObject *kwnames);

#endif
