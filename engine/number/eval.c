/* number/eval.c - values of numbers, as CPython computes them.
 *
 * Ints are int64 here; what leaves it is a miss.  Floats are C doubles where IEEE 754
 * settles the result; what a C library computes is asked of CPython's own function, on
 * exact ints and floats made for it.
 *
 * Re-entrancy: no user code runs; ints, floats and, if a function fails, an exception are
 * allocated and dropped. */
#include <math.h>
#include <string.h>

#include "compat/compat.h"
#include "number/row.h"
#include "objects/equal.h"
#include "torch/tensor.h"

/* Of two operands: their numbers and values. */
typedef struct {
    const mp_number *a, *b;
    mp_number_value x, y;
} operands;

/* Ints of up to this size, and quotients of two, are exact as doubles. */
static const int64_t eval_exact = (int64_t)1 << 53;

static inline double
eval_float(const mp_number *k, mp_number_value v)
{
    return k->is_float ? v.f : (double)v.i;
}

/* -- By CPython ------------------------------------------------------------------- */

/* The result of C code: its value if it is of the type that the number has. */
static bool
eval_take_steal(const mp_number *k, mp_number_value *out, PyObject *result)
{
    bool fits = false;
    if (result == NULL) {
        mp_err_drop();  // out of range, division by zero, no memory: a miss
        return false;
    }
    if (k->is_float) {
        fits = PyFloat_CheckExact(result);
        out->f = fits ? PyFloat_AS_DOUBLE(result) : 0.0;
    }
    else if (PyLong_CheckExact(result)) {
        int overflow;
        out->i = PyLong_AsLongLongAndOverflow(result, &overflow);
        fits = overflow == 0;
    }
    Py_DECREF(result);
    return fits;
}

typedef PyObject *(*eval_binary)(PyObject *, PyObject *);

static PyObject *
eval_power(PyObject *x, PyObject *y)
{
    return PyNumber_Power(x, y, Py_None);
}

/* Run a C function on two objects made of the operands. */
static bool
eval_by_objects(const mp_number *k, const operands *o, eval_binary function,
                mp_number_value *out)
{
    PyObject *result = NULL;
    PyObject *x = mp_number_object(o->a, o->x);
    PyObject *y = x == NULL ? NULL : mp_number_object(o->b, o->y);
    if (y != NULL) {
        result = function(x, y);
    }
    Py_XDECREF(x);
    Py_XDECREF(y);
    return eval_take_steal(k, out, result);
}

static bool
eval_by_call(const mp_number *k, const operands *o, mp_number_value *out)
{
    PyObject *function = mp_number_functions[k->op], *result = NULL;
    PyObject *args[2] = {mp_number_object(o->a, o->x), NULL};
    size_t n = 1;
    if (mp_number_rows[k->op].operands & B) {
        args[n++] = mp_number_object(o->b, o->y);
    }
    if (function != NULL && args[0] != NULL && args[n - 1] != NULL) {
        result = PyObject_Vectorcall(function, args, n, NULL);
    }
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    return eval_take_steal(k, out, result);
}

/* -- Ints ------------------------------------------------------------------------- */

static bool
eval_floordiv(int64_t x, int64_t y, int64_t *quotient, int64_t *rest)
{
    if (y == 0 || (x == INT64_MIN && y == -1)) {
        return false;
    }
    int64_t q = x / y, r = x % y;
    bool down = r != 0 && (r < 0) != (y < 0);
    *quotient = q - down;
    *rest = down ? r + y : r;
    return true;
}

static bool
eval_int_power(int64_t x, int64_t y, int64_t *out)
{
    int64_t result = 1;
    for (;; y >>= 1) {
        if (y & 1 && __builtin_mul_overflow(result, x, &result)) {
            return false;
        }
        if (y <= 1) {
            break;
        }
        if (__builtin_mul_overflow(x, x, &x)) {
            return false;
        }
    }
    *out = result;
    return true;
}

/* A shift left is a product, so that a sign that it loses is seen. */
static bool
eval_shift_left(int64_t x, int64_t y, int64_t *out)
{
    if (x == 0 && y >= 0) {
        *out = 0;
        return true;
    }
    return y >= 0 && y <= 62 && !__builtin_mul_overflow(x, (int64_t)1 << y, out);
}

