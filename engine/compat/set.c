/* set.c - where the members of a set stand in its table.
 *
 * The order of a set, and which member pop() takes, follow from the table: members whose
 * hashes collide stand where there was room, what was taken out leaves a dummy, and a table
 * that has grown does not shrink.  So a set that is to be like another one gets its table. */
#include "compat/private.h"

#include <string.h>

#if PY_VERSION_HEX >= 0x030d0000
/* Exported by these versions, but declared in a private header only. */
PyAPI_DATA(PyObject *) _PySet_Dummy;
#endif

/* Layout of the bytes: a head, the hash of each member, then for each place of the table the
 * number of its member, or one of these. */
enum { PLACE_EMPTY = -1, PLACE_DUMMY = -2 };

typedef struct {
    Py_ssize_t used, fill, mask, finger;
} set_head;

/* Are the bytes such a layout, of a table that a set may have?  The head, if so. */
static bool
read_head(PyObject *layout, set_head *head)
{
    size_t size = (size_t)PyBytes_GET_SIZE(layout), most = (size_t)PY_SSIZE_T_MAX / 64;
    if (size < sizeof(*head)) {
        return false;
    }
    memcpy(head, PyBytes_AS_STRING(layout), sizeof(*head));
    return (size_t)head->mask < most && head->used >= 0 && head->used <= head->fill
           && head->fill <= head->mask
           && size
                  == sizeof(*head) + (size_t)head->used * sizeof(Py_hash_t)
                         + ((size_t)head->mask + 1) * sizeof(int32_t);
}

PyObject *
mp_set_layout(PyObject *o)
{
    PySetObject *set = (PySetObject *)o;
    set_head head = {set->used, set->fill, set->mask, set->finger};
    size_t hashes = (size_t)set->used * sizeof(Py_hash_t);
    size_t places = ((size_t)set->mask + 1) * sizeof(int32_t);
    PyObject *layout =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizeof(head) + hashes + places));
    if (layout == NULL) {
        return NULL;
    }
    char *to = PyBytes_AS_STRING(layout);
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    int32_t n = 0;
    for (Py_ssize_t i = 0; i <= set->mask; i++) {
        const setentry *entry = &set->table[i];
        bool is_member = entry->key != NULL && entry->key != _PySet_Dummy;
        int32_t place = is_member ? n : entry->key == NULL ? PLACE_EMPTY : PLACE_DUMMY;
        memcpy(to + hashes + (size_t)i * sizeof(place), &place, sizeof(place));
        if (is_member) {
            memcpy(to + (size_t)n * sizeof(Py_hash_t), &entry->hash, sizeof(Py_hash_t));
            n++;
        }
    }
    return layout;
}

/* Do the members hash as those did that the layout was taken of? */
static int
hashes_fit(const char *hashes, PyObject *const *members, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_hash_t had, has = PyObject_Hash(members[i]);
        memcpy(&had, hashes + (size_t)i * sizeof(had), sizeof(had));
        if (has == -1 || has != had) {
            return has == -1 ? -1 : 0;
        }
    }
    return 1;
}

