/* python/instr_call.c - the instructions that call: where callee and arguments stand; and
 * those that are two in one on 3.13.
 *
 * Stack slots are an argument array as they are: they lie side by side in the frame. */
#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"

#define TOP(s, in, k) mp_frame_stack_borrow((s)->f, (in)->depth - (k))

/* CALL: keyword arguments come last; their names came with KW_NAMES, or are on top. */
mp_rc
mp_do_call(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *args[256];
    int n = in->arg, first, count = 0;
    PyObject *kwnames = in->flag ? TOP(s, in, 1) : s->kwnames;
    if (n + 1 >= (int)Py_ARRAY_LENGTH(args)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a call with %d arguments", n);
    }
    PyObject *callee = mp_frame_callee_borrow(s->f, in, &first);
    // CALL of 3.12 takes a bound method apart, which may die then.
    s->callee = PyMethod_Check(callee) ? NULL : callee;
    for (int i = first; i < in->depth - in->flag; i++) {
        args[count++] = mp_frame_stack_borrow(s->f, i);
    }
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    return mp_record_callee(T, s, callee, args, count - nkw, kwnames);
}

/* PRECALL of 3.11 takes a bound method apart, so its function and self must be known;
 * CALL, which comes next, finds them as [function, self]. */
mp_rc
mp_do_precall(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    int base = in->depth - in->arg - 2;
    PyObject *callee = mp_frame_stack_borrow(s->f, base + 1);
    if (mp_frame_stack_borrow(s->f, base) != NULL || !PyMethod_Check(callee)) {
        return MP_OK;
    }
    return mp_record_method_parts(T, callee);
}

/* `*star` of a subclass of list or tuple: its items are the arguments as long as its class
 * has no __iter__ in Python. */
static mp_rc
prepare_star(mp_trace *T, PyObject *star)
{
    PyObject *iter = NULL;
    if (PyTuple_CheckExact(star) || PyList_CheckExact(star)) {
        return MP_OK;
    }
    mp_rc rc = mp_special(T, star, "__iter__", &iter);
    if (rc == MP_OK && (iter == NULL || PyFunction_Check(iter))) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "*%s as arguments",
                            mp_type_name(star));
    }
    return rc;
}

/* CALL_FUNCTION_EX: the items of `*star` and `**kwargs` become arguments, so all of them
 * are read. (The interpreter passes them in order; names of keywords are the keys.)
 * `is_late`: a new iterable is unpacked by the interpreter into a frame that is watched;
 * the recorder gets the arguments there. */
mp_rc
mp_do_call_ex(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    int place = in->arg & 1;  // for the dict
    PyObject *kwargs = place ? TOP(s, in, 1) : NULL, *star = TOP(s, in, 1 + place);
    PyObject *callee = mp_frame_callee_ex_borrow(s->f, in);
    PyObject *args[256], *key, *value, *names = NULL;
    Py_ssize_t pos = 0, count = 0;
    mp_node *star_node = mp_refgraph_find(&T->graph, star);
    bool is_late = star_node != NULL && star_node->kind == MP_NODE_FRESH
                   && !PyTuple_Check(star) && !PyList_Check(star)
                   && mp_callee_is_watched(callee);  // its frame tells the arguments
    if (!is_late && !PyTuple_Check(star) && !PyList_Check(star)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "*%s as arguments",
                              mp_type_name(star));
    }
    mp_rc rc = mp_read_all(T, star);
    rc = rc != MP_OK || is_late ? rc : prepare_star(T, star);
    if (rc == MP_OK && kwargs != NULL) {
        rc = PyDict_Check(kwargs)
                 ? mp_read_all(T, kwargs)
                 : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "**%s", mp_type_name(kwargs));
    }
    int top = in->depth - 1;
    rc = rc != MP_OK || is_late ? rc : mp_number_box_items(T, s, top - place);
    rc = rc != MP_OK || kwargs == NULL ? rc : mp_number_box_items(T, s, top);
    if (rc != MP_OK) {
        return rc;
    }
    star = TOP(s, in, 1 + place);
    kwargs = place ? TOP(s, in, 1) : NULL;
    Py_ssize_t nkw = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
    Py_ssize_t given = is_late ? 0 : PySequence_Fast_GET_SIZE(star);
    if (given + nkw > 250) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a call with many arguments");
    }
    for (Py_ssize_t i = 0; i < given; i++) {
        args[count++] = PySequence_Fast_GET_ITEM(star, i);
    }
    Py_ssize_t nargs = count;
    if (nkw > 0 && (names = PyTuple_New(nkw)) == NULL) {
        return MP_ERR;
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &pos, &key, &value)) {
        if (!PyUnicode_Check(key)) {  // TypeError
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a keyword that is a %s",
                                mp_type_name(key));
        }
        PyTuple_SET_ITEM(names, count - nargs, Py_NewRef(key));
        args[count++] = value;
    }
    rc = rc != MP_OK ? rc : mp_record_callee(T, s, callee, args, nargs, names);
    Py_XDECREF(names);
    return rc;
}

