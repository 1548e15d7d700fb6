/* call/hints.c - which entry has answered for values like these. */
#include "call/hints.h"

#include "torch/tensor.h"

enum {
    HINTS_PER_ENTRY = 8,  // places
    HINTS_LEAST = 64,
    HINTS_WAYS = 4,  // places that may have a hash
};

/* -- What tells values apart -------------------------------------------------------- */

static uint64_t
hash_of_value(PyObject *o)
{
    if (o == NULL) {
        return 0;
    }
    if (mp_tensor_is(o)) {
        return mp_tensor_hash(o);
    }
    if (PyLong_CheckExact(o)) {
        int overflow;
        return (uint64_t)PyLong_AsLongLongAndOverflow(o, &overflow);
    }
    if (PyTuple_CheckExact(o) || PyList_CheckExact(o)) {
        return (uint64_t)Py_SIZE(o);
    }
    // (True, False and None are addresses, names mostly.)
    bool by_address = PyUnicode_CheckExact(o) || PyBool_Check(o) || PyType_Check(o);
    return (uint64_t)(uintptr_t)(by_address ? o : (PyObject *)Py_TYPE(o));
}

uint64_t
mp_hints_hash(PyObject *const *values, int32_t n)
{
    uint64_t hash = (uint64_t)n;
    for (int32_t i = 0; i < n; i++) {
        hash = mp_hash_mix(hash, hash_of_value(values[i]));
    }
    return hash;
}

/* -- The table ------------------------------------------------------------------------ */

static mp_hint *
hint_at(const mp_hints *h, uint64_t hash, int way)
{
    return &h->at[((uint32_t)(hash >> 32) + (uint32_t)way) & (h->size - 1)];
}

const void *
mp_hints_find(const mp_hints *h, uint64_t hash)
{
    for (int way = 0; h->at != NULL && way < HINTS_WAYS; way++) {
        const mp_hint *hint = hint_at(h, hash, way);
        if (hint->entry != NULL && hint->hash == hash) {
            return hint->entry;
        }
    }
    return NULL;
}

/* Room for n entries; what was known is forgotten when it grows. */
static bool
hints_room(mp_hints *h, int32_t n)
{
    uint32_t size = HINTS_LEAST;
    while (size < (uint32_t)n * HINTS_PER_ENTRY) {
        size *= 2;
    }
    if (size > h->size) {
        mp_hints_clear(h);
        h->at = PyMem_Calloc(size, sizeof(*h->at));
        h->size = h->at == NULL ? 0 : size;
    }
    return h->at != NULL;
}

void
mp_hints_note(mp_hints *h, uint64_t hash, const void *entry, int32_t n)
{
    if (!hints_room(h, n)) {
        return;
    }
    mp_hint *place = hint_at(h, hash, 0);
    for (int way = 0; way < HINTS_WAYS; way++) {
        mp_hint *hint = hint_at(h, hash, way);
        if (hint->entry == NULL || hint->hash == hash) {
            place = hint;
            break;
        }
    }
    *place = (mp_hint){hash, entry};
}

void
mp_hints_clear(mp_hints *h)
{
    PyMem_Free(h->at);
    h->at = NULL;
    h->size = 0;
}
