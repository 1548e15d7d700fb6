/* graph/apply.c - functions with a backward of their own: MyFunction.apply(x).
 *
 * Where gradients are off, the call is what `forward` does, which is part of the run like any
 * other function; its context dies with the call.  Only an argument that it answers with comes
 * out as a view of itself.
 *
 * Else the call is one operation of the graph, so that a hit makes a real context and autograd
 * finds the real backward.  During the recording its `forward` is watched, because its
 * reads need guards; the operations that it logs are dropped at the end.
 * R: a hit runs `forward` before the effects.  So `forward` must not use anything that
 * was written before the call, must not write, and gets no argument that a graph would
 * copy. */
#include "graph/graph.h"

#include <string.h>

#include "objects/names.h"
#include "objects/operators.h"
#include "plan/value.h"

/* Lists and dicts reach a graph's operation as copies: the context could keep one. Where
 * no context is kept (`lists`), a copy of a list is as good: `forward` cannot write to it,
 * and may not ask which list it is (mp_apply_refuse_is). */
static bool
holds_container(PyObject *obj, bool lists)
{
    if (PyTuple_Check(obj) || (lists && PyList_CheckExact(obj))) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            if (holds_container(PySequence_Fast_GET_ITEM(obj, i), lists)) {
                return true;
            }
        }
        return false;
    }
    return obj != Py_None && !mp_tensor_is_any(obj) && !mp_is_constant(obj);
}

/* The Python function behind a static method of the class, or a class method, guarded;
 * NULL: another kind. */
static mp_rc
static_method(mp_trace *T, PyTypeObject *cls, PyObject *name, PyObject **function)
{
    PyObject *found = mp_type_lookup_borrow(cls, name);
    *function = NULL;
    mp_rc rc = mp_guard_type_attr(T, cls, name, found);
    if (rc != MP_OK || found == NULL) {
        return rc;
    }
    if (Py_IS_TYPE(found, &PyStaticMethod_Type)
        || Py_IS_TYPE(found, &PyClassMethod_Type)) {
        found = mp_descr_part_borrow(found, 0);
    }
    if (found == NULL || !PyFunction_Check(found)) {
        return MP_OK;
    }
    *function = found;
    return mp_load_const(T, found);
}

static mp_rc
apply_check(mp_trace *T, PyTypeObject *cls, PyObject *const *args, Py_ssize_t count)
{
    if (T->apply.cls != NULL) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s inside the forward of another",
                              cls->tp_name);
    }
    bool lists = !mp_grad_is_enabled();
    for (Py_ssize_t i = 0; i < count; i++) {
        if (holds_container(args[i], lists)) {
            return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s for %s",
                                  mp_type_name(args[i]), cls->tp_name);
        }
    }
    return MP_OK;
}

/* Neither a generator function nor a coroutine, whose frame goes on later. */
static bool
runs_at_once(PyObject *function)
{
    const PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
    return !(code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR));
}

/* Without gradients: watch `forward` as what it is. */
static mp_rc
apply_begin_inline(mp_trace *T, mp_shadow *s, PyTypeObject *cls, PyObject *forward,
                   PyObject *const *args, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_rc rc = mp_pass(T, args[i]);
        if (rc != MP_OK) {
            return rc;
        }
    }
    s->applies = cls;
    s->alone = forward;
    s->below = MP_BELOW_ONE;
    s->post = MP_POST_FORWARD;
    return MP_OK;
}

/* Tensors in what `forward` answered: autograd goes through these. */
static Py_ssize_t
answers_of(PyObject **answered, PyObject ***items)
{
    bool many = *answered != NULL && PyTuple_Check(*answered);
    *items = many ? ((PyTupleObject *)*answered)->ob_item : answered;
    return many ? PyTuple_GET_SIZE(*answered) : *answered != NULL;
}

/* Of more than 64 the last ones share a bit. */
static uint64_t
answer_bit(Py_ssize_t i)
{
    return UINT64_C(1) << (i < 64 ? i : 63);
}