/* -- Comparisons that go on with the truth of the answer (3.13) ---------------------------- */

/* Is it a tensor whose truth decides, now that it is compared? */
typedef enum { TRUTH_PLAIN, TRUTH_CONSTANT, TRUTH_UNDECIDED, TRUTH_READ } mp_truth_of;

static mp_rc
look_at_operand(mp_trace *T, PyObject *operand, mp_truth_of *what)
{
    mp_val n;
    if (mp_late_find(T, operand) != NULL) {
        return mp_pin(T, operand);
    }
    mp_rc rc = mp_value_symbol(T, operand, &n);
    if (rc != MP_OK || n.kind == MP_VAL_SYMBOL) {
        return rc;
    }
    mp_truth_of is = mp_is_array(operand)                ? TRUTH_READ
                     : !mp_val_is_tensor(n)              ? TRUTH_PLAIN
                     : mp_tensor_is_constant(T, operand) ? TRUTH_CONSTANT
                     : mp_is_undecided(T, operand)       ? TRUTH_UNDECIDED
                                                         : TRUTH_READ;
    *what = is > *what ? is : *what;
    return MP_OK;
}

/* A tensor with a known value is compared with another, or with a number: nothing is read. */
static bool
is_settled(mp_trace *T, PyObject *const operands[2])
{
    for (int i = 0; i < 2; i++) {
        if (!mp_is_number(operands[i]) && !mp_tensor_is_constant(T, operands[i])) {
            return false;
        }
    }
    return mp_symbol_find(T, operands[0]) == NULL
           && mp_symbol_find(T, operands[1]) == NULL;
}

/* The comparison becomes an operation, and is made here: *answer, new. (To compare has no
 * effects: if what is made of the answer comes to nothing, the interpreter does it again.) */
static mp_rc
compare_now(mp_trace *T, mp_shadow *s, PyObject *const operands[2], int op,
            PyObject **answer)
{
    *answer = NULL;
    mp_rc rc = mp_record_compare(T, s, operands[0], operands[1], op);
    if (rc != MP_OK) {
        return rc;
    }
    assert(s->post == MP_POST_OP);
    *answer = PyObject_RichCompare(operands[0], operands[1], op);
    s->owns_op = false;
    s->post = MP_POST_NONE;
    s->below = MP_BELOW_NOTHING;
    if (*answer == NULL) {
        mp_err_drop();  // the instruction raises it
        mp_op_drop(T);
        return mp_trace_abort(T, MP_AB_OP_RAISED, "a comparison");
    }
    return mp_op_end(T, *answer);
}

/* Its answer decides where the program goes on. */
static mp_rc
branch_on_comparison(mp_trace *T, mp_shadow *s, PyObject *const operands[2], int op)
{
    if (!mp_branch_may_begin(T, s)) {
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW,
                              "a branch in a place of this kind");
    }
    PyObject *answer;
    mp_rc rc = compare_now(T, s, operands, op, &answer);
    rc = rc != MP_OK ? rc : mp_branch_begin(T, s, answer);
    Py_XDECREF(answer);
    return rc;
}

/* Does no code of the program run when they are compared? */
static bool
compare_in_c(PyObject *const operands[2])
{
    return (mp_tensor_is(operands[0]) || mp_is_number(operands[0]))
           && (mp_tensor_is(operands[1]) || mp_is_number(operands[1]));
}

