/* graph/late.c - operations of the log that make late values (trace/late.h).
 *
 * A read (`t.item()`, `float(t)`) and what is computed with its result are entries of the log like
 * tensor operations; their result is a number, and its box goes to the program.  The log keeps
 * program order, so a read comes before whatever writes to its tensor later.
 *
 * The note "late" of a graph says which entries these are (engine/plan/plan.h): a compiler need
 * not be given those that no tensor depends on (src/magpy/late.py). */
#include "graph/graph.h"
#include "objects/operators.h"
#include "plan/value.h"

bool
mp_late_may(const mp_trace *T)
{
    return T->apply.cls == NULL && T->in_mode == MP_MODE_OFF && !T->trial
           && T->n_levels == 0 && T->inside == 0;
}

bool
mp_late_may_compute(const mp_trace *T, bool truth)
{
    // What the `forward` of an autograd.Function computes is dropped with its operations: a hit
    // runs it.  It may keep its boxes, but no box of a bool, which would be none then.
    return mp_late_may(T)
           || (T->apply.cls != NULL && T->in_mode == MP_MODE_OFF && !T->trial
               && T->n_levels == 0 && !truth);
}

mp_rc
mp_late_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *name,
              PyObject *const *args, Py_ssize_t nargs, bool raises)
{
    assert(!s->owns_op && mp_late_may_compute(T, false));
    mp_rc rc = mp_op_take(T, callee, args, nargs, NULL, MP_TORCH_CALL);
    if (rc != MP_OK) {
        return rc;
    }
    T->op.target = Py_NewRef(name == NULL ? callee : name);
    T->op.late = raises ? MP_LATE_RAISES : MP_LATE_READS;
    if (raises) {
        mp_op_note_caught(T, s);
    }
    s->owns_op = true;
    s->below = MP_BELOW_NOTHING;
    s->post = MP_POST_LATE;
    return MP_OK;
}

bool
mp_late_can_read(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    return count == 1 && mp_late_may(T)
           && is_tensor_node(mp_refgraph_find(&T->graph, args[0]));
}

mp_rc
mp_late_read(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *tensor)
{
    PyObject *target = NULL;
    mp_rc rc = mp_op_call_name(T, callee, &tensor, 1, &target);
    const mp_node *n = mp_refgraph_find(&T->graph, tensor);
    bool raises = n->dynamic || n->sized;  // it need not have one element
    rc = rc != MP_OK ? rc : mp_late_begin(T, s, callee, target, &tensor, 1, raises);
    Py_XDECREF(target);
    return rc;
}

/* Does the shape of the result follow from the late values that the operation takes?  Yes on
 * doubt. */
static bool
decides_shape(const mp_pending_op *op, PyObject *callee)
{
    if (callee == mp_operator_borrow("getitem")) {
        return op->late_slice;
    }
    int bits =
        op->effects == NULL ? 0 : (int)PyLong_AsLong(PyTuple_GET_ITEM(op->effects, 0));
    return callee != mp_operator_borrow("setitem") && !(bits & MP_OP_VALUES)
           && !(bits & MP_OP_VALUES_BEHIND && !op->late_first);
}

mp_rc
mp_late_operand(mp_trace *T, PyObject *callee)
{
    if (T->op.late_bool) {
        return mp_late_refuse(T, NULL);  // (torch tells bools by their address)
    }
    T->op.dynamic = T->op.dynamic || decides_shape(&T->op, callee);
    return MP_OK;
}

/* Is it what such an operation may answer? */
static bool
is_late_type(PyObject *o)
{
    return mp_is_number(o) || PyComplex_CheckExact(o) || PyUnicode_CheckExact(o);
}

/* Remember which entry of the log this is. */
static mp_rc
note_entry(mp_trace *T, bool raises)
{
    if (mp_grow(&T->late_ops, &T->cap_late_ops, T->n_late_ops + 1, sizeof(*T->late_ops))
        < 0) {
        return MP_ERR;
    }
    T->late_ops[T->n_late_ops++] = (mp_late_op){
        (int32_t)PyList_GET_SIZE(T->ops),
        T->n_mutations,
        raises,
    };
    return MP_OK;
}