void
mp_apply_note_answer(mp_shadow *caller, const mp_shadow *left, PyObject *answer)
{
    if (caller->applies == NULL || answer == NULL
        || (PyObject *)left->info->code != PyFunction_GET_CODE(caller->alone)) {
        return;
    }
    Py_XSETREF(caller->answered, Py_NewRef(answer));
    caller->answers_grad = 0;
    PyObject **items;
    for (Py_ssize_t i = answers_of(&caller->answered, &items) - 1; i >= 0; i--) {
        if (mp_tensor_is_any(items[i]) && mp_tensor_requires_grad(items[i])) {
            caller->answers_grad |= answer_bit(i);
        }
    }
}

/* A tensor that apply() answers with, where `forward` answered with `from`: the same, or an
 * alias of an argument. */
static mp_rc
take_answer(mp_trace *T, PyTypeObject *cls, PyObject *tensor, PyObject *from, bool grad)
{
    mp_node *n = mp_refgraph_find(&T->graph, from);
    if (!mp_tensor_is_any(from)) {
        return MP_OK;
    }
    if (from == tensor) {  // what required gradients is detached in place
        return !grad
                   ? MP_OK
                   : mp_trace_abort(T, MP_AB_OP_RESULT,
                                    "%s answers with a tensor that required gradients",
                                    cls->tp_name);
    }
    if (n == NULL || mp_refgraph_find(&T->graph, tensor) != NULL) {
        return MP_OK;  // (one that is not known is refused by whoever meets it)
    }
    PyObject *leaf;
    mp_rc rc = mp_op_value(T, n, &leaf);
    if (rc != MP_OK) {
        return rc;
    }
    PyObject *args = grad ? PyTuple_Pack(1, leaf) : PyTuple_Pack(2, leaf, leaf);
    Py_DECREF(leaf);
    rc = args == NULL ? MP_ERR
                      : mp_op_log(T, mp_known[grad ? MP_K_DETACH : MP_K_VIEW_AS], args,
                                  n->dynamic, tensor);
    Py_XDECREF(args);
    return rc;
}

/* A tensor that apply() has counted as written: the operation that does so has run. */
static mp_rc
log_written(mp_trace *T, PyObject *tensor)
{
    PyObject *callee = mp_known[MP_K_INCREMENT_VERSION];
    mp_rc rc = callee == NULL || !mp_tensor_is_any(tensor)
                   ? mp_trace_abort(T, MP_AB_MUTATION, "mark_dirty")
                   : mp_op_take(T, callee, &tensor, 1, NULL, MP_TORCH_CALL);
    if (rc != MP_OK) {
        return rc;
    }
    for (int i = 0; i < T->op.n_inputs; i++) {
        T->op.versions[i] -= T->op.versions[i] > 0;
    }
    T->op.target = Py_NewRef(callee);
    return mp_op_end_written(T, Py_None, true);
}

mp_rc
mp_apply_end_inline(mp_trace *T, mp_shadow *s, PyObject *result)
{
    assert(s->applies != NULL && T->apply.cls == NULL);
    PyObject **from, **to;
    Py_ssize_t count = answers_of(&s->answered, &from);
    mp_rc rc = MP_OK;
    if (answers_of(&result, &to) == count) {
        for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
            bool grad = (s->answers_grad & answer_bit(i)) != 0;
            rc = take_answer(T, s->applies, to[i], from[i], grad);
        }
    }
    for (Py_ssize_t i = 0; s->dirty != NULL && i < PyTuple_GET_SIZE(s->dirty); i++) {
        rc = rc != MP_OK ? rc : log_written(T, PyTuple_GET_ITEM(s->dirty, i));
    }
    return rc != MP_OK ? rc : mp_result(T, result);
}

/* `cls.apply(args)` is about to run: one operation, whose target is apply bound to the
 * class.  Remember how far the log is, because everything that `forward` logs is dropped
 * again. */
