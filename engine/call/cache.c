/* call/cache.c - entries and their order.
 *
 * Entries are counted by reference: the cache holds one reference to each, and whoever
 * runs an entry, or reads it while Python code can run, holds another.  So an entry
 * that is evicted, or dropped by reset(), while it runs dies when the run has ended.
 *
 * Releasing the last reference runs arbitrary finalizers.  Therefore the table is
 * always consistent before a release: unlink first, then release.
 *
 * The collector sees an entry through the cache that holds it.  An entry that has left
 * the cache is held by C stack frames only, so it is rightly reachable. */
#include "call/cache.h"

#include "guard/words.h"

/* -- One entry --------------------------------------------------------------------- */

/* Does the graph spec say that inputs are written?  1 / 0 / -1. */
static int
entry_mutates(PyObject *graph)
{
    if (graph == NULL) {
        return 0;
    }
    if (!PyTuple_CheckExact(graph) || PyTuple_GET_SIZE(graph) != 4
        || !PyDict_CheckExact(PyTuple_GET_ITEM(graph, 3))) {
        PyErr_SetString(PyExc_SystemError, "malformed graph spec");
        return -1;
    }
    PyObject *name = PyUnicode_FromString("mutated");
    if (name == NULL) {
        return -1;
    }
    PyObject *mutated = PyDict_GetItemWithError(PyTuple_GET_ITEM(graph, 3), name);
    Py_DECREF(name);
    if (mutated == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return PyObject_IsTrue(mutated);
}

/* A new entry with one reference; takes plan over, also on failure.  An entry without a
 * graph needs no compiling. */
mp_entry *
mp_entry_new(mp_plan *plan, PyCodeObject *code, uint64_t id)
{
    assert(plan != NULL && plan->guards != NULL);
    int mutates = entry_mutates(plan->graph);
    mp_entry *entry = mutates < 0 ? NULL : PyMem_Calloc(1, sizeof(*entry));
    if (entry == NULL) {
        if (mutates >= 0) {
            PyErr_NoMemory();
        }
        mp_plan_free(plan);
        return NULL;
    }
    entry->refs = 1;
    entry->state = plan->graph != NULL ? MP_ENTRY_NEW : MP_ENTRY_READY;
    entry->plan = plan;
    entry->code = (PyCodeObject *)Py_NewRef(code);
    entry->mutates = mutates;
    entry->id = id;
    return entry;
}

/* The last reference frees the entry, which may run finalizers. */
void
mp_entry_release(mp_entry *entry)
{
    assert(entry->refs > 0);
    if (--entry->refs > 0) {
        return;
    }
    mp_plan_free(entry->plan);
    Py_XDECREF(entry->callable);
    Py_XDECREF(entry->owner);
    Py_XDECREF(entry->undo);
    Py_DECREF(entry->code);
    PyMem_Free(entry);
}

static int
entry_visit(mp_entry *entry, visitproc visit, void *arg)
{
    Py_VISIT(entry->callable);
    Py_VISIT(entry->owner);
    Py_VISIT(entry->undo);
    Py_VISIT(entry->code);
    return mp_plan_visit(entry->plan, visit, arg);
}

static const char *
entry_state_name(const mp_entry *entry)
{
    static const char *const names[] = {"new", "compiling", "ready", "failed",
                                        "diverged"};
    return names[entry->state];
}

/* -- Texts ------------------------------------------------------------------------- */

/* Source texts of n things that a hit gathers: new list. */
static PyObject *
entry_sources(const mp_guards *guards, const int32_t *regs, int32_t n)
{
    PyObject *list = PyList_New(n);
    for (int32_t i = 0; list != NULL && i < n; i++) {
        PyObject *text = mp_guards_given(guards, regs[i]);
        if (text == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, text);
    }
    return list;
}

/* What the entry's replay does, as lines of text: new list. */
static PyObject *
entry_effects(const mp_plan *plan)
{
    const mp_replay *replay = plan->replay;
    if (plan->guards->dead) {
        return PyList_New(0);  // their objects have died
    }
    PyObject *names =
        entry_sources(plan->guards, replay->source_regs, replay->n_sources);
    if (names == NULL) {
        return NULL;
    }
    PyObject *text = mp_replay_text(replay, names);
    Py_DECREF(names);
    return text;
}

/* dict[key] = value; value is consumed, NULL means that making it failed. */
static int
entry_put_steal(PyObject *dict, const char *key, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    int rc = PyDict_SetItemString(dict, key, value);
    Py_DECREF(value);
    return rc;
}

static PyObject *
entry_or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
entry_ambient(const mp_plan *plan)
{
    return plan->ambient != NULL ? mp_ambient_text(plan->ambient) : PyList_New(0);
}

/* How a hit checks it: words, tensors, guards that are run, proofs made so far.  New. */
static PyObject *
entry_words(const mp_guards *g)
{
    mp_words_count n = mp_guards_count_words(g);
    return Py_BuildValue("iiii", (int)n.words, (int)n.tensors, (int)n.steps,
                         (int)n.made);
}

/* Put "guards", their texts, and "guard_sites", where each came from: a row of "sites". */
static int
entry_put_guards(PyObject *dict, const mp_plan *p)
{
    PyObject *ops = PyList_New(0);
    PyObject *texts = ops == NULL ? NULL : mp_guards_text(p->guards, ops);
    int rc = entry_put_steal(dict, "guards", texts);
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(ops); i++) {
        long op = PyLong_AsLong(PyList_GET_ITEM(ops, i));
        PyObject *row = PyLong_FromLong(mp_sites_row(&p->sites.guards, (int32_t)op));
        rc = row == NULL ? -1 : PyList_SetItem(ops, i, row);
    }
    rc = rc < 0 ? rc : PyDict_SetItemString(dict, "guard_sites", ops);
    Py_XDECREF(ops);
    return rc < 0 ? rc : entry_put_steal(dict, "sites", mp_sites_rows(&p->sites));
}

