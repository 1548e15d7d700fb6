/* read/set.c - changes of sets that existed before the run, and the order of sets.
 *
 * The order of a set, and what pop() takes, follow from its past: two sets of one content and
 * order need not be of one order after the same change.  So a replay does what the run did to
 * the set, change by change (effect/set.c).  If the run looks at the order that is left, the
 * table at entry is guarded, and the tables of what it was merged with.  Changes that cannot be
 * told as an operand (of a generator, of the set itself) need that guard as well: then the hit
 * gives the set the recorded table.
 *
 * Operands are kept as they were: what the run makes of them later is none of this change.
 */
#include "read/read.h"

#include <string.h>

/* Another object than all others, which lives as long as the log: if it could be gone from
 * the set again, it would live too long. */
static bool
is_new_object(mp_trace *T, PyObject *key)
{
    mp_node *n = mp_refgraph_find(&T->graph, key);
    return !mp_hashes_by_value(key) && (n == NULL || n->kind != MP_NODE_EXTERNAL);
}

/* Does it hash in a hit as it did in the run? */
static bool
hash_is_fixed(mp_trace *T, PyObject *key)
{
    mp_node *n = mp_refgraph_find(&T->graph, key);
    return mp_hashes_by_value(key)
           || (n != NULL && n->kind == MP_NODE_EXTERNAL && n->pinned)
           || (n == NULL && mp_is_identity(key));
}

/* For each member of an operand (keep_operand), or the operand alone: does one answer so? */
static bool
any_member(mp_trace *T, PyObject *operand, bool merges,
           bool (*test)(mp_trace *, PyObject *))
{
    PyObject *key;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    bool found = false;
    if (!merges) {
        return test(T, operand);
    }
    if (PyAnySet_Check(operand)) {
        while (!found && mp_set_next(operand, &pos, &key, &hash)) {
            found = test(T, key);
        }
    }
    while (PyDict_Check(operand) && !found && PyDict_Next(operand, &pos, &key, NULL)) {
        found = test(T, key);
    }
    for (; PyTuple_Check(operand) && !found && pos < PyTuple_GET_SIZE(operand); pos++) {
        found = test(T, PyTuple_GET_ITEM(operand, pos));
    }
    return found;
}

static bool
hash_varies(mp_trace *T, PyObject *key)
{
    return !hash_is_fixed(T, key);
}

bool
mp_set_has_order(mp_trace *T, PyObject *set)
{
    assert(PyAnySet_Check(set));
    return !any_member(T, set, true, hash_varies);
}

mp_rc
mp_note_set_order(mp_trace *T, PyObject *set)
{
    PyObject *key;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    mp_rc rc = MP_OK;
    if (!PyAnySet_Check(set) || PySet_GET_SIZE(set) < 2) {
        return MP_OK;
    }
    while (rc == MP_OK && mp_set_next(set, &pos, &key, &hash)) {
        mp_node *n = mp_refgraph_find(&T->graph, key);
        if (n == NULL || n->reg < 0 || hash_is_fixed(T, key)) {
            continue;
        }
        if (mp_tensor_is(key)) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the order of a set of tensors");
        }
        else if (Py_TYPE(key)->tp_hash == PyBaseObject_Type.tp_hash) {
            rc = mp_load_const(T, key);
        }
    }
    return rc;
}

/* -- Operands ------------------------------------------------------------------------------------ */

/* May it be a member at all?  (If not, the change raises, or stands for another one.) */
static bool
is_hashable(PyObject *key)
{
    if (PyTuple_Check(key)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!is_hashable(PyTuple_GET_ITEM(key, i))) {
                return false;
            }
        }
    }
    return Py_TYPE(key)->tp_hash != PyObject_HashNotImplemented;
}

static bool
is_unhashable(mp_trace *T, PyObject *key)
{
    (void)T;
    return !is_hashable(key);
}

/* The keys of a dict, as a dict: new. */
static PyObject *
copy_keys(PyObject *dict)
{
    PyObject *copy = PyDict_New(), *key, *value;
    Py_ssize_t pos = 0;
    while (copy != NULL && PyDict_Next(dict, &pos, &key, &value)) {
        if (PyDict_SetItem(copy, key, Py_None) < 0) {
            Py_CLEAR(copy);
        }
    }
    return copy;
}

/* What a set is merged with, as it is now: new in *copy, or NULL if there is no telling.  A set
 * from outside that is unchanged stands for itself, with its table. */
static mp_rc
keep_operand(mp_trace *T, mp_node *set, PyObject *operand, PyObject **copy)
{
    mp_node *n = mp_refgraph_find(&T->graph, operand);
    bool outside = n != NULL && n->reg >= 0 && !n->rewritten;
    *copy = NULL;
    if (operand == set->obj) {
        return MP_OK;
    }
    if (mp_is_constant(operand) || PyFrozenSet_CheckExact(operand)
        || (outside && PySet_CheckExact(operand))) {
        *copy = Py_NewRef(operand);
    }
    else if (PySet_CheckExact(operand)) {
        mp_rc rc = mp_read_all(T, operand);  // its table, if it has changed
        if (rc != MP_OK) {
            return rc;
        }
        *copy = mp_set_copy(operand);
    }
    else if (PyDict_CheckExact(operand)) {
        *copy = copy_keys(operand);
    }
    else if (PyList_CheckExact(operand) || PyTuple_CheckExact(operand)) {
        *copy = PySequence_Tuple(operand);
    }
    else {
        return MP_OK;
    }
    if (*copy == NULL) {
        return MP_ERR;
    }
    return *copy == operand ? MP_OK : mp_fresh(T, *copy);
}

