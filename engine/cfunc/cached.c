/* cfunc/cached.c - calls of what functools.lru_cache makes.
 *
 * Such an object is state like any dict.  A call that it answers reads one entry of its
 * table, which is guarded, and counts as a hit; a call that it does not answer needs the
 * entry to be absent, runs the function in a frame that is watched, and writes the entry.
 * The counters, and with a bound the order in which answers are thrown away, are written
 * by effects as well.
 * R: what the run has put into a table is never read through a guard (trace/refgraph.h, 2).
 * R: an answer that is put into a cache with a bound throws none out, or a hit of the same
 * run could be of one that is gone: there is room for all of them (ROOM), or a break.
 * R: `forward` of an autograd function runs in a hit, so what it asks counts by itself. */
#include "cfunc/cfunc.h"
#include "guard/cover.h"
#include "objects/equal.h"
#include "read/read.h"

static bool
hashes_by_identity(PyTypeObject *tp)
{
    return tp->tp_hash == PyBaseObject_Type.tp_hash
           && tp->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

static bool
has_symbol(const mp_trace *T, PyObject *tuple)
{
    bool has = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && !has; i++) {
        has = mp_symbol_find(T, PyTuple_GET_ITEM(tuple, i)) != NULL;
    }
    return has;
}

/* An answer for an object and sizes.  Where they vary from call to call, a break serves all
 * sizes, and an entry of the cache one. */
static bool
is_for_sizes(const mp_trace *T, const mp_call *c, bool vary)
{
    bool object = false, sizes = false;
    for (Py_ssize_t i = 0; i < c->count; i++) {
        PyObject *arg = c->args[i];
        object = object
                 || (hashes_by_identity(Py_TYPE(arg)) && !PyType_Check(arg)
                     && !PyFunction_Check(arg) && arg != Py_None);
        sizes = sizes
                || (PyTuple_Check(arg) && PyTuple_GET_SIZE(arg) > 0
                    && PyLong_CheckExact(PyTuple_GET_ITEM(arg, 0))
                    && (!vary || has_symbol(T, arg)));
    }
    return object && sizes;
}

/* Is it what the run has put into a cache?  The next call finds it there. */
static bool
is_kept_by_cache(mp_trace *T, PyObject *arg)
{
    bool kept = false;
    for (int32_t i = 0; i < T->n_writes && !kept; i++) {
        const mp_write *w = &T->writes[i];
        kept = w->kind == MP_W_CACHED_FILL
               && mp_cached_find_borrow(w->node->obj, w->key) == arg;
    }
    return kept;
}

/* Keys hash and compare in C, by value or because they are one object. */
static mp_rc
cached_argument(mp_trace *T, PyObject *arg)
{
    bool has_tensor = false;
    mp_node *n = mp_refgraph_find(&T->graph, arg);
    if (mp_hashes_by_value(arg)
        || ((mp_is_identity(arg) || mp_guard_is_pattern(arg))
            && (n == NULL || n->kind != MP_NODE_FRESH))) {
        mp_rc rc = mp_read_deep(T, arg, &has_tensor);
        return rc != MP_OK ? rc : mp_note_identity(T, arg);
    }
    if (hashes_by_identity(Py_TYPE(arg)) && n != NULL && n->kind == MP_NODE_EXTERNAL) {
        return mp_load_const(T, arg);  // whatever it holds
    }
    if (hashes_by_identity(Py_TYPE(arg)) && n != NULL && n->kind == MP_NODE_FRESH
        && is_kept_by_cache(T, arg)) {
        return mp_trace_abort(T, MP_AB_FILLED, "a new %s", mp_type_name(arg));
    }
    if (!PyTuple_CheckExact(arg)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cached function of an object");
    }
    mp_rc rc = mp_read_all(T, arg);
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(arg); i++) {
        rc = cached_argument(T, PyTuple_GET_ITEM(arg, i));
    }
    return rc;
}

/* -- Caches of typing ------------------------------------------------------------------- */

