/* call/hit.h - a hit: an entry of a cache answers, at the begin of a call or after a
 * break.
 *
 * Both work in the same way.  The begin of a call is a place like any other: it has a
 * cache of its own, and its row of values holds the bound arguments. */
#ifndef MP_HIT_H
#define MP_HIT_H

#include "call/compiled.h"

/* What a miss is blamed on, if not on a guard (>= 0: index of the op). */
enum { MP_BLAME_AMBIENT = -1, MP_BLAME_CODE = -2, MP_BLAME_FINALIZER = -3 };

enum { MP_HIT_SMALL = 32 };  // references that a hit keeps without allocating

typedef struct {
    mp_entry *entry;       // owned reference: hit, or nearest miss; NULL if none
    int32_t blame;         // miss: where `entry` failed
    PyObject *difference;  // owned str or NULL; miss: of a tensor, if somebody listens
    PyObject **held;       // owned: sources of the replay, then inputs of the graph
    int32_t n_held;
    bool learned;     // miss: for numbers that are dynamic from now on
    bool begins;      // the call begins here, and the hit counts as the call's
    bool undone;      // its graph raised, and all is as before
    bool warned;      // ... or it warned where it must not, which is no fault of it
    bool answered;    // graph and replay have run: the result is the entry's
    PyObject **kept;  // owned: what the replay has borrowed; NULL: nothing
    int32_t n_kept;
    PyObject *small[MP_HIT_SMALL];
} mp_hit;

/* How the search for an entry ends.  UNFIT, UNTRIED: of the begin of a call alone. */
typedef enum {
    MP_FOUND_ERROR = -1,  // exception set
    MP_FOUND_NONE,        // hit->entry is the nearest, or NULL
    MP_FOUND_HIT,         // with what it needs held
    MP_FOUND_DEEP,        // the call stands too deep for the compiler: eager
    MP_FOUND_UNFIT,       // the arguments do not bind
    MP_FOUND_UNTRIED,     // a hit, whose trial is due first (call/trial.h)
} mp_found;

/* Where a call stands: at its begin, or behind a break. */
typedef struct {
    /* mp_hit_search with the values there.  Runs no Python. */
    mp_found (*search)(mp_CompiledObject *op, mp_hit *hit, void *ctx);
    /* The program itself, from there. */
    PyObject *(*eager)(mp_CompiledObject *op, void *ctx);
    /* Does the entry still answer for the values there?  To bind them may run the collector. */
    bool (*holds)(mp_CompiledObject *op, mp_entry *entry, void *ctx);
    void *ctx;
} mp_stand;

static inline void
mp_hit_init(mp_hit *hit, bool begins)
{
    hit->begins = begins;
    hit->answered = hit->learned = false;
    hit->entry = NULL;
    hit->difference = NULL;
    hit->held = hit->small;
    hit->undone = hit->warned = false;
    hit->n_held = hit->n_kept = 0;
    hit->kept = NULL;
}

MP_MAYRUN void mp_hit_release(mp_hit *hit);
MP_MAYRUN void mp_hit_drop(mp_hit *hit);  // the references alone

/* Does the entry answer for these values?  If so, *regs are the registers of its guards; if
 * not, *blame says why.  n_row: how many of the values the hit gives up, 0 for arguments.
 * Runs no Python. */
bool mp_hit_matches(mp_cache *cache, mp_entry *entry, PyCodeObject *code,
                    PyObject *const *values, int32_t n_row, int32_t *blame,
                    PyObject *const **regs);
/* The entry of the cache that answers where `code`, of the outermost frame, stands with
 * these values.  Runs no Python; the hit must be released in each case. */
mp_found mp_hit_search(mp_CompiledObject *op, mp_hit *hit, mp_cache *cache,
                       PyCodeObject *code, PyObject *const *values, int32_t n_row);
/* The entry that was found is new: compile it, at its first hit, and search again, because
 * that ran Python. */
MP_MAYRUN mp_found mp_hit_compile(mp_CompiledObject *op, mp_hit *hit,
                                  const mp_stand *at);
/* Search, unless the hit has its entry; what answers is compiled then. */
MP_INLINE mp_found
mp_hit_find(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at)
{
    mp_found found = hit->entry != NULL ? MP_FOUND_HIT : at->search(op, hit, at->ctx);
    return found == MP_FOUND_HIT && hit->entry->state == MP_ENTRY_NEW
               ? mp_hit_compile(op, hit, at)
               : found;
}
/* Graph and replay: the result, or the values at the entry's exit.  If the entry cannot
 * answer, or its graph raises and has changed nothing, the answer of the program itself. */
MP_MAYRUN PyObject *mp_hit_use(mp_CompiledObject *op, mp_hit *hit, const mp_stand *at);
/* Call the graph and leave torch as the run has: new tuple of n_outputs.  For
 * mp_transaction_run. */
MP_MAYRUN PyObject *mp_hit_call_graph(mp_hit *hit);

/* A new entry in front of the cache; takes plan over. */
int mp_entry_keep(mp_CompiledObject *op, mp_cache *cache, mp_plan *plan,
                  PyCodeObject *code);

#endif
