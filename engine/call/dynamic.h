/* call/dynamic.h - which numbers become symbols: learned from misses. */
#ifndef MP_DYNAMIC_H
#define MP_DYNAMIC_H

#include "call/compiled.h"

/* No entry of the cache answers these values.  Does the most similar one fail at numbers
 * alone, of which one at least was not dynamic so far?  Then all of them are, from the next
 * recording on.  Runs no Python. */
bool mp_dynamic_learn(mp_CompiledObject *op, const mp_cache *cache, PyCodeObject *code,
                      PyObject *const *values);
/* No graph can be made with the symbols of this entry: its numbers are static for good.  why:
 * for event "static".  The caller holds a reference to entry.  0 / -1. */
MP_MAYRUN int mp_dynamic_refuse(mp_CompiledObject *op, const mp_entry *entry,
                                PyObject *why);
/* A new entry. */
void mp_dynamic_kept(mp_CompiledObject *op, mp_entry *entry);
/* Tell the listener what is new since it was last told: events "dynamic" and "pinned".
 * 0 / -1. */
MP_MAYRUN int mp_dynamic_tell(mp_CompiledObject *op);
/* Forget all of it. */
MP_MAYRUN void mp_dynamic_clear(mp_CompiledObject *op);

#endif
