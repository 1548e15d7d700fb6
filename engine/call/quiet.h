/* call/quiet.h - does anything run when a hit lets go of what its writes replace? */
#ifndef MP_QUIET_H
#define MP_QUIET_H

#include "plan/plan.h"

/* Does nothing run when a hit has done its writes that eager mode runs before?  regs: of the
 * guards that have just held; row: the n_row values of the frames that the hit leaves, the
 * outermost of them of `code`, each a reference that it gives up; none at the begin of a
 * call, whose arguments are the caller's.  Runs no Python. */
bool mp_is_quiet(const mp_plan *plan, const PyCodeObject *code, PyObject *const *regs,
                 PyObject *const *row, int32_t n_row);

#endif