/* Rounds down, also below zero. */
static bool
eval_shift_right(int64_t x, int64_t y, int64_t *out)
{
    if (y < 0) {
        return false;
    }
    int by = y > 63 ? 63 : (int)y;
    *out = x >= 0 ? x >> by : ~(~x >> by);
    return true;
}

/* Arithmetic of two ints; what makes floats of them is not here. */
static bool
eval_ints(mp_number_op op, int64_t x, int64_t y, int64_t *out)
{
    int64_t other;
    switch (op) {
    case MP_N_ADD:
        return !__builtin_add_overflow(x, y, out);
    case MP_N_SUB:
        return !__builtin_sub_overflow(x, y, out);
    case MP_N_MUL:
        return !__builtin_mul_overflow(x, y, out);
    case MP_N_FLOORDIV:
        return eval_floordiv(x, y, out, &other);
    case MP_N_MOD:
        if (y == -1) {
            *out = 0;
            return true;
        }
        return eval_floordiv(x, y, &other, out);
    case MP_N_POW:
        return y >= 0 && eval_int_power(x, y, out);
    case MP_N_LSHIFT:
        return eval_shift_left(x, y, out);
    case MP_N_RSHIFT:
        return eval_shift_right(x, y, out);
    case MP_N_AND:
        *out = x & y;
        return true;
    case MP_N_OR:
        *out = x | y;
        return true;
    case MP_N_XOR:
        *out = x ^ y;
        return true;
    default:
        Py_UNREACHABLE();
    }
}

/* -- Floats ----------------------------------------------------------------------- */

static bool
eval_floats(const mp_number *k, const operands *o, mp_number_value *out)
{
    double x = eval_float(o->a, o->x), y = eval_float(o->b, o->y);
    switch ((mp_number_op)k->op) {
    case MP_N_ADD:
        out->f = x + y;
        return true;
    case MP_N_SUB:
        out->f = x - y;
        return true;
    case MP_N_MUL:
        out->f = x * y;
        return true;
    case MP_N_FLOORDIV:
        return y != 0.0 && eval_by_objects(k, o, PyNumber_FloorDivide, out);
    case MP_N_MOD:
        return y != 0.0 && eval_by_objects(k, o, PyNumber_Remainder, out);
    case MP_N_POW:
        return eval_by_objects(k, o, eval_power, out);
    default:
        Py_UNREACHABLE();
    }
}

/* The quotient of two ints is rounded once: by the division, where both are exact. */
static bool
eval_true_divide(const mp_number *k, const operands *o, mp_number_value *out)
{
    bool ints = !o->a->is_float && !o->b->is_float;
    double x = eval_float(o->a, o->x), y = eval_float(o->b, o->y);
    if (y == 0.0) {
        return false;
    }
    if (ints
        && (o->x.i > eval_exact || o->x.i < -eval_exact || o->y.i > eval_exact
            || o->y.i < -eval_exact)) {
        return eval_by_objects(k, o, PyNumber_TrueDivide, out);
    }
    out->f = x / y;
    return true;
}

/* The integral part of f, if int64 has it; false for nan too. */
static bool
eval_trunc(double f, int64_t *out)
{
    if (!(f >= -0x1p63 && f < 0x1p63)) {
        return false;
    }
    *out = (int64_t)f;
    return true;
}

/* int(), math.floor() ... of a float. */
static bool
eval_to_int(mp_number_op op, const mp_number *a, mp_number_value x, int64_t *out)
{
    if (!a->is_float) {
        *out = x.i;
        return true;
    }
    if (!eval_trunc(x.f, out)) {
        return false;
    }
    // From 2**53 on a double has no fraction, so this does not overflow.
    if (op == MP_N_FLOOR && (double)*out > x.f) {
        --*out;
    }
    else if (op == MP_N_CEIL && (double)*out < x.f) {
        ++*out;
    }
    return true;
}

/* -- Comparing -------------------------------------------------------------------- */

enum { UNORDERED = 2 };  // one is nan

