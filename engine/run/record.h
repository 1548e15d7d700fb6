/* run/record.h - watch one run of a callable and turn it into a plan. */
#ifndef MP_RECORD_H
#define MP_RECORD_H

#include "trace/host.h"

/* Call fn(*args) watched.  Returns the call's own result (or NULL with its own exception).
 * *plan is set to a new plan if the run can be reused, else NULL and *why is filled.
 * fn is the root Python function; args as after binding: see call/dispatch.c.
 * compiling: what the run is told; filled.
 * outputs: NULL, or a list that gets the tensors that the graph of the plan returns.
 * host: NULL, or whom a run in pieces asks: then *plan is that of its last segment, and a
 * run that was left answers NULL without an exception. */
MP_MAYRUN PyObject *mp_record_call(PyObject *callable, PyObject *const *args,
                                   size_t nargsf, PyObject *kwnames,
                                   PyObject *root_function, int64_t max_instructions,
                                   PyObject *outputs, const mp_host *host, void *ctx,
                                   mp_compiling *compiling, mp_plan **plan,
                                   mp_abort_info *why);
/* Continue after a break, up to the end of the call, in segments.  As mp_record_call;
 * root_function is that of the first frame. */
MP_MAYRUN PyObject *mp_record_resume(mp_point *point, const mp_exit *exit,
                                     int64_t max_instructions, const mp_host *host,
                                     void *ctx, mp_compiling *compiling, mp_plan **plan,
                                     mp_abort_info *why);
/* Is this thread recording now? */
bool mp_recording(void);
/* Fill the registries: with NULL, at import, what needs no torch; later with the keywords
 * of setup_torch().  0 / -1. */
int mp_record_setup(PyObject *setup);

#endif
