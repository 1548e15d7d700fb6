/* python/late.c - instructions that make late values (trace/late.h).
 *
 * Operators and functions of numbers.defs on late values and other numbers are entries of the
 * log (graph/late.c).  Left out, so that the program is asked at that instruction, is what may
 * answer with another type for other values, and what C code of bools tells by address. */
#include <math.h>

#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"

enum { TOTAL = 1, BITS = 2, POWER = 4 };

/* In the order of BINARY_OP's operands.  NULL: not for late values; TOTAL: of floats it has
 * an answer for all values; BITS: C code of bools tells them by their address. */
static const struct {
    const char *function;
    int op;  // its row in numbers.def
    uint8_t is;
} binary_functions[] = {
    {"add", MP_N_ADD, TOTAL},
    {"and_", MP_N_AND, BITS},
    {"floordiv", MP_N_FLOORDIV, 0},
    {"lshift", MP_N_LSHIFT, 0},
    {NULL, -1, 0},
    {"mul", MP_N_MUL, TOTAL},
    {"mod", MP_N_MOD, 0},
    {"or_", MP_N_OR, BITS},
    {"pow", MP_N_POW, POWER},
    {"rshift", MP_N_RSHIFT, 0},
    {"sub", MP_N_SUB, TOTAL},
    {"truediv", MP_N_TRUEDIV, 0},
    {"xor", MP_N_XOR, BITS},
};

/* In the order of Py_LT ... Py_GE. */
static const char *const compare_functions[] = {"lt", "le", "eq", "ne", "gt", "ge"};

static bool
is_operand(PyObject *o)
{
    return mp_is_number(o) || PyComplex_CheckExact(o);
}

/* Is one of two numbers a late value? */
static bool
are_late(const mp_trace *T, PyObject *a, PyObject *b, bool truth)
{
    PyObject *both[2] = {a, b};
    return T->lates.n > 0 && is_operand(a) && (b == NULL || is_operand(b))
           && mp_late_any(T, both, b == NULL ? 1 : 2) && mp_late_may_compute(T, truth);
}

/* The instruction answers f(*args). */
static mp_rc
late_answer(mp_trace *T, mp_shadow *s, PyObject *f, PyObject *const *args,
            Py_ssize_t count, bool raises)
{
    mp_rc rc = f == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_late_find(T, args[i]) != NULL ? MP_OK : mp_refuse_fresh_id(T, args[i]);
    }
    return rc != MP_OK ? rc : mp_late_begin(T, s, f, NULL, args, count, raises);
}

static bool
are_floats(PyObject *const *args, Py_ssize_t count)
{
    bool all = true;
    for (Py_ssize_t i = 0; i < count; i++) {
        all = all && PyFloat_CheckExact(args[i]);
    }
    return all;
}

static bool
is_late(const mp_trace *T, PyObject *o)
{
    return mp_late_find(T, o) != NULL;
}

/* Is a ** b of one type, whatever the late operands are? */
static bool
power_is_stable(const mp_trace *T, PyObject *a, PyObject *b)
{
    if (PyComplex_Check(a) || PyComplex_Check(b)) {
        return true;
    }
    if (is_late(T, b) || mp_symbol_find(T, b) != NULL) {
        return false;  // int ** -1 is a float, and (-2.0) ** 0.5 complex
    }
    if (PyFloat_Check(b)) {
        double exponent = PyFloat_AS_DOUBLE(b);
        return exponent == (double)(int64_t)exponent;
    }
    return PyFloat_Check(a) || PyObject_RichCompareBool(b, Py_False, Py_GE) == 1;
}

/* Does a ** b answer with a float for these values?  Then math.pow() stands for it in the log:
 * it gives the same float, and raises where `**` has a complex number. */
static bool
power_is_float(PyObject *a, PyObject *b)
{
    PyObject *both[2] = {a, b};
    double x[2];
    for (int i = 0; i < 2; i++) {
        if (!PyFloat_CheckExact(both[i]) && !PyLong_CheckExact(both[i])) {
            return false;
        }
        x[i] = PyFloat_AsDouble(both[i]);
        if (x[i] == -1.0 && PyErr_Occurred()) {
            mp_err_drop();
            return false;
        }
    }
    return (PyFloat_CheckExact(a) || PyFloat_CheckExact(b))
           && (x[0] >= 0.0 || x[1] == floor(x[1]));
}

mp_rc
mp_late_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op, bool *done)
{
    const char *name = binary_functions[op % 13].function;
    int is = binary_functions[op % 13].is;
    bool bools = PyBool_Check(a) || PyBool_Check(b);
    PyObject *args[2] = {a, b};
    *done = false;
    if (!are_late(T, a, b, false) || name == NULL || (is == BITS && bools)) {
        return MP_OK;
    }
    if (is == POWER && !power_is_stable(T, a, b)) {
        *done = power_is_float(a, b);
        return *done ? late_answer(T, s, mp_number_function_borrow(MP_N_FPOW), args, 2,
                                   true)
                     : MP_OK;
    }
    *done = true;
    return late_answer(T, s, mp_operator_borrow(name), args, 2,
                       is != TOTAL || !are_floats(args, 2));
}

