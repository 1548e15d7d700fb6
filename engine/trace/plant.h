/* plant.h - planted damage: builds with MP_TESTING can break one invariant of the
 * recorder, to prove that check.c notices.  Other builds have none of it. */
#ifndef MP_PLANT_TRACE_H
#define MP_PLANT_TRACE_H

#include "trace/check.h"

#ifdef MP_TESTING

/* id: of invariants.def, or NULL for none.  0, -1 with ValueError. */
int mp_plant_set_invariant(const char *id);
/* Break what is planted, if the trace, or the plan, has what it is about. */
bool mp_plant_in_trace(mp_trace *T);
void mp_plant_in_plan(mp_trace *T, mp_plan *plan);

#else

static inline bool
mp_plant_in_trace(mp_trace *T)
{
    return false;
}

static inline void
mp_plant_in_plan(mp_trace *T, mp_plan *plan)
{
}

#endif
#endif
