/* call/timing.c - how long the parts of a hit take that run before the graph.
 *
 * Three loops, each of which does a part more: bind; bind and check the guards of the entry
 * that answers; bind, search and gather.  What follows the check belongs to the gathering,
 * and so do checks of entries that stand before the one that answers.
 *
 * What must hold: as in call/dispatch.c (1), so a turn ends before the next one begins, and
 * the entry is held while Python can run.
 * Ownership: the entry is held by the first search. */
#include "call/timing.h"

#include "call/bind.h"
#include "call/hit.h"
#include "call/stats.h"

/* The arguments of the call, as vectorcall gives them. */
typedef struct {
    PyObject **args;  // borrowed from the caller's tuple and dict
    Py_ssize_t nargs;
    PyObject *kwnames;  // owned or NULL
} timing_call;

typedef enum { TIMING_BIND, TIMING_GUARDS, TIMING_SEARCH } timing_part;

static int
timing_take(timing_call *call, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t n = PyTuple_GET_SIZE(args), at = 0;
    Py_ssize_t n_named = PyDict_GET_SIZE(kwargs);
    PyObject *key, *value;  // borrowed from kwargs
    *call = (timing_call){NULL, n, NULL};
    call->args = PyMem_New(PyObject *, (size_t)(n + n_named + 1));
    if (call->args == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        call->args[i] = PyTuple_GET_ITEM(args, i);
    }
    if (n_named == 0) {
        return 0;
    }
    call->kwnames = PyTuple_New(n_named);
    if (call->kwnames == NULL) {
        return -1;
    }
    for (Py_ssize_t k = 0; PyDict_Next(kwargs, &at, &key, &value); k++) {
        PyTuple_SET_ITEM(call->kwnames, k, Py_NewRef(key));
        call->args[n + k] = value;
    }
    return 0;
}

static void
timing_drop(timing_call *call)
{
    PyMem_Free(call->args);
    Py_XDECREF(call->kwnames);
}

/* Is the entry still one of the cache's?  Dropping arguments can run Python, which may have
 * forgotten all. */
static bool
timing_is_kept(const mp_cache *cache, const mp_entry *entry)
{
    for (int32_t i = 0; i < cache->n; i++) {
        if (cache->at[i] == entry) {
            return true;
        }
    }
    return false;
}

/* One turn.  1: it is a hit, of *entry if that is given; 0: not; -1: exception. */
static int
timing_turn(mp_CompiledObject *op, const timing_call *call, timing_part part,
            mp_entry *entry)
{
    mp_bound bound;
    int32_t blame;
    PyObject *const *regs;
    int rc = mp_bind(&bound, &op->target, call->args, call->nargs, call->kwnames);
    if (rc > 0 && part == TIMING_GUARDS) {
        rc = timing_is_kept(&op->cache, entry)
             && mp_hit_matches(&op->cache, entry, bound.code, bound.slots, 0, &blame,
                               &regs);
    }
    else if (rc > 0 && part == TIMING_SEARCH) {
        mp_hit hit;
        mp_hit_init(&hit, true);
        mp_found found =
            mp_hit_search(op, &hit, &op->cache, bound.code, bound.slots, 0);
        rc = found == MP_FOUND_ERROR ? -1 : found == MP_FOUND_HIT;
        mp_hit_release(&hit);
    }
    mp_bound_clear(&bound);
    return rc;
}

/* Seconds for one turn of n; -1.0 if a turn is no hit, -2.0 with an exception set. */
static double
timing_loop(mp_CompiledObject *op, const timing_call *call, timing_part part,
            mp_entry *entry, int n)
{
    int64_t start = mp_stats_now();
    for (int i = 0; i < n; i++) {
        int rc = timing_turn(op, call, part, entry);
        if (rc <= 0) {
            return rc < 0 ? -2.0 : -1.0;
        }
    }
    return (double)(mp_stats_now() - start) / 1e9 / n;
}

/* The entry that answers, held: 1, 0 if none does, or -1. */
static int
timing_entry(mp_CompiledObject *op, const timing_call *call, mp_hit *hit)
{
    mp_bound bound;
    mp_hit_init(hit, true);
    int rc = mp_bind(&bound, &op->target, call->args, call->nargs, call->kwnames);
    if (rc > 0) {
        mp_found found = mp_hit_search(op, hit, &op->cache, bound.code, bound.slots, 0);
        rc = found == MP_FOUND_ERROR ? -1 : found == MP_FOUND_HIT;
    }
    mp_bound_clear(&bound);
    return rc;
}

static PyObject *
timing_measure(mp_CompiledObject *op, const timing_call *call, int n)
{
    double seconds[3] = {0.0, 0.0, 0.0};
    mp_hit hit;
    int rc = timing_entry(op, call, &hit);
    for (int part = TIMING_BIND; rc > 0 && part <= TIMING_SEARCH; part++) {
        seconds[part] = timing_loop(op, call, (timing_part)part, hit.entry, n);
        rc = seconds[part] >= 0.0 ? 1 : seconds[part] < -1.5 ? -1 : 0;
    }
    mp_hit_release(&hit);
    if (rc <= 0) {
        return rc < 0 ? NULL : Py_NewRef(Py_None);
    }
    return Py_BuildValue("(ddd)", seconds[TIMING_BIND],
                         seconds[TIMING_GUARDS] - seconds[TIMING_BIND],
                         seconds[TIMING_SEARCH] - seconds[TIMING_GUARDS]);
}

PyObject *
mp_timing_search(mp_CompiledObject *op, PyObject *args)
{
    int n;
    PyObject *positional, *named;  // borrowed from args
    if (!PyArg_ParseTuple(args, "iO!O!:search_seconds", &n, &PyTuple_Type, &positional,
                          &PyDict_Type, &named)) {
        return NULL;
    }
    if (n < 1) {
        PyErr_SetString(PyExc_ValueError, "n must be at least 1");
        return NULL;
    }
    timing_call call;
    PyObject *result = NULL;
    if (timing_take(&call, positional, named) == 0) {
        result = timing_measure(op, &call, n);
    }
    timing_drop(&call);
    return result;
}