mp_rc
mp_late_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name, bool *done)
{
    *done = are_late(T, a, NULL, name[0] == 'n' && name[1] == 'o');
    return *done ? late_answer(T, s, mp_operator_borrow(name), &a, 1, false) : MP_OK;
}

mp_rc
mp_late_truth(mp_trace *T, mp_shadow *s, PyObject *a, bool *done)
{
    *done = are_late(T, a, NULL, true);
    return *done ? late_answer(T, s, (PyObject *)&PyBool_Type, &a, 1, false) : MP_OK;
}

mp_rc
mp_late_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op, bool *done)
{
    PyObject *args[2] = {a, b};
    *done = are_late(T, a, b, true);
    return *done ? late_answer(T, s, mp_operator_borrow(compare_functions[op]), args, 2,
                               PyComplex_Check(a) || PyComplex_Check(b))
                 : MP_OK;
}

/* min, max: which operand it is depends on values, so all are of one type. */
static bool
are_alike(PyObject *const *args, Py_ssize_t count)
{
    bool alike = count > 0;
    for (Py_ssize_t i = 1; i < count && alike; i++) {
        alike = Py_TYPE(args[i]) == Py_TYPE(args[0]);
    }
    return alike;
}

/* Is the answer of this function of one type, whatever the values are? */
static bool
function_is_stable(PyObject *callee, PyObject *const *args, Py_ssize_t count)
{
    if (callee == (PyObject *)&PyBool_Type || callee == (PyObject *)&PyComplex_Type) {
        return count == 1;
    }
    int op = mp_number_of_call(callee, count > 2 ? 2 : count);
    if (op == MP_N_MIN || op == MP_N_MAX) {
        return count >= 2 && are_alike(args, count);
    }
    return op >= 0 && count <= 2;
}

/* float(t) and its like: a read of a tensor, by the method that the conversion finds. */
static mp_rc
convert(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    PyObject *found;
    const char *method = c->callee == (PyObject *)&PyFloat_Type     ? "__float__"
                         : c->callee == (PyObject *)&PyLong_Type    ? "__int__"
                         : c->callee == (PyObject *)&PyBool_Type    ? "__bool__"
                         : c->callee == (PyObject *)&PyComplex_Type ? "__complex__"
                                                                    : NULL;
    const mp_node *n = method == NULL || c->nargs != 1 || c->kwnames != NULL
                           ? NULL
                           : mp_refgraph_find(&T->graph, c->args[0]);
    if (!is_tensor_node(n) || mp_tensor_is_constant(T, c->args[0]) || !mp_late_may(T)) {
        return MP_OK;
    }
    mp_rc rc = mp_special(T, c->args[0], method, &found);
    if (rc != MP_OK || found == NULL || !(mp_op_flags_of(found) & MP_TORCH_LATE)) {
        return rc;
    }
    *done = true;
    // (int(nan) raises for the value; float() of a complex tensor for what the tensor is.)
    bool raises = n->dynamic || n->sized || c->callee == (PyObject *)&PyLong_Type;
    return mp_late_begin(T, s, c->callee, NULL, c->args, 1, raises);
}

/* Which operator is this function of two arguments (operator.iadd, pow)?  As in BINARY_OP;
 * -1: none. */
static int
operator_of_call(PyObject *callee, Py_ssize_t count)
{
    int op = count == 2 ? mp_number_of_call(callee, 2) : -1;
    for (int i = 0; op >= 0 && i < (int)Py_ARRAY_LENGTH(binary_functions); i++) {
        if (binary_functions[i].op == op) {
            return i;
        }
    }
    return -1;
}

mp_rc
mp_late_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    bool all = c->kwnames == NULL && c->nargs > 0;
    *done = false;
    mp_rc rc = convert(T, s, c, done);
    bool truth = c->callee == (PyObject *)&PyBool_Type;
    if (rc != MP_OK || *done || !all || T->lates.n == 0
        || !mp_late_may_compute(T, truth) || !mp_late_any(T, c->args, c->nargs)) {
        return rc;
    }
    for (Py_ssize_t i = 0; i < c->nargs && all; i++) {
        all = is_operand(c->args[i]);
    }
    int at = operator_of_call(c->callee, c->nargs);
    if (all && at >= 0) {
        return mp_late_binary(T, s, c->args[0], c->args[1], at, done);
    }
    if (!all || !function_is_stable(c->callee, c->args, c->nargs)) {
        return MP_OK;
    }
    *done = true;
    int op = mp_number_of_call(c->callee, c->nargs > 2 ? 2 : c->nargs);
    bool total = op == MP_N_MIN || op == MP_N_MAX || truth
                 || (op == MP_N_ABS && !PyComplex_Check(c->args[0]));
    return late_answer(T, s, c->callee, c->args, c->nargs, !total);
}
