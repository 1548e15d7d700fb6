/* effect/iter.c - iterators of C types: their state, and new ones in the same state.
 *
 * Iterators of sequences are a sequence and an index, which their own __reduce__ and
 * __setstate__ tell and take; both are C functions of types that nobody can change.
 * Iterators of dicts are a dict and a count.  An exhausted one has let go of what it went
 * through.  enumerate, zip, map and filter are made by a
 * call of their type, which only asks the iterators that it gets for themselves.
 */
#include "compat/compat.h"
#include "effect/build.h"

/* The types of what a C iterator of this type goes through, and of such iterators. */
typedef struct {
    PyTypeObject *iterator;  // owned
    PyTypeObject *sequence;  // borrowed: never freed
    const char *view;        // method of a dict that makes what is iterated; NULL: none
} effect_iter_row;

static effect_iter_row effect_iter_rows[8];
static bool effect_iter_ready;

static PyObject *
effect_iter_begin(const effect_iter_row *row, PyObject *sequence)
{
    if (row->view == NULL) {
        return row->sequence->tp_iter(sequence);
    }
    PyObject *view = PyObject_CallMethod(sequence, row->view, NULL);
    PyObject *it = view == NULL ? NULL : PyObject_GetIter(view);
    Py_XDECREF(view);
    return it;
}

/* Which iterator type goes through an exact `sequence`? */
static int
effect_iter_row_init(effect_iter_row *row, PyTypeObject *sequence, PyObject *sample,
                     const char *view)
{
    row->sequence = sequence;
    row->view = view;
    PyObject *it = sample == NULL ? NULL : effect_iter_begin(row, sample);
    Py_XDECREF(sample);
    if (it == NULL) {
        return -1;
    }
    row->iterator = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(it));
    Py_DECREF(it);
    return 0;
}

static int
effect_iter_init(void)
{
    if (effect_iter_ready) {
        return 0;
    }
    effect_iter_row *r = effect_iter_rows;
    PyObject *range = PyObject_CallFunction((PyObject *)&PyRange_Type, "i", 1);
    if (effect_iter_row_init(&r[0], &PyList_Type, PyList_New(0), NULL) < 0
        || effect_iter_row_init(&r[1], &PyTuple_Type, PyTuple_New(0), NULL) < 0
        || effect_iter_row_init(&r[2], &PyRange_Type, range, NULL) < 0
        || effect_iter_row_init(&r[3], &PyUnicode_Type, PyUnicode_FromString("a"), NULL)
               < 0
        || effect_iter_row_init(&r[4], &PyUnicode_Type, PyUnicode_FromOrdinal(0x20ac),
                                NULL)
               < 0
        || effect_iter_row_init(&r[5], &PyDict_Type, PyDict_New(), "keys") < 0
        || effect_iter_row_init(&r[6], &PyDict_Type, PyDict_New(), "values") < 0
        || effect_iter_row_init(&r[7], &PyDict_Type, PyDict_New(), "items") < 0) {
        return -1;
    }
    effect_iter_ready = true;
    return 0;
}

static const effect_iter_row *
effect_iter_find(PyTypeObject *iterator)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(effect_iter_rows); i++) {
        if (effect_iter_rows[i].iterator == iterator) {
            return &effect_iter_rows[i];
        }
    }
    return NULL;
}

bool
mp_effect_can_iterate(mp_effect_kind kind, PyTypeObject *type)
{
    if (kind == MP_E_ITER_CALL) {
        return type == &PyEnum_Type || type == &PyZip_Type || type == &PyMap_Type
               || type == &PyFilter_Type;
    }
    if (effect_iter_init() < 0) {
        mp_err_drop();  // without memory there are no rows
        return false;
    }
    return effect_iter_find(type) != NULL;
}

static int
effect_iter_dict_state(PyObject *it, PyObject **sequence, PyObject **index)
{
    PyObject *dict;
    Py_ssize_t consumed;
    if (!mp_dict_iter_state(it, &dict, &consumed)
        || (dict != NULL && !PyDict_CheckExact(dict))) {
        return 0;
    }
    *index = dict == NULL ? NULL : PyLong_FromSsize_t(consumed);
    *sequence = *index == NULL ? NULL : Py_NewRef(dict);
    return dict != NULL && *index == NULL ? -1 : 1;
}