/* The sign of i - f, exactly. */
static int
eval_order_mixed(int64_t i, double f)
{
    int64_t whole;
    if (f != f) {
        return UNORDERED;
    }
    if (!eval_trunc(f, &whole)) {
        return f > 0 ? -1 : 1;
    }
    if (i != whole) {
        return i < whole ? -1 : 1;
    }
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int
eval_order(const operands *o)
{
    if (o->a->is_float && o->b->is_float) {
        double x = o->x.f, y = o->y.f;
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : UNORDERED;
    }
    if (o->a->is_float) {
        int order = eval_order_mixed(o->y.i, o->x.f);
        return order == UNORDERED ? UNORDERED : -order;
    }
    if (o->b->is_float) {
        return eval_order_mixed(o->x.i, o->y.f);
    }
    return o->x.i < o->y.i ? -1 : o->x.i > o->y.i;
}

static bool
eval_compare(mp_number_op op, const operands *o)
{
    int order = eval_order(o);
    switch (op) {
    case MP_N_LT:
        return order == -1;
    case MP_N_LE:
        return order == -1 || order == 0;
    case MP_N_EQ:
        return order == 0;
    case MP_N_NE:
        return order != 0;
    case MP_N_GT:
        return order == 1;
    case MP_N_GE:
        return order == 1 || order == 0;
    default:
        Py_UNREACHABLE();
    }
}

/* min() and max() keep the first of two that neither is less than the other. */
static mp_number_value
eval_extreme(mp_number_op op, const operands *o)
{
    int order = eval_order(o);
    bool second = op == MP_N_MIN ? order == 1 : order == -1;
    return second ? o->y : o->x;
}

/* -- Sources ---------------------------------------------------------------------- */

static bool
eval_source(const mp_number *k, PyObject *o, mp_number_value *out)
{
    switch ((mp_number_op)k->op) {
    case MP_N_VALUE:
        // (the type is looked at first: what an object is asked for it must have)
        if (k->is_float ? !PyFloat_CheckExact(o) : !PyLong_CheckExact(o)) {
            return false;
        }
        return eval_take_steal(k, out, Py_NewRef(o));
    case MP_N_SIZE:
        return mp_tensor_size(o, k->n, &out->i);
    case MP_N_STRIDE:
        return mp_tensor_stride(o, k->n, &out->i);
    case MP_N_OFFSET:
        return mp_tensor_offset(o, &out->i);
    case MP_N_LENGTH:
        out->i = mp_guard_len(o);
        return out->i >= 0;
    default:
        Py_UNREACHABLE();
    }
}

/* -- One number ------------------------------------------------------------------- */

static bool
eval_negative(const mp_number *a, mp_number_value x, mp_number_value *out)
{
    if (a->is_float) {
        out->f = -x.f;
        return true;
    }
    return !__builtin_sub_overflow((int64_t)0, x.i, &out->i);
}

static bool
eval_abs(const mp_number *a, mp_number_value x, mp_number_value *out)
{
    if (a->is_float) {
        out->f = __builtin_fabs(x.f);
        return true;
    }
    *out = x;
    return x.i >= 0 || eval_negative(a, x, out);
}

/* Which kind of float it is (math.isnan and its like). */
static bool
eval_kind(mp_number_op op, double x)
{
    return op == MP_N_ISNAN        ? isnan(x)
           : op == MP_N_ISINF      ? isinf(x)
           : op == MP_N_IS_INTEGER ? isfinite(x) && floor(x) == x
                                   : isfinite(x);
}

/* Of the magnitude. */
static int64_t
eval_bit_length(int64_t x)
{
    uint64_t rest = x < 0 ? -(uint64_t)x : (uint64_t)x;
    return rest == 0 ? 0 : 64 - __builtin_clzll(rest);
}

static bool
eval_own(const mp_number *k, const operands *o, mp_number_value *out)
{
    mp_number_op op = (mp_number_op)k->op;
    switch (op) {
    case MP_N_INT:
        out->i = k->n;
        return true;
    case MP_N_FLOAT:
        out->f = k->f;
        return true;
    case MP_N_TRUEDIV:
        return eval_true_divide(k, o, out);
    case MP_N_NEG:
        return eval_negative(o->a, o->x, out);
    case MP_N_POS:
        *out = o->x;
        return true;
    case MP_N_INVERT:
        out->i = ~o->x.i;
        return true;
    case MP_N_LT:
    case MP_N_LE:
    case MP_N_EQ:
    case MP_N_NE:
    case MP_N_GT:
    case MP_N_GE:
        out->i = eval_compare(op, o);
        return true;
    case MP_N_SAME:
        out->i =
            o->a->is_float == o->b->is_float && memcmp(&o->x, &o->y, sizeof o->x) == 0;
        return true;
    case MP_N_NOT:
        out->i = o->a->is_float ? o->x.f == 0.0 : o->x.i == 0;
        return true;
    case MP_N_ISNAN:
    case MP_N_ISINF:
    case MP_N_ISFINITE:
    case MP_N_IS_INTEGER:
        out->i = eval_kind(op, eval_float(o->a, o->x));
        return true;
    case MP_N_BIT_LENGTH:
        out->i = eval_bit_length(o->x.i);
        return true;
    case MP_N_ABS:
        return eval_abs(o->a, o->x, out);
    case MP_N_MIN:
    case MP_N_MAX:
        *out = eval_extreme(op, o);
        return true;
    case MP_N_TO_INT:
    case MP_N_TRUNC:
    case MP_N_FLOOR:
    case MP_N_CEIL:
        return eval_to_int(op, o->a, o->x, &out->i);
    case MP_N_TO_FLOAT:
        out->f = eval_float(o->a, o->x);
        return true;
    default:
        break;
    }
    if (mp_number_rows[op].by == BY_CPYTHON) {
        return eval_by_call(k, o, out);
    }
    // A negative exponent makes a float of two ints; all else here keeps to its operands.
    if (op == MP_N_POW && k->is_float) {
        return eval_floats(k, o, out);
    }
    return k->is_float ? eval_floats(k, o, out)
                       : eval_ints(op, o->x.i, o->y.i, &out->i);
}

/* Compares and sums of two ints, which most guards are made of.  False: not one of those, or
 * it leaves int64. */
static inline bool
eval_quick(const mp_number *k, const mp_number_value *values, int64_t *out)
{
    int64_t x = values[k->a].i, y = values[k->b].i;
    switch ((mp_number_op)k->op) {
    case MP_N_EQ:
        *out = x == y;
        return true;
    case MP_N_NE:
        *out = x != y;
        return true;
    case MP_N_LT:
        *out = x < y;
        return true;
    case MP_N_LE:
        *out = x <= y;
        return true;
    case MP_N_GT:
        *out = x > y;
        return true;
    case MP_N_GE:
        *out = x >= y;
        return true;
    case MP_N_ADD:
        return !__builtin_add_overflow(x, y, out);
    case MP_N_SUB:
        return !__builtin_sub_overflow(x, y, out);
    case MP_N_MUL:
        return !__builtin_mul_overflow(x, y, out);
    default:
        return false;
    }
}

/* Any number that is no source. */
static bool
eval_number(const mp_numbers *t, const mp_number *k, const mp_number_value *values,
            mp_number_value *out)
{
    operands o = {0};
    if (k->a >= 0) {
        o.a = &t->ops[k->a];
        o.x = values[k->a];
    }
    if (k->b >= 0) {
        o.b = &t->ops[k->b];
        o.y = values[k->b];
    }
    return eval_own(k, &o, out);
}

int32_t
mp_numbers_eval(const mp_numbers *t, int32_t from, int32_t upto, PyObject *const *regs,
                mp_number_value *out)
{
    assert(from >= 0 && upto <= t->n);
    for (int32_t i = from; i < upto; i++) {
        const mp_number *k = &t->ops[i];
        if (k->op == MP_N_INT) {
            out[i].i = k->n;
        }
        else if (k->is_quick && eval_quick(k, out, &out[i].i)) {
            continue;
        }
        else if (!(k->is_source ? eval_source(k, regs[k->a], &out[i])
                                : eval_number(t, k, out, &out[i]))) {
            return i;
        }
    }
    return upto;
}
