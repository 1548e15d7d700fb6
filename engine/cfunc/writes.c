/* cfunc/writes.c - rules for C functions that change an object or the state of the
 * process.
 *
 * A rule runs before the C function does.  It reads what the function will look at, so
 * that guards cover it, and notes the write in the journal (`mp_write_...`), so that a
 * hit can repeat it and a discarded recording can undo it.  A write that cannot be
 * undone or repeated aborts instead.
 *
 * Four groups: contents of containers (`list.sort`, `dict.update`, `set.pop`), items and
 * attributes (`setattr`), context variables, and what is refused or does nothing. */
#include "cfunc/cfunc.h"
#include "objects/rows.h"
#include "python/python.h"
#include "read/read.h"

/* -- Contents ----------------------------------------------------------------------------------- */

/* Does the call change the whole content of obj, and nothing but that?  A function may be
 * called with anything; what pop() takes from a set must be a constant. */
static bool
has_content(mp_trace *T, PyObject *callee, PyObject *obj)
{
    if (mp_method_owner(callee) == NULL) {
        return PyList_Check(obj);
    }
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    return !mp_does(callee, MP_TRAIT_WANDERS) || (n != NULL && n->kind == MP_NODE_FRESH)
           || mp_set_is_constant(obj);
}

/* Aborts unless the call changes a content that the journal can describe. */
static mp_rc
check_content(mp_trace *T, const mp_call *c)
{
    return c->nargs > 0 && has_content(T, c->callee, c->args[0])
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(c->callee));
}

/* OrderedDict.__init__ fills a new dict through its class's __setitem__: if that is a
 * function, its frames say what is written. */
static mp_rc
fill_by_setitem(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done)
{
    PyObject *const *args = c->args;
    PyObject *setitem = NULL;
    bool has_tensor = false;
    *done = false;
    if (!(c->traits & MP_TRAIT_SET_ITEMS) || !PyODict_Check(args[0])
        || PyODict_CheckExact(args[0])) {
        return MP_OK;
    }
    mp_rc rc = mp_special(T, args[0], "__setitem__", &setitem);
    mp_node *self = mp_refgraph_find(&T->graph, args[0]);
    *done = rc == MP_OK && setitem != NULL && PyFunction_Check(setitem) && self != NULL
            && self->kind == MP_NODE_FRESH
            && (c->nargs == 1 || (c->nargs == 2 && PyDict_CheckExact(args[1])));
    if (!*done) {
        return rc;  // what else calls a function from there breaks at its frame
    }
    s->below = MP_BELOW_WATCH;
    return mp_read_args(T, args + 1, c->count - 1, false, &has_tensor);
}

/* The write itself: reads the arguments (`eval`: also what their methods do), then notes
 * the new content of args[0]. A set notes the operation instead of its content, because
 * the order of a set is not data. */
static mp_rc
fill_content(mp_trace *T, mp_shadow *s, const mp_call *c, bool eval)
{
    PyObject *const *args = c->args;
    mp_val n;
    bool has_tensor = false;
    bool done = false;
    mp_rc rc = mp_value(T, args[0], &n);
    rc = rc != MP_OK ? rc : fill_by_setitem(T, s, c, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = eval ? mp_eval_args(T, s, c)
              : mp_read_args(T, args + 1, c->count - 1, false, &has_tensor);
    if (rc == MP_OK && PyDict_Check(args[0])) {
        rc = mp_look_into(T, s, mp_callee_name(c->callee), args + 1, c->nargs - 1);
    }
    if (rc == MP_OK && (c->traits & MP_TRAIT_WANDERS) != 0) {
        rc = mp_note_set_order(T, args[0]);
    }
    if (rc == MP_OK && PySet_Check(args[0])) {
        return mp_write_set_by(T, n.node, c);
    }
    for (Py_ssize_t i = 1; i < c->nargs && rc == MP_OK; i++) {
        rc = mp_note_set_order(T, args[i]);
    }
    rc = rc != MP_OK ? rc : mp_write_content(T, n.node);
    for (Py_ssize_t i = 0; i < c->nargs && rc == MP_OK && !eval; i++) {
        rc = mp_box_in_place(T, args[i]);
    }
    bool hides = (c->traits & MP_TRAIT_KEYS_NOW) != 0 && PyList_Check(args[0]);
    return rc == MP_OK && hides ? mp_unbox_in_place(T, args[0]) : rc;
}

/* The body of the two rules below: check, fill, and note the hashing that the function
 * does. */
static mp_rc
change_content(mp_trace *T, mp_shadow *s, const mp_call *c, bool eval)
{
    mp_rc rc = check_content(T, c);
    if (rc != MP_OK) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    s->through_c = true;
    rc = fill_content(T, s, c, eval);
    return rc != MP_OK ? rc
                       : mp_note_hashing(T, s, c->callee, c->args + 1, c->count - 1);
}

/* list.extend. */
mp_rc
mp_rule_extend(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    mp_rc rc = check_content(T, c);
    rc = rc != MP_OK ? rc : mp_value(T, c->args[0], &n);
    if (rc != MP_OK || c->count != 2 || mp_val_is_constant(n)
        || !mp_extends_by_items(c->args[0], c->args[1])) {
        return rc != MP_OK ? rc : change_content(T, s, c, false);
    }
    mp_val more;
    rc = mp_value_items(T, c->args[1], &more);
    return rc != MP_OK ? rc : mp_write_extend(T, n.node, c->args[1]);
}

/* CONTENT: list.insert, set.add, dict.clear.  The arguments are read as data. */
mp_rc
mp_rule_content(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return change_content(T, s, c, false);
}

/* CONTENT_EVAL: list.sort, list.remove, bytearray's methods, heapq.  As CONTENT; the
 * function also compares items or calls a key, so code of the program may run inside it. */
mp_rc
mp_rule_content_eval(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return change_content(T, s, c, true);
}

/* CONTENT_PASS: list.insert, deque.append.  The arguments are stored without being
 * looked at. */
mp_rc
mp_rule_content_pass(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val self;
    mp_rc rc = check_content(T, c);
    if (rc != MP_OK) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;  // (of an index)
    rc = mp_value(T, c->args[0], &self);
    rc = rc != MP_OK ? rc : mp_pass_args(T, c->args + 1, c->count - 1);
    rc = rc != MP_OK || c->nargs < 3 ? rc : mp_prepare_instance(T, c->args[1]);
    rc = rc != MP_OK ? rc : mp_write_content(T, self.node);
    return rc != MP_OK ? rc : mp_box_in_place(T, c->args[0]);
}

/* _collections._count_elements(mapping, iterable), the loop of collections.Counter. */
mp_rc
mp_rule_count(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    if (c->nargs != 2) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(c->callee));
    }
    mp_call items = mp_call_make(c->callee, c->args + 1, c->nargs - 1, c->kwnames);
    mp_call counts = mp_call_make(c->callee, c->args, 1, NULL);
    mp_rc rc = mp_eval_args(T, s, &items);
    return rc != MP_OK ? rc : fill_content(T, s, &counts, false);
}