static mp_rc
hint_argument(mp_trace *T, PyObject *arg)
{
    if (mp_is_typing(arg)) {
        mp_node *n = mp_refgraph_find(&T->graph, arg);
        return n != NULL && n->kind == MP_NODE_FRESH
                   ? mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a type hint of a new %s",
                                    mp_type_name(arg))
                   : mp_load_const(T, arg);
    }
    if (!PyTuple_CheckExact(arg) || mp_hashes_by_value(arg)) {
        return cached_argument(T, arg);
    }
    mp_rc rc = mp_read_all(T, arg);
    for (Py_ssize_t i = 0; rc == MP_OK && i < PyTuple_GET_SIZE(arg); i++) {
        rc = hint_argument(T, PyTuple_GET_ITEM(arg, i));
    }
    return rc;
}

/* A type hint follows from its parts.  The code that makes one writes to nothing else, and
 * hashes others in Python. */
static mp_rc
hint_begin(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = hint_argument(T, args[i]);
    }
    s->below = MP_BELOW_TRUSTED;
    s->post = MP_POST_HINT;
    return rc;
}

/* -- All others --------------------------------------------------------------------------- */

/* The entry of the key: borrowed, NULL if there is none.  If it is for the same key, *key
 * is the table's own, so that one guard serves all such calls. */
static mp_rc
find_entry(mp_trace *T, PyObject *table, PyObject **key, PyObject **found)
{
    assert(PyDict_Check(table));
    PyObject *k, *value;
    Py_hash_t hash, wanted = PyObject_Hash(*key);
    Py_ssize_t pos = 0;
    *found = NULL;
    if (wanted == -1) {
        return MP_ERR;
    }
    while (mp_dict_next(table, &pos, &k, &value, &hash)) {
        if (!mp_key_is_safe(k) && !mp_guard_hash_is_c(k, 0)) {
            return mp_trace_abort(T, MP_AB_HASH,
                                  "a cache whose keys have their own __eq__");
        }
        if (hash == wanted && *found == NULL) {
            int same = PyObject_RichCompareBool(k, *key, Py_EQ);
            if (same < 0) {
                return MP_ERR;
            }
            if (same) {
                *key = mp_guard_same(k, *key) ? k : *key;  // (1 and True are equal)
                *found = value;
            }
        }
    }
    return MP_OK;
}

/* What the table had for the key when the run began. */
static mp_rc
guard_entry(mp_trace *T, PyObject *cached, mp_node *table, PyObject *key,
            PyObject *found)
{
    if (mp_node_wrote(table, key)) {
        return MP_OK;
    }
    if (found == NULL) {
        return mp_test(T, MP_G_NO_KEY, table, key, 0);
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_KEY, table->reg, key, 0, found);
    if (rc != MP_OK || mp_cached_bound(cached) < 0) {
        return rc;
    }
    mp_node *link = mp_refgraph_find(&T->graph, found);
    return link == NULL || link->reg < 0
               ? mp_trace_abort(T, MP_AB_OPAQUE_CALL, "an answer of an unknown cache")
               : mp_load(T, MP_G_LOAD_FIELD, link->reg, NULL, MP_F_CACHED_ANSWER,
                         mp_cached_answer_borrow(cached, found));
}

static mp_rc
begin_miss(mp_trace *T, mp_shadow *s, mp_node *n, PyObject *cached, PyObject *key)
{
    PyObject *inner = mp_cached_function_borrow(cached);
    if (!PyFunction_Check(inner)) {
        // It has no frame that could be watched.
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cache of a %s",
                              mp_type_name(inner));
    }
    if (mp_cached_bound(cached) > 0 && !mp_cached_has_room(cached, 1)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cache that is full");
    }
    mp_rc rc = mp_load_const(T, inner);
    if (rc != MP_OK) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    Py_XSETREF(s->cached, Py_NewRef(cached));
    Py_XSETREF(s->cached_key, Py_XNewRef(key));
    return mp_write_late(T, MP_W_CACHED_MISS, n, NULL);
}

