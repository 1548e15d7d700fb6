/* call/hit.h - an entry answers: one way for the begin of a call and for the places where it
 * goes on.  The begin is a point like any other: it has a cache of its own, and the values of
 * its row are the bound arguments. */
#ifndef MP_HIT_H
#define MP_HIT_H

#include "call/compiled.h"

/* What a miss is blamed on, if not on a guard (>= 0: index of the op). */
enum { MP_BLAME_AMBIENT = -1, MP_BLAME_CODE = -2 };

enum { MP_HIT_SMALL = 32 };  // references that a hit keeps without allocating

typedef struct {
    mp_entry *entry;       // owned reference: hit, or nearest miss; NULL if none
    int32_t blame;         // miss: where `entry` failed
    PyObject *difference;  // owned str or NULL; miss: of a tensor, if somebody listens
    PyObject **held;       // owned: sources of the replay, then inputs of the graph
    int32_t n_held;
    bool begins;      // the call begins here, and the hit counts as the call's
    bool undone;      // its graph raised, and all is as before
    bool answered;    // graph and replay have run: the result is the entry's
    PyObject **kept;  // owned: what the replay has borrowed; NULL: nothing
    int32_t n_kept;
    PyObject *small[MP_HIT_SMALL];
} mp_hit;

/* Runs the program itself from where a hit stands. */
typedef PyObject *(*mp_eager)(mp_CompiledObject *op, void *ctx);

void mp_hit_init(mp_hit *hit, bool begins);
MP_MAYRUN void mp_hit_release(mp_hit *hit);
MP_MAYRUN void mp_hit_drop(mp_hit *hit);  // the references alone

/* Does the entry answer for these values?  If not, *blame says why.  Runs no Python. */
bool mp_hit_matches(mp_cache *cache, mp_entry *entry, PyCodeObject *code,
                    PyObject *const *values, int32_t *blame);
/* The entry of the cache that answers where `code`, of the outermost frame, stands with
 * these values.  1, with what it needs held; 0: none, and hit->entry is the nearest; -1:
 * exception.  Runs no Python; the hit must be released in each case. */
int mp_hit_search(mp_CompiledObject *op, mp_hit *hit, mp_cache *cache,
                  PyCodeObject *code, PyObject *const *values);
/* Compile a new entry at its first hit.  The hit is void then.  1: look again; 0: the call
 * stands too deep for the compiler, eager; -1: exception. */
MP_MAYRUN int mp_hit_compile(mp_CompiledObject *op, mp_hit *hit);
/* Graph and replay: the result, or the values at the entry's exit.  If the entry cannot
 * answer, or its graph raises and has changed nothing, the answer of eager(op, ctx). */
MP_MAYRUN PyObject *mp_hit_use(mp_CompiledObject *op, mp_hit *hit, mp_eager eager,
                               void *ctx);
/* Call the graph and leave torch as the run has: new tuple of n_outputs.  For
 * mp_transaction_run. */
MP_MAYRUN PyObject *mp_hit_call_graph(mp_hit *hit);

/* A new entry in front of the cache; takes plan over. */
int mp_entry_keep(mp_CompiledObject *op, mp_cache *cache, mp_plan *plan,
                  PyCodeObject *code);

#endif
