/* guard/extend.c - tests that a backend asks for, appended to a finished program.
 *
 * A term is what src/magpy hands over, the same notation in both directions:
 *   k                            number k of the program
 *   ("INT", n), ("FLOAT", f)     a constant
 *   ("SIZE", i, dim), ("STRIDE", i, dim), ("OFFSET", i)   of the graph's input i, a tensor
 *   (id, term) (id, term, term)  an operation of numbers.def
 *
 * Ownership: nothing is kept of the terms.  Re-entrancy: terms are tuples, ints and floats
 * of Python code of ours; no other code runs. */
#include "guard/guard.h"

#include <string.h>

typedef struct {
    mp_guards *g;
    const int32_t *inputs;
    int32_t n_inputs;
} extension;

static int32_t extend_term(const extension *e, PyObject *term);

static int32_t
extend_refuse(const char *what, PyObject *term)
{
    if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "%s: %R", what, term);
    }
    return -1;
}

/* An int of C, or -1 with an exception set. */
static int64_t
extend_index(PyObject *term, Py_ssize_t at)
{
    PyObject *item = at < PyTuple_GET_SIZE(term) ? PyTuple_GET_ITEM(term, at) : Py_None;
    int64_t n = PyLong_CheckExact(item) ? PyLong_AsLongLong(item) : -1;
    return n < 0 ? extend_refuse("no index of a number's source", term) : n;
}

/* Of a tensor that the graph is given. */
static int32_t
extend_source(const extension *e, mp_number_op op, PyObject *term)
{
    int64_t input = extend_index(term, 1);
    int64_t dim = op == MP_N_OFFSET ? 0 : extend_index(term, 2);
    if (input < 0 || dim < 0) {
        return -1;
    }
    if (op == MP_N_VALUE || op == MP_N_LENGTH || input >= e->n_inputs
        || e->inputs[input] < 0) {
        return extend_refuse("no tensor of the graph's", term);
    }
    return mp_guards_number(e->g, op, e->inputs[input], -1, dim, 0.0);
}

static int32_t
extend_operation(const extension *e, mp_number_op op, PyObject *term)
{
    Py_ssize_t size = mp_number_has_b(op) ? 3 : 2;
    if (PyTuple_GET_SIZE(term) != size) {
        return extend_refuse("a number with other operands", term);
    }
    int32_t a = extend_term(e, PyTuple_GET_ITEM(term, 1));
    int32_t b = a < 0 ? -1 : size == 2 ? 0 : extend_term(e, PyTuple_GET_ITEM(term, 2));
    if (a < 0 || b < 0) {
        return -1;
    }
    int32_t k = mp_guards_number(e->g, op, a, b, 0, 0.0);
    return k == MP_NUMBER_NONE ? extend_refuse("no number", term) : k;
}

static int32_t
extend_tuple(const extension *e, PyObject *term)
{
    PyObject *id = PyTuple_GET_SIZE(term) > 1 ? PyTuple_GET_ITEM(term, 0) : Py_None;
    const char *name = PyUnicode_Check(id) ? PyUnicode_AsUTF8(id) : NULL;
    int op = name == NULL ? -1 : mp_number_find(name);
    if (op < 0) {
        return extend_refuse("no row of numbers.def", term);
    }
    if (op == MP_N_INT || op == MP_N_FLOAT) {
        PyObject *value = PyTuple_GET_ITEM(term, 1);
        int32_t k = PyFloat_CheckExact(value) == (op == MP_N_FLOAT)
                        ? mp_guards_number_const(e->g, value)
                        : MP_NUMBER_NONE;
        return k == MP_NUMBER_NONE ? extend_refuse("no constant", term) : k;
    }
    return mp_number_is_source(op) ? extend_source(e, (mp_number_op)op, term)
                                   : extend_operation(e, (mp_number_op)op, term);
}

/* The number that the term is, or -1 with an exception set. */
static int32_t
extend_term(const extension *e, PyObject *term)
{
    if (PyLong_CheckExact(term)) {
        int64_t k = PyLong_AsLongLong(term);
        return k < 0 || k >= e->g->numbers.n ? extend_refuse("no number", term)
                                             : (int32_t)k;
    }
    if (!PyTuple_CheckExact(term)) {
        return extend_refuse("no term", term);
    }
    if (Py_EnterRecursiveCall(" in a term of numbers")) {
        return -1;
    }
    int32_t k = extend_tuple(e, term);
    Py_LeaveRecursiveCall();
    return k;
}

int
mp_guards_extend(mp_guards *g, PyObject *terms, const int32_t *inputs, int32_t n_inputs)
{
    extension e = {g, inputs, n_inputs};
    if (!PyList_CheckExact(terms)) {
        extend_refuse("no list of terms", terms);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(terms); i++) {
        int32_t k = extend_term(&e, PyList_GET_ITEM(terms, i));
        if (k < 0 || mp_guards_hold(g, k) < 0) {
            return -1;
        }
    }
    return 0;
}
