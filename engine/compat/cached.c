/* cached.c - the objects that functools.lru_cache makes: their layout is private.
 *
 * It is that of CPython 3.11 to 3.14, and is believed only after such an object was made,
 * used and looked at (mp_cached_init).  Elsewhere, and where functools is Python code, no
 * object is one: mp_is_cached says no, and the recorder refuses the call.
 *
 * The table is a dict from key to answer, or to a link if the cache has a bound.  Links
 * stand in a ring, the one that was not asked for longest behind the root. */
#include "compat/private.h"

#include <stddef.h>  // offsetof

typedef struct cached_link {
    PyObject_HEAD
    struct cached_link *prev, *next;
    Py_hash_t hash;
    PyObject *key, *result;
} cached_link;

typedef struct {
    cached_link root;  // with the object's head
    void *wrapper;
    int typed;
    PyObject *table;
    Py_ssize_t hits;
    PyObject *function;
    Py_ssize_t maxsize;  // -1: without bound; 0: it keeps nothing
    Py_ssize_t misses;
    PyObject *mark;  // stands before the keywords of a key
    PyTypeObject *link_type;
    PyObject *info_type;
    PyObject *dict;
    PyObject *weaklist;
} cached_object;

static struct {
    bool ready;
    PyTypeObject *type, *link;  // owned, for the process; NULL: unknown
} cached_static;

bool
mp_is_cached(PyObject *o)
{
    return cached_static.type != NULL && Py_IS_TYPE(o, cached_static.type);
}

PyTypeObject *
mp_cached_type(void)
{
    return cached_static.type;
}

PyTypeObject *
mp_cached_link_type(void)
{
    return cached_static.link;
}

Py_ssize_t
mp_cached_table_offset(void)
{
    return (Py_ssize_t)offsetof(cached_object, table);
}

Py_ssize_t
mp_cached_result_offset(void)
{
    return (Py_ssize_t)offsetof(cached_link, result);
}

PyObject *
mp_cached_function_borrow(PyObject *o)
{
    return ((cached_object *)o)->function;
}

PyObject *
mp_cached_table_borrow(PyObject *o)
{
    return ((cached_object *)o)->table;
}

Py_ssize_t
mp_cached_bound(PyObject *o)
{
    return ((cached_object *)o)->maxsize;
}

bool
mp_cached_has_room(PyObject *o, int64_t n)
{
    assert(mp_is_cached(o));
    const cached_object *c = (cached_object *)o;
    return c->maxsize < 0 || n <= c->maxsize - PyDict_GET_SIZE(c->table);
}

/* As lru_cache_make_key() does it. */
PyObject *
mp_cached_key(PyObject *o, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const cached_object *c = (cached_object *)o;
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames), at = 0;
    if (!c->typed && nkw == 0 && nargs == 1
        && (PyUnicode_CheckExact(args[0]) || PyLong_CheckExact(args[0]))) {
        return Py_NewRef(args[0]);
    }
    Py_ssize_t size = nargs + (nkw > 0 ? 1 + 2 * nkw : 0);
    PyObject *key = PyTuple_New(c->typed ? size + nargs + nkw : size);
    if (key == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(key, at++, Py_NewRef(args[i]));
    }
    if (nkw > 0) {
        PyTuple_SET_ITEM(key, at++, Py_NewRef(c->mark));
    }
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyTuple_SET_ITEM(key, at++, Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        PyTuple_SET_ITEM(key, at++, Py_NewRef(args[nargs + i]));
    }
    for (Py_ssize_t i = 0; c->typed && i < nargs + nkw; i++) {
        PyTuple_SET_ITEM(key, at++, Py_NewRef((PyObject *)Py_TYPE(args[i])));
    }
    return key;
}

PyObject *
mp_cached_answer_borrow(PyObject *o, PyObject *found)
{
    return ((cached_object *)o)->maxsize < 0 ? found : ((cached_link *)found)->result;
}

PyObject *
mp_cached_find_borrow(PyObject *o, PyObject *key)
{
    PyObject *found = PyDict_GetItemWithError(((cached_object *)o)->table, key);
    return found == NULL ? NULL : mp_cached_answer_borrow(o, found);
}

