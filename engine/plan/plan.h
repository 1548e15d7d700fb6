/* plan/plan.h - a finished recording, as dispatch uses it. */
#ifndef MP_PLAN_H
#define MP_PLAN_H

#include "effect/effect.h"
#include "guard/guard.h"
#include "plan/point.h"
#include "plan/sites.h"
#include "torch/ambient.h"

/* Plan and inputs are PyMem blocks. */
typedef struct {
    mp_guards *guards;
    mp_ambient *ambient;  // NULL without torch
    mp_ambient *after;    // state that the run has left; NULL: that of `ambient`
    mp_replay *replay;
    mp_sites sites;  // where guards and operations came from
    int32_t
        *inputs;  // guard registers of the graph's inputs, placeholder order; number k
                  // of the guards stands as ~k
    int32_t n_inputs;
    /* What Python needs to build the fx graph, NULL if the run had no tensor operation:
     * (ops, n_inputs, outputs, notes)
     *   ops      list of (target, args, kwargs, result); target a callable, or a str = Tensor
     *            method name; trees of tuple/list/dict/slice/constants with Value leaves
     *   n_inputs Values 0 .. n_inputs-1 are the placeholders
     *   outputs  tuple of Value indices
     *   notes    dict: "input_names" tuple of str, "mutated" tuple of input positions,
     *            "written" tuple, for each of them the first operation that writes to it,
     *            "caught" bool: an operation stands where the program may end exceptions,
     *            "ended" bool: so does one that may raise for the values of its tensors,
     *            "filtered" bool: one comes after a change of the filters of warnings,
     *            "restated" tuple of the inputs that become other tensors,
     *            "odd", if some tensor is sparse, quantised, nested or of a subclass,
     *            "sites" tuple, where the operations came from (src/magpy/places.py),
     *            "late" dict, if it makes late values: position of the operation ->
     *            (may it raise?, does the graph write to anything after it?) */
    PyObject *graph;
    int32_t n_outputs;
    int32_t n_instr;  // instructions watched in this segment
    PyObject
        *pins;      // NULL, or (place, file, line, marked) of numbers that it needs the
                    // values of: a list
    bool branches;  // an arm that another call takes may have been recorded on the side
    PyCodeObject *filtered;  // owned, or NULL: of the first operation after a change of
    // the filters of warnings; if it warns, a segment ends there
    int32_t filtered_at;
    mp_exit *exit;     // where the call goes on after a break; NULL: it has returned
    int32_t *stores;   // values of the entry row that the outermost frame has let go of
    int32_t n_stores;  // before it ended
} mp_plan;

void mp_plan_free(mp_plan *p);
int mp_plan_visit(mp_plan *p, visitproc visit, void *arg);

#endif
