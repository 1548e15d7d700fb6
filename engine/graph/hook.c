/* graph/hook.c - hooks that the run sets on tensors and on nodes of the autograd graph.
 *
 * No operation of the graph does that: what is called in the backward pass may be a function
 * that the run has made.  So it is an effect, after the graph: torch's own method is called
 * with the real tensor and the real function, in the order of the program.  A node of the
 * autograd graph (`t.grad_fn`) is read from the real tensor then.
 *
 * R: in between, the tensor must keep its place in the autograd graph: it is not written.
 * R: nothing but these methods is asked of a node or a handle: what else they tell is another
 *    number in each call, or the state of a backward pass.
 * R: a compiler hides the tensors between operations, whose hooks would never be called; so
 *    such a graph runs as recorded (`tapped`, src/magpy/policy.py). */
#include "graph/graph.h"

#include "objects/operators.h"

/* The run must be the program's own, and its gradients those of the caller. */
static bool
may_hook(const mp_trace *T)
{
    return !T->trial && T->inside == 0 && T->apply.cls == NULL && T->n_levels == 0;
}

const mp_hook *
mp_hook_find(const mp_trace *T, PyObject *made)
{
    for (int32_t i = 0; i < T->n_hooks; i++) {
        if (T->hooks[i].made == made) {
            return &T->hooks[i];
        }
    }
    return NULL;
}

static void
hook_clear(mp_hook *h)
{
    Py_CLEAR(h->owner);
    Py_CLEAR(h->method);
    Py_CLEAR(h->function);
    Py_CLEAR(h->made);
}

void
mp_hooks_drop(mp_trace *T)
{
    while (T->n_hooks > 0) {
        hook_clear(&T->hooks[--T->n_hooks]);
    }
    PyMem_Free(T->hooks);
    T->hooks = NULL;
    T->cap_hooks = 0;
}

static mp_rc
hook_add(mp_trace *T, PyObject *owner, PyObject *method, PyObject *function)
{
    if (mp_grow(&T->hooks, &T->cap_hooks, T->n_hooks + 1, sizeof(*T->hooks)) < 0) {
        return MP_ERR;
    }
    T->hooks[T->n_hooks++] = (mp_hook){
        .owner = Py_NewRef(owner),
        .method = Py_XNewRef(method),
        .function = Py_XNewRef(function),
        .version = mp_tensor_is_any(owner) ? mp_tensor_version(owner) : -1,
        .at = T->graph.at,
    };
    return MP_OK;
}

/* A tensor that requires gradients, and can be told from all others in a hit. */
static bool
takes_hooks(mp_trace *T, PyObject *owner, PyObject *method)
{
    const mp_node *n = mp_refgraph_find(&T->graph, owner);
    if (!is_tensor_node(n)) {
        const mp_hook *node = mp_hook_find(T, owner);
        return node != NULL && node->method == NULL;
    }
    bool leaf = mp_tensor_is_leaf(owner) == 1;
    if (n->odd || n->restated || !mp_tensor_requires_grad(owner)) {
        return false;
    }
    if (mp_is_known(method, MP_K_POST_ACCUMULATE)) {
        return leaf;
    }
    // What a tensor from outside retains could not be taken back.
    return !mp_is_known(method, MP_K_RETAIN_GRAD) || n->reg < 0;
}

bool
mp_hook_takes(mp_trace *T, PyObject *method, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    Py_ssize_t expected = mp_is_known(method, MP_K_RETAIN_GRAD) ? 1 : 2;
    return may_hook(T) && kwnames == NULL && nargs == expected
           && takes_hooks(T, args[0], method);
}

mp_rc
mp_hook_begin(mp_trace *T, mp_shadow *s, PyObject *method, PyObject *const *args,
              Py_ssize_t nargs)
{
    PyObject *leaf = NULL;
    mp_node *n = mp_refgraph_find(&T->graph, args[0]);
    mp_rc rc = is_tensor_node(n) && n->reg < 0 ? mp_op_value(T, n, &leaf) : MP_OK;
    Py_XDECREF(leaf);
    rc = rc != MP_OK || nargs < 2 ? rc : mp_pass(T, args[1]);
    rc = rc != MP_OK ? rc : hook_add(T, args[0], method, nargs < 2 ? NULL : args[1]);
    s->below = MP_BELOW_SKIP;
    s->post = MP_POST_HOOK;
    return rc;
}

bool
mp_hook_can_read(mp_trace *T, PyObject *owner, const mp_node *n)
{
    return may_hook(T) && is_tensor_node(n) && n->reg < 0 && !n->odd && !n->restated
           && mp_tensor_is_leaf(owner) == 0;
}

mp_rc
mp_hook_read(mp_trace *T, mp_shadow *s, PyObject *owner)
{
    s->post = MP_POST_HOOK;
    return hook_add(T, owner, NULL, NULL);
}

/* The handle, the node, or None. */
mp_rc
mp_post_hook(mp_trace *T, PyObject *made)
{
    assert(T->n_hooks > 0);
    mp_hook *h = &T->hooks[T->n_hooks - 1];
    if (h->method == NULL && mp_hook_find(T, made) != NULL) {  // the same node again
        hook_clear(h);
        T->n_hooks--;
        return MP_OK;
    }
    assert(h->made == NULL);
    h->made = Py_NewRef(made);
    return made == Py_None ? MP_OK : mp_fresh(T, made);
}

mp_rc
mp_hook_check_attr(mp_trace *T, PyObject *owner, PyObject *name)
{
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(owner), name);
    int flags = found == NULL ? 0 : mp_op_flags_of(found);
    return flags == MP_TORCH_HOOKS || flags == MP_TORCH_NODE
               ? MP_OK
               : mp_trace_abort(T, MP_AB_TENSOR_STATE, "attribute %U of a %s", name,
                                mp_type_name(owner));
}

/* Has the run given the tensor another place in the autograd graph since? */
static bool
was_moved(mp_trace *T, const mp_hook *h)
{
    const mp_node *n = mp_refgraph_find(&T->graph, h->owner);
    return is_tensor_node(n)
           && (n->restated || mp_tensor_version(h->owner) != h->version);
}

mp_rc
mp_hooks_check(mp_trace *T)
{
    for (int32_t i = 0; i < T->n_hooks; i++) {
        const mp_hook *h = &T->hooks[i];
        bool moved = was_moved(T, h);
        if (moved || (h->method != NULL && h->made == NULL)) {
            mp_blame(T, h->at);
            return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s",
                                  moved ? "a tensor with a hook is written"
                                        : "a hook that cannot be set");
        }
    }
    return MP_OK;
}

bool
mp_hooks_tap(mp_trace *T)
{
    bool taps = false;
    for (int32_t i = 0; i < T->n_hooks && !taps; i++) {
        const mp_node *n = mp_refgraph_find(&T->graph, T->hooks[i].owner);
        taps = !is_tensor_node(n) || n->reg < 0 || n->changed;
    }
    return taps;
}
