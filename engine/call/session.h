/* call/session.h - a call in segments: what call/dispatch.c and call/session.c share. */
#ifndef MP_SESSION_H
#define MP_SESSION_H

#include "call/hit.h"
#include "trace/host.h"

typedef struct mp_verification mp_verification;  // call/verifier.h

/* One call, from its first break on; lives on the C stack. */
typedef struct {
    mp_CompiledObject *op;  // borrowed from the caller of the compiled function
    mp_verification
        *verify;            // borrowed; segments that entries answer run for real, and
                            // are compared with them.  NULL: they do not
    mp_resume_point *here;  // where the segment in progress began; NULL: with the call,
                            // or it is one of those
    mp_point at;            // owned: where the run was left
    mp_hit hit;             // what answers there; its entry is NULL if there is none
    mp_resume_point *there;  // the same place
    mp_point next;           // owned: the frames that are being rebuilt
    uint64_t serial;         // of the table of points when the call began
    bool left;
    bool resumed;            // frames have been rebuilt
    int departed;            // segments that have ended at a break
    uint64_t told;           // entries up to this id are known to the listener
    bool avoided;            // the next call breaks elsewhere
    bool has_news;           // events not yet reported to the listener
    int passed;              // points in a row where nothing began
    PyObject *gap_made;      // owned set of addresses (mp_host), or NULL
    mp_compiling compiling;  // what is_compiling() answers
    bool once;               // a segment has ended where the next call does not break
    uint64_t root_id;        // of the entry of the first segment, if it departed
} mp_session;

extern const mp_host mp_session_host;

void mp_session_init(mp_session *s, mp_CompiledObject *op);
MP_MAYRUN void mp_session_fini(mp_session *s);
/* A recording with breaks has ended: its result, the plan of the last segment (taken
 * over) and its reason.  If its frames were left, the call continues.  Returns the
 * call's result. */
MP_MAYRUN PyObject *mp_session_run(mp_session *s, PyObject *result, mp_plan *plan,
                                   const mp_abort_info *why);
/* The entry that began the call has answered with the values at its break (stolen); the
 * caller holds a reference to it. */
MP_MAYRUN PyObject *mp_session_continue(mp_CompiledObject *op, mp_entry *entry,
                                        PyObject *values);

#endif
