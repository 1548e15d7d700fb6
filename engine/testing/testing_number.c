/* testing_number.c - lets Python tests build tables of numbers and evaluate them.
 *
 * A number is a tuple (id, a, b, const): const is the dimension of SIZE, the value of INT
 * and FLOAT, 1 for GIVEN floats.  Sources name an index into the list of objects that
 * stands for the registers. */
#include "number/number.h"

#include <string.h>

extern PyMethodDef mp_testing_number_methods[];

static int
testing_number_add(mp_numbers *t, PyObject *row)
{
    const char *id;
    int a, b;
    PyObject *constant;
    if (!PyTuple_Check(row)) {
        PyErr_SetString(PyExc_TypeError, "a number is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(row, "siiO", &id, &a, &b, &constant)) {
        return -1;
    }
    int op = mp_number_find(id);
    if (op < 0) {
        PyErr_Format(PyExc_ValueError, "no row %s in number/numbers.def", id);
        return -1;
    }
    if (PyFloat_Check(constant)) {
        return mp_numbers_add(t, (mp_number_op)op, a, b, 0,
                              PyFloat_AS_DOUBLE(constant));
    }
    long long n = PyLong_AsLongLong(constant);
    if (n == -1 && PyErr_Occurred()) {
        return -1;
    }
    return mp_numbers_add(t, (mp_number_op)op, a, b, n, 0.0);
}

static PyObject *
testing_number_source(const void *ctx, int32_t reg)
{
    return PyUnicode_FromFormat("r%d", (int)reg);
}

/* What each row of the table says: a value, or "miss"; the text of the last. */
static PyObject *
testing_number_values(const mp_numbers *t, PyObject *regs, const int32_t *rows,
                      Py_ssize_t n_rows)
{
    mp_number_value *values = PyMem_New(mp_number_value, t->n + 1);
    if (values == NULL) {
        return PyErr_NoMemory();
    }
    int32_t upto =
        mp_numbers_eval(t, 0, t->n, ((PyTupleObject *)regs)->ob_item, values);
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < n_rows; i++) {
        PyObject *value = rows[i] == MP_NUMBER_NONE ? PyUnicode_FromString("none")
                          : rows[i] >= upto
                              ? PyUnicode_FromString("miss")
                              : mp_number_object(&t->ops[rows[i]], values[rows[i]]);
        if (value == NULL || PyList_Append(list, value) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(value);
    }
    PyMem_Free(values);
    return list;
}

/* number_eval(rows, registers) -> (values, index of each row, text of the last) */
static PyObject *
testing_number_eval(PyObject *module, PyObject *arguments)
{
    PyObject *rows, *regs, *values = NULL, *indices = NULL, *text = NULL;
    mp_numbers t = {0};
    if (mp_number_init() < 0
        || !PyArg_ParseTuple(arguments, "O!O!", &PyTuple_Type, &rows, &PyTuple_Type,
                             &regs)) {
        return NULL;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(rows);
    int32_t *found = PyMem_New(int32_t, n + 1);
    indices = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && indices != NULL && i < n; i++) {
        found[i] = testing_number_add(&t, PyTuple_GET_ITEM(rows, i));
        PyObject *index = found[i] == -1 ? NULL : PyLong_FromLong(found[i]);
        if (index == NULL || PyList_Append(indices, index) < 0) {
            Py_CLEAR(indices);
        }
        Py_XDECREF(index);
    }
    if (found != NULL && indices != NULL) {
        values = testing_number_values(&t, regs, found, n);
        text = n == 0 || found[n - 1] < 0
                   ? Py_NewRef(Py_None)
                   : mp_number_text(&t, found[n - 1], testing_number_source, NULL);
    }
    mp_numbers_fini(&t);
    PyMem_Free(found);
    PyObject *result =
        values == NULL || text == NULL ? NULL : PyTuple_Pack(3, values, indices, text);
    Py_XDECREF(values);
    Py_XDECREF(indices);
    Py_XDECREF(text);
    return result;
}

/* The row that stands for a call of this function; None. */
static PyObject *
testing_number_of_call(PyObject *module, PyObject *arguments)
{
    PyObject *callable;
    int n_args;
    if (mp_number_init() < 0
        || !PyArg_ParseTuple(arguments, "Oi", &callable, &n_args)) {
        return NULL;
    }
    int op = mp_number_of_call(callable, n_args);
    return op < 0 ? Py_NewRef(Py_None) : PyUnicode_FromString(mp_number_id(op));
}

static PyObject *
testing_number_rows(PyObject *module, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    for (int op = 0; list != NULL && op < MP_N_COUNT; op++) {
        PyObject *id = PyUnicode_FromString(mp_number_id(op));
        if (id == NULL || PyList_Append(list, id) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(id);
    }
    return list;
}

PyMethodDef mp_testing_number_methods[] = {
    {"number_eval", testing_number_eval, METH_VARARGS, "Values of a table."},
    {"number_of_call", testing_number_of_call, METH_VARARGS, "Row of a call, or None."},
    {"number_rows", testing_number_rows, METH_NOARGS, "All ids."},
    {NULL, NULL, 0, NULL},
};