mp_rc
mp_late_end(mp_trace *T, PyObject *answer, PyObject **box)
{
    mp_pending_op *op = &T->op;
    bool raises = op->late == MP_LATE_RAISES;
    *box = NULL;
    if (!is_late_type(answer)) {
        mp_op_drop(T);
        return mp_trace_abort(T, MP_AB_OP_RESULT, "a read that answers a %s",
                              mp_type_name(answer));
    }
    PyObject *leaf = mp_value_new(-1 - T->n_values);
    mp_rc rc = leaf == NULL ? MP_ERR : mp_late_make(T, answer, leaf, box);
    if (rc == MP_OK && *box == NULL) {
        rc = mp_trace_abort(T, MP_AB_HOST_READ, "a %s", mp_type_name(answer));
    }
    if (rc == MP_OK) {
        mp_late *row = &T->lates.all[T->lates.n - 1];
        row->at = (int32_t)PyList_GET_SIZE(T->ops);
        row->of_numbers = op->of_numbers;
    }
    rc = rc != MP_OK ? rc : note_entry(T, raises);
    PyObject *entry = NULL;
    if (rc == MP_OK) {
        T->n_values++;
        if (raises) {
            T->raises_at = (int32_t)PyList_GET_SIZE(T->ops);
        }
        entry = PyTuple_Pack(4, op->target, op->args, op->kwargs, leaf);
        rc = entry == NULL || PyList_Append(T->ops, entry) < 0 ? MP_ERR : MP_OK;
    }
    Py_XDECREF(entry);
    Py_XDECREF(leaf);
    mp_op_drop(T);
    if (rc != MP_OK) {
        Py_CLEAR(*box);
    }
    return rc;
}

/* May the tensor be tested behind a graph?  What a kernel of an accelerator finds wrong ends the
 * process, so there nothing must run that the test would have prevented. */
static bool
can_expect(mp_trace *T, PyObject *tensor)
{
    PyObject *on_cpu = mp_late_can_read(T, &tensor, 1) && mp_tensor_is(tensor)
                           ? PyObject_GetAttrString(tensor, "is_cpu")
                           : NULL;
    mp_err_drop();  // a tensor has the attribute
    Py_XDECREF(on_cpu);
    return on_cpu == Py_True;
}

/* Which answers of the test in progress lead straight to an exception: see flow.py. */
static long
raising_arms(const mp_shadow *s)
{
    PyObject *arms =
        mp_region_module_borrow() == NULL
            ? NULL
            : PyObject_CallMethod(mp_region_module_borrow(), "raising_arms", "Oi",
                                  s->info->code, s->pending);
    long found = arms == NULL ? 0 : PyLong_AsLong(arms);
    mp_err_drop();  // on doubt, none
    Py_XDECREF(arms);
    return found;
}

bool
mp_late_may_expect(const mp_trace *T, const mp_shadow *s)
{
    return mp_late_may(T) && (raising_arms(s) == 1 || raising_arms(s) == 2);
}

/* What the tensor says now, if the program would only raise if it said anything else; -1: it
 * would not, or cannot be asked. */
static int
expected_truth(const mp_shadow *s, PyObject *tensor)
{
    long raising = raising_arms(s);
    int truth = raising == 1 || raising == 2 ? PyObject_IsTrue(tensor) : -1;
    mp_err_drop();  // the instruction raises it
    return truth >= 0 && raising == 1 << !truth ? truth : -1;
}

mp_rc
mp_late_expect(mp_trace *T, mp_shadow *s, PyObject *tensor, bool *done)
{
    *done = false;
    if (!can_expect(T, tensor)) {
        return MP_OK;
    }
    int truth = expected_truth(s, tensor);
    PyObject *callee =
        truth < 0 ? NULL : PyObject_GetAttrString(mp_region_module_borrow(), "expect");
    if (callee == NULL) {
        return PyErr_Occurred() ? MP_ERR : MP_OK;
    }
    PyObject *args[2] = {tensor, truth ? Py_True : Py_False}, *entry = NULL;
    mp_rc rc = mp_op_take(T, callee, args, 2, NULL, MP_TORCH_CALL);
    if (rc == MP_OK) {
        T->op.target = Py_NewRef(callee);
        T->op.late = MP_LATE_RAISES;
        mp_op_note_caught(T, s);
        T->raises_at = (int32_t)PyList_GET_SIZE(T->ops);
        rc = note_entry(T, true);
        entry = rc != MP_OK
                    ? NULL
                    : PyTuple_Pack(4, callee, T->op.args, T->op.kwargs, Py_None);
        rc = entry == NULL || PyList_Append(T->ops, entry) < 0 ? MP_ERR : MP_OK;
        *done = true;
    }
    mp_op_note_clash(T);
    mp_op_drop(T);
    Py_XDECREF(entry);
    Py_DECREF(callee);
    return rc;
}

PyObject *
mp_late_note(mp_trace *T)
{
    PyObject *note = PyDict_New();
    for (int32_t i = 0; note != NULL && i < T->n_late_ops; i++) {
        const mp_late_op *e = &T->late_ops[i];
        PyObject *at = PyLong_FromLong(e->at);
        PyObject *row =
            Py_BuildValue("(OO)", e->raises ? Py_True : Py_False,
                          e->n_mutations != T->n_mutations ? Py_True : Py_False);
        if (at == NULL || row == NULL || PyDict_SetItem(note, at, row) < 0) {
            Py_CLEAR(note);
        }
        Py_XDECREF(at);
        Py_XDECREF(row);
    }
    return note;
}