mp_rc
mp_apply_begin(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *forward = NULL, *setup = NULL;
    if (nargs < 1 || !PyType_Check(args[0])) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "apply without a class");
    }
    if (T->n_levels > 0) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL,
                              "an autograd.Function inside a transform of torch.func");
    }
    PyTypeObject *cls = (PyTypeObject *)args[0];
    mp_rc rc = static_method(T, cls, MP_NAME(FORWARD), &forward);
    rc = rc != MP_OK ? rc : static_method(T, cls, MP_NAME(SETUP_CONTEXT), &setup);
    bool inlines = !mp_grad_is_enabled() && T->apply.cls == NULL && setup != NULL
                   && forward != NULL && runs_at_once(forward)
                   && mp_is_known(setup, MP_K_NO_SETUP_CONTEXT);
    if (rc == MP_OK && !inlines) {
        rc = apply_check(T, cls, args + 1, count - 1);
    }
    if (rc == MP_OK && (forward == NULL || setup == NULL)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "the forward of %s", cls->tp_name);
    }
    if (rc == MP_OK && inlines) {
        return apply_begin_inline(T, s, cls, forward, args + 1, count - 1);
    }
    rc = rc != MP_OK
             ? rc
             : mp_op_take(T, func, args + 1, nargs - 1, kwnames, MP_TORCH_EITHER);
    if (rc == MP_OK && T->op.late_bool) {
        rc = mp_late_refuse(T, NULL);  // (see graph/late.c)
        mp_op_drop(T);
    }
    if (rc != MP_OK) {
        return rc;
    }
    // (since torch 2.14 apply is C code, and bound to the class already)
    T->op.target =
        PyCFunction_Check(func) ? Py_NewRef(func) : PyMethod_New(func, (PyObject *)cls);
    if (T->op.target == NULL) {
        return MP_ERR;
    }
    mp_op_note_caught(T, s);
    T->apply = (mp_apply){.op = T->op,
                          .cls = cls,
                          .forward = forward,
                          .setup_context = setup,
                          .n_ops = PyList_GET_SIZE(T->ops),
                          .n_nodes = T->graph.n_nodes,
                          .n_values = T->n_values,
                          .n_inputs = T->n_inputs,
                          .n_mutations = T->n_mutations,
                          .n_writes = T->n_writes,
                          .n_late_ops = T->n_late_ops};
    T->graph.touched = false;
    memset(&T->op, 0, sizeof(T->op));  // it belongs to T->apply now
    s->owns_op = true;
    s->below = MP_BELOW_ONE;
    s->post = MP_POST_APPLY;
    return MP_OK;
}

bool
mp_apply_watches(mp_trace *T, const mp_shadow *caller, PyObject *func)
{
    return caller->alone != NULL
               ? func == caller->alone
               : func == T->apply.forward || func == T->apply.setup_context;
}

/* The innermost call in progress that applies the class, as part of the run; or NULL. */
static mp_shadow *
find_applied(mp_trace *T, PyTypeObject *cls)
{
    for (int i = T->n_stack - 1; i >= 0; i--) {
        if (T->stack[i].applies == cls) {
            return &T->stack[i];
        }
    }
    return NULL;
}

/* The class of whose calls this is a context, or NULL. */
static PyTypeObject *
class_of_context(PyObject *obj)
{
    PyObject *cls = mp_type_lookup_borrow(Py_TYPE(obj), MP_NAME(FORWARD_CLS));
    return cls != NULL && PyType_Check(cls) ? (PyTypeObject *)cls : NULL;
}

bool
mp_apply_is_context(mp_trace *T, PyObject *obj)
{
    PyTypeObject *cls = class_of_context(obj);
    return cls != NULL && (cls == T->apply.cls || find_applied(T, cls) != NULL);
}

/* The context keeps the last tuple of them; apply() counts each as written once more. */
int
mp_apply_note_dirty(mp_trace *T, PyObject *context, PyObject *const *tensors,
                    Py_ssize_t count)
{
    PyTypeObject *cls = class_of_context(context);
    mp_shadow *s = cls == NULL ? NULL : find_applied(T, cls);
    if (s == NULL) {
        return 0;
    }
    PyObject *dirty = PyTuple_New(count);
    if (dirty == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(dirty, i, Py_NewRef(tensors[i]));
    }
    Py_XSETREF(s->dirty, dirty);
    return 0;
}

int
mp_apply_note_flags(mp_trace *T, int flags, PyObject *context)
{
    if (flags != MP_TORCH_NOTE) {
        return flags;
    }
    const mp_node *n = context == NULL ? NULL : mp_refgraph_find(&T->graph, context);
    bool own = n != NULL && n->kind == MP_NODE_FRESH && mp_apply_is_context(T, context);
    return own ? MP_TORCH_PURE : MP_TORCH_INLINE;
}

