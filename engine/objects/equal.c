/* objects/equal.c - comparing and looking up without running user code.
 *
 * Equality of constants, look-ups in dicts and sets, order of keys.  Everything is
 * compared by C code that is named here.  If a look-up would have to ask a key with
 * another __eq__, the answer is unknown (-1), which is a miss for every guard.
 *
 * Ownership: nothing is kept but the registered types, for the life of the process.
 * Re-entrancy: all but the init and the registration allocate no GC object, run no
 * Python code, and leave no exception.
 */
#include "objects/equal.h"

#include <stddef.h>        // offsetof
#include <string.h>        // memcmp
#include <structmember.h>  // T_OBJECT_EX

#include "compat/compat.h"
#include "objects/types.h"
#include "torch/tensor.h"

enum { VALUE_DEPTH = 32 };  // nesting of constant tuples; bounds the C recursion

/* OrderedDict keeps its order in a list of its own.  The layout is the same in every
 * version since 3.5; value_odict_prove tests it before it is used. */
typedef struct value_odict_node {
    PyObject *key;  // owned by the node
    Py_hash_t hash;
    struct value_odict_node *next, *prev;
} value_odict_node;

typedef struct {
    PyDictObject dict;
    value_odict_node *first, *last;
} value_odict;

/* Facts about this process, found once; never changed or freed after. */
static struct {
    bool odict_proved;
    Py_ssize_t range_offsets[3];
    Py_ssize_t pattern_offset;  // of what a compiled pattern was made of
    PyTypeObject **constants;   // owned array of owned types
    int32_t n_constants, cap_constants;
} value_static;

int
mp_guard_register_constant_type(PyTypeObject *type)
{
    for (int32_t i = 0; i < value_static.n_constants; i++) {
        if (value_static.constants[i] == type) {
            return 0;
        }
    }
    if (mp_grow(&value_static.constants, &value_static.cap_constants,
                value_static.n_constants + 1, sizeof(*value_static.constants))
        < 0) {
        return -1;
    }
    value_static.constants[value_static.n_constants++] =
        (PyTypeObject *)Py_NewRef((PyObject *)type);
    return 0;
}

bool
mp_guard_is_registered(PyTypeObject *tp)
{
    for (int32_t i = 0; i < value_static.n_constants; i++) {
        PyTypeObject *base = value_static.constants[i];
        if (tp == base
            || (!(tp->tp_flags & Py_TPFLAGS_HEAPTYPE) && PyType_IsSubtype(tp, base))) {
            return true;
        }
    }
    return false;
}

Py_ssize_t
mp_guard_member_offset(PyTypeObject *type, const char *name)
{
    PyObject *descr = PyObject_GetAttrString((PyObject *)type, name);
    if (descr == NULL) {
        return -1;
    }
    Py_ssize_t offset = -1;
    if (Py_IS_TYPE(descr, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)descr)->d_member;
        if (member->type == T_OBJECT || member->type == T_OBJECT_EX) {
            offset = member->offset;
        }
    }
    Py_DECREF(descr);
    if (offset < 0) {
        PyErr_Format(PyExc_SystemError, "%s.%s is no object member", type->tp_name,
                     name);
    }
    return offset;
}

/* Does walking an OrderedDict whose order differs from its dict's give its order? */
static int
value_odict_prove(void)
{
    PyObject *od = PyODict_New();
    PyObject *first = PyLong_FromLong(1), *second = PyLong_FromLong(2), *moved = NULL;
    int rc = -1;
    if (od == NULL || first == NULL || second == NULL
        || PyODict_SetItem(od, first, Py_None) < 0
        || PyODict_SetItem(od, second, Py_None) < 0
        || (moved = PyObject_CallMethod(od, "move_to_end", "O", first)) == NULL) {
        goto done;
    }
    rc = 0;
    if (PyODict_Type.tp_basicsize >= (Py_ssize_t)sizeof(value_odict)) {
        value_odict_node *head = ((value_odict *)od)->first;
        value_odict_node *tail = ((value_odict *)od)->last;
        value_static.odict_proved =
            head != NULL && head->key == second && head->next == tail && tail != NULL
            && tail->key == first && tail->next == NULL && tail->prev == head;
    }
done:
    Py_XDECREF(moved);
    Py_XDECREF(second);
    Py_XDECREF(first);
    Py_XDECREF(od);
    return rc;
}

