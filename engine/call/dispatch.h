/* call/dispatch.h - the callable that the user holds. */
#ifndef MP_DISPATCH_H
#define MP_DISPATCH_H

#include "engine.h"
#include "plan/plan.h"

/* magpy._engine.CompiledFunction(fn, *, compiler=None, on_event=None, on_abort=None,
 *                                fullgraph=False, max_entries=64,
 *                                max_instructions=50_000_000, segments=True,
 *                                on_copy=None, wrapped=fn, judge=None, numbers=2)
 *   fn        function, bound method, functools.partial of one, or an object whose
 *             class defines __call__ in Python (an nn.Module: the Python layer passes
 *             its bound __call__); another CompiledFunction stands for what it wraps
 *   compiler  callable(graph, inputs) -> (callable, boxed[, undo[, guards, why, owner,
 *             reused]]), see Compiled of src/magpy/_session.py: called at the first hit of an
 *             entry with its graph spec (plan/plan.h) and the live inputs as a list.
 *             boxed: callable takes one list (and may clear it); else *inputs.
 *             undo: see call/transaction.h, None: there is nothing to undo.
 *             It must answer with a tuple or list of n_outputs tensors.
 *             None: entries that have a graph stay eager ("compile-failed").
 *   on_event  callable(kind, info_dict) for logs; never called on a plain hit.  An
 *             Exception that it raises is reported as unraisable.
 *               record          entry, seconds, instructions
 *               abort           reason, detail, file, line, what, hint, kind
 *               miss            entry, source, guard, difference (or None)
 *               dynamic         entry, places: (place, then, now) of numbers in which the call
 *                               differed from it, and in nothing else
 *               pinned          entry, places: (place, file, line, marked) of numbers that
 *                               it is for one value of
 *               static          entry, why: its numbers are static from now on
 *               compile         entry, seconds
 *               compile_failed  entry, exception
 *               graph_raised    entry, exception, rerun
 *               graph_useless   entry: eager did not raise; once, as the next ones
 *               bare_result     entry: its graph answers a tensor, not a tuple
 *               stopped         reason, detail, file, line, what, hint: it stays eager
 *                               for a while (back-off), or there is no room for entries
 *               break           as abort: a call that goes on behind it
 *               trial           as abort: why a trial was given up (call/trial.h)
 *               differs         what: where the result of a trial is not eager's
 *             "entry" is the id that entries() shows.
 *   on_abort  with fullgraph: callable(info of the abort) -> exception to raise; for
 *             the backend's failure the info has reason "backend-failed" and exception
 *   on_copy   callable(compiled, how, memo) for "copy", "deepcopy" (with its memo) and
 *             "pickle" (the answer is that of __reduce__); None: copied as functions are
 *   wrapped   what the object stands for, where fn is only a frame around it
 *   judge     what trials ask (call/trial.h); None: there are none
 *   numbers   which become symbols, an mp_dynamic_mode (guard/place.h)
 * Attributes: __wrapped__, disabled (settable), stats() -> dict, entries() -> list of
 * dicts, reset(); everything else is read and written on fn.
 *
 * Create the type once, keep it for the life of the process, add it to the module. */
int mp_compiled_init(PyObject *module);
/* The kinds of guards and effects of its entries that have hit (mp_cache_kinds). */
PyObject *mp_compiled_kinds(PyObject *o);

/* compiled.set_verify(every, verifier=None): every so many hits one is verified, see
 * verify/verify.h; 0 switches it off. */

/* The switch of the whole engine: off, every CompiledFunction calls its original. */
void mp_dispatch_enable(bool on);

#endif
