/* call/past.c - entries that break where no later call does.
 *
 * Such an entry would answer every call up to its break, for ever.  It is dropped, so that the
 * next call is recorded as it is by then: a module is there, a cache is filled, numbers that
 * had varied are constants for good (mp_abort_info.pins). */
#include "call/past.h"

enum { PAST_MOST = 2 };  // an import that fails breaks each time

bool
mp_past_drop(mp_CompiledObject *op)
{
    bool breaks = false;
    for (int32_t i = 0; i < op->cache.n; i++) {
        mp_entry *entry = op->cache.at[i];
        if (entry->past) {
            mp_cache_remove(&op->cache, entry);
            i = -1;  // what died may have run code
            breaks = false;
        }
        else {
            breaks = breaks || entry->plan->exit != NULL;
        }
    }
    for (int32_t i = 0; !breaks && i < op->points.n; i++) {
        mp_cache_clear(&op->points.at[i]->cache);
    }
    if (!breaks) {
        mp_stats_breaks_past(&op->stats);
    }
    return !breaks;
}

void
mp_past_once(mp_CompiledObject *op, uint64_t root_id)
{
    if (op->once >= PAST_MOST || op->verify_every > 0) {
        return;
    }
    op->once++;
    for (int32_t i = 0; i < op->cache.n; i++) {
        op->cache.at[i]->past |= op->cache.at[i]->id == root_id;
    }
    PyObject *exc = mp_err_take();
    if (mp_past_drop(op)) {
        // What the call would have avoided the next time goes, too.
        mp_points_clear(&op->points);
    }
    mp_err_restore_steal(exc);
}
