/* python/fold.c - C functions that make one number of many, some of which are symbols: sum(),
 * math.prod(), min(), max(), sorted().
 *
 * The items are arguments, or stand in a list or tuple, or a generator yields them: then they are
 * taken down as its frame leaves (mp_fold_take), and the answer is computed when it is there.
 * What C code decides on the way (which of two is less) is a number of its own or a guard. */
#include <math.h>

#include "compat/compat.h"
#include "objects/types.h"
#include "python/python.h"
#include "read/read.h"

/* -- One after another ----------------------------------------------------------------------- */

/* The instruction answers with this number, or with a constant (-1). */
static void
answer_number(mp_shadow *s, int32_t number)
{
    s->number = number;
    s->post = number < 0 ? MP_POST_RESULT : MP_POST_NUMBER;
}

/* min(a, b), max(a, b) answer with one of them, not with an equal number: which. */
static PyObject *
choose_borrow(mp_number_op op, PyObject *so_far, PyObject *next)
{
    assert(op == MP_N_MIN || op == MP_N_MAX);
    int other = PyObject_RichCompareBool(next, so_far, op == MP_N_MIN ? Py_LT : Py_GT);
    return other < 0 ? NULL : other ? next : so_far;
}

/* min(a, b, c): one after another, as the function does. */
static mp_rc
fold(mp_trace *T, mp_shadow *s, mp_number_op op, PyObject *const *args,
     Py_ssize_t count, bool *done)
{
    PyObject *so_far = Py_NewRef(args[0]), *value;
    int32_t number = -1;
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 1; i < count && rc == MP_OK; i++) {
        PyObject *box = NULL;
        number = -1;
        if (!mp_are_symbolic(T, so_far, args[i])) {
            break;  // two constants (one may be a pinned symbol): the others get pinned, too
        }
        rc = mp_symbol_compute(T, op, so_far, args[i], 0, &number, &value);
        if (rc != MP_OK || number < 0) {
            break;
        }
        Py_DECREF(value);
        PyObject *chosen = choose_borrow(op, so_far, args[i]);
        rc = chosen == NULL ? MP_ERR : mp_symbol_make(T, number, chosen, &box);
        Py_SETREF(so_far, box != NULL ? box : Py_XNewRef(chosen));
    }
    *done = rc == MP_OK && number >= 0;
    if (*done) {
        answer_number(s, number);
    }
    Py_XDECREF(so_far);
    return rc;
}

/* sum(), math.prod(): of two constants the recorder knows the value. */
static mp_rc
accumulate_one(mp_trace *T, mp_number_op op, PyObject *item, PyObject **so_far,
               int32_t *number)
{
    PyObject *value, *box = NULL;
    if (!mp_are_symbolic(T, *so_far, item)) {
        value = op == MP_N_ADD ? PyNumber_Add(*so_far, item)
                               : PyNumber_Multiply(*so_far, item);
        *number = -1;
        Py_XSETREF(*so_far, value);  // of exact ints and floats
        return value == NULL ? MP_ERR : mp_refuse_fresh_id(T, item);
    }
    mp_rc rc = mp_symbol_compute(T, op, *so_far, item, 0, number, &value);
    if (rc != MP_OK || *number < 0) {
        return rc;
    }
    rc = mp_symbol_make(T, *number, value, &box);
    Py_SETREF(*so_far, box != NULL ? box : Py_NewRef(value));
    Py_DECREF(value);
    return rc;
}

/* Does the function add or multiply these one after another, as the operator does?  sum() of
 * floats makes up for what rounding loses since CPython 3.12, which no operator does: of
 * 0 + a + b nothing is lost but in the last step. */
static bool
goes_by_operator(const mp_trace *T, mp_number_op op, PyObject *start,
                 PyObject *const *items, Py_ssize_t count)
{
    bool floats = PyFloat_CheckExact(start);
    for (Py_ssize_t i = 0; i < count && !floats; i++) {
        floats = PyFloat_CheckExact(items[i]);
    }
    return !floats || op == MP_N_MUL || !MP_SUM_COMPENSATES
           || (count <= 2 && PyLong_CheckExact(start)
               && mp_symbol_find(T, start) == NULL
               && PyObject_RichCompareBool(start, Py_False, Py_EQ) == 1);
}