/* list.append, deque.append: one more item at the end. */
mp_rc
mp_rule_append(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    mp_rc rc = mp_value(T, c->args[0], &n);
    rc = rc != MP_OK ? rc : mp_pass_all(T, c->args + 1, c->nargs - 1);
    return rc == MP_OK && c->nargs == 2 && !mp_val_is_constant(n)
               ? mp_write_append(T, n.node)
               : rc;
}

/* -- Items and attributes ------------------------------------------------------------------------- */

/* operator.setitem, list.__setitem__ and the like: as the statement x[k] = v. */
mp_rc
mp_rule_setitem(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *value = c->nargs > 2 ? c->args[2] : NULL;
    mp_rc rc =
        c->nargs < 2 ? MP_OK : mp_record_setitem(T, s, c->args[0], c->args[1], value);
    s->post = s->owns_op ? MP_POST_OP : MP_POST_RESULT;
    return rc;
}

/* setattr, delattr: *fits tells whether it is called with a name. */
static mp_rc
check_setattr(mp_trace *T, const mp_call *c, bool *fits)
{
    *fits = c->nargs >= 2 && PyUnicode_Check(c->args[1]);  // if not: TypeError
    return *fits ? mp_check_attr_name(T, c->args[1]) : MP_OK;
}

/* setattr(x, name, value) and delattr(x, name): as the statements. */
mp_rc
mp_rule_setattr(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool fits;
    mp_rc rc = check_setattr(T, c, &fits);
    PyObject *value = c->nargs > 2 ? c->args[2] : NULL;
    return rc != MP_OK || !fits
               ? rc
               : mp_record_setattr(T, s, c->args[0], c->args[1], value);
}

/* object.__setattr__(x, name, value): skips the class's own __setattr__. */
mp_rc
mp_rule_generic_setattr(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool fits;
    mp_rc rc = check_setattr(T, c, &fits);
    PyObject *value = c->nargs > 2 ? c->args[2] : NULL;
    return rc != MP_OK || !fits
               ? rc
               : mp_record_generic_setattr(T, s, c->args[0], c->args[1], value);
}

/* -- Context variables ------------------------------------------------------------------------------ */

/* The variable and what it is called with become known; *n stays NULL if the run made it. */
static mp_rc
know_context(mp_trace *T, const mp_call *c, mp_node **n)
{
    mp_rc rc = mp_know_all(T, c->args + 1, c->nargs - 1);
    rc = rc != MP_OK ? rc : mp_load_const(T, c->args[0]);
    mp_val var;
    rc = rc != MP_OK ? rc : mp_value(T, c->args[0], &var);
    *n = rc == MP_OK && var.node->reg >= 0 ? var.node : NULL;
    return rc;
}

/* ContextVar.get: guards the value, unless the recording has set it itself. */
mp_rc
mp_rule_context_get(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_node *n = NULL;
    mp_rc rc = know_context(T, c, &n);
    return rc != MP_OK || n == NULL ? rc : mp_read_context(T, c->args[0], n, false);
}

