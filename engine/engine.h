/* engine.h - what every part of the engine shares.
 *
 * Law of references: parameters are borrowed, a returned `PyObject *` is new.  A name
 * ending in `_borrow` returns a borrowed reference, one ending in `_steal` consumes the
 * argument named last.
 *
 * Law of outcomes (mp_rc): MP_ERR <=> a Python exception is set.  MP_ABORTED <=> no
 * exception is set and the recording holds a reason; the user's call goes on in eager.
 * MP_OK otherwise.  Predicates and look-ups answer 1 / 0 / -1 (error).
 */
#ifndef MP_ENGINE_H
#define MP_ENGINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum { MP_ERR = -1, MP_OK = 0, MP_ABORTED = 1 } mp_rc;

/* Of the hit path: inlined even if a cold caller uses it, too. */
#define MP_INLINE static inline __attribute__((always_inline))

/* A declaration tagged MP_MAYRUN may run Python code (or allocate a GC object, which
 * on 3.11 can).  Borrowed references to user objects are dead after such a call. */
#define MP_MAYRUN

/* For tables with open addressing: hashes words one by one, from 0. */
static inline uint64_t
mp_hash_mix(uint64_t seed, uint64_t word)
{
    uint64_t x = (seed ^ word) * 0x9E3779B97F4A7C15ull;
    return x ^ (x >> 29);
}

static inline uint32_t
mp_hash(const void *address)
{
    return (uint32_t)(mp_hash_mix(0, (uintptr_t)address) >> 32);
}

/* Makes room for `need` items of an array that PyMem holds: the pointer at `array` and
 * *cap.  0, or -1, a MemoryError, and all is as it was. */
static inline int
mp_grow(void *array, int32_t *cap, int32_t need, size_t size)
{
    void *items;
    if (need <= *cap) {
        return 0;
    }
    memcpy(&items, array, sizeof(items));
    int32_t more = Py_MAX(Py_MAX(need, 8), *cap <= INT32_MAX / 4 ? *cap * 2 : 0);
    items = need > INT32_MAX / 2 || (size_t)more > SIZE_MAX / 2 / size
                ? NULL
                : PyMem_Realloc(items, (size_t)more * size);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(array, &items, sizeof(items));
    *cap = more;
    return 0;
}

#endif