static mp_rc
log_change(mp_node *n, char letter, PyObject *operand)
{
    if (n->changes == NULL && (n->changes = PyList_New(0)) == NULL) {
        return MP_ERR;
    }
    PyObject *row = Py_BuildValue("(CO)", letter, operand == NULL ? Py_None : operand);
    int rc = row == NULL ? -1 : PyList_Append(n->changes, row);
    Py_XDECREF(row);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* -- The order at entry ---------------------------------------------------------------------------- */

/* The table of a set from outside, as it was at entry. */
static mp_rc
guard_table(mp_trace *T, mp_node *n)
{
    PyObject *layout =
        n->entry_layout != NULL ? Py_NewRef(n->entry_layout) : mp_set_layout(n->obj);
    mp_rc rc = layout == NULL ? MP_ERR : mp_test(T, MP_G_SET_LAYOUT, n, layout, 0);
    Py_XDECREF(layout);
    return rc;
}

mp_rc
mp_read_order(mp_trace *T, mp_node *n)
{
    assert(PySet_Check(n->obj) && n->rewritten);
    mp_rc rc = MP_OK;
    if (n->ordered == 0) {
        rc = guard_table(T, n);
        n->ordered = 1;
    }
    Py_ssize_t size = n->changes == NULL ? 0 : PyList_GET_SIZE(n->changes);
    for (; rc == MP_OK && n->ordered <= size; n->ordered++) {
        PyObject *row = PyList_GET_ITEM(n->changes, n->ordered - 1);
        PyObject *operand = PyTuple_GET_ITEM(row, 1);
        char letter = (char)PyUnicode_READ_CHAR(PyTuple_GET_ITEM(row, 0), 0);
        bool merges = strchr("|\\&^", letter) != NULL;
        mp_node *other = mp_refgraph_find(&T->graph, operand);
        if (any_member(T, operand, merges, hash_varies)) {
            return mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                  "the order of a set of objects that was changed");
        }
        if (merges && other != NULL && other->reg >= 0 && PySet_Check(operand)) {
            rc = guard_table(T, other);
        }
    }
    if (rc == MP_OK
        && !mp_set_has_order(T, n->obj)) {  // (by changes that are not told)
        rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                            "the order of a set of objects that was changed");
    }
    return rc;
}

/* -- Changes --------------------------------------------------------------------------------------- */

mp_rc
mp_write_set_whole(mp_trace *T, mp_node *n)
{
    mp_rc rc = mp_write_whole(T, n);
    if (rc == MP_OK && n->reg >= 0 && !n->whole) {
        rc = mp_read_order(T, n);
        n->whole = rc == MP_OK;
    }
    return rc;
}

mp_rc
mp_write_set(mp_trace *T, mp_node *n, char letter, PyObject *operand)
{
    bool merges = strchr("|\\&^", letter) != NULL, adds = strchr("+|", letter) != NULL;
    PyObject *kept = NULL;
    if (n == NULL || n->reg < 0 || n->whole) {
        return MP_OK;
    }
    if (letter == 'p' && PySet_GET_SIZE(n->obj) == 0) {
        return mp_read_all(T, n->obj);  // KeyError, and no change
    }
    mp_rc rc = merges ? keep_operand(T, n, operand, &kept) : MP_OK;
    kept = merges ? kept : Py_XNewRef(operand);
    if (rc != MP_OK
        || (operand != NULL
            && (kept == NULL || any_member(T, kept, merges, is_unhashable)))) {
        Py_XDECREF(kept);
        return rc != MP_OK ? rc : mp_write_set_whole(T, n);
    }
    rc = mp_write_whole(T, n);
    if (rc == MP_OK && kept != NULL) {
        n->takes_new = n->takes_new || any_member(T, kept, merges, is_new_object);
    }
    if (rc == MP_OK && n->takes_new && !adds) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a set that may lose a new object");
    }
    if (rc == MP_OK && letter == 'p' && PySet_GET_SIZE(n->obj) != 1) {
        rc = mp_read_order(T, n);
    }
    rc = rc != MP_OK ? rc : log_change(n, letter, kept);
    Py_XDECREF(kept);
    return rc;
}

bool
mp_set_sorts(PyObject *set)
{
    PyObject *key;
    Py_ssize_t pos = 0, texts = 0, numbers = 0;
    Py_hash_t hash;
    if (!PyAnySet_Check(set)) {
        return false;
    }
    while (mp_set_next(set, &pos, &key, &hash)) {
        texts += PyUnicode_CheckExact(key);
        numbers += PyLong_CheckExact(key);
    }
    return texts == PySet_GET_SIZE(set) || numbers == PySet_GET_SIZE(set);
}

mp_rc
mp_set_script(mp_node *n, PyObject **script, PyObject **operands)
{
    Py_ssize_t size = n->changes == NULL ? 0 : PyList_GET_SIZE(n->changes);
    *script = PyBytes_FromStringAndSize(NULL, size);
    *operands = PyList_New(0);
    int rc = *script == NULL || *operands == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; i < size && rc == 0; i++) {
        PyObject *row = PyList_GET_ITEM(n->changes, i);
        char letter = (char)PyUnicode_READ_CHAR(PyTuple_GET_ITEM(row, 0), 0);
        PyBytes_AS_STRING(*script)[i] = letter;
        rc = letter == '0' || letter == 'p'
                 ? 0
                 : PyList_Append(*operands, PyTuple_GET_ITEM(row, 1));
    }
    if (rc < 0) {
        Py_CLEAR(*script);
        Py_CLEAR(*operands);
    }
    return rc < 0 ? MP_ERR : MP_OK;
}
