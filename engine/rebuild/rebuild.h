/* rebuild/rebuild.h - from live objects to effects and outputs. */
#ifndef MP_REBUILD_H
#define MP_REBUILD_H

#include "trace/trace.h"

/* -- apart.c ----------------------------------------------------------------------- */

/* Of what the run has written: objects and tensors under other names; memory
 * (rebuild/apart.c). */
mp_rc mp_guard_distinct(mp_trace *T);
mp_rc mp_guard_apart(mp_trace *T);

/* -- rebuild.c --------------------------------------------------------------------- */

mp_rc mp_rebuild(mp_trace *T, mp_plan *plan);

#endif
