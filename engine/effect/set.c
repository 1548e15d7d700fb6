/* effect/set.c - sets are changed by the operations of the run, in their order.
 *
 * What order a set has depends on how it came about (compat/set.c), so its content alone
 * does not say what eager mode leaves.  Each operation is a letter and, but for clear(), the
 * register of its operand. */
#include "effect/build.h"

#include <string.h>

#include "compat/compat.h"

/* add, discard, clear, pop; update and its kin, in the order of `names`. */
static const char letters[] = "+-0p|\\&^";
enum { FIRST_MERGE = 4 };
static const char *const names[] = {"update", "difference_update",
                                    "intersection_update",
                                    "symmetric_difference_update"};
static PyObject *methods[Py_ARRAY_LENGTH(names)];  // owned for the process

static bool
takes_operand(char letter)
{
    return letter != '0' && letter != 'p';
}

static int
find_methods(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (methods[i] == NULL) {
            methods[i] = PyObject_GetAttrString((PyObject *)&PySet_Type, names[i]);
        }
        if (methods[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

bool
mp_effect_is_script(PyObject *script, int32_t count)
{
    if (!PyBytes_CheckExact(script) || find_methods() < 0) {
        return false;
    }
    const char *text = PyBytes_AS_STRING(script);
    int32_t operands = 0;
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(script); i++) {
        if (text[i] == '\0' || strchr(letters, text[i]) == NULL) {
            return false;
        }
        operands += takes_operand(text[i]);
    }
    return operands == count;
}

PyObject *
mp_effect_set_members(PyObject *set, PyObject *script)
{
    bool takes_out = strpbrk(PyBytes_AS_STRING(script), "-0p\\&^") != NULL;
    PyObject *members = PyTuple_New(takes_out ? PySet_GET_SIZE(set) : 0), *key;
    Py_ssize_t pos = 0, n = 0;
    Py_hash_t hash;
    while (members != NULL && n < PyTuple_GET_SIZE(members)
           && mp_set_next(set, &pos, &key, &hash)) {
        PyTuple_SET_ITEM(members, n++, Py_NewRef(key));
    }
    return members;
}

static int
change_set(PyObject *set, char letter, PyObject *operand)
{
    switch (letter) {
    case '+':
        return PySet_Add(set, operand);
    case '-':
        return PySet_Discard(set, operand) < 0 ? -1 : 0;
    case '0':
        return PySet_Clear(set);
    case 'p': {
        PyObject *member = PySet_Pop(set);  // mp_effect_set_members holds it
        Py_XDECREF(member);
        return member == NULL ? -1 : 0;
    }
    default: {
        size_t i = (size_t)(strchr(letters, letter) - letters) - FIRST_MERGE;
        PyObject *none = PyObject_CallFunctionObjArgs(methods[i], set, operand, NULL);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    }
}

int
mp_effect_change_set(PyObject *set, PyObject *script, const int32_t *items,
                     PyObject *const *regs)
{
    const char *text = PyBytes_AS_STRING(script);
    int collects = PyGC_Disable(), rc = 0;  // some make a set for a moment
    for (Py_ssize_t i = 0; i < PyBytes_GET_SIZE(script) && rc == 0; i++) {
        rc = change_set(set, text[i], takes_operand(text[i]) ? regs[*items] : NULL);
        items += takes_operand(text[i]);
    }
    if (collects) {
        PyGC_Enable();
    }
    return rc;
}

PyObject *
mp_effect_make_set(PyObject *set, PyObject *layout, const int32_t *items, int32_t count,
                   PyObject *const *regs)
{
    PyObject **members =
        set == NULL ? NULL : PyMem_Malloc(((size_t)count + 1) * sizeof(*members));
    int filled = -1;
    if (set != NULL && members == NULL) {
        PyErr_NoMemory();
    }
    for (int32_t i = 0; members != NULL && i < count; i++) {
        members[i] = regs[items[i]];
    }
    if (members != NULL) {
        filled = layout == NULL ? 0 : mp_set_fill(set, layout, members, count);
    }
    if (filled == 0) {  // objects that hash by address: no order is theirs
        filled = mp_effect_extend(set, items, count, regs);
    }
    if (filled < 0) {
        Py_CLEAR(set);
    }
    PyMem_Free(members);
    return set;
}

/* -- Whole contents ----------------------------------------------------------------------- */

/* Exchange the content of two sets: cannot fail, frees nothing.  A small table lies inside the set
 * object and is copied. */
void
mp_effect_swap_sets(PySetObject *a, PySetObject *b)
{
    Py_ssize_t fill = a->fill, used = a->used, mask = a->mask, finger = a->finger;
    setentry *a_table = a->table == a->smalltable ? b->smalltable : a->table;
    setentry *b_table = b->table == b->smalltable ? a->smalltable : b->table;
    setentry small[PySet_MINSIZE];
    memcpy(small, a->smalltable, sizeof(small));
    memcpy(a->smalltable, b->smalltable, sizeof(small));
    memcpy(b->smalltable, small, sizeof(small));
    a->fill = b->fill;
    a->used = b->used;
    a->mask = b->mask;
    a->table = b_table;
    a->finger = b->finger;
    b->fill = fill;
    b->used = used;
    b->mask = mask;
    b->table = a_table;
    b->finger = finger;
}

/* The set gets the table of the content, but keeps the very members that it had. */
int
mp_effect_swap_tables(PyObject *set, PyObject *content)
{
    if (mp_set_keep_members(content, set) < 0) {
        return -1;
    }
    mp_effect_swap_sets((PySetObject *)set, (PySetObject *)content);
    return 0;
}

/* Are two such keys the same if they are equal? */
static bool
effect_is_plain_key(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key)
           || Py_TYPE(key)->tp_richcompare == PyBaseObject_Type.tp_richcompare;
}

/* How many keys of `set` the content has as well; -1: not known which of equal ones. */
Py_ssize_t
mp_effect_set_keeps(PyObject *set, PyObject *content)
{
    PyObject *key;
    Py_hash_t hash;
    Py_ssize_t pos = 0, kept = 0;
    while (mp_set_next(content, &pos, &key, &hash)) {
        if (!effect_is_plain_key(key)) {
            return -1;
        }
    }
    for (pos = 0; mp_set_next(set, &pos, &key, &hash);) {
        if (!effect_is_plain_key(key)) {
            return -1;
        }
        kept += PySet_Contains(content, key);
    }
    return kept;
}