/* Where it answered anything else the program would only raise. */
static mp_rc
expect_comparison(mp_trace *T, mp_shadow *s, PyObject *const operands[2], int op)
{
    PyObject *answer;
    bool done = false;
    mp_rc rc = compare_now(T, s, operands, op, &answer);
    rc = rc != MP_OK ? rc : mp_late_expect(T, s, answer, &done);
    Py_XDECREF(answer);
    return rc != MP_OK || done ? rc
                               : mp_trace_abort(T, MP_AB_HOST_READ, "bool(tensor)");
}

/* COMPARE_OP.  With the flag the instruction also asks for the truth of the answer, which
 * nobody sees: only where that is a bool for certain, or decides a branch. (What a method in
 * Python answers is looked at when its frame ends: mp_look_at_answer.) */
mp_rc
mp_do_compare(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *operands[2] = {TOP(s, in, 2), TOP(s, in, 1)};
    mp_truth_of what = TRUTH_PLAIN;
    // A tensor is compared with None in Python: the answer is a bool.
    bool with_none = (in->arg == Py_EQ || in->arg == Py_NE)
                     && (operands[0] == Py_None || operands[1] == Py_None);
    mp_rc rc = MP_OK;
    for (int i = 0; i < 2 && in->flag && !with_none && rc == MP_OK; i++) {
        rc = look_at_operand(T, operands[i], &what);
    }
    if (rc == MP_OK && what >= TRUTH_UNDECIDED && compare_in_c(operands)
        && mp_late_may_expect(T, s)) {
        return expect_comparison(T, s, operands, in->arg);
    }
    if (rc == MP_OK && what == TRUTH_UNDECIDED && mp_branch_is_tested(s)) {
        return branch_on_comparison(T, s, operands, in->arg);
    }
    if (rc == MP_OK && what == TRUTH_CONSTANT && is_settled(T, operands)) {
        return MP_OK;
    }
    if (rc == MP_OK && what != TRUTH_PLAIN) {
        bool array = mp_is_array(operands[0]) || mp_is_array(operands[1]);
        return mp_trace_abort(T, MP_AB_HOST_READ, "bool(%s)",
                              array ? "array" : "tensor");
    }
    return rc != MP_OK ? rc
                       : mp_record_compare(T, s, operands[0], operands[1], in->arg);
}

/* What stands on the stack decides where the program goes on. */
mp_rc
mp_do_jump(mp_trace *T, mp_shadow *s, PyObject *value)
{
    bool done = false;
    mp_rc rc = mp_tensor_is_any(value) && !mp_tensor_is_constant(T, value)
                   ? mp_late_expect(T, s, value, &done)
                   : MP_OK;
    if (rc != MP_OK || done) {
        return rc;
    }
    return mp_is_undecided(T, value) ? mp_branch_begin(T, s, value)
                                     : mp_read_truth(T, value, s);
}

/* TO_BOOL: the jump or the `not` behind it gets a bool. */
mp_rc
mp_do_to_bool(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *value = TOP(s, in, 1);
    bool done = false;
    if (s->info->at[in->next].op == MP_OP_UNARY_NOT) {
        mp_rc rc = mp_late_truth(T, s, value, &done);
        if (rc != MP_OK || done) {
            return rc;
        }
    }
    return mp_tensor_is_any(value) && mp_branch_is_tested(s)
               ? mp_do_jump(T, s, value)
               : mp_read_truth(T, value, s);
}

/* The instructions of 3.13 that are two: each touches its own local. */
mp_rc
mp_do_two_locals(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    mp_rc rc = in->op == MP_OP_LOAD_FAST_LOAD_FAST
                   ? mp_segment_load_local(T, s, in->arg)
                   : mp_segment_store_local(T, s, in->arg);
    if (rc != MP_OK || in->op == MP_OP_STORE_FAST_STORE_FAST) {
        return rc != MP_OK ? rc : mp_segment_store_local(T, s, in->flag);
    }
    // What was stored in this very local is loaded again: it has been read.
    return mp_segment_load_local(T, s, in->flag);
}
