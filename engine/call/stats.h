/* call/stats.h - what one compiled function counts, and when it stops trying.
 *
 * Invariant, between calls: calls = hits + plans + fallbacks, and the counts of all
 * places add up to fallbacks.  (Calls that run when the function is off, or inlined
 * into another recording, are not counted at all.) */
#ifndef MP_STATS_H
#define MP_STATS_H

#include "engine.h"

/* Why a call was answered by eager, besides the reasons of plan/aborts.def. */
typedef enum {
    MP_FB_ARGUMENTS,       // the arguments do not fit the function
    MP_FB_CALLABLE,        // the compiled object calls no Python function any more
    MP_FB_ENTRY_LIMIT,     // there are max_entries recordings, all of them in use
    MP_FB_COMPILING,       // the graph is being compiled by a caller or a thread
    MP_FB_COMPILE_FAILED,  // the backend failed to compile the graph
    MP_FB_GRAPH_RAISED,    // the graph raised; the call ran again in eager mode
    MP_FB_DIVERGED,        // verify mode found that a hit would be wrong
    MP_FB_STANCE,          // torch.compiler.set_stance asks for eager mode
    MP_FB_TRIAL_DIFFERS,   // told that it compiles, the call does something else
    MP_FB_COUNT
} mp_fallback;

/* Reason of a back-off after misses; its detail is the source text of the guard to
 * blame. */
#define MP_STATS_BACKOFF "backoff"

typedef struct {
    PyObject *reason;  // owned str
    PyObject *detail;  // owned str or NULL
    PyObject *file;    // owned str or NULL
    int line;          // 0 if unknown
    PyObject *stack;   // owned list or NULL: of the first break there (mp_abort_info)
    uint64_t count;
    uint64_t breaks;  // segments that ended there
    int abort;        // mp_abort_id of the breaks
    bool told;        // they have been reported to the listener
    bool past;        // no recording that is kept breaks there any more
} mp_place;

/* Exponential back-off.  Failures are keyed by place; `note` says that one more
 * happened, and once there were enough in a row, the next 2^k calls are to be skipped.
 * */
typedef struct {
    int32_t place;      // of the last failure; -1: none
    uint32_t same;      // failures in a row there
    uint32_t any;       // failures in a row anywhere
    uint32_t exponent;  // 0: not backing off
    uint64_t skip;      // calls still to skip
} mp_backoff;

typedef struct {
    uint64_t calls, hits, plans, recordings, fallbacks;
    uint64_t reused;              // graphs that were compiled for another entry
    uint64_t partial_hits;        // hits of calls that break
    uint64_t verified, diverged;  // calls that verify mode watched; that it found wrong
    int64_t record_ns, compile_ns;
    mp_place *places;  // in order of appearance
    int32_t n_places, cap_places;
    int32_t fallback[MP_FB_COUNT];  // their places; -1 until one happens
    mp_backoff aborts;              // recordings that failed
    mp_backoff misses;  // recordings that one guard asked for again and again
    unsigned noticed;   // bits of mp_notice: what the user has been told
} mp_stats;

void mp_stats_init(mp_stats *stats);
void mp_stats_fini(mp_stats *stats);
/* Row for this place, made if needed; -1 with an exception set.  Beyond a limit, all
 * new places of one reason share a row without detail and file. */
int32_t mp_stats_place(mp_stats *stats, const char *reason, PyObject *detail,
                       PyObject *file, int line);
/* One call more fell back, there. */
void mp_stats_count(mp_stats *stats, int32_t place);
/* A segment ended there. */
void mp_stats_count_break(mp_stats *stats, int32_t place, int abort);
/* No recording that is kept breaks. */
void mp_stats_breaks_past(mp_stats *stats);
int mp_stats_fallback(mp_stats *stats, mp_fallback why);  // 0 / -1
/* Is this call to be skipped?  Then it has been counted. */
bool mp_stats_skip(mp_stats *stats);

/* same: how many in a row at one place start the back-off; any: at changing places.  True
 * if calls are to be skipped now. */
bool mp_backoff_note(mp_backoff *b, int32_t place, uint32_t same, uint32_t any);
void mp_backoff_reset(mp_backoff *b);

/* n_graphs: entries that have a graph.  New dict. */
PyObject *mp_stats_describe(const mp_stats *stats, Py_ssize_t n_graphs);
int64_t mp_stats_now(void);  // monotonic nanoseconds

#endif
