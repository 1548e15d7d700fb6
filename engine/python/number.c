/* python/number.c - arithmetic on symbols (trace/symbol.h).
 *
 * An operation on symbols and constants that the table of numbers knows is computed here, as
 * a check computes it, and the instruction's answer becomes a symbol.  All others pin their
 * operands, as whoever asks mp_value() does. */
#include "compat/compat.h"
#include "objects/types.h"
#include "python/python.h"
#include "read/read.h"

enum { NONE = -1 };

/* In the order of BINARY_OP's operands. */
static const int binary_numbers[] = {
    MP_N_ADD, MP_N_AND, MP_N_FLOORDIV, MP_N_LSHIFT, NONE,         MP_N_MUL, MP_N_MOD,
    MP_N_OR,  MP_N_POW, MP_N_RSHIFT,   MP_N_SUB,    MP_N_TRUEDIV, MP_N_XOR,
};

/* In the order of Py_LT ... Py_GE. */
static const mp_number_op compare_numbers[] = {MP_N_LT, MP_N_LE, MP_N_EQ,
                                               MP_N_NE, MP_N_GT, MP_N_GE};

/* Are these numbers, and one a symbol?  b may be NULL. */
bool
mp_are_symbolic(const mp_trace *T, PyObject *a, PyObject *b)
{
    return T->symbols.n_open > 0 && mp_is_number(a) && (b == NULL || mp_is_number(b))
           && (mp_symbol_find(T, a) != NULL
               || (b != NULL && mp_symbol_find(T, b) != NULL));
}

/* The instruction answers op(a, b). */
static mp_rc
answer(mp_trace *T, mp_shadow *s, mp_number_op op, PyObject *a, PyObject *b, int64_t n,
       bool *done)
{
    PyObject *value;
    int32_t number;
    mp_rc rc = mp_refuse_fresh_id(T, a);
    rc = rc != MP_OK || b == NULL ? rc : mp_refuse_fresh_id(T, b);
    rc = rc != MP_OK ? rc : mp_symbol_compute(T, op, a, b, n, &number, &value);
    *done = rc == MP_OK && number >= 0;
    if (*done) {
        s->number = number;
        s->post = MP_POST_NUMBER;
        Py_DECREF(value);
    }
    return rc;
}

/* What the row of op(a, b) needs besides: of ints, is the exponent negative? */
static int64_t
also(int op, PyObject *a, PyObject *b)
{
    bool ints = !PyFloat_Check(a) && b != NULL && !PyFloat_Check(b);
    return op == MP_N_POW && ints ? PyObject_RichCompareBool(b, Py_False, Py_LT) == 1
           : op == MP_N_ROUND_TO  ? PyFloat_Check(a)
                                  : 0;  // (exact ints)
}

/* BINARY_OP, also in place.  Two bools are left out: `True & False` is a bool, not a
 * number. */
mp_rc
mp_number_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                 bool *done)
{
    int number = binary_numbers[op % 13];
    *done = false;
    mp_rc late = PyUnicode_CheckExact(a) ? mp_late_text_binary(T, s, a, b, op, done)
                                         : mp_late_binary(T, s, a, b, op, done);
    if (late != MP_OK || *done) {
        return late;
    }
    if (number == NONE || !mp_are_symbolic(T, a, b)
        || (PyBool_Check(a) && PyBool_Check(b))) {
        return MP_OK;
    }
    return answer(T, s, (mp_number_op)number, a, b, also(number, a, b), done);
}

/* -n, +n, ~n: `name` is the function of the operator module. */
mp_rc
mp_number_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name, bool *done)
{
    *done = false;
    mp_rc late = mp_late_unary(T, s, a, name, done);
    if (late != MP_OK || *done) {
        return late;
    }
    if (!mp_are_symbolic(T, a, NULL)) {
        return MP_OK;
    }
    mp_number_op op = name[0] == 'i'   ? MP_N_INVERT
                      : name[0] == 'n' ? MP_N_NEG
                                       : MP_N_POS;  // the three names of operator.c
    return answer(T, s, op, a, NULL, 0, done);
}

/* Equal to no number, whichever it is. */
static bool
is_no_number(PyObject *o)
{
    return o == Py_None || PyUnicode_CheckExact(o) || PyBytes_CheckExact(o);
}

static bool
has_box(const mp_trace *T, PyObject *o)
{
    return mp_symbol_find(T, o) != NULL || mp_late_find(T, o) != NULL;
}

