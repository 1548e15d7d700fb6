/* oplog_writes.c - which inputs the operations of a run write to, and what follows.
 *
 * Torch counts writes per memory (`_version`), so a write through a view shows on the
 * tensor it views.  Two kinds do not count: inference tensors, where the operation's name
 * has to tell, and the running statistics of F.batch_norm.
 * R: a graph that has written to an input cannot be run again eagerly when it raises.  So
 * no operation of such a graph may stand where the program would catch its exception.
 */
#include "trace.h"

#include <string.h>

static PyObject *
kwarg_borrow(const mp_pending_op *op, const char *name)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(op->kwargs, &pos, &key, &value)) {
        if (PyUnicode_Check(key) && mp_name_is(key, name)) {
            return value;
        }
    }
    return NULL;
}

/* x.add_(y), x[0] = y, x += y, out=x: what tells of a write where no counter does. */
static bool
op_is_named_inplace(const mp_pending_op *op)
{
    static const char *const words[] = {
        "setitem", "iadd", "isub", "imul", "imatmul", "itruediv", "ifloordiv",
        "imod",    "ipow", "iand", "ior",  "ixor",    "ilshift",  "irshift",
    };
    PyObject *name = mp_op_target_name(op->target);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    bool writes = text == NULL || kwarg_borrow(op, "out") != NULL
                  || kwarg_borrow(op, "inplace") == Py_True;
    if (!writes) {
        text += strspn(text, "_");
        size_t len = strlen(text);
        writes = len > 1 && text[len - 1] == '_' && text[len - 2] != '_';
        for (size_t i = 0; i < Py_ARRAY_LENGTH(words) && !writes; i++) {
            size_t n = strlen(words[i]);
            writes = strncmp(text, words[i], n) == 0
                     && strspn(text + n, "_") == len - n;  // mp-ok: torch's operations
        }
    }
    PyErr_Clear();  // an operation without a usable name counts as writing
    Py_XDECREF(name);
    return writes;
}

/* Was input i written in place? */
static bool
op_input_changed(const mp_pending_op *op, int i, bool has_old, bool named)
{
    int64_t now = mp_tensor_version(op->inputs[i]);
    if (op->flags & MP_TORCH_WRITES) {
        return true;  // a kernel of its own, or an inference tensor: which one is not told
    }
    return now != op->versions[i] || (now < 0 && (has_old || named));
}

static void
node_changed(mp_trace *T, mp_node *n)
{
    n->changed = true;
    T->wrote_input = true;
    T->wrote = T->wrote.code < 0 ? T->graph.at : T->wrote;
    mp_op_note_clash(T);
}

/* t.data = x, t.requires_grad_(), t.resize_(2): no memory was written, but t is another
 * tensor now. */
static void
note_state(mp_trace *T, const mp_pending_op *op)
{
    mp_node *n = op->n_inputs > 0 ? mp_refgraph_find(&T->graph, op->inputs[0]) : NULL;
    // Two tensors, whose counters are their own, may share memory from here on.
    T->uncounted = T->uncounted || op->n_inputs > 1;
    if (n == NULL) {
        return;
    }
    n->dynamic = n->dynamic || op->dynamic;
    if (n->reg >= 0) {
        n->restated = true;
        // (of t.data = x the store has told whether metadata changed)
        n->distinct = n->distinct || op->target != mp_operator_borrow("setattr");
        T->wrote_input = true;
        mp_op_note_clash(T);
    }
}

/* May a write to `written` have changed what `input` holds, although its counter does
 * not tell? */
static bool
shares_memory(mp_trace *T, PyObject *written, PyObject *input)
{
    uintptr_t lo, hi, other_lo, other_hi;
    return T->uncounted && mp_tensor_extent(written, &lo, &hi) > 0
           && mp_tensor_extent(input, &other_lo, &other_hi) > 0 && lo < other_hi
           && other_lo < hi;
}

/* The run wrote to a tensor of its own that may be a view or an alias of an input. */
static void
note_indirect_write(mp_trace *T, PyObject *written)
{
    for (int i = 0; i < T->n_inputs; i++) {
        mp_node *n = T->inputs[i];
        // One that the run dropped, or that does not count, may have been meant.
        if (!n->changed
            && (!mp_node_is_alive(n) || n->version < 0
                || mp_tensor_version(n->obj) != n->version
                || shares_memory(T, written, n->obj))) {
            node_changed(T, n);
        }
    }
}