static void
link_take_out(cached_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

static void
link_put_last(cached_object *c, cached_link *link)
{
    cached_link *root = &c->root, *last = root->prev;
    last->next = root->prev = link;
    link->prev = last;
    link->next = root;
}

int
mp_cached_count_hit(PyObject *o, PyObject *key)
{
    assert(mp_is_cached(o));
    cached_object *c = (cached_object *)o;
    if (c->maxsize > 0) {
        PyObject *link = PyDict_GetItemWithError(c->table, key);
        if (link == NULL && PyErr_Occurred()) {
            return -1;
        }
        if (link != NULL) {
            link_take_out((cached_link *)link);
            link_put_last(c, (cached_link *)link);
        }
    }
    c->hits++;
    return 0;
}

void
mp_cached_count_miss(PyObject *o)
{
    assert(mp_is_cached(o));
    ((cached_object *)o)->misses++;
}

/* Keep an answer for a key, as the cache does after a miss: in its table, and in the
 * ring if it has a bound.  There is room, which a guard has asked for (ROOM). */
int
mp_cached_fill(PyObject *o, PyObject *key, PyObject *answer)
{
    assert(mp_is_cached(o));
    cached_object *c = (cached_object *)o;
    if (c->maxsize < 0) {
        return PyDict_SetItem(c->table, key, answer);
    }
    if (c->maxsize == 0) {
        return 0;
    }
    if (PyDict_GetItemWithError(c->table, key) != NULL || PyErr_Occurred()) {
        // Code below the graph has filled it meanwhile: its answer stays, as in a call.
        return PyErr_Occurred() ? -1 : 0;
    }
    cached_link *link = PyObject_New(cached_link, cached_static.link);
    if (link == NULL) {
        return -1;
    }
    link->hash = PyObject_Hash(key);
    link->key = Py_NewRef(key);
    link->result = Py_NewRef(answer);
    if (PyDict_SetItem(c->table, key, (PyObject *)link) < 0) {
        Py_DECREF(link);
        return -1;
    }
    link_put_last(c, link);  // (the ring owns its links, as the table does)
    return 0;
}

/* -- Is the layout what we take it for? ------------------------------------------------- */

static bool
proves_ring(cached_object *c)
{
    cached_link *first = c->root.next, *last = c->root.prev;
    return first != NULL && last != NULL && first->next == last && last->prev == first
           && last->next == &c->root && first->prev == &c->root
           && Py_TYPE(last) == c->link_type && Py_REFCNT(last) == 2
           && c->link_type->tp_basicsize == (Py_ssize_t)sizeof(cached_link);
}

/* The cache has room for four, was asked for True, then twice for 2: two misses, a hit. */
static bool
proves_layout(PyObject *o, PyObject *function)
{
    cached_object *c = (cached_object *)o;
    PyObject *key = PyLong_FromLong(2);
    bool fits = c->maxsize == 4 && c->hits == 1 && c->misses == 2 && c->typed == 0
                && c->function == function && PyDict_CheckExact(c->table)
                && PyDict_GET_SIZE(c->table) == 2 && proves_ring(c);
    PyObject *found = fits && key != NULL ? mp_cached_find_borrow(o, key) : NULL;
    fits = found != NULL && PyLong_CheckExact(found) && PyLong_AsLong(found) == 2;
    Py_XDECREF(key);
    return fits;
}

/* functools.lru_cache(maxsize=4)(abs), asked three times: new, or NULL. */
static PyObject *
make_cache(PyObject *functools, PyObject *function)
{
    PyObject *make = PyObject_CallMethod(functools, "lru_cache", "i", 4);
    PyObject *o = make == NULL ? NULL : PyObject_CallOneArg(make, function);
    Py_XDECREF(make);
    for (int i = 0; o != NULL && i < 3; i++) {
        PyObject *answer =
            i == 0 ? PyObject_CallOneArg(o, Py_True) : PyObject_CallFunction(o, "i", 2);
        if (answer == NULL) {
            Py_CLEAR(o);
        }
        Py_XDECREF(answer);
    }
    return o;
}

int
mp_cached_init(void)
{
    if (cached_static.ready) {
        return 0;
    }
    PyObject *functools = PyImport_ImportModule("functools");
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *function =
        builtins == NULL ? NULL : PyObject_GetAttrString(builtins, "abs");
    PyObject *o =
        functools == NULL || function == NULL ? NULL : make_cache(functools, function);
    if (o != NULL && Py_TYPE(o)->tp_basicsize == (Py_ssize_t)sizeof(cached_object)
        && proves_layout(o, function)) {
        cached_static.type = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(o));
        cached_static.link =
            (PyTypeObject *)Py_NewRef((PyObject *)((cached_object *)o)->link_type);
    }
    cached_static.ready = o != NULL;
    Py_XDECREF(o);
    Py_XDECREF(function);
    Py_XDECREF(builtins);
    Py_XDECREF(functools);
    return cached_static.ready ? 0 : -1;
}