int
mp_set_fill(PyObject *o, PyObject *layout, PyObject *const *members, Py_ssize_t n)
{
    PySetObject *set = (PySetObject *)o;
    const char *from = PyBytes_AS_STRING(layout);
    set_head head;
    if (!read_head(layout, &head) || head.used != n || set->fill != 0) {
        return 0;
    }
    int fit = hashes_fit(from + sizeof(head), members, n);
    if (fit <= 0) {
        return fit;
    }
    setentry *table = set->smalltable;
    if (head.mask >= PySet_MINSIZE) {
        table = PyMem_Calloc((size_t)head.mask + 1, sizeof(*table));
        if (table == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    const char *places = from + sizeof(head) + (size_t)n * sizeof(Py_hash_t);
    for (Py_ssize_t i = 0; i <= head.mask; i++) {
        int32_t at;
        memcpy(&at, places + (size_t)i * sizeof(at), sizeof(at));
        PyObject *key = at >= 0 ? members[at] : at == PLACE_DUMMY ? _PySet_Dummy : NULL;
        table[i].key = at >= 0 ? Py_NewRef(key) : key;
        table[i].hash = at == PLACE_DUMMY ? -1 : 0;
        if (at >= 0) {
            memcpy(&table[i].hash, from + sizeof(head) + (size_t)at * sizeof(Py_hash_t),
                   sizeof(Py_hash_t));
        }
    }
    set->table = table;
    set->mask = head.mask;
    set->fill = head.fill;
    set->used = head.used;
    set->finger = head.finger;
    return 1;
}

PyObject *
mp_set_copy(PyObject *set)
{
    PyObject *layout = mp_set_layout(set), *copy = PySet_New(NULL), *key;
    PyObject **members =
        PyMem_Calloc((size_t)PySet_GET_SIZE(set) + 1, sizeof(*members));
    Py_ssize_t pos = 0, n = 0;
    Py_hash_t hash;
    int filled = -1;
    if (members == NULL) {
        PyErr_NoMemory();
    }
    else if (layout != NULL && copy != NULL) {
        while (mp_set_next(set, &pos, &key, &hash)) {
            members[n++] = key;  // borrowed
        }
        filled = mp_set_fill(copy, layout, members, n);
    }
    if (filled == 0) {
        PyErr_SetString(PyExc_RuntimeError, "a member hashes in another way");
    }
    if (filled <= 0) {
        Py_CLEAR(copy);
    }
    PyMem_Free(members);
    Py_XDECREF(layout);
    return copy;
}

bool
mp_set_has_layout(PyObject *o, PyObject *layout)
{
    PySetObject *set = (PySetObject *)o;
    const char *from = PyBytes_AS_STRING(layout);
    set_head head;
    if (!read_head(layout, &head) || head.used != set->used || head.fill != set->fill
        || head.mask != set->mask || head.finger != set->finger) {
        return false;
    }
    const char *hashes = from + sizeof(head);
    const char *places = hashes + (size_t)head.used * sizeof(Py_hash_t);
    for (Py_ssize_t i = 0; i <= set->mask; i++) {
        const setentry *entry = &set->table[i];
        int32_t place;
        Py_hash_t hash;
        memcpy(&place, places + (size_t)i * sizeof(place), sizeof(place));
        if (place < 0) {
            if (entry->key != (place == PLACE_EMPTY ? NULL : _PySet_Dummy)) {
                return false;
            }
            continue;
        }
        if (place >= head.used) {
            return false;
        }
        memcpy(&hash, hashes + (size_t)place * sizeof(hash), sizeof(hash));
        if (entry->key == NULL || entry->key == _PySet_Dummy || entry->hash != hash) {
            return false;
        }
    }
    return true;
}

/* -- Where a member is looked for -------------------------------------------------------------- */

enum { LINEAR_PROBES = 9, PERTURB_SHIFT = 5 };  // as in CPython's setobject.c

/* Visits the places of a hash in CPython's order until `stop` says so; that place. */
static size_t
probe(const PySetObject *set, Py_hash_t hash,
      bool (*stop)(const setentry *entry, const void *what), const void *what)
{
    size_t mask = (size_t)set->mask, perturb = (size_t)hash, i = perturb & mask;
    for (;;) {
        size_t probes = i + LINEAR_PROBES <= mask ? LINEAR_PROBES : 0;
        for (size_t k = i; k <= i + probes; k++) {
            if (stop(&set->table[k], what)) {
                return k;
            }
        }
        perturb >>= PERTURB_SHIFT;
        i = (i * 5 + 1 + perturb) & mask;
    }
}

/* Not yet taken when members are put in in the order of the table. */
static bool
is_not_before(const setentry *entry, const void *member)
{
    return entry->key == NULL || entry >= (const setentry *)member;
}

/* CPython copies a table without dummies as it is, where the new one is as large, and adds the
 * members one by one otherwise.  Only a member that stands before its first place shows which. */
bool
mp_set_is_odd(PyObject *o)
{
    const PySetObject *set = (PySetObject *)o;
    if (set->fill != set->used) {
        return false;
    }
    for (Py_ssize_t i = 0; i <= set->mask; i++) {
        const setentry *entry = &set->table[i];
        if (entry->key != NULL
            && probe(set, entry->hash, is_not_before, entry) != (size_t)i) {
            return true;
        }
    }
    return false;
}

/* The member that equals `what`, or where it would stand. */
static bool
is_member_or_free(const setentry *entry, const void *what)
{
    const setentry *own = what;
    if (entry->key == NULL || entry->key == own->key) {
        return true;
    }
    return entry->hash == own->hash && entry->key != _PySet_Dummy
           && Py_TYPE(entry->key) == Py_TYPE(own->key)
           && PyObject_RichCompareBool(entry->key, own->key, Py_EQ) == 1;
}

int
mp_set_keep_members(PyObject *to, PyObject *from)
{
    PySetObject *kept = (PySetObject *)from;
    for (Py_ssize_t i = 0; i <= ((PySetObject *)to)->mask && kept->used > 0; i++) {
        setentry *own = &((PySetObject *)to)->table[i];
        if (own->key == NULL || own->key == _PySet_Dummy) {
            continue;
        }
        setentry *other = &kept->table[probe(kept, own->hash, is_member_or_free, own)];
        if (other->key != NULL) {
            PyObject *key = own->key;
            own->key = other->key;
            other->key = key;
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

void
mp_set_words(PyObject *set, const uint64_t **words)
{
    PySetObject *s = (PySetObject *)set;
    words[0] = (const uint64_t *)&s->used;
    words[1] = (const uint64_t *)&s->fill;
    words[2] = (const uint64_t *)&s->mask;
    words[3] = (const uint64_t *)&s->table;
    words[4] = (const uint64_t *)&s->finger;
}

bool
mp_set_next_entry(PyObject *set, Py_ssize_t *at, mp_set_entry *entry)
{
    PySetObject *s = (PySetObject *)set;
    while (*at <= s->mask && s->table[*at].key == NULL) {
        ++*at;
    }
    if (*at > s->mask) {
        return false;
    }
    setentry *found = &s->table[(*at)++];
    entry->key = &found->key;
    entry->hash = (const uint64_t *)&found->hash;
    entry->is_member = found->key != _PySet_Dummy;
    return true;
}