/* An input of the graph was written: itself, or through a view or an alias. */
static void
note_writes(mp_trace *T, const mp_pending_op *op, bool has_old, bool named)
{
    for (int i = 0; i < op->n_inputs; i++) {
        mp_node *n = mp_refgraph_find(&T->graph, op->inputs[i]);
        if (n == NULL || !op_input_changed(op, i, has_old, named)) {
            continue;
        }
        if (n->reg >= 0) {
            node_changed(T, n);
        }
        if (n->reg < 0 || T->uncounted) {
            note_indirect_write(T, op->inputs[i]);
        }
    }
}

bool
mp_op_mutated(mp_trace *T, bool has_old)
{
    const mp_pending_op *op = &T->op;
    bool mutated = false, named = false;
    if (op->flags & MP_TORCH_SETS_STATE) {
        return true;
    }
    if (op->flags & MP_TORCH_STATE) {
        note_state(T, op);
        return true;
    }
    for (int i = 0; i < op->n_inputs && !named; i++) {
        named = op->versions[i] < 0 && op_is_named_inplace(op);
    }
    for (int i = 0; i < op->n_inputs && !mutated; i++) {
        mutated = op_input_changed(op, i, has_old, named);
    }
    if (mutated) {
        note_writes(T, op, has_old, named);
    }
    return mutated;
}

static bool trains_batch_norm(const mp_pending_op *op);

/* May writing to this tensor be seen from outside of the run? */
static bool
is_of_outside(mp_trace *T, PyObject *tensor)
{
    uintptr_t lo, hi, other_lo, other_hi;
    mp_node *n = mp_refgraph_find(&T->graph, tensor);
    if (n == NULL || n->reg >= 0 || T->uncounted) {
        return true;
    }
    bool shares = mp_tensor_extent(tensor, &lo, &hi) <= 0;
    for (int i = 0; i < T->n_inputs && !shares; i++) {
        const mp_node *in = T->inputs[i];
        shares = !mp_node_is_alive(in)
                 || mp_tensor_extent(in->obj, &other_lo, &other_hi) <= 0
                 || (lo < other_hi && other_lo < hi);
    }
    return shares;
}

/* x.add_(y) writes to x; out=x and inplace=True to any of the arguments. */
mp_rc
mp_op_check_trial(mp_trace *T)
{
    const mp_pending_op *op = &T->op;
    bool named = op_is_named_inplace(op);
    bool first = kwarg_borrow(op, "out") == NULL && kwarg_borrow(op, "inplace") == NULL;
    bool writes =
        (op->flags & (MP_TORCH_STATE | MP_TORCH_WRITES)) != 0 || trains_batch_norm(op);
    for (int i = 0; named && !writes && i < op->n_inputs && (i == 0 || !first); i++) {
        writes = is_of_outside(T, op->inputs[i]);
    }
    return writes ? mp_trace_abort(T, MP_AB_MUTATION, "a tensor, in a trial") : MP_OK;
}

static bool
is_batch_norm(PyObject *target)
{
    return mp_is_known(target, MP_K_TORCH_BATCH_NORM);
}

/* F.batch_norm(input, running_mean, running_var, weight, bias, training, ...) */
static bool
trains_batch_norm(const mp_pending_op *op)
{
    return is_batch_norm(op->target)
           && (PyTuple_GET_SIZE(op->args) > 5 ? PyTuple_GET_ITEM(op->args, 5)
                                              : kwarg_borrow(op, "training"))
                  == Py_True;
}

void
mp_op_note_statistics(mp_trace *T)
{
    const mp_pending_op *op = &T->op;
    bool trains = trains_batch_norm(op);
    for (int i = 1; trains && i < op->n_inputs; i++) {
        mp_node *n = mp_refgraph_find(&T->graph, op->inputs[i]);
        PyObject *leaf = n == NULL ? NULL : n->leaf;
        bool is_statistic = leaf != NULL
                            && (kwarg_borrow(op, "running_mean") == leaf
                                || kwarg_borrow(op, "running_var") == leaf);
        for (int at = 1; at <= 2 && at < PyTuple_GET_SIZE(op->args); at++) {
            is_statistic = is_statistic || PyTuple_GET_ITEM(op->args, at) == leaf;
        }
        if (is_statistic && n->reg >= 0) {
            node_changed(T, n);
        }
    }
}

