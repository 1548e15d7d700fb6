/* graph/graph.h - tensor operations in order. */
#ifndef MP_GRAPH_H
#define MP_GRAPH_H

#include "plan/plan.h"
#include "trace/trace.h"

/* A handler of the program needs the state that eager has there: does the run write, and
 * catch, by now? */
static inline void
mp_op_note_clash(mp_trace *T)
{
    if (T->wrote_input && T->op_ended && T->clash.code < 0) {
        T->clash = T->graph.at;
    }
}

/* -- apply.c ----------------------------------------------------------------------- */

mp_rc mp_apply_begin(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_apply_end(mp_trace *T, PyObject *result);
/* Is this function watched below the call in progress?  Is this its context? */
bool mp_apply_watches(mp_trace *T, const mp_shadow *caller, PyObject *func);
bool mp_apply_is_context(mp_trace *T, PyObject *obj);
/* Without a graph of gradients, apply() is what `forward` does: the frame below `caller` that
 * ends may be that one; then the call itself. */
void mp_apply_note_answer(mp_shadow *caller, const mp_shadow *left, PyObject *answer);
mp_rc mp_apply_end_inline(mp_trace *T, mp_shadow *s, PyObject *result);
/* MP_TORCH_NOTE, if this is the context of the call in progress, which a hit makes anew;
 * any other context is an ordinary object.  Other flags stay. */
int mp_apply_note_flags(mp_trace *T, int flags, PyObject *context);
/* context.mark_dirty(*tensors) */
int mp_apply_note_dirty(mp_trace *T, PyObject *context, PyObject *const *tensors,
                        Py_ssize_t count);
/* May an operation in its `forward` take this tensor? */
bool mp_apply_may_use(mp_trace *T, PyObject *tensor, const mp_node *n);
mp_rc mp_apply_refuse_input(mp_trace *T);
/* `a is b` in its `forward`, which a hit may run with copies of lists. */
mp_rc mp_apply_refuse_is(mp_trace *T, PyObject *a, PyObject *b);
/* The call in progress becomes the pending operation again. */
void mp_apply_take_back(mp_trace *T);

/* -- flags.c ----------------------------------------------------------------------- */

bool mp_op_holds_tensor(PyObject *obj, bool nested_only);
bool mp_op_index_is_dynamic(PyObject *key);
int mp_op_resolve_flags(int flags, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);

/* -- handlers.c -------------------------------------------------------------------- */

/* If the instruction in progress raised: could a handler of the program end the exception,
 * or raise another? */
bool mp_shadow_catches(const mp_shadow *s);
/* The pending operation runs in the frame of s. */
void mp_op_note_caught(mp_trace *T, const mp_shadow *s);

/* -- hook.c ------------------------------------------------------------------------ */

/* Does a hit know what this method of a tensor or a node (row HOOKS) is called with?  It is
 * about to be called. */
bool mp_hook_takes(mp_trace *T, PyObject *method, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_hook_begin(mp_trace *T, mp_shadow *s, PyObject *method, PyObject *const *args,
                    Py_ssize_t nargs);
/* owner.grad_fn is about to be read: of such a tensor? */
bool mp_hook_can_read(mp_trace *T, PyObject *owner, const mp_node *n);
mp_rc mp_hook_read(mp_trace *T, mp_shadow *s, PyObject *owner);
mp_rc mp_post_hook(mp_trace *T, PyObject *made);
/* What made this handle or node; NULL: it is none of the run's. */
const mp_hook *mp_hook_find(const mp_trace *T, PyObject *made);
/* An attribute of one is read. */
mp_rc mp_hook_check_attr(mp_trace *T, PyObject *owner, PyObject *name);
/* The run is over: can a hit set them after the graph? */
mp_rc mp_hooks_check(mp_trace *T);
/* Is one set on a tensor that the graph makes? */
bool mp_hooks_tap(mp_trace *T);
void mp_hooks_drop(mp_trace *T);

/* -- late.c ------------------------------------------------------------------------ */

/* May an operation make a late value here? */
bool mp_late_may(const mp_trace *T);
/* May one be made of others?  truth: a bool. */
bool mp_late_may_compute(const mp_trace *T, bool truth);
/* The instruction answers callee(*args), a late value; name: what the log calls it, if that is
 * a method.  raises: it may raise in a hit.  The caller knows that the type of the answer is
 * the same in each run. */
mp_rc mp_late_begin(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *name,
                    PyObject *const *args, Py_ssize_t nargs, bool raises);
/* The same of a read of one tensor, by this callable: if it is one that is known. */
bool mp_late_can_read(mp_trace *T, PyObject *const *args, Py_ssize_t count);
mp_rc mp_late_read(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *tensor);
/* It has ended with this answer: its box, new. */
mp_rc mp_late_end(mp_trace *T, PyObject *answer, PyObject **box);
/* The operation in T->op, of this callable, takes late values. */
mp_rc mp_late_operand(mp_trace *T, PyObject *callee);
/* Does the instruction in progress ask for a truth of which one answer only raises? */
bool mp_late_may_expect(const mp_trace *T, const mp_shadow *s);
/* The tensor is about to decide a jump.  *done: where it says anything else the program raises
 * (`assert t.all()`), so the graph tests it; if it fails, the program itself runs. */
mp_rc mp_late_expect(mp_trace *T, mp_shadow *s, PyObject *tensor, bool *done);
/* Position -> (may it raise?, does the graph write to anything later?): new dict. */
PyObject *mp_late_note(mp_trace *T);

/* -- leaf.c ------------------------------------------------------------------------ */

/* Would t.requires_grad_(...) with these arguments leave t as it is? */
bool mp_keeps_requires_grad(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* An attribute of a tensor is set, or with NULL deleted.  Not *done: it is one that the
 * program keeps in the tensor's dict. */
mp_rc mp_record_tensor_store(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                             PyObject *name, PyObject *value, bool *done);
/* Attributes of a tensor that tell of the autograd graph; aborts on all others. */
mp_rc mp_record_leaf_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                          PyObject *name);

/* -- levels.c ----------------------------------------------------------------------- */

/* A callable with these flags is about to run, and has run. */
mp_rc mp_level_begin(mp_trace *T, int flags);
void mp_level_end(mp_trace *T, int flags);
/* May the graph end here?  May it hand out this tensor? */
mp_rc mp_check_levels(mp_trace *T);
mp_rc mp_check_leaving(mp_trace *T, PyObject *tensor);

/* -- names.c ----------------------------------------------------------------------- */

/* What the log calls the callee: its name, if the class of the first argument leads from
 * that to it.  Guards all that running it again looks up by name.  *target: new. */
mp_rc mp_op_call_name(mp_trace *T, PyObject *callee, PyObject *const *args,
                      Py_ssize_t nargs, PyObject **target);
/* A frame of the library runs unwatched below an operation: its function stays, and what
 * its code finds in the globals and in modules that stand there. */
mp_rc mp_op_guard_frame(mp_trace *T, mp_frame *f);

/* -- odd.c ------------------------------------------------------------------------- */

/* Python asks for metadata of obj: if it is an odd tensor, all that its answer depends on is
 * guarded, and s->below says what may run. */
mp_rc mp_odd_ask(mp_trace *T, mp_shadow *s, PyObject *obj);
/* The pending operation takes an odd tensor; it has run. */
mp_rc mp_odd_begin(mp_trace *T, mp_shadow *s);
mp_rc mp_odd_end(mp_trace *T);

/* -- oplog.c ----------------------------------------------------------------------- */

bool mp_grad_is_enabled(void);
/* A tensor operation is about to run: log it with its argument trees. */
mp_rc mp_op_begin(mp_trace *T, mp_shadow *s, PyObject *target, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, int flags);
/* What stands for a part of the program in a profiler: the same object in each hit. */
mp_rc mp_post_label(mp_trace *T, PyObject *handle);
/* Take the argument trees of an operation: the first half of mp_op_begin. */
mp_rc mp_op_take(mp_trace *T, PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames, int flags);
mp_rc mp_op_end(mp_trace *T, PyObject *result);
/* The same; wrote: it is known that it wrote to a tensor. */
mp_rc mp_op_end_written(mp_trace *T, PyObject *result, bool wrote);
/* An operation that has run already, with its argument tree. */
mp_rc mp_op_log(mp_trace *T, PyObject *target, PyObject *args, bool dynamic,
                PyObject *result);
PyObject *mp_op_target_name(PyObject *target);  // new str, or NULL with an exception
void mp_op_drop(mp_trace *T);
mp_rc mp_tensor_observe(mp_trace *T, PyObject *tensor);
/* An object of a class in Python, which a row may ask for anything? */
bool mp_op_asks_object(PyObject *arg);

/* -- tree.c ------------------------------------------------------------------------ */

/* One argument as the graph takes it; *tree is NULL before, and unless it is MP_OK. */
mp_rc mp_op_tree(mp_trace *T, PyObject *obj, PyObject **tree);
/* The Value of a tensor: new reference.  An input of the graph gets its number when an
 * operation uses it first. */
mp_rc mp_op_value(mp_trace *T, mp_node *tensor, PyObject **leaf);

/* -- numbers.c --------------------------------------------------------------------- */

/* The numbers that the arguments of the log need. */
typedef struct mp_graph_numbers {
    int32_t *given;  // numbers that are inputs of the graph, behind its tensors
    int n_given;
    PyObject *rows;  // owned dict: what each number is (notes["numbers"])
} mp_graph_numbers;

/* Graph and inputs of the plan, from the log. */
mp_rc mp_graph_spec(mp_trace *T, PyObject *outputs, mp_plan *plan);
/* numbers: what the graph is given besides its tensors; of mp_graph_spec. */
PyObject *mp_op_spec(mp_trace *T, PyObject *outputs, const mp_graph_numbers *numbers);
/* Notes of a graph with symbols (src/magpy/graph.py): 0 / -1. */
int mp_graph_note_numbers(mp_trace *T, const mp_graph_numbers *numbers,
                          PyObject *notes);
/* (sizes, strides, dtype, layout, device) of an input that lives, as it was when it was
 * loaded: new tuple; NULL without an exception: it must be looked at. */
PyObject *mp_graph_known(mp_trace *T, const mp_node *tensor);
/* Its layout as src/magpy/shapes/world.py takes it; NULL without an exception: closed. */
PyObject *mp_graph_layout(mp_trace *T, const mp_node *tensor);

/* Row of a number as src/magpy/shapes/recorder.py takes it: new tuple. */
PyObject *mp_graph_number_row(mp_trace *T, int32_t number);

/* -- selection.c ------------------------------------------------------------------- */

/* What is known of a tensor whose sizes depend on data: (sizes, all), new; NULL without an
 * exception: nothing. */
PyObject *mp_selection_ask(mp_trace *T, mp_node *n);
/* Is its metadata the same for all data?  Then it is not `dynamic` any more. */
mp_rc mp_selection_settle(mp_trace *T, mp_node *n);
/* The run has its first tensor of this kind. */
mp_rc mp_selection_begin(mp_trace *T);
/* The pending operation: into how many tensors it splits a selection must be known before it
 * runs; and when it has run, whether it has answered with its operand. */
mp_rc mp_selection_check(mp_trace *T);
mp_rc mp_selection_check_result(mp_trace *T, PyObject *result, bool has_old);
/* -- region.c ---------------------------------------------------------------------- */

/* torch.cond and the like are about to be called. */
mp_rc mp_region_begin(mp_trace *T, mp_shadow *s, PyObject *callee,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* The call has ended: an operation with these bodies. */
mp_rc mp_region_end(mp_trace *T, PyObject *result);
/* A body begins, on `fresh`, the new tensors among its arguments; it has ended. */
mp_rc mp_body_begin(mp_trace *T, mp_shadow *s, mp_region *r, PyObject *fresh);
mp_rc mp_body_end(mp_trace *T, mp_region *r, PyObject *result);
/* Its tensors are not the run's. */
void mp_body_forget(mp_trace *T);
/* A region within those in progress: new reference. */
mp_region *mp_region_new(mp_trace *T, PyObject *callee);
/* Did it make this object? */
bool mp_body_made(const mp_trace *T, const mp_node *n);
/* The segment has ended: nobody continues the regions in progress. */
void mp_region_drop(mp_trace *T);
int mp_region_setup(PyObject *setup);  // magpy.regions; 0 / -1
PyObject *mp_region_module_borrow(void);

/* -- branch.c ---------------------------------------------------------------------- */

/* A jump is decided by a tensor: can it be a branch of the graph?  Aborts if not. */
mp_rc mp_branch_begin(mp_trace *T, mp_shadow *s, PyObject *tensor);
/* With control_flow: a tensor whose value the recording does not know. */
bool mp_is_undecided(mp_trace *T, PyObject *obj);
/* The instruction asks for the truth of a tensor, as a call of bool() does: is what it answers
 * tested at once, and nothing else? */
bool mp_branch_is_tested(const mp_shadow *s);
/* May a branch begin in this frame, at this time? */
bool mp_branch_may_begin(const mp_trace *T, const mp_shadow *s);
/* An arm writes to a tensor that was there before it, or shares memory with one. */
mp_rc mp_arm_write(mp_trace *T, PyObject *tensor);
/* An arm begins, in the frame of s; what it has logged, when it has ended. */
void mp_arm_begin(mp_trace *T, mp_region *r, bool trial);
/* The arm that is not taken is at its end: remember what its frame holds. */
mp_rc mp_arm_arrive(mp_trace *T, mp_shadow *s, mp_region *r, int index);
/* The other one, too: the branch becomes an operation. */
mp_rc mp_branch_join(mp_trace *T, mp_shadow *s, mp_region *r, int index);
/* The innermost branch, if the frame of s is at the end of an arm. */
mp_region *mp_branch_at(const mp_trace *T, const mp_shadow *s, int index);

/* -- shape.c ----------------------------------------------------------------------- */

/* The last input is new: what is asked of it later is noted now, since it may die. */
mp_rc mp_shape_tell_input(mp_trace *T);
/* Ask the recorder of sizes: its answer, new; NULL, without an exception if it cannot be
 * asked. */
PyObject *mp_shape_ask(mp_trace *T, const char *question, PyObject *what);
/* `x.shape`, `len(x)` of a tensor whose sizes follow from symbols. */
mp_rc mp_shape_attr(mp_trace *T, mp_shadow *s, mp_node *n);
mp_rc mp_shape_ndim(mp_trace *T, mp_shadow *s, mp_node *n);
mp_rc mp_shape_len(mp_trace *T, mp_shadow *s, mp_node *n);
/* The tensor is iterated over: how many rows it has must be known. */
mp_rc mp_shape_rows(mp_trace *T, mp_node *n);
/* x.size(), x.size(0), x.numel(), x.dim() ...; *done: false if it is another function. */
mp_rc mp_shape_call(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *kwnames, bool *done);
/* The new torch.Size: its items become symbols. */
mp_rc mp_shape_result(mp_trace *T, PyObject *shape);

/* -- writes.c ---------------------------------------------------------------------- */

/* Has the operation that just ended written to an argument?  has_old: it answered with a
 * tensor that was known. */
bool mp_op_mutated(mp_trace *T, bool has_old);
/* The tensor is a new result of the operation: is its memory that of an argument, with a
 * version counter of its own? */
void mp_op_note_alias(mp_trace *T, PyObject *result);
/* May the pending operation raise for the values of its tensors? */
bool mp_op_may_raise(const mp_trace *T);
/* The operation that just ended: it may raise in a hit. */
void mp_op_note_raises(mp_trace *T);
/* Refuse a graph whose writes to inputs could not be put back where they must be. */
mp_rc mp_check_writes(mp_trace *T);
/* The operation in T->op must write to nothing that was there before (graph/writes.c). */
mp_rc mp_op_check_trial(mp_trace *T);

#endif