/* Numbers that are added or multiplied, to start. */
static mp_rc
accumulate(mp_trace *T, mp_shadow *s, mp_number_op op, PyObject *start,
           PyObject *const *items, Py_ssize_t count, bool *done)
{
    PyObject *so_far = Py_NewRef(start);
    int32_t number = -1;
    bool known = goes_by_operator(T, op, start, items, count);
    mp_rc rc = known ? mp_refuse_fresh_id(T, start) : MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK && known; i++) {
        bool symbols = mp_are_symbolic(T, so_far, items[i]);
        rc = accumulate_one(T, op, items[i], &so_far, &number);
        known = !symbols || number >= 0;
    }
    *done = rc == MP_OK && known && number >= 0;
    if (*done) {
        answer_number(s, number);
    }
    Py_XDECREF(so_far);
    return rc;
}

/* min(), max() of ints and floats: which of them it is decides the type of the answer, so each
 * compare becomes a guard. */
static mp_rc
choose(mp_trace *T, mp_shadow *s, mp_number_op op, PyObject *const *args,
       Py_ssize_t count, bool *done)
{
    mp_number_op compare = op == MP_N_MIN ? MP_N_LT : MP_N_GT;
    int python = op == MP_N_MIN ? Py_LT : Py_GT;
    PyObject *best = args[0];
    bool known = true;
    mp_rc rc = mp_refuse_fresh_id(T, best);
    for (Py_ssize_t i = 1; i < count && rc == MP_OK && known; i++) {
        rc = mp_refuse_fresh_id(T, args[i]);
        if (rc == MP_OK && mp_are_symbolic(T, args[i], best)) {
            rc = mp_symbol_decide(T, compare, args[i], best, &known);
        }
        best = PyObject_RichCompareBool(args[i], best, python) == 1 ? args[i] : best;
    }
    const mp_node *n = mp_symbol_find(T, best);
    *done = rc == MP_OK && known;
    if (*done) {
        answer_number(s, n == NULL ? -1 : n->number);
    }
    return rc;
}

mp_rc
mp_fold_extreme(mp_trace *T, mp_shadow *s, mp_number_op op, PyObject *const *items,
                Py_ssize_t count, bool *done)
{
    bool alike = count > 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        alike = alike && Py_TYPE(items[i]) == Py_TYPE(items[0]);
    }
    return alike ? fold(T, s, op, items, count, done)
                 : choose(T, s, op, items, count, done);
}

/* -- sorted() ------------------------------------------------------------------------------- */

enum { MAX_SORTED = 64 };