/* Whether contiguous() made a copy, how many parts split() gave: decided by a shape that
 * the next run will have different. */
mp_rc
mp_op_check_dynamic(mp_trace *T, PyObject *result, bool has_old)
{
    static const char *const parts[] = {"split", "chunk", "unbind"};
    const mp_pending_op *op = &T->op;
    bool refuse = false,
         is_list = PyTuple_CheckExact(result) || PyList_CheckExact(result);
    if (!op->dynamic || (!has_old && !is_list)) {
        return MP_OK;
    }
    PyObject *name = mp_op_target_name(op->target);
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    if (text == NULL) {
        Py_XDECREF(name);
        return MP_ERR;
    }
    if (has_old) {
        refuse = strcmp(text, "contiguous") == 0
                 || strcmp(text, "to") == 0;  // mp-ok: torch's operations
    }
    for (size_t i = 0; is_list && i < Py_ARRAY_LENGTH(parts); i++) {
        refuse = refuse || strstr(text, parts[i]) != NULL;
    }
    mp_rc rc = refuse
                   ? mp_trace_abort(T, MP_AB_DYNAMIC_SHAPE, "%s of a selection", text)
                   : MP_OK;
    Py_DECREF(name);
    return rc;
}

/* -- Handlers of exceptions ------------------------------------------------------------------ */

/* `with torch.no_grad():` only sets modes back, and that is done anyway; what
 * `with warnings.catch_warnings():` would set back, a replay has not set yet. */
static bool
exit_sets_back(PyObject *leave)
{
    if (leave == NULL || !PyMethod_Check(leave)
        || !PyFunction_Check(PyMethod_GET_FUNCTION(leave))) {
        return false;
    }
    PyObject *globals = PyFunction_GET_GLOBALS(PyMethod_GET_FUNCTION(leave));
    return mp_is_of_package(globals, "torch")
           || mp_is_module(globals, MP_MODULE_WARNINGS);
}

static int
next_reraise(const mp_code_info *info, int i)
{
    while (i >= 0 && i < info->count && info->at[i].op != MP_OP_RERAISE) {
        i = info->at[i].next;
    }
    return i < info->count ? i : -1;
}

/* Wrappers of these libraries use `finally:` to set back what they set themselves. */
static bool
is_wrapper_frame(mp_frame *f)
{
    PyObject *globals = mp_frame_globals_borrow(f);
    return mp_is_module(globals, MP_MODULE_CONTEXTLIB)
           || mp_is_of_package(globals, "torch")
           || mp_is_of_package(globals, "transformers");
}

/* `finally:` in such a wrapper: its handler neither matches the exception nor drops it.
 * What it would set back, a replay has not set yet: effects come after the graph. */
static bool
is_finally(mp_frame *f, const mp_code_info *info, int at)
{
    if (!is_wrapper_frame(f)) {
        return false;
    }
    for (int i = at; i >= 0 && i < info->count; i = info->at[i].next) {
        int op = info->at[i].op;
        if (op == MP_OP_CHECK_EXC_MATCH || op == MP_OP_POP_EXCEPT
            || op == MP_OP_CHECK_EG_MATCH) {
            return false;
        }
        if (op == MP_OP_RERAISE) {
            return true;
        }
    }
    return false;
}

/* Would the program see an exception of the instruction at i in this frame?  Handlers of
 * the compiler's own and those that set something back only pass it on. */
static bool
frame_catches(const mp_shadow *s, int i)
{
    const mp_code_info *info = s->info;
    for (int hops = 0; hops < 32; hops++) {
        int depth, at = mp_code_handler(info->code, i, &depth);
        if (at < 0) {
            return false;
        }
        if (info->at[at].op == MP_OP_PUSH_EXC_INFO) {
            bool is_with = info->at[info->at[at].next].op == MP_OP_WITH_EXCEPT_START;
            if (is_with ? depth < 1
                              || !exit_sets_back(mp_frame_stack_borrow(s->f, depth - 1))
                        : !is_finally(s->f, info, at)) {
                return true;
            }
        }
        i = next_reraise(info, at);
        if (i < 0) {
            return true;
        }
    }
    return true;
}

bool
mp_shadow_catches(const mp_shadow *s)
{
    return s->caught
           || (s->info != NULL && s->pending >= 0
               && PyBytes_GET_SIZE(s->info->code->co_exceptiontable) > 0
               && frame_catches(s, s->pending));
}