int
mp_equal_init(void)
{
    static const char *const names[] = {"start", "stop", "step"};
    for (int i = 0; i < 3; i++) {
        value_static.range_offsets[i] = mp_guard_member_offset(&PyRange_Type, names[i]);
        if (value_static.range_offsets[i] < 0) {
            return -1;
        }
    }
    return value_odict_prove();
}

bool
mp_guard_is_pattern(PyObject *o)
{
    if (!mp_type_is(o, MP_K_PATTERN)) {
        return false;
    }
    PyTypeObject *tp = Py_TYPE(o);
    if (value_static.pattern_offset == 0) {
        value_static.pattern_offset = mp_guard_member_offset(tp, "pattern");
        mp_err_drop();  // another layout: none is known
    }
    if (value_static.pattern_offset < 0) {
        return false;
    }
    PyObject *text = *(PyObject **)((char *)o + value_static.pattern_offset);
    return text == NULL || PyUnicode_CheckExact(text) || PyBytes_CheckExact(text);
}

/* -- Equality without user code --------------------------------------------------- */

/* Strings are in canonical form, except for those of the old API of wide characters that
 * are not ready: these equal none. */
static bool
value_str_equals(PyObject *a, PyObject *b)
{
    if (!mp_str_is_ready(a) || !mp_str_is_ready(b)) {
        return false;
    }
    Py_ssize_t len = PyUnicode_GET_LENGTH(a);
    return len == PyUnicode_GET_LENGTH(b) && PyUnicode_KIND(a) == PyUnicode_KIND(b)
           && memcmp(PyUnicode_DATA(a), PyUnicode_DATA(b),
                     (size_t)len * (size_t)PyUnicode_KIND(a))
                  == 0;
}

/* Call one C comparison slot.  1 / 0, -1: no answer; NotImplemented counts as 0. */
static int
value_slot_answer(richcmpfunc slot, PyObject *a, PyObject *b)
{
    PyObject *r = slot == NULL ? Py_NewRef(Py_NotImplemented) : slot(a, b, Py_EQ);
    if (r == NULL) {
        mp_err_drop();  // MemoryError or RecursionError of C code: equality is unknown
        return -1;
    }
    int answer = r == Py_NotImplemented ? 0 : PyObject_IsTrue(r);
    Py_DECREF(r);  // bool, numpy.bool or NotImplemented: nothing of the user's
    if (answer < 0) {
        mp_err_drop();  // not a truth value: unknown as well
    }
    return answer;
}

static bool
value_bytes_equal(PyObject *a, PyObject *b)
{
    return PyBytes_GET_SIZE(a) == PyBytes_GET_SIZE(b)
           && memcmp(PyBytes_AS_STRING(a), PyBytes_AS_STRING(b),
                     (size_t)PyBytes_GET_SIZE(a))
                  == 0;
}

/* Same type, registered.  Equal bits are equal values; `==` is asked only where it
 * cannot be coarser than that: numpy's numbers (they have a buffer) say 0.0 == -0.0. */
static int
value_foreign_equals(PyObject *o, PyObject *want)
{
    PyTypeObject *tp = Py_TYPE(o);
    if (PyUnicode_Check(o)) {
        return value_str_equals(o, want);
    }
    if (PyBytes_Check(o)) {
        return value_bytes_equal(o, want);
    }
    if (tp->tp_itemsize == 0
        && memcmp((PyObject *)o + 1, (PyObject *)want + 1,
                  (size_t)tp->tp_basicsize - sizeof(PyObject))
               == 0) {
        return 1;
    }
    if (tp->tp_as_buffer != NULL && tp->tp_as_buffer->bf_getbuffer != NULL) {
        return 0;
    }
    return value_slot_answer(tp->tp_richcompare, o, want) > 0;
}