/* One that it was not given would be hidden from a compiler, behind Python. */
bool
mp_apply_may_use(mp_trace *T, PyObject *tensor, const mp_node *n)
{
    assert(T->apply.cls != NULL);
    const mp_apply *a = &T->apply;
    if (n->reg < 0 && n->leaf != NULL && -1 - mp_value_index(n->leaf) >= a->n_values) {
        return true;  // of its own making
    }
    for (int i = 0; i < a->op.n_inputs; i++) {
        if (a->op.inputs[i] == tensor) {
            return true;
        }
    }
    return false;
}

mp_rc
mp_apply_refuse_is(mp_trace *T, PyObject *a, PyObject *b)
{
    if (T->apply.cls == NULL || !PyList_CheckExact(a) || !PyList_CheckExact(b)) {
        return MP_OK;
    }
    return mp_trace_abort(T, MP_AB_OP_ARGUMENT,
                          "the forward of %s asks which list it is",
                          T->apply.cls->tp_name);
}

/* The tensors that `forward` made are not the graph's: the operation's results are new. */
static bool
forget_inner(mp_trace *T)
{
    assert(T->apply.n_nodes <= T->graph.n_nodes);
    bool dynamic = false;
    for (int32_t i = T->apply.n_nodes; i < T->graph.n_nodes; i++) {
        mp_node *n = T->graph.nodes[i];
        if (n->kind != MP_NODE_TENSOR || n->reg >= 0) {
            continue;
        }
        dynamic = dynamic || n->dynamic;
        n->attrs = false;  // a hit runs the code that puts them there
        if (mp_node_is_alive(n) && mp_refgraph_find(&T->graph, n->obj) == n) {
            mp_refgraph_forget(&T->graph, n->obj);
        }
    }
    return dynamic;
}

mp_rc
mp_apply_refuse_input(mp_trace *T)
{
    assert(T->apply.cls != NULL);
    return mp_trace_abort(T, MP_AB_OP_ARGUMENT,
                          "the forward of %s uses a tensor that it is not given",
                          T->apply.cls->tp_name);
}

static mp_rc
apply_settle(mp_trace *T, PyObject *result)
{
    assert(T->n_writes >= T->apply.n_writes && T->n_inputs >= T->apply.n_inputs);
    assert(PyList_GET_SIZE(T->ops) >= T->apply.n_ops);
    const char *name = T->apply.cls->tp_name;
    if (T->graph.touched && T->apply.n_writes > 0) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL,
                              "%s, which looks at what was written before", name);
    }
    if (T->n_writes > T->apply.n_writes) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "the forward of %s writes to state",
                              name);
    }
    if (T->n_inputs > T->apply.n_inputs) {
        return mp_apply_refuse_input(T);
    }
    if (holds_container(result, false)) {
        return mp_trace_abort(T, MP_AB_OP_RESULT, "a %s from %s", mp_type_name(result),
                              name);
    }
    return PyList_SetSlice(T->ops, T->apply.n_ops, PyList_GET_SIZE(T->ops), NULL) < 0
               ? MP_ERR
               : MP_OK;
}

mp_rc
mp_apply_end(mp_trace *T, PyObject *result)
{
    assert(T->apply.cls != NULL);
    mp_rc rc = apply_settle(T, result);
    if (rc != MP_OK) {
        return rc;
    }
    T->n_late_ops = T->apply.n_late_ops;
    bool dynamic = forget_inner(T), wrote = T->n_mutations != T->apply.n_mutations;
    mp_apply_take_back(T);
    T->op.dynamic = T->op.dynamic || dynamic;
    return mp_op_end_written(T, result, wrote);
}

void
mp_apply_take_back(mp_trace *T)
{
    assert(T->apply.cls != NULL);
    mp_op_drop(T);
    PyMem_Free(T->op.inputs);
    PyMem_Free(T->op.versions);
    T->op = T->apply.op;
    memset(&T->apply, 0, sizeof(T->apply));
}
