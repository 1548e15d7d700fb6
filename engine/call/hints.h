/* call/hints.h - which entry has answered for values like these.
 *
 * The entry that was used last is tried first.  If it does not answer, a hash of the values
 * (types, metadata of tensors, small constants) leads to the one that answered last time, so
 * that calls which take turns cost no search.  A hint proves nothing: the guards are checked. */
#ifndef MP_HINTS_H
#define MP_HINTS_H

#include "engine.h"

typedef struct {
    uint64_t hash;
    const void *entry;  // never dereferenced; NULL: free
} mp_hint;

typedef struct {
    mp_hint *at;  // owned; `size` of them, a power of two, or NULL
    uint32_t size;
} mp_hints;

/* What tells values apart cheaply.  Values may be NULL.  Runs no Python. */
uint64_t mp_hints_hash(PyObject *const *values, int32_t n);
/* The entry that answered last for this hash; NULL: none is known. */
const void *mp_hints_find(const mp_hints *h, uint64_t hash);
/* It has answered now.  n: entries of the cache.  Without memory nothing is noted. */
void mp_hints_note(mp_hints *h, uint64_t hash, const void *entry, int32_t n);
void mp_hints_clear(mp_hints *h);

#endif