static PyObject *
value_at(PyObject *o, Py_ssize_t offset)
{
    return *(PyObject **)((char *)o + offset);
}

static int
value_items_equal(PyObject *o, PyObject *want)
{
    Py_ssize_t n = PyTuple_GET_SIZE(o);
    if (n != PyTuple_GET_SIZE(want)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!mp_guard_equals(PyTuple_GET_ITEM(o, i), PyTuple_GET_ITEM(want, i))) {
            return 0;
        }
    }
    return 1;
}

static int
value_parts_equal(PyObject *o, PyObject *want, const Py_ssize_t *offsets)
{
    return mp_guard_equals(value_at(o, offsets[0]), value_at(want, offsets[0]))
           && mp_guard_equals(value_at(o, offsets[1]), value_at(want, offsets[1]))
           && mp_guard_equals(value_at(o, offsets[2]), value_at(want, offsets[2]));
}

/* `want` passed mp_guard_is_constant, which bounds the recursion. */
int
mp_guard_equals(PyObject *o, PyObject *want)
{
    static const Py_ssize_t slice_offsets[] = {offsetof(PySliceObject, start),
                                               offsetof(PySliceObject, stop),
                                               offsetof(PySliceObject, step)};
    PyTypeObject *tp = Py_TYPE(o);
    if (o == want) {
        return 1;
    }
    if (tp != Py_TYPE(want)) {
        return 0;
    }
    if (tp == &PyUnicode_Type) {
        return value_str_equals(o, want);
    }
    if (tp == &PyLong_Type) {
        return value_slot_answer(PyLong_Type.tp_richcompare, o, want) > 0;
    }
    if (tp == &PyFloat_Type) {
        return memcmp(&((PyFloatObject *)o)->ob_fval, &((PyFloatObject *)want)->ob_fval,
                      sizeof(double))
               == 0;
    }
    if (tp == &PyComplex_Type) {
        return memcmp(&((PyComplexObject *)o)->cval, &((PyComplexObject *)want)->cval,
                      sizeof(Py_complex))
               == 0;
    }
    if (tp == &PyBytes_Type) {
        return value_bytes_equal(o, want);
    }
    if (tp == &PySlice_Type) {
        return value_parts_equal(o, want, slice_offsets);
    }
    if (tp == &PyRange_Type) {
        return value_parts_equal(o, want, value_static.range_offsets);
    }
    if (tp == &PyTuple_Type) {
        return value_items_equal(o, want);
    }
    if (mp_guard_is_registered(tp)) {
        return PyTuple_Check(o) ? value_items_equal(o, want)
                                : value_foreign_equals(o, want);
    }
    return 0;  // None, bool, ... : by identity only
}

/* Are instances equal only to themselves? */
static bool
equals_itself_only(PyTypeObject *tp)
{
    // No slot: a C type with nothing but a hash of its own.  None has one since 3.12.
    return tp->tp_richcompare == PyBaseObject_Type.tp_richcompare
           || tp->tp_richcompare == NULL || tp == Py_TYPE(Py_None);
}

