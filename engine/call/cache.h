/* call/cache.h - the entries of one compiled function.
 *
 * An entry is a plan plus the callable that the backend made of its graph.
 *
 *   NEW --> COMPILING --> READY    a graph, compiled at the entry's first hit
 *    ^        | |           |
 *    +--------+ +-------> FAILED   the backend raised, or its callable keeps raising
 *    interrupted                   where eager does not: eager for good
 *   READY from the start: the run had no tensor operation
 *   READY --> DIVERGED: verify mode found it wrong; eager for good
 *
 * READY: callable is NULL <=> plan->graph is NULL.  Else: callable is NULL. */
#ifndef MP_CACHE_H
#define MP_CACHE_H

#include "call/hints.h"
#include "plan/plan.h"

typedef enum {
    MP_ENTRY_NEW,
    MP_ENTRY_COMPILING,
    MP_ENTRY_READY,
    MP_ENTRY_FAILED,
    MP_ENTRY_DIVERGED,
} mp_entry_state;

/* Numbers of _transaction.py. */
typedef enum {
    MP_UNDO_SAVES = 1,    // save before each run
    MP_UNDO_INPUTS = 2,   // save takes the graph's inputs
    MP_UNDO_RAISES = 4,   // it may raise for the values of its tensors
    MP_UNDO_CHANGES = 8,  // it may draw random numbers or write to inputs
    MP_UNDO_CAUGHT = 16,  // the program may catch an exception of the graph
    MP_UNDO_WARNS = 32,   // where it warns, the program may have other filters
} mp_undo_flags;

typedef struct {
    Py_ssize_t refs;  // the cache holds one, so does everyone who runs it
    mp_entry_state state;
    mp_plan *plan;       // owned
    PyCodeObject *code;  // owned; the root function's code when it was recorded
    PyObject *callable;  // owned or NULL, see above
    PyObject *owner;  // owned or NULL: what lives as long as an entry that has callable
    bool reused;      // callable was made for another entry
    bool boxed;       // callable takes one list
    bool mutates;     // the graph writes to an input
    bool untried;     // it broke, and a trial may do better (call/trial.h)
    bool past;        // it broke where no later call will
    bool told;        // recorded in a trial
    int timed;        // hits still to be timed, as it may be slow (call/trial.h) ...
    int64_t best_ns;  // ... the fastest of them
    int64_t eager_ns;        // what the real call took
    uint8_t short_of_stack;  // times that its compiler ran into the recursion limit
    uint8_t unfit;   // times that its compiler refused a call for which its guards held
    bool bare;       // callable has answered a tensor instead of a tuple of one
    PyObject *undo;  // owned (save, restore, flags) of _transaction.py; NULL: the graph
    int undo_flags;  //   changes nothing and cannot raise, or its compiler is not ours
    int raised;      // times in a row that the graph raised and eager did not
    uint32_t marked;  // age of the object's marks when it was recorded
    uint64_t id;      // number in its cache, from 1
    uint64_t hits;
    uint64_t last_used;  // the function's call counter then
} mp_entry;

/* Takes plan over, also on failure. */
mp_entry *mp_entry_new(mp_plan *plan, PyCodeObject *code, uint64_t id);
MP_MAYRUN void mp_entry_release(mp_entry *entry);

typedef struct {
    mp_entry **at;  // n owned references, most recently used first
    int32_t n, cap;
    PyObject **regs;  // n_regs: room for the registers of one guard check; borrowed,
    int32_t n_regs;   //   meaningless once Python runs
    uint64_t last_id;
    mp_hints hints;  // of the search
} mp_cache;

/* Put in front; takes a reference of its own.  0 / -1. */
int mp_cache_insert(mp_cache *cache, mp_entry *entry);
void mp_cache_touch(mp_cache *cache, int32_t i);  // entry i was used: to the front
/* The place of the entry at this address, -1: it is not there (any more). */
int32_t mp_cache_find(const mp_cache *cache, const void *entry);
/* Drop the entries that can never answer again: objects of their guards have died. */
MP_MAYRUN void mp_cache_purge(mp_cache *cache);
int32_t mp_cache_alive(const mp_cache *cache);  // how many others there are
/* The least recently used entry, unlinked: the caller releases it; NULL if empty. */
mp_entry *mp_cache_pop(mp_cache *cache);
/* Not in the cache any more, if it is. */
MP_MAYRUN void mp_cache_remove(mp_cache *cache, mp_entry *entry);
int mp_cache_visit(mp_cache *cache, visitproc visit, void *arg);
/* Empty; entries that are running live on until they are released. */
MP_MAYRUN void mp_cache_clear(mp_cache *cache);
/* All entries described: new list. */
MP_MAYRUN PyObject *mp_cache_describe(mp_cache *cache);
/* Count the kinds of guards and effects in the entries that have hit, into dicts by the
 * names of guard/guards.def ("LOAD_FIELD " and the name of guard/fields.def) and of effect/effects.def. */
int mp_cache_count_kinds(const mp_cache *cache, PyObject *guards, PyObject *effects);

#endif