/* A compare of numbers: its truth is guarded, so the answer is a constant. */
mp_rc
mp_number_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                  bool *done)
{
    *done = false;
    mp_rc late = mp_late_compare(T, s, a, b, op, done);
    if (late != MP_OK || *done) {
        return late;
    }
    if ((op == Py_EQ || op == Py_NE)
        && ((is_no_number(a) && has_box(T, b)) || (is_no_number(b) && has_box(T, a)))) {
        s->post = MP_POST_RESULT;  // types decide
        *done = true;
        return mp_know(T, is_no_number(a) ? a : b);
    }
    if (!mp_are_symbolic(T, a, b)) {
        return MP_OK;
    }
    mp_rc rc = mp_refuse_fresh_id(T, a);
    rc = rc != MP_OK ? rc : mp_refuse_fresh_id(T, b);
    s->post = MP_POST_RESULT;
    return rc != MP_OK ? rc : mp_symbol_decide(T, compare_numbers[op], a, b, done);
}

/* Is the symbol the same as some item, one after another, as `in` asks them? */
static mp_rc
decide_among(mp_trace *T, PyObject *symbol, PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        bool known = true;
        mp_rc rc = is_no_number(item)
                       ? MP_OK
                       : mp_symbol_decide(T, MP_N_EQ, symbol, item, &known);
        rc = rc != MP_OK || known ? rc : mp_pin(T, symbol);
        int equal = rc == MP_OK ? PyObject_RichCompareBool(symbol, item, Py_EQ) : 0;
        if (rc != MP_OK || equal != 0) {
            return equal < 0 ? MP_ERR
                             : rc;  // (a number, or C code of a str: no user code)
        }
    }
    return MP_OK;
}

mp_rc
mp_number_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item, bool *done)
{
    bool has_tensor = false;
    *done = false;
    // (a float may be the very object that is there, which counts even for nan)
    if (!PyTuple_CheckExact(obj) || !PyLong_CheckExact(item)
        || mp_symbol_find(T, item) == NULL) {
        return MP_OK;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(obj); i++) {
        PyObject *other = PyTuple_GET_ITEM(obj, i);
        if (!mp_is_number(other) && !is_no_number(other)) {
            return MP_OK;
        }
    }
    mp_rc rc = mp_refuse_fresh_id(T, item);
    rc = rc != MP_OK ? rc : mp_read_deep(T, obj, &has_tensor);
    s->raw = false;
    s->post = MP_POST_NONE;
    *done = rc == MP_OK;
    return rc != MP_OK ? rc : decide_among(T, item, obj);
}

/* divmod(a, b): a tuple of two numbers. */
static mp_rc
answer_both(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, bool *done)
{
    static const mp_number_op ops[] = {MP_N_FLOORDIV, MP_N_MOD};
    mp_rc rc = MP_OK;
    int32_t number = 0;
    for (int i = 0; i < 2 && rc == MP_OK && number >= 0; i++) {
        rc = answer(T, s, ops[i], a, b, 0, done);
        number = *done ? s->number : -1;
        T->read[i] = number;
    }
    T->n_read = 2;
    s->post = *done ? MP_POST_SHAPE : MP_POST_RESULT;
    return rc;
}

/* Are these numbers, with a symbol among them, and none that is late? */
bool
mp_are_numbers(const mp_trace *T, PyObject *const *items, Py_ssize_t count)
{
    bool any = false, all = count > 0 && T->symbols.n_open > 0;
    for (Py_ssize_t i = 0; i < count && all; i++) {
        all = mp_is_number(items[i]) && mp_late_find(T, items[i]) == NULL;
        any = any || mp_symbol_find(T, items[i]) != NULL;
    }
    return all && any;
}

/* A function of C with a row in number/numbers.def or number/functions.def.  Clears *done if
 * it has none, or if an argument is no number. */
mp_rc
mp_number_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    *done = false;
    mp_rc late = mp_late_call(T, s, c, done);
    if (late == MP_OK && !*done) {
        late = mp_late_text_call(T, s, c, done);
    }
    if (late != MP_OK || *done) {
        return late;
    }
    PyObject *const *args = c->args;
    late = mp_fold_call(T, s, c, done);
    if (late != MP_OK || *done) {
        return late;
    }
    if (c->kwnames != NULL || T->symbols.n_open == 0 || c->nargs == 0) {
        return MP_OK;
    }
    if (!mp_are_numbers(T, args, c->nargs)) {
        return MP_OK;
    }
    if (c->callee == mp_known[MP_K_DIVMOD] && c->nargs == 2) {
        return answer_both(T, s, args[0], args[1], done);
    }
    int op = mp_number_of_call(c->callee, c->nargs > 2 ? 2 : c->nargs);
    bool folds = op == MP_N_MIN || op == MP_N_MAX;
    PyObject *b = c->nargs > 1 ? args[1] : NULL;
    if (op < 0 || (c->nargs > 2 && !folds)) {
        return MP_OK;
    }
    if (mp_number_is_truth(op)) {
        mp_rc rc = mp_refuse_fresh_id(T, args[0]);
        rc = rc != MP_OK || b == NULL ? rc : mp_refuse_fresh_id(T, b);
        return rc != MP_OK ? rc
                           : mp_symbol_decide(T, (mp_number_op)op, args[0], b, done);
    }
    return folds && c->nargs >= 2
               ? mp_fold_extreme(T, s, (mp_number_op)op, args, c->nargs, done)
               : answer(T, s, (mp_number_op)op, args[0], b, also(op, args[0], b), done);
}

