/* check.h - do the recorder's parts agree?  (invariants.def)
 *
 * In builds with assertions: what an instruction has added is checked at once, all of the
 * segment as often as its size allows, and when it ends.  The environment variable
 * MP_TRACE_CHECK says otherwise: "full" checks all of it after each instruction, "off" nothing.
 * Builds with MP_TESTING and without assertions check if it says so.  Other builds have
 * none of it. */
#ifndef MP_TRACE_CHECK_H
#define MP_TRACE_CHECK_H

#include "plan/plan.h"
#include "trace/trace.h"

typedef enum {
#define INVARIANT(id, part, text) MP_I_##id,
#include "trace/invariants.def"
#undef INVARIANT
    MP_I_COUNT
} mp_invariant;

#if !defined(NDEBUG) || defined(MP_TESTING)

/* The innermost frame is about to run the instruction that has been looked at. */
void mp_trace_check(mp_trace *T);
/* The segment ends. */
void mp_trace_check_all(mp_trace *T);
/* Its plan is made, but for the guards. */
void mp_trace_check_plan(mp_trace *T, mp_plan *plan);

#else

static inline void
mp_trace_check(mp_trace *T)
{
}

static inline void
mp_trace_check_all(mp_trace *T)
{
}

static inline void
mp_trace_check_plan(mp_trace *T, mp_plan *plan)
{
}

#endif
#endif