bool
mp_guard_is_constant(PyObject *o, int depth)
{
    PyTypeObject *tp = Py_TYPE(o);
    if (tp == &PyUnicode_Type || tp == &PyLong_Type || tp == &PyFloat_Type
        || tp == &PyComplex_Type || tp == &PyBytes_Type || tp == &PyRange_Type
        || equals_itself_only(tp) || tp == &PyBool_Type || PyCFunction_Check(o)) {
        return true;  // the last three kinds by identity
    }
    if (depth >= VALUE_DEPTH) {
        return false;
    }
    if (tp == &PySlice_Type) {
        PySliceObject *s = (PySliceObject *)o;
        return mp_guard_is_constant(s->start, depth + 1)
               && mp_guard_is_constant(s->stop, depth + 1)
               && mp_guard_is_constant(s->step, depth + 1);
    }
    if (tp != &PyTuple_Type && !mp_guard_is_registered(tp)) {
        return false;
    }
    for (Py_ssize_t i = 0; PyTuple_Check(o) && i < PyTuple_GET_SIZE(o); i++) {
        if (!mp_guard_is_constant(PyTuple_GET_ITEM(o, i), depth + 1)) {
            return false;
        }
    }
    return true;
}

/* -- Keys ------------------------------------------------------------------------- */

static bool
value_is_plain_tuple(PyObject *o)
{
    return PyTuple_Check(o) && Py_TYPE(o)->tp_richcompare == PyTuple_Type.tp_richcompare
           && Py_TYPE(o)->tp_hash == PyTuple_Type.tp_hash;
}

/* Does `==` on o run only C code of this list?  (Two tuples go to value_key_equal.) */
static bool
value_eq_is_c(PyObject *o)
{
    richcmpfunc eq = Py_TYPE(o)->tp_richcompare;
    return eq == PyUnicode_Type.tp_richcompare || equals_itself_only(Py_TYPE(o))
           || eq == PyLong_Type.tp_richcompare || eq == PyFloat_Type.tp_richcompare
           || eq == PyComplex_Type.tp_richcompare || eq == PyBytes_Type.tp_richcompare
           || eq == PyTuple_Type.tp_richcompare || eq == PyRange_Type.tp_richcompare
           || eq == PyCFunction_Type.tp_richcompare || mp_guard_is_pattern(o);
}

/* A weak reference hashes and compares as what it refers to, while that is alive. */
bool
mp_guard_is_weak_key(PyObject *o)
{
    PyObject *referent = PyWeakref_CheckRefExact(o) ? mp_weakref_borrow(o) : NULL;
    return referent != NULL && referent != Py_None
           && equals_itself_only(Py_TYPE(referent))
           && mp_guard_hash_is_c(referent, VALUE_DEPTH);
}

bool
mp_guard_hash_is_c(PyObject *o, int depth)
{
    PyTypeObject *tp = Py_TYPE(o);
    hashfunc hash = tp->tp_hash;
    if (value_is_plain_tuple(o)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); i++) {
            if (depth >= VALUE_DEPTH
                || !mp_guard_hash_is_c(PyTuple_GET_ITEM(o, i), depth + 1)) {
                return false;
            }
        }
        return true;
    }
    return mp_guard_is_registered(tp) || mp_guard_is_pattern(o)
           || mp_guard_is_weak_key(o)
           || (equals_itself_only(tp) && !(tp->tp_flags & Py_TPFLAGS_HEAPTYPE))
           || (value_eq_is_c(o)
               && (hash == PyUnicode_Type.tp_hash || hash == PyBaseObject_Type.tp_hash
                   || hash == PyLong_Type.tp_hash || hash == PyFloat_Type.tp_hash
                   || hash == PyComplex_Type.tp_hash || hash == PyBytes_Type.tp_hash
                   || hash == PyRange_Type.tp_hash
                   || hash == PyCFunction_Type.tp_hash));
}

/* A tensor hashes by its address, says torch: as the number that id() answers. */
Py_hash_t
mp_guard_key_hash(PyObject *key)
{
    if (mp_tensor_is(key)) {
        return mp_address_hash(key);
    }
    return mp_guard_hash_is_c(key, 0) ? PyObject_Hash(key) : -1;
}