/* In which order sorted() puts them; false: they have none (nan). */
static bool
order_of(PyObject *const *items, int count, int *order)
{
    for (int i = 0; i < count; i++) {
        int at = i;
        if (PyFloat_CheckExact(items[i]) && isnan(PyFloat_AS_DOUBLE(items[i]))) {
            return false;
        }
        while (at > 0
               && PyObject_RichCompareBool(items[i], items[order[at - 1]], Py_LT)
                      == 1) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    return true;
}

/* Each is at most the next one, and less if it stood behind it: so the order is the same. */
static mp_rc
decide_order(mp_trace *T, PyObject *const *items, int count, bool *done)
{
    int order[MAX_SORTED];
    *done = count <= MAX_SORTED && order_of(items, count, order);
    mp_rc rc = MP_OK;
    for (int i = 0; i < count && *done && rc == MP_OK; i++) {
        rc = mp_refuse_fresh_id(T, items[i]);
    }
    for (int i = 1; i < count && *done && rc == MP_OK; i++) {
        PyObject *a = items[order[i - 1]], *b = items[order[i]];
        mp_number_op less = order[i - 1] < order[i] ? MP_N_LE : MP_N_LT;
        if (mp_are_symbolic(T, a, b)) {
            rc = mp_symbol_decide(T, less, a, b, done);
        }
    }
    return rc;
}

/* -- What is folded ---------------------------------------------------------------------------- */

/* ADD, MUL, MIN or MAX; -1: the callee is none of these functions. */
static int
fold_of(PyObject *callee)
{
    int op = mp_number_of_call(callee, 2);
    return callee == mp_known[MP_K_SUM]       ? MP_N_ADD
           : callee == mp_known[MP_K_PROD]    ? MP_N_MUL
           : op == MP_N_MIN || op == MP_N_MAX ? op
                                              : -1;
}

/* What is added to, or multiplied: new.  NULL: no number. */
static PyObject *
start_of(const mp_call *c, int op)
{
    if (c->count == 1) {
        return PyLong_FromLong(op == MP_N_MUL);
    }
    bool number = PyLong_CheckExact(c->args[1]) || PyFloat_CheckExact(c->args[1]);
    return number ? Py_NewRef(c->args[1]) : NULL;
}

/* The items and, of sum() and prod(), before them the start. */
static mp_rc
fold_all(mp_trace *T, mp_shadow *s, int op, PyObject *const *all, Py_ssize_t count,
         bool *done)
{
    *done = false;
    if (count == 0 || !mp_are_numbers(T, all, count)) {
        return MP_OK;
    }
    return op == MP_N_ADD || op == MP_N_MUL
               ? accumulate(T, s, (mp_number_op)op, all[0], all + 1, count - 1, done)
               : mp_fold_extreme(T, s, (mp_number_op)op, all, count, done);
}

/* The items of a list or tuple; those that wait become symbols.  NULL: it is of another kind. */
static mp_rc
items_of(mp_trace *T, PyObject *xs, PyObject **items)
{
    bool sizes = mp_holds_symbols(T, xs);
    *items = NULL;
    if (!PyTuple_CheckExact(xs) && !PyList_CheckExact(xs) && !sizes) {
        return MP_OK;
    }
    mp_node *n = mp_refgraph_find(&T->graph, xs);
    if ((n != NULL && n->kind == MP_NODE_FRESH) || sizes) {
        return (*items = PySequence_List(xs)) == NULL ? MP_ERR : MP_OK;
    }
    if (n == NULL || !mp_node_needs_guards(n) || n->appended) {
        return MP_OK;
    }
    PyObject *boxed = NULL;
    mp_rc rc = mp_read_all(T, xs);
    if (rc == MP_OK && T->symbols.n_waiting > 0) {
        rc = mp_number_box_sequence(T, n->reg, xs, &boxed);
    }
    *items = rc == MP_OK && boxed != NULL ? PySequence_List(boxed) : NULL;
    rc = rc == MP_OK && boxed != NULL && *items == NULL ? MP_ERR : rc;
    Py_XDECREF(boxed);
    return rc;
}

/* sum(xs), max(xs), math.prod(xs, start=n). */
static mp_rc
fold_items(mp_trace *T, mp_shadow *s, const mp_call *c, int op, bool *done)
{
    bool adds = op == MP_N_ADD || op == MP_N_MUL;
    PyObject *items, *start = NULL;
    mp_rc rc = items_of(T, c->args[0], &items);
    if (rc != MP_OK || items == NULL) {
        return rc;
    }
    if (adds && (start = start_of(c, op)) == NULL) {
        rc = PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    else if (start != NULL && PyList_Insert(items, 0, start) < 0) {
        rc = MP_ERR;
    }
    else {
        rc = fold_all(T, s, op, PySequence_Fast_ITEMS(items), PyList_GET_SIZE(items),
                      done);
    }
    Py_XDECREF(start);
    Py_DECREF(items);
    return rc;
}

/* sorted(xs) of a list: the boxes stand in it, and then in the answer. */
static mp_rc
sort_items(mp_trace *T, mp_shadow *s, PyObject *xs, bool *done)
{
    const mp_node *n = PyList_CheckExact(xs) ? mp_refgraph_find(&T->graph, xs) : NULL;
    mp_rc rc = MP_OK;
    if (n == NULL
        || (n->kind != MP_NODE_FRESH && (n->written != NULL || n->appended))) {
        return MP_OK;
    }
    if (n->kind != MP_NODE_FRESH) {
        rc = mp_read_all(T, xs);
        rc = rc != MP_OK ? rc : mp_box_in_place(T, xs);
    }
    PyObject *items = rc == MP_OK ? PySequence_Tuple(xs) : NULL;
    if (items == NULL) {
        return rc == MP_OK ? MP_ERR : rc;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    if (count <= MAX_SORTED && mp_are_numbers(T, PySequence_Fast_ITEMS(items), count)) {
        rc = decide_order(T, PySequence_Fast_ITEMS(items), (int)count, done);
    }
    s->post = MP_POST_RESULT;
    Py_DECREF(items);
    return rc;
}

/* -- Generators --------------------------------------------------------------------------------- */

/* What the generator yields is kept until the answer is there. */
static mp_rc
begin_generator(mp_shadow *s, const mp_call *c, int op)
{
    PyObject *start = op == MP_N_ADD || op == MP_N_MUL ? start_of(c, op) : NULL;
    if (start == NULL && (op == MP_N_ADD || op == MP_N_MUL)) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    s->folds = (uint8_t)op;
    s->folded = PyList_New(0);
    int rc = s->folded == NULL ? -1
             : start == NULL   ? 0
                               : PyList_Append(s->folded, start);
    Py_XDECREF(start);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* C code has looked at them. */
static mp_rc
pin_folded(mp_trace *T, mp_shadow *s)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(s->folded) && rc == MP_OK; i++) {
        rc = mp_pin(T, PyList_GET_ITEM(s->folded, i));
    }
    Py_CLEAR(s->folded);
    return rc;
}

mp_rc
mp_fold_take(mp_trace *T, mp_shadow *s, const mp_shadow *left, PyObject *item,
             bool *taken)
{
    *taken = false;
    if (s->folded == NULL || item == NULL || !mp_shadow_yields(left)) {
        return MP_OK;
    }
    if (left->fresh || !mp_is_number(item) || mp_late_find(T, item) != NULL) {
        return pin_folded(T, s);
    }
    *taken = true;
    return PyList_Append(s->folded, item) < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_fold_end(mp_trace *T, mp_shadow *s, bool *done)
{
    *done = false;
    if (s->folded == NULL) {
        return MP_OK;
    }
    mp_rc rc = fold_all(T, s, s->folds, PySequence_Fast_ITEMS(s->folded),
                        PyList_GET_SIZE(s->folded), done);
    *done = *done && s->post == MP_POST_NUMBER;
    return rc != MP_OK || *done ? rc : pin_folded(T, s);
}

/* -- The call ------------------------------------------------------------------------------------ */

/* torch.Size.numel() of sizes that vary. */
static mp_rc
multiply_sizes(mp_trace *T, mp_shadow *s, PyObject *size, bool *done)
{
    PyObject *one = mp_holds_symbols(T, size) ? PyLong_FromLong(1) : NULL;
    mp_rc rc = MP_OK;
    if (one != NULL
        && mp_are_numbers(T, PySequence_Fast_ITEMS(size), PyTuple_GET_SIZE(size))) {
        rc = accumulate(T, s, MP_N_MUL, one, PySequence_Fast_ITEMS(size),
                        PyTuple_GET_SIZE(size), done);
    }
    Py_XDECREF(one);
    return rc != MP_OK || !PyErr_Occurred() ? rc : MP_ERR;
}

/* One argument, and perhaps the start of a sum or the default of an extreme. */
static bool
takes_one(const mp_call *c, int op)
{
    bool named = c->kwnames != NULL && PyTuple_GET_SIZE(c->kwnames) > 0;
    bool starts = op == MP_N_ADD || op == MP_N_MUL;
    return c->nargs >= 1
           && (c->count == 1
               || (c->count == 2
                   && (named ? mp_name_is(PyTuple_GET_ITEM(c->kwnames, 0),
                                          starts ? "start" : "default")
                             : op == MP_N_ADD)));
}

mp_rc
mp_fold_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    *done = false;
    if (c->count == 0 || mp_is_number(c->args[0])) {
        return MP_OK;
    }
    if (c->count == 1 && mp_is_known(c->callee, MP_K_SIZE_NUMEL)) {
        return multiply_sizes(T, s, c->args[0], done);
    }
    if (c->count == 1 && c->callee == mp_known[MP_K_SORTED]) {
        return sort_items(T, s, c->args[0], done);
    }
    int op = fold_of(c->callee);
    if (op < 0 || !takes_one(c, op)) {
        return MP_OK;
    }
    return PyGen_CheckExact(c->args[0]) ? begin_generator(s, c, op)
                                        : fold_items(T, s, c, op, done);
}