mp_rc
mp_number_method(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *name, bool *done)
{
    bool symbol = mp_symbol_find(T, obj) != NULL;
    PyTypeObject *tp = Py_TYPE(obj);
    *done = false;
    if (!symbol && !mp_holds_symbols(T, obj)) {
        return MP_OK;
    }
    PyObject *found = mp_type_lookup_borrow(tp, name);
    if (found == NULL
        || !(symbol ? mp_number_of_call(found, 1) >= 0
                    : mp_is_known(found, MP_K_SIZE_NUMEL))) {
        return MP_OK;
    }
    *done = true;
    s->post = MP_POST_RESULT;
    return mp_guard_type_attr(T, tp, name, found);
}

/* -- Items that an instruction takes out of a container from outside --------------------- */

mp_rc
mp_number_box_sequence(mp_trace *T, int32_t reg, PyObject *obj, PyObject **made)
{
    Py_ssize_t size = PySequence_Fast_GET_SIZE(obj);
    mp_rc rc = (*made = PyTuple_New(size)) == NULL ? MP_ERR : MP_OK;
    for (Py_ssize_t i = 0; i < size && rc == MP_OK; i++) {
        PyObject *box;
        PyObject *item = PySequence_Fast_GET_ITEM(obj, i);
        rc = mp_symbol_take_item(T, reg, i, NULL, item, &box);
        PyTuple_SET_ITEM(*made, i, box != NULL ? box : Py_NewRef(item));
    }
    return rc;
}

/* *made: a copy of the dict, with boxes for values that wait. */
static mp_rc
box_dict(mp_trace *T, int32_t reg, PyObject *obj, PyObject **made)
{
    PyObject *key, *value, *box;
    Py_ssize_t pos = 0;
    mp_rc rc = (*made = PyDict_Copy(obj)) == NULL ? MP_ERR : MP_OK;
    while (rc == MP_OK && PyDict_Next(obj, &pos, &key, &value)) {
        rc = mp_symbol_take_item(T, reg, -1, key, value, &box);
        if (rc == MP_OK && box != NULL && PyDict_SetItem(*made, key, box) < 0) {
            rc = MP_ERR;  // (the size stays, and with it the order)
        }
        Py_XDECREF(box);
    }
    return rc;
}

/* UNPACK_SEQUENCE, f(*args), f(**kw), [*xs], {**d} take items out of a container from
 * outside.  If some become symbols, a new container with their boxes takes its place on the
 * stack; the container itself is not changed.  Of a dict that the run has written, what it has
 * not written waits; a list's items have moved. */
mp_rc
mp_number_box_items(mp_trace *T, mp_shadow *s, int slot)
{
    PyObject *obj = mp_frame_stack_borrow(s->f, slot), *made = NULL;
    const mp_node *n =
        T->symbols.n_waiting == 0 ? NULL : mp_refgraph_find(&T->graph, obj);
    if (n == NULL || !mp_node_needs_guards(n) || n->appended
        || (n->written != NULL && !PyDict_CheckExact(obj))
        || (PyTuple_CheckExact(obj) && PyTuple_GET_SIZE(obj) == 0)) {
        return MP_OK;  // (there is one empty tuple, which is nobody's copy)
    }
    mp_rc rc = PyTuple_CheckExact(obj) || PyList_CheckExact(obj)
                   ? mp_number_box_sequence(T, n->reg, obj, &made)
               : PyDict_CheckExact(obj) ? box_dict(T, n->reg, obj, &made)
                                        : MP_OK;
    if (rc == MP_OK && made != NULL && mp_refgraph_add_fresh(&T->graph, made) == NULL) {
        rc = MP_ERR;
    }
    if (rc == MP_OK && made != NULL) {
        mp_frame_stack_set_steal(s->f, slot, made);
        return MP_OK;
    }
    Py_XDECREF(made);
    return rc;
}