/* The newest entry of the journal that set the variable, and was not undone. */
static mp_write *
newest_set(mp_trace *T, const mp_node *var)
{
    for (int i = T->n_writes; i-- > 0;) {
        mp_write *w = &T->writes[i];
        if (w->kind == MP_W_CONTEXT && w->node == var && !w->dead) {
            return w;
        }
    }
    return NULL;
}

/* ContextVar.set.  A hit repeats it after the graph.  `n->appended` says that the
 * recording has set the variable and not set it back; reads then take the recording's
 * own value. */
mp_rc
mp_rule_context_set(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_node *n = NULL;
    mp_rc rc = know_context(T, c, &n);
    if (rc != MP_OK || n == NULL) {
        return rc;
    }
    if (c->nargs != 2 || c->kwnames != NULL) {
        return MP_OK;  // TypeError, and nothing is set
    }
    if (T->trial) {  // it would stay set where the trial is given up
        return mp_trace_abort(T, MP_AB_MUTATION, "in a trial");
    }
    if (n->rewritten) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a ContextVar that was set back");
    }
    n->appended = true;
    s->post = MP_POST_TOKEN;
    return mp_write_late(T, MP_W_CONTEXT, n, NULL);
}

/* The token of a set is known only after the call: it completes the journal's newest
 * entry. */
mp_rc
mp_post_token(mp_trace *T, PyObject *token)
{
    assert(PyContextToken_CheckExact(token) && T->n_writes > 0);
    mp_write *w = &T->writes[T->n_writes - 1];
    assert(w->kind == MP_W_CONTEXT && w->index == 0);
    w->index = (Py_ssize_t)token;
    PyObject *old = mp_token_old_borrow(token);
    if (old != NULL && !mp_is_constant(old)) {
        T->lets_go = true;  // nothing else may hold it, and the token dies, too
    }
    else {
        w->key =
            Py_NewRef(token);  // nobody notices; its count tells whether it lives on
    }
    return mp_refgraph_add_fresh(&T->graph, token) == NULL ? MP_ERR : MP_OK;
}

/* ContextVar.reset with a token from before the call.  A guard tests that the token is
 * unused and of this variable; the old value is loaded from it. */
static mp_rc
context_back(mp_trace *T, mp_node *var, mp_node *token)
{
    PyObject *obj = token->obj, *old = mp_token_old_borrow(obj);
    if (var->appended || var->rewritten || !mp_token_is_of_here(obj)) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a ContextVar that was set before");
    }
    mp_rc rc = mp_test(T, MP_G_TOKEN, token, var->obj, old != NULL);
    if (rc == MP_OK && old != NULL) {
        rc = mp_load(T, MP_G_LOAD_FIELD, token->reg, NULL, MP_F_TOKEN_OLD, old);
    }
    if (rc == MP_OK) {
        var->rewritten = true;
        rc = mp_write_late(T, MP_W_CONTEXT_BACK, token, var->obj);
    }
    return rc;
}

/* ContextVar.reset.  A token of this recording cancels the entry of its set, which must
 * be the newest that is left; an older token goes to context_back. */
mp_rc
mp_rule_context_reset(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_node *n = NULL;
    mp_rc rc = know_context(T, c, &n);
    if (rc != MP_OK || n == NULL) {
        return rc;
    }
    PyObject *token = c->nargs == 2 ? c->args[1] : NULL;
    if (token == NULL || !PyContextToken_CheckExact(token)
        || mp_token_var_borrow(token) != c->args[0] || mp_token_is_used(token)) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a ContextVar with another token");
    }
    mp_val v;
    rc = mp_value(T, token, &v);
    if (rc != MP_OK || mp_val_is_external(v)) {
        return rc != MP_OK ? rc
               : T->trial  ? mp_trace_abort(T, MP_AB_MUTATION, "in a trial")
                           : context_back(T, n, v.node);
    }
    mp_write *w = newest_set(T, n);
    if (w == NULL || w->index != (Py_ssize_t)token) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a ContextVar that was set before");
    }
    w->dead = true;
    n->appended = newest_set(T, n) != NULL;
    return MP_OK;
}

/* -- What is refused, or does nothing --------------------------------------------------------------- */

/* acquire and release of a lock: allowed only for the lock of a functools cache. */
mp_rc
mp_rule_lock(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    bool takes = (c->traits & MP_TRAIT_TAKES) != 0;
    return mp_is_cache_lock(s, c->args[0])
               ? mp_take_lock(T, s, c->args[0], takes)
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_callee_name(c->callee));
}

/* REFUSE, HIDDEN: functions whose effect can be neither delayed nor undone. */
mp_rc
mp_rule_refuse(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s", mp_callee_name(c->callee));
}

/* REFERENCES: sys.getrefcount, object.__hash__, object.__repr__. They show a reference
 * count or an address, which a recording changes; the next segment of the frame would,
 * too. */
mp_rc
mp_rule_references(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    T->whole_only = true;  // the next segment would hold references again
    return mp_rule_refuse(T, s, c);
}
