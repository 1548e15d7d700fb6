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

#include "call/verifier.h"

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

/* See mp_verifier. */
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

/* What calls ask of verify mode (verify/call.c). */
extern const mp_verifier mp_verify_table;

#endif