/* What `entries()` tells of an entry, for people and tests: new dict. */
static PyObject *
entry_describe(const mp_entry *entry)
{
    const mp_plan *p = entry->plan;
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return NULL;
    }
    if (entry_put_steal(dict, "ambient", entry_ambient(p)) < 0
        || entry_put_steal(dict, "id", PyLong_FromUnsignedLongLong(entry->id)) < 0
        || entry_put_steal(dict, "state", PyUnicode_FromString(entry_state_name(entry)))
               < 0
        || entry_put_steal(dict, "hits", PyLong_FromUnsignedLongLong(entry->hits)) < 0
        || entry_put_steal(dict, "instructions", PyLong_FromLong(p->n_instr)) < 0
        || entry_put_guards(dict, p) < 0
        || entry_put_steal(dict, "words", entry_words(p->guards)) < 0
        || entry_put_steal(dict, "inputs",
                           entry_sources(p->guards, p->inputs, p->n_inputs))
               < 0
        || entry_put_steal(dict, "effects", entry_effects(p)) < 0
        || entry_put_steal(dict, "is_compiling", PyBool_FromLong(entry->told)) < 0
        || entry_put_steal(dict, "reused", PyBool_FromLong(entry->reused)) < 0
        || entry_put_steal(dict, "graph", entry_or_none(p->graph)) < 0
        || entry_put_steal(dict, "callable", entry_or_none(entry->callable)) < 0) {
        Py_DECREF(dict);
        return NULL;
    }
    return dict;
}

/* -- Kinds ------------------------------------------------------------------------- */