int
mp_effect_iterator_state(PyObject *it, PyObject **sequence, PyObject **index)
{
    *sequence = *index = NULL;
    if (effect_iter_find(Py_TYPE(it))->sequence == &PyDict_Type) {
        return effect_iter_dict_state(it, sequence, index);
    }
    PyObject *state = PyObject_CallMethod(it, "__reduce__", NULL);
    if (state == NULL) {
        return -1;
    }
    const effect_iter_row *row = effect_iter_find(Py_TYPE(it));
    PyObject *args = PyTuple_GET_SIZE(state) > 1 ? PyTuple_GET_ITEM(state, 1) : NULL;
    PyObject *number = PyTuple_GET_SIZE(state) > 2 ? PyTuple_GET_ITEM(state, 2) : NULL;
    int rc = 0;
    if (row == NULL || args == NULL || !PyTuple_Check(args)
        || PyTuple_GET_SIZE(args) != 1) {
        rc = 0;
    }
    else if (row->sequence != &PyRange_Type && number == NULL) {
        rc = 1;  // exhausted
    }
    else if (Py_IS_TYPE(PyTuple_GET_ITEM(args, 0), row->sequence)) {
        *sequence = Py_NewRef(PyTuple_GET_ITEM(args, 0));
        *index = number == NULL || number == Py_None ? PyLong_FromLong(0)
                                                     : Py_NewRef(number);
        rc = *index == NULL ? -1 : 1;
    }
    Py_DECREF(state);
    if (rc < 0) {
        Py_CLEAR(*sequence);
    }
    return rc;
}

/* What an iterator of this row's type is exhausted with first. */
static PyObject *
effect_iter_sample(const effect_iter_row *row)
{
    if (row->sequence == &PyUnicode_Type) {
        return row == &effect_iter_rows[3] ? PyUnicode_FromString("a")
                                           : PyUnicode_FromOrdinal(0x20ac);
    }
    return PyObject_CallFunction((PyObject *)row->sequence,
                                 row->sequence == &PyRange_Type ? "i" : NULL, 0);
}

/* An exhausted iterator goes through nothing. */
static PyObject *
effect_iter_exhausted(PyTypeObject *type)
{
    const effect_iter_row *row = effect_iter_find(type);
    PyObject *sample = effect_iter_sample(row), *item;
    PyObject *it = sample == NULL ? NULL : effect_iter_begin(row, sample);
    Py_XDECREF(sample);
    while (it != NULL && (item = type->tp_iternext(it)) != NULL) {
        Py_DECREF(item);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(it);
    }
    return it;
}

static PyObject *
effect_iter_advance(PyObject *it, Py_ssize_t count)
{
    PyObject *item;
    while (count-- > 0 && (item = Py_TYPE(it)->tp_iternext(it)) != NULL) {
        Py_DECREF(item);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(it);
    }
    return it;
}

/* An iterator over sequence at index: [], [sequence, index], or [dict, index, size],
 * where the dict is filled later. */
PyObject *
mp_effect_make_iterator(PyTypeObject *type, const int32_t *items, int32_t count,
                        PyObject *const *regs)
{
    assert(count == 0 || count == 2 || count == 3);
    if (count == 0) {
        return effect_iter_exhausted(type);
    }
    PyObject *sequence = regs[items[0]], *index = regs[items[1]];
    PyObject *it = effect_iter_begin(effect_iter_find(type), sequence);
    if (it != NULL && PyDict_CheckExact(sequence) && count == 3) {
        mp_dict_iter_place(it, PyLong_AsSsize_t(index),
                           PyLong_AsSsize_t(regs[items[2]]));
        return it;
    }
    if (it != NULL && PyDict_CheckExact(sequence)) {
        return effect_iter_advance(it, PyLong_AsSsize_t(index));
    }
    if (it != NULL && PyList_CheckExact(sequence)) {
        // __setstate__ would cut it to a length that the list does not have yet.
        mp_list_iter_place(it, PyLong_AsSsize_t(index));
        return it;
    }
    PyObject *done =
        it == NULL ? NULL : PyObject_CallMethod(it, "__setstate__", "O", index);
    if (done == NULL) {
        Py_CLEAR(it);
    }
    Py_XDECREF(done);
    return it;
}

PyObject *
mp_effect_call_iterator(PyTypeObject *type, const int32_t *items, int32_t count,
                        PyObject *const *regs)
{
    assert(count >= 0);
    PyObject *args = PyTuple_New(count);
    for (int32_t i = 0; args != NULL && i < count; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(regs[items[i]]));
    }
    PyObject *it = args == NULL ? NULL : PyObject_Call((PyObject *)type, args, NULL);
    Py_XDECREF(args);
    return it;
}
