/* verify.h - verify mode: a hit proves itself against the real call.
 *
 * Guards hold -> the graph runs dry, on clones of what it writes -> the real call runs,
 * recorded once more -> the new recording and the dry run are compared with the entry.
 * The real call's result is the answer; nothing of the entry is committed. */
#ifndef MP_VERIFY_H
#define MP_VERIFY_H

#include "compiled.h"

/* What Python gives to verify with: any object with
 *   run(graph, callable, boxed, inputs) -> notes   run the graph dry; must leave no trace.
 *                                                  What the graph raises is a note, too
 *   compare(notes, outputs, graph) -> str or None  the first difference from the real
 *                                                  call, which returned these tensors and
 *                                                  has this graph
 *   raised(notes) -> bool                          did the graph raise?
 *   report(info) -> exception or None              a divergence: a dict of entry, part,
 *                                                  source, expected, found, file, line.
 *                                                  An exception is raised to the caller */

/* 0, or -1 with an exception set.  *notes: new, or NULL if there is nothing to run. */
MP_MAYRUN int mp_verify_dry(PyObject *verifier, const mp_entry *entry,
                            PyObject *const *inputs, PyObject **notes);
/* The real call, which is compared with the entry and counted.  notes: of the dry run,
 * or NULL.  Whoever calls holds a reference to entry. */
MP_MAYRUN PyObject *mp_verify_call(mp_CompiledObject *op, mp_entry *entry,
                                   PyObject *notes, PyObject *const *args,
                                   size_t nargsf, PyObject *kwnames);

#endif