/* counts[name]++: 0 / -1. */
static int
kinds_count(PyObject *counts, const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *old = key == NULL ? NULL : PyDict_GetItemWithError(counts, key);
    long n = old == NULL ? 0 : PyLong_AsLong(old);
    PyObject *value = PyErr_Occurred() ? NULL : PyLong_FromLong(n + 1);
    int rc = value == NULL ? -1 : PyDict_SetItem(counts, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

/* LOAD_FIELD is one kind for each field. */
static const char *
kinds_guard_name(const mp_guard *op)
{
    assert(op->kind < MP_G_COUNT);
    static const char *const fields[] = {
#define FIELD(id, name) "LOAD_FIELD " #id,
#include "guard/fields.def"
#undef FIELD
    };
    return op->kind == MP_G_LOAD_FIELD ? fields[op->n] : mp_guard_id(op->kind);
}

/* Which kinds of guards and effects the entries have that were hit: the fuzzer asks. */
int
mp_cache_count_kinds(const mp_cache *cache, PyObject *guards, PyObject *effects)
{
    int rc = 0;
    for (int32_t i = 0; rc == 0 && i < cache->n; i++) {
        const mp_plan *plan = cache->at[i]->plan;
        if (cache->at[i]->hits == 0) {
            continue;
        }
        for (int32_t k = 0; rc == 0 && k < plan->guards->n_ops; k++) {
            rc = kinds_count(guards, kinds_guard_name(&plan->guards->ops[k]));
        }
        for (int32_t k = 0; rc == 0 && k < plan->replay->n_ops; k++) {
            rc = kinds_count(effects, mp_effect_id(plan->replay->ops[k].kind));
        }
    }
    return rc;
}

/* -- The table --------------------------------------------------------------------- */

/* In front of all others: the newest recording is the most likely one.  The registers of
 * the cache have room for the largest program. */
int
mp_cache_insert(mp_cache *cache, mp_entry *entry)
{
    assert(entry->refs > 0 && cache->n <= cache->cap);
    if (mp_grow(&cache->regs, &cache->n_regs, entry->plan->guards->n_regs,
                sizeof(*cache->regs))
        < 0) {
        return -1;
    }
    if (mp_grow(&cache->at, &cache->cap, cache->n + 1, sizeof(*cache->at)) < 0) {
        return -1;
    }
    memmove(cache->at + 1, cache->at, (size_t)cache->n * sizeof(*cache->at));
    cache->at[0] = entry;
    cache->n++;
    entry->refs++;
    return 0;
}

/* Entry i has answered: it comes to the front. */
void
mp_cache_touch(mp_cache *cache, int32_t i)
{
    assert(i >= 0 && i < cache->n);
    mp_entry *entry = cache->at[i];
    memmove(cache->at + 1, cache->at, (size_t)i * sizeof(*cache->at));
    cache->at[0] = entry;
}

int32_t
mp_cache_find(const mp_cache *cache, const void *entry)
{
    int32_t i = cache->n - 1;
    while (i >= 0 && cache->at[i] != entry) {
        i--;
    }
    return i;
}

/* Entries whose guards can still hold. */
int32_t
mp_cache_alive(const mp_cache *cache)
{
    int32_t n = 0;
    for (int32_t i = 0; i < cache->n; i++) {
        n += !cache->at[i]->plan->guards->dead;
    }
    return n;
}

/* Drop entries with objects that have died: they can never hold again. */
void
mp_cache_purge(mp_cache *cache)
{
    for (int32_t i = 0; i < cache->n;) {
        mp_entry *entry = cache->at[i];
        if (!entry->plan->guards->dead) {
            i++;
            continue;
        }
        cache->n--;
        memmove(cache->at + i, cache->at + i + 1,
                (size_t)(cache->n - i) * sizeof(*cache->at));
        mp_entry_release(entry);  // may run Python, which may change the table
        i = 0;
    }
}

/* Take the least recently used entry out; the caller gets its reference. */
mp_entry *
mp_cache_pop(mp_cache *cache)
{
    return cache->n == 0 ? NULL : cache->at[--cache->n];
}

void
mp_cache_remove(mp_cache *cache, mp_entry *entry)
{
    for (int32_t i = 0; i < cache->n; i++) {
        if (cache->at[i] == entry) {
            cache->n--;
            memmove(cache->at + i, cache->at + i + 1,
                    (size_t)(cache->n - i) * sizeof(*cache->at));
            mp_entry_release(entry);
            return;
        }
    }
}

int
mp_cache_visit(mp_cache *cache, visitproc visit, void *arg)
{
    for (int32_t i = 0; i < cache->n; i++) {
        int rc = entry_visit(cache->at[i], visit, arg);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void
mp_cache_clear(mp_cache *cache)
{
    mp_cache old = *cache;
    memset(cache, 0, sizeof(*cache));
    cache->last_id = old.last_id;
    for (int32_t i = 0; i < old.n; i++) {
        mp_entry_release(old.at[i]);
    }
    mp_hints_clear(&old.hints);
    PyMem_Free(old.at);
    PyMem_Free(old.regs);
}

/* Release the first n of a private copy of the table. */
static void
cache_release_copy(mp_entry **copy, int32_t n)
{
    assert(n >= 0);
    for (int32_t i = 0; i < n; i++) {
        mp_entry_release(copy[i]);
    }
    PyMem_Free(copy);
}

/* All entries as dicts: new list.  Made from a copy of the table, because making dicts
 * may run Python code, which may change the table. */
PyObject *
mp_cache_describe(mp_cache *cache)
{
    int32_t n = cache->n;
    mp_entry **copy = PyMem_New(mp_entry *, n);
    if (copy == NULL) {
        return PyErr_NoMemory();
    }
    for (int32_t i = 0; i < n; i++) {
        copy[i] = cache->at[i];
        copy[i]->refs++;
    }
    PyObject *list = PyList_New(0);
    for (int32_t i = 0; list != NULL && i < n; i++) {
        PyObject *dict = entry_describe(copy[i]);
        if (dict == NULL || PyList_Append(list, dict) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(dict);
    }
    cache_release_copy(copy, n);
    return list;
}
