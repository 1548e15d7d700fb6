/* call/blame.h - why no entry answers a call. */
#ifndef MP_BLAME_H
#define MP_BLAME_H

#include "call/hit.h"

/* A miss: of the entries that were used last, make `near` the one of which the fewest guards
 * fail.  Runs no Python. */
void mp_blame_nearest(mp_CompiledObject *op, mp_hit *near, PyCodeObject *code,
                      PyObject *const *values);
/* Why is there no entry for this call?  Remember it, and tell the listener.  near: the
 * nearest miss.  0 / -1. */
MP_MAYRUN int mp_blame_miss(mp_CompiledObject *op, const mp_hit *near);

#endif