/* Would a look-up take key k of a container for our key?  -1: only user code knows. */
static int
value_key_equal(PyObject *k, PyObject *key)
{
    if (k == key) {
        return 1;
    }
    if (PyWeakref_CheckRefExact(k) && mp_guard_is_weak_key(key)) {
        PyObject *referent =
            mp_weakref_borrow(k);  // None: dead, and equal to itself alone
        return referent == mp_weakref_borrow(key)      ? 1
               : equals_itself_only(Py_TYPE(referent)) ? 0
                                                       : -1;
    }
    if (value_is_plain_tuple(k) && value_is_plain_tuple(key)) {
        Py_ssize_t n = PyTuple_GET_SIZE(k);
        int same = n == PyTuple_GET_SIZE(key);
        for (Py_ssize_t i = 0; same > 0 && i < n; i++) {
            same = value_key_equal(PyTuple_GET_ITEM(k, i), PyTuple_GET_ITEM(key, i));
        }
        return same;
    }
    if (PyTuple_Check(k) && PyTuple_Check(key)) {
        return -1;  // comparing them compares items of any kind
    }
    if (Py_TYPE(k) == Py_TYPE(key) && mp_guard_is_registered(Py_TYPE(k))) {
        return value_slot_answer(Py_TYPE(k)->tp_richcompare, k, key);
    }
    if (!value_eq_is_c(k) || !value_eq_is_c(key)) {
        return -1;
    }
    if (PyBytes_Check(k) != PyBytes_Check(key)) {
        return 0;  // not asked: `python -b` warns about such a comparison
    }
    int same = value_slot_answer(Py_TYPE(k)->tp_richcompare, k, key);
    return same != 0 ? same : value_slot_answer(Py_TYPE(key)->tp_richcompare, key, k);
}

/* One entry of a hash table against our key; hash -1: ours is unknown. */
static int
value_entry_matches(PyObject *k, Py_hash_t k_hash, PyObject *key, Py_hash_t hash)
{
    if (k == key) {
        return 1;
    }
    return hash != -1 && hash != k_hash ? 0 : value_key_equal(k, key);
}

/* Our key has a hash or an equality of its own: found if it is there itself, and no other
 * key has its hash, which the look-up would compare with it. */
static int
value_find_itself(PyObject *dict, PyObject *key, PyObject **value)
{
    PyObject *k, *v;
    Py_hash_t k_hash, hash = -1;
    Py_ssize_t pos = 0, alike = 0;
    while (*value == NULL && mp_dict_next(dict, &pos, &k, &v, &k_hash)) {
        if (k == key) {
            *value = v;
            hash = k_hash;
        }
    }
    for (pos = 0; *value != NULL && mp_dict_next(dict, &pos, &k, &v, &k_hash);) {
        alike += k_hash == hash;
    }
    *value = alike == 1 ? *value : NULL;
    return alike == 1 ? 1 : -1;
}

/* The slow way goes through the whole dict, because another key with our hash may come
 * first in the probe order. */
int
mp_guard_dict_find(PyObject *dict, PyObject *key, Py_hash_t hash, PyObject **value)
{
    assert(PyDict_Check(dict));
    PyObject *k, *v;
    Py_hash_t k_hash;
    Py_ssize_t pos = 0;
    int found = 0;
    *value = NULL;
    if (hash == -1 && !equals_itself_only(Py_TYPE(key))) {
        return value_find_itself(dict, key, value);
    }
    if (mp_dict_keys_are_str(dict)) {
        if (PyUnicode_CheckExact(key)) {
            *value = mp_dict_find_borrow(dict, key, hash);
            return *value != NULL;
        }
        if (!PyUnicode_Check(key) && value_eq_is_c(key)) {
            return 0;  // nothing else equals an exact str
        }
    }
    while (mp_dict_next(dict, &pos, &k, &v, &k_hash)) {
        int same = value_entry_matches(k, k_hash, key, hash);
        if (same < 0) {
            return -1;
        }
        if (same) {
            *value = v;
            found = 1;
        }
    }
    return found;
}

