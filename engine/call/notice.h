/* call/notice.h - events that are reported to the listener of a compiled function once,
 * for the user. */
#ifndef MP_NOTICE_H
#define MP_NOTICE_H

#include "call/compiled.h"
#include "plan/abort.h"

/* Each is one bit of mp_stats.noticed: said once, until reset(). */
typedef enum {
    MP_NOTICE_ABORTS = 1,   // back-off: no run of it can be recorded
    MP_NOTICE_MISSES = 2,   // back-off: one guard keeps missing
    MP_NOTICE_LIMIT = 4,    // as many entries as it may keep, all in use
    MP_NOTICE_USELESS = 8,  // its graph raises where eager does not
    MP_NOTICE_BARE = 16,    // its graph answers a tensor instead of a tuple of one
} mp_notice;

/* Tell the listener.  Its own exceptions are reported, but for interrupts.  0 / -1. */
int mp_dispatch_event(mp_CompiledObject *op, const char *kind, const char *format, ...);
/* An mp_abort_info for the listener: format, and what it takes. */
#define MP_ABORT_INFO "{s:s,s:O,s:O,s:i,s:s,s:s,s:s,s:O}"
#define MP_ABORT_VALUES(why)                                                           \
    "reason", mp_abort_slug((why)->id), "detail",                                      \
        (why)->detail != NULL ? (why)->detail : Py_None, "file",                       \
        (why)->file != NULL ? (why)->file : Py_None, "line", (why)->line, "what",      \
        mp_abort_text((why)->id), "hint", mp_abort_hint((why)->id), "kind",            \
        mp_abort_kind((why)->id), "stack",                                             \
        (why)->stack != NULL ? (why)->stack : Py_None
/* "stopped": it stays eager for a while, for the reason of this place.  0 / -1, as all. */
MP_MAYRUN int mp_notice_stopped(mp_CompiledObject *op, mp_notice what, int32_t place);
/* "graph_useless": eager did what the graph of this entry could not. */
MP_MAYRUN int mp_notice_useless(mp_CompiledObject *op, const mp_entry *entry);
/* "bare_result", if it was one. */
MP_MAYRUN int mp_notice_bare(mp_CompiledObject *op, const mp_entry *entry);
/* "graph_raised": the exception in flight; it stays set unless the program runs again. */
MP_MAYRUN int mp_notice_raised(mp_CompiledObject *op, const mp_entry *entry,
                               bool rerun);

/* fullgraph: on_abort makes the exception out of info, which is consumed; it is set. */
MP_MAYRUN void mp_notice_raise(mp_CompiledObject *op, PyObject *info);

#endif