static mp_rc
begin_keyed(mp_trace *T, mp_shadow *s, mp_node *n, const mp_call *c, PyObject *key)
{
    PyObject *cached = c->callee;
    PyObject *table = mp_cached_table_borrow(cached), *found;
    mp_rc rc = mp_load(T, MP_G_LOAD_FIELD, n->reg, NULL, MP_F_CACHED_TABLE, table);
    mp_node *t = rc == MP_OK ? mp_refgraph_find(&T->graph, table) : NULL;
    rc = rc != MP_OK ? rc : find_entry(T, table, &key, &found);
    if (rc != MP_OK) {
        return rc;
    }
    if (t == NULL || !mp_guard_hash_is_c(key, 0)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cached function of an object");
    }
    if (found == NULL && is_for_sizes(T, c, false)) {
        // (The next call finds them there, or has others, of which this would say nothing.)
        return mp_trace_abort(T, MP_AB_FILLED, "new sizes");
    }
    if (t->written == NULL) {
        t->entry_len = PyDict_GET_SIZE(table);
    }
    rc = guard_entry(T, cached, t, key, found);
    if (rc != MP_OK || found == NULL) {
        return rc != MP_OK ? rc : begin_miss(T, s, n, cached, key);
    }
    s->below = MP_BELOW_NOTHING;
    return T->apply.cls != NULL ? MP_OK : mp_write_late(T, MP_W_CACHED_HIT, n, key);
}

/* A cached function is about to be called: guard whether its table has the key, and note
 * what that does to counters and order. */
mp_rc
mp_cached_begin(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *cached = c->callee;
    assert(mp_is_cached(cached));
    PyObject *inner = mp_cached_function_borrow(cached);
    mp_node *n = mp_refgraph_find(&T->graph, cached);
    if (n == NULL || n->reg < 0) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a new cache");
    }
    mp_rc rc = mp_load_const(T, cached);  // which function, which bound, typed or not
    if (rc != MP_OK || mp_is_of_typing(inner)) {
        return rc != MP_OK ? rc : hint_begin(T, s, c->args, c->count);
    }
    if (is_for_sizes(T, c, true)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cached function of an object");
    }
    rc = mp_pin_deep_all(T, c->args, c->count);  // (hashed)
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = cached_argument(T, c->args[i]);
    }
    s->post = MP_POST_CACHED;
    if (rc != MP_OK || mp_cached_bound(cached) == 0) {
        return rc != MP_OK ? rc : begin_miss(T, s, n, cached, NULL);
    }
    PyObject *key = mp_cached_key(cached, c->args, c->nargs, c->kwnames);
    if (key == NULL) {
        return MP_ERR;
    }
    rc = begin_keyed(T, s, n, c, key);
    Py_DECREF(key);
    return rc;
}

/* The function has answered, and the cache keeps that. */
static mp_rc
end_miss(mp_trace *T, PyObject *cached, PyObject *key, PyObject *answer)
{
    assert(mp_is_cached(cached));
    PyObject *table = mp_cached_table_borrow(cached);
    mp_node *n = mp_refgraph_find(&T->graph, cached);
    mp_node *t = mp_refgraph_find(&T->graph, table);
    PyObject *found = mp_cached_find_borrow(cached, key);
    if (found == NULL && PyErr_Occurred()) {
        return MP_ERR;
    }
    if (n == NULL || t == NULL || found != answer || mp_node_wrote(t, key)
        || PyDict_GET_SIZE(table) != t->entry_len + n->taken + 1) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a cache that changed meanwhile");
    }
    n->taken++;
    if (mp_cached_bound(cached) >= 0) {
        mp_rc rc = mp_test(T, MP_G_ROOM, n, NULL, n->taken);
        if (rc != MP_OK) {
            return rc;
        }
    }
    if (mp_node_mark_written(t, key, -1) < 0) {
        return MP_ERR;
    }
    return mp_write_late(T, MP_W_CACHED_FILL, n, key);
}

mp_rc
mp_cached_end(mp_trace *T, mp_shadow *s, PyObject *answer)
{
    assert(s->cached_key == NULL || s->cached != NULL);
    PyObject *cached = s->cached, *key = s->cached_key;  // owned from here on
    mp_val known;
    s->cached = s->cached_key = NULL;
    mp_rc rc = cached == NULL ? mp_value(T, answer, &known) : mp_result(T, answer);
    if (rc == MP_OK && key != NULL) {
        rc = end_miss(T, cached, key, answer);
    }
    Py_XDECREF(cached);
    Py_XDECREF(key);
    return rc;
}