int
mp_guard_set_find(PyObject *set, PyObject *key, Py_hash_t hash)
{
    assert(PyAnySet_Check(set));
    PyObject *k;
    Py_hash_t k_hash;
    Py_ssize_t pos = 0;
    int found = 0;
    while (mp_set_next(set, &pos, &k, &k_hash)) {
        int same = value_entry_matches(k, k_hash, key, hash);
        if (same < 0) {
            return -1;
        }
        found |= same;
    }
    return found;
}

/* KEYS, one key: the very object, or an equal scalar of its type. */
static bool
value_key_same(PyObject *k, PyObject *want)
{
    return k == want || (Py_TYPE(k) == Py_TYPE(want) && mp_guard_equals(k, want));
}

static int
value_odict_keys(PyObject *dict, PyObject *keys)
{
    value_odict_node *node = ((value_odict *)dict)->first;
    Py_ssize_t i = 0, n = PyTuple_GET_SIZE(keys);
    if (!value_static.odict_proved) {
        return 0;
    }
    for (; node != NULL && i < n; node = node->next, i++) {
        if (!value_key_same(node->key, PyTuple_GET_ITEM(keys, i))) {
            return 0;
        }
    }
    return node == NULL && i == n;
}

int
mp_guard_dict_keys(PyObject *dict, PyObject *keys)
{
    assert(PyDict_Check(dict) && PyTuple_Check(keys));
    PyObject *k, *v;
    Py_ssize_t pos = 0, i = 0;
    if (PyDict_GET_SIZE(dict) != PyTuple_GET_SIZE(keys)) {
        return 0;
    }
    if (PyODict_Check(dict)) {
        return value_odict_keys(dict, keys);
    }
    while (PyDict_Next(dict, &pos, &k, &v)) {
        if (!value_key_same(k, PyTuple_GET_ITEM(keys, i++))) {
            return 0;
        }
    }
    return 1;
}

int
mp_guard_set_equals(PyObject *set, PyObject *want)
{
    assert(PyTuple_Check(want));
    PyObject *k;
    Py_hash_t hash;
    Py_ssize_t pos = 0, i = 0;
    if (!PyAnySet_Check(set) || PySet_GET_SIZE(set) != PyTuple_GET_SIZE(want)) {
        return 0;
    }
    while (mp_set_next(set, &pos, &k, &hash)) {
        if (!value_key_same(k, PyTuple_GET_ITEM(want, i++))) {
            return 0;
        }
    }
    return 1;
}

/* -- Deques ------------------------------------------------------------------------ */

int64_t
mp_guard_maxlen(PyTypeObject *deque, PyObject *o)
{
    // No API tells; the getter of the C type makes an int and runs nothing else.
    for (PyGetSetDef *def = deque->tp_getset; def != NULL && def->name != NULL; def++) {
        if (strcmp(def->name, "maxlen") != 0) {  // mp-ok: an attribute
            continue;
        }
        PyObject *bound = def->get(o, def->closure);
        int64_t n = bound == NULL || bound == Py_None ? -1 : PyLong_AsLongLong(bound);
        Py_XDECREF(bound);
        mp_err_drop();  // no memory: no bound that any deque was recorded with
        return bound == NULL ? -2 : n;
    }
    return -2;
}

Py_ssize_t
mp_guard_len(PyObject *o)
{
    if (PyList_Check(o) || PyTuple_Check(o) || PyBytes_Check(o)
        || PyByteArray_Check(o)) {
        return Py_SIZE(o);
    }
    if (PyDict_Check(o)) {
        return PyDict_GET_SIZE(o);
    }
    if (PyUnicode_Check(o)) {
        return mp_str_is_ready(o) ? PyUnicode_GET_LENGTH(o) : -1;
    }
    if (PyAnySet_Check(o)) {
        return PySet_GET_SIZE(o);
    }
    return mp_is_instance(o, MP_K_DEQUE) ? Py_SIZE(o) : -1;
}
