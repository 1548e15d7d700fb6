/* call/session.h - a call in segments: what call/dispatch.c and call/session.c share. */
#ifndef MP_SESSION_H
#define MP_SESSION_H

#include "call/compiled.h"
#include "trace/host.h"

enum { MP_HIT_SMALL = 32 };  // references that a hit keeps without allocating

typedef struct {
    mp_entry *entry;       // owned reference: hit, or nearest miss; NULL if none
    int32_t blame;         // miss: where `entry` failed
    PyObject *difference;  // owned str or NULL; miss: of a tensor, if somebody listens
    PyObject **held;       // owned: sources of the replay, then inputs of the graph
    int32_t n_held;
    bool undone;      // its graph raised, and all is as before
    PyObject **kept;  // owned: what the replay has borrowed; NULL: nothing
    int32_t n_kept;
    PyObject *small[MP_HIT_SMALL];
} mp_hit;

void mp_hit_init(mp_hit *hit);
/* Strong references to what this hit needs: the registers of the guards' check that has
 * just succeeded.  Runs no Python. */
int mp_hit_gather(mp_hit *hit, PyObject *const *regs);
MP_MAYRUN void mp_hit_release(mp_hit *hit);
MP_MAYRUN void mp_hit_drop(mp_hit *hit);  // the references alone
/* NEW -> READY, FAILED, or NEW again and -1, or 1 without an exception: the call stands too
 * deep for the compiler. */
MP_MAYRUN int mp_hit_compile(mp_CompiledObject *op, mp_hit *hit);
/* Call the graph and leave torch as the run has: new tuple of n_outputs.  Others use
 * mp_transaction_run. */
MP_MAYRUN PyObject *mp_hit_call_graph(mp_hit *hit);
/* Eager did what the graph could not.  0, or -1 with an exception. */
MP_MAYRUN int mp_entry_strike(mp_CompiledObject *op, mp_entry *entry);
/* Tell the listener.  Its own exceptions are reported, but for interrupts.  0 / -1. */
int mp_dispatch_event(mp_CompiledObject *op, const char *kind, const char *format, ...);
/* An mp_abort_info for the listener: format, and what it takes. */
#define MP_ABORT_INFO "{s:s,s:O,s:O,s:i,s:s,s:s,s:s}"
#define MP_ABORT_VALUES(why)                                                           \
    "reason", mp_abort_slug((why)->id), "detail",                                      \
        (why)->detail != NULL ? (why)->detail : Py_None, "file",                       \
        (why)->file != NULL ? (why)->file : Py_None, "line", (why)->line, "what",      \
        mp_abort_text((why)->id), "hint", mp_abort_hint((why)->id), "kind",            \
        mp_abort_kind((why)->id)
/* A new entry in front of the cache; takes plan over. */
int mp_entry_keep(mp_CompiledObject *op, mp_cache *cache, mp_plan *plan,
                  PyCodeObject *code);

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
    mp_compiling compiling;  // what the run is told
    uint64_t root_id;        // of the entry of the first segment, if it departed
} mp_session;

extern const mp_host mp_session_host;

void mp_session_init(mp_session *s, mp_CompiledObject *op);
MP_MAYRUN void mp_session_fini(mp_session *s);
/* A recording that broke has ended: result, plan of the last segment (taken over) and
 * reason are its own.  Goes on if it was left: the call's result. */
MP_MAYRUN PyObject *mp_session_run(mp_session *s, PyObject *result, mp_plan *plan,
                                   const mp_abort_info *why);
/* The entry that began the call has answered with the values at its break (stolen). */
MP_MAYRUN PyObject *mp_session_continue(mp_CompiledObject *op, mp_entry *entry,
                                        PyObject *values);

#endif
