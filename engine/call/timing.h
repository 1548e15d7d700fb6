/* call/timing.h - how long the parts of a hit take that run before the graph. */
#ifndef MP_TIMING_H
#define MP_TIMING_H

#include "call/compiled.h"

/* search_seconds(n, args, kwargs): do n times what a call with these arguments does before
 * its graph, and drop it again.  New tuple (bind, guards, inputs) of seconds for one call, or
 * None if no entry answers; NULL: exception.  A call itself pays nothing for that. */
MP_MAYRUN PyObject *mp_timing_search(mp_CompiledObject *op, PyObject *args);

#endif
