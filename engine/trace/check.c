/* trace/check.c - do the recorder's parts agree? See trace/check.h and
 * trace/invariants.def.
 *
 * A check reads only: it runs no Python, raises nothing, and allocates outside of
 * Python's allocators, so a build that checks records what any other build records.
 * Without memory for its notes a full check looks at less.
 *
 * An invariant that does not hold is a bug of the engine: the process stops and names
 * the invariant, before wrong guards or effects are made of it.
 *
 * Each check_... function below belongs to one part of invariants.def.  Checks with
 * `from` look at what was added since the last check; the others look at everything. */
#include "trace/check.h"

#if !defined(NDEBUG) || defined(MP_TESTING)

#include <stdlib.h>
#include <string.h>

#include "guard/plant.h"
#include "plan/value.h"
#include "trace/plant.h"

typedef enum { LEVEL_UNSET, LEVEL_OFF, LEVEL_SAMPLED, LEVEL_FULL } check_level_t;

enum { TUPLE_DEPTH = 16, SAMPLE_EVERY = 256 };

/* How much is checked: MP_TRACE_CHECK, or else what the build says. */
static check_level_t
check_level(void)
{
    static check_level_t level;
    if (level == LEVEL_UNSET) {
        const char *text = getenv("MP_TRACE_CHECK");
#ifdef NDEBUG
        level = LEVEL_OFF;
#else
        level = LEVEL_SAMPLED;
#endif
        if (text != NULL && strcmp(text, "full") == 0) {  // mp-ok: a setting
            level = LEVEL_FULL;
        }
        if (text != NULL && strcmp(text, "off") == 0) {  // mp-ok: a setting
            level = LEVEL_OFF;
        }
    }
    return level;
}

/* -- Saying so ----------------------------------------------------------------------- */

/* Stop, and name the invariant; item: which element of the part. */
static void
broken(const mp_trace *T, mp_invariant id, int64_t item)
{
    static const char *const rows[][3] = {
#define INVARIANT(name, part, text) {#name, part, text},
#include "trace/invariants.def"
#undef INVARIANT
    };
    char text[512];
    PyOS_snprintf(
        text, sizeof(text),
        "invariant %s of the recorder's %s does not hold: %s (item %lld, after "
        "%lld instructions)",
        rows[id][0], rows[id][1], rows[id][2], (long long)item, (long long)T->n_instr);
    Py_FatalError(text);
}

static inline void
must(const mp_trace *T, mp_invariant id, int64_t item, bool holds)
{
    if (!holds) {
        broken(T, id, item);
    }
}

/* -- Guards and reference graph ------------------------------------------------------ */

static bool
is_load(int kind)
{
    return kind < MP_G_TYPE_IS;
}

/* GUARD_ORDER: a guard uses only registers that earlier ones have loaded. */
static void
check_guards(const mp_trace *T, int32_t from)
{
    const mp_guards *g = T->guards;
    for (int32_t i = from; i < g->n_ops; i++) {
        const mp_guard *op = &g->ops[i];
        int32_t read[] = {op->a, op->b};
        for (int k = 0; k < 2; k++) {
            must(T, MP_I_GUARD_ORDER, i,
                 read[k] >= -1 && read[k] < g->n_regs
                     && (read[k] < 0 || g->def[read[k]] < i));
        }
        must(T, MP_I_GUARD_ORDER, i,
             is_load(op->kind)
                 ? op->dst >= 0 && op->dst < g->n_regs && g->def[op->dst] == i
                 : op->dst == -1);
    }
}

/* NODE_...: what must hold of one node, by its kind. */
static void
check_node(const mp_trace *T, const mp_node *n, int32_t i)
{
    const mp_refgraph *g = &T->graph;
    switch ((mp_node_kind)n->kind) {
    case MP_NODE_EXTERNAL:
        must(T, MP_I_NODE_KIND, i, n->reg >= 0 && n->weak == NULL);
        break;
    case MP_NODE_FRESH:
        must(T, MP_I_NODE_KIND, i, n->reg == -1 && n->weak == NULL);
        break;
    case MP_NODE_TENSOR:
        must(T, MP_I_NODE_KIND, i, n->weak != NULL && (n->reg >= 0 || n->leaf != NULL));
        break;
    case MP_NODE_LATE:
        must(T, MP_I_NODE_KIND, i,
             n->reg == -1 && n->weak == NULL && n->leaf != NULL && n->number >= 0
                 && n->number < T->lates.n && T->lates.all[n->number].box == n->obj);
        break;
    case MP_NODE_SYMBOL:
        must(T, MP_I_NODE_KIND, i,
             n->reg == -1 && n->weak == NULL && n->number >= 0
                 && n->number < g->guards->numbers.n
                 && (PyLong_CheckExact(n->obj) || PyFloat_CheckExact(n->obj)));
        break;
    }
    if (n->reg >= 0) {
        const mp_guards *program = g->guards;
        must(T, MP_I_NODE_REGISTER, i,
             n->reg < program->n_regs
                 && program->ops[program->def[n->reg]].dst == n->reg
                 && (n->kind != MP_NODE_EXTERNAL
                     || (n->reg < g->cap_by_reg && g->by_reg[n->reg] == n)));
    }
    if (n->released) {
        must(T, MP_I_NODE_RELEASED, i,
             n->kind == MP_NODE_EXTERNAL && n->written == NULL && !n->rewritten
                 && !n->appended && mp_refgraph_at(g, n->obj) != n);
    }
    else if (n->kind == MP_NODE_EXTERNAL) {
        must(T, MP_I_NODE_FOUND, i, mp_refgraph_at(g, n->obj) == n);
    }
    int32_t children = 0;
    for (const mp_node *c = n->child; c != NULL; c = c->sibling) {
        must(T, MP_I_NODE_CHILDREN, i,
             ++children < g->n_nodes && c->kind == MP_NODE_EXTERNAL && c->reg >= 0
                 && g->guards->ops[g->guards->def[c->reg]].a == n->reg);
    }
}

static void
check_nodes(const mp_trace *T, int32_t from)
{
    for (int32_t i = from; i < T->graph.n_nodes; i++) {
        check_node(T, T->graph.nodes[i], i);
    }
}

/* SLOTS, SEEN, LOOSE: the tables of the reference graph find what they hold. */
static void
check_tables(const mp_trace *T)
{
    const mp_refgraph *g = &T->graph;
    uint32_t used = 0;
    for (uint32_t i = 0; i < g->n_slots; i++) {
        const struct mp_slot *slot = &g->slots[i];
        used += slot->obj != NULL;
        must(T, MP_I_SLOTS, i,
             slot->obj == NULL
                 || (mp_refgraph_at(g, slot->obj) == slot->node
                     && (slot->node == NULL || slot->node->obj == slot->obj)));
    }
    must(T, MP_I_SLOTS, used, used == g->used_slots && used * 2 <= g->n_slots + 1);
    used = 0;
    for (uint32_t i = 0; i < g->n_seen; i++) {
        const struct mp_seen *s = &g->seen[i];
        used += s->kind != 0;
        if (s->kind == 0 || !is_load(s->kind - 1) || s->a == -2) {
            continue;
        }
        bool in_range = s->reg >= 0 && s->reg < g->guards->n_regs;
        const mp_guard *op = in_range ? &g->guards->ops[g->guards->def[s->reg]] : NULL;
        must(T, MP_I_SEEN, i,
             in_range
                 && (mp_plant_is_set()
                     || (op->kind == s->kind - 1 && op->a == s->a
                         && op->obj == s->obj)));
    }
    must(T, MP_I_SEEN, used, used == g->used_seen && used * 2 <= g->n_seen + 1);
    must(T, MP_I_LOOSE, g->n_loose, g->n_loose <= g->cap_loose);
    int32_t external = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        external += g->nodes[i]->kind == MP_NODE_EXTERNAL;
    }
    must(T, MP_I_LOOSE, external, external <= g->cap_loose);
    for (int32_t i = 0; i < g->n_loose; i++) {
        must(T, MP_I_LOOSE, i,
             g->loose[i]->kind == MP_NODE_EXTERNAL && g->loose[i]->loose);
    }
}

enum { ASKS_TYPE = 1, ASKS_OBJECT = 2, ASKS_TENSOR = 4 };

/* What the guards ask of each register. */
static void
note_tests(const mp_trace *T, uint8_t *asked)
{
    const mp_guards *g = T->guards;
    for (int32_t i = 0; i < g->n_ops; i++) {
        const mp_guard *op = &g->ops[i];
        if (op->kind == MP_G_LOAD_CONST) {
            asked[op->dst] |= ASKS_OBJECT;
        }
        if (op->kind == MP_G_TYPE_IS) {
            asked[op->a] |= ASKS_TYPE;
        }
        if (op->kind == MP_G_TENSOR) {
            asked[op->a] |= ASKS_TENSOR;
        }
        if (op->kind == MP_G_IS) {
            const mp_node *n =
                op->a < T->graph.cap_by_reg ? T->graph.by_reg[op->a] : NULL;
            asked[op->a] |= ASKS_OBJECT;
            must(T, MP_I_NODE_PINNED, i, n == NULL || n->obj == op->obj);
        }
    }
}

/* NODE_GUARDED, NODE_PINNED: each external node is guarded as its kind needs.  With
 * planted holes (guard/plant.h) guards are missing on purpose. */
static void
check_asked(const mp_trace *T)
{
    uint8_t *asked = calloc((size_t)T->guards->n_regs + 1, 1);
    if (asked == NULL || mp_plant_is_set()) {
        free(asked);
        return;
    }
    note_tests(T, asked);
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->reg < 0) {
            continue;
        }
        must(T, MP_I_NODE_GUARDED, i,
             asked[n->reg]
                 & (n->kind == MP_NODE_TENSOR ? ASKS_TENSOR : ASKS_TYPE | ASKS_OBJECT));
        must(T, MP_I_NODE_PINNED, i, !n->pinned || (asked[n->reg] & ASKS_OBJECT));
    }
    free(asked);
}

/* -- Journal ------------------------------------------------------------------------- */

/* WRITE_PLACE: object and key fit the kind of the write. */
static bool
write_fits(const mp_write *w)
{
    PyObject *obj = w->node->obj;
    switch (w->kind) {
    case MP_W_KEY_SET:
    case MP_W_KEY_DEL:
        return w->key != NULL && PyDict_Check(obj);
    case MP_W_SLOT_SET:
    case MP_W_SLOT_DEL:
        return w->key != NULL && Py_IS_TYPE(w->key, &PyMemberDescr_Type);
    case MP_W_CELL:
        return w->key == NULL && PyCell_Check(obj);
    case MP_W_TYPE:
        return w->key != NULL && PyUnicode_Check(w->key) && PyType_Check(obj);
    case MP_W_APPEND:
        return w->key == NULL && PyList_Check(obj) && w->index >= 0;
    case MP_W_CACHED_HIT:
    case MP_W_CACHED_FILL:
        return w->key != NULL && mp_is_cached(obj);
    case MP_W_CACHED_MISS:
        return w->key == NULL && mp_is_cached(obj);
    case MP_W_CONTEXT:
        return (w->key == NULL || (Py_ssize_t)w->key == w->index)
               && PyContextVar_CheckExact(obj);
    case MP_W_CONTEXT_BACK:
        return w->key != NULL && PyContextToken_CheckExact(obj)
               && PyContextVar_CheckExact(w->key);
    case MP_W_WRITE:
        return w->key != NULL && PyUnicode_Check(w->key);
    case MP_W_WARN:
        return w->key != NULL;
    case MP_W_CONTENT:
    case MP_W_ADVANCE:
    case MP_W_FLUSH:
    case MP_W_FILTERS:
        return w->key == NULL;
    }
    return false;
}

/* WRITE_NEWEST: `written` of the node leads to the newest entry of the key. */
static bool
write_is_newest(const mp_write *w, int i)
{
    switch (w->kind) {
    case MP_W_KEY_DEL:
        return mp_node_written_at(w->node, w->key) >= i;
    case MP_W_KEY_SET:
    case MP_W_SLOT_SET:
    case MP_W_SLOT_DEL:
    case MP_W_TYPE:
        return mp_node_written_at(w->node, w->key) == i;
    default:
        return true;
    }
}

/* WRITE_...: what must hold of one entry of the journal. */
static void
check_writes(const mp_trace *T, int from)
{
    for (int i = from; i < T->n_writes; i++) {
        const mp_write *w = &T->writes[i];
        const mp_node *n = w->node;
        must(T, MP_I_WRITE_NODE, i,
             n->reg >= 0 && n->reg < T->graph.cap_by_reg && !n->released
                 && (T->graph.by_reg[n->reg] == n || n->kind == MP_NODE_TENSOR));
        must(T, MP_I_WRITE_PLACE, i, write_fits(w));
        must(T, MP_I_WRITE_NEWEST, i, w->dead || write_is_newest(w, i));
        must(T, MP_I_WRITE_LETS_GO, i, T->lets_go || !mp_write_lets_go(w->kind));
    }
}

/* What the entries of one node tell together. */
typedef struct {
    int appends;
    int live;      // of its content
    int contents;  // entries for all of its content
    bool last;     // the newest live one is such
} write_count;

/* WRITE_APPEND, and the counts that check_journal compares. */
static void
count_writes(const mp_trace *T, write_count *of)
{
    for (int i = 0; i < T->n_writes; i++) {
        const mp_write *w = &T->writes[i];
        write_count *c = &of[w->node->reg];
        if (w->kind == MP_W_APPEND) {
            must(T, MP_I_WRITE_APPEND, i,
                 w->index == c->appends && w->node->appended
                     && w->node->entry_len >= 0);
            c->appends++;
        }
        if (!w->dead && w->kind != MP_W_SLOT_SET && w->kind != MP_W_SLOT_DEL) {
            c->last = w->kind == MP_W_CONTENT || w->kind == MP_W_CELL;
            c->contents += c->last;
            c->live++;
        }
    }
}

/* WRITE_CONTENT: a node with new content has one live entry, the last one. */
static void
check_journal(const mp_trace *T)
{
    if (T->n_writes == 0) {
        return;
    }
    write_count *of = calloc((size_t)T->guards->n_regs + 1, sizeof(*of));
    if (of == NULL) {
        return;
    }
    count_writes(T, of);
    for (int i = 0; i < T->n_writes; i++) {
        const mp_node *n = T->writes[i].node;
        const write_count *c = &of[n->reg];
        must(T, MP_I_WRITE_CONTENT, i,
             n->rewritten ? c->live == 1 && c->contents == 1 && c->last
                          : c->contents == 0);
    }
    free(of);
}

/* -- Frames -------------------------------------------------------------------------- */

/* May the instruction run a watched frame? A generator may continue below any. */
static bool
may_call(const mp_shadow *s, const mp_shadow *inner)
{
    return s->rebuilt || s->below == MP_BELOW_WATCH || s->below == MP_BELOW_ONE
           || s->below == MP_BELOW_ARM
           || (s->below == MP_BELOW_NOTHING && !inner->fresh);
}

/* FRAME_VALUES: is the value a constant, an exception, or known to the graph? A tuple of
 * known values may have come from C code. */
static bool
is_known(const mp_trace *T, PyObject *v, int depth)
{
    if (v == NULL || mp_is_constant(v) || PyExceptionInstance_Check(v)) {
        return true;
    }
    const mp_node *n = mp_refgraph_at(&T->graph, v);
    if (n != NULL && mp_node_is_alive(n)) {
        return true;
    }
    bool known = PyTuple_CheckExact(v) && depth < TUPLE_DEPTH;
    for (Py_ssize_t i = 0; known && i < PyTuple_GET_SIZE(v); i++) {
        known = is_known(T, PyTuple_GET_ITEM(v, i), depth + 1);
    }
    return known;
}

/* FRAME_...: what must hold of one watched frame. */
static void
check_frame(const mp_trace *T, int i)
{
    const mp_shadow *s = &T->stack[i];
    const mp_shadow *inner = i + 1 < T->n_stack ? &T->stack[i + 1] : NULL;
    PyCodeObject *code = mp_frame_code_borrow(s->f);
    must(T, MP_I_FRAME_ROOT, i, s->root == (i == 0));
    must(T, MP_I_FRAME_CODE, i,
         s->info != NULL && s->info->code == code && s->code_no >= 0
             && s->code_no < PyList_GET_SIZE(T->codes)
             && PyList_GET_ITEM(T->codes, s->code_no) == (PyObject *)code);
    must(T, MP_I_FRAME_PENDING, i,
         s->pending >= 0 && s->pending < s->info->count
             && s->info->at[s->pending].op >= 0 && s->info->at[s->pending].depth >= 0
             && (inner == NULL || may_call(s, inner)));
    for (int k = 0; s->unread != NULL && k < code->co_nlocalsplus; k++) {
        must(T, MP_I_FRAME_UNREAD, k,
             s->unread[k] == 0 || mp_frame_local_borrow(s->f, k) != NULL);
    }
}

/* FRAME_NEST: the outer shadow's frame called this one, perhaps through others. */
static void
check_nesting(const mp_trace *T, int i)
{
    if (i == 0) {
        return;
    }
    mp_frame *f = mp_frame_previous(T->stack[i].f);
    while (f != NULL && f != T->stack[i - 1].f) {
        f = mp_frame_previous(f);
    }
    // (A generator is closed when the frame that held it has gone, from 3.12 on.)
    must(T, MP_I_FRAME_NEST, i,
         f != NULL || mp_frame_generator_borrow(T->stack[i].f) != NULL);
}

/* The innermost frame, after each instruction: its depth and the values on its stack. */
static void
check_top(const mp_trace *T)
{
    int top = T->n_stack - 1;
    must(T, MP_I_COUNTS, top, top >= 0 && T->n_stack <= T->cap_stack);
    check_frame(T, top);
    check_nesting(T, top);
    const mp_shadow *s = &T->stack[top];
    int depth = s->info->at[s->pending].depth, saved = mp_frame_depth_saved(s->f);
    must(T, MP_I_FRAME_DEPTH, saved, saved < 0 || saved == depth);
    must(T, MP_I_FRAME_SKIP, T->skip, T->skip == 0 && T->outside == 0);
    for (int i = 0; i < depth; i++) {
        PyObject *v = mp_frame_stack_borrow(s->f, i);
        // (A comprehension inside the frame, from 3.12 on, puts the frame's cell aside.)
        must(T, MP_I_FRAME_VALUES, i,
             is_known(T, v, 0) || PyCell_Check(v) || v == (PyObject *)T->region);
    }
}

static const bool ENDS_OPERATION[] = {
#define POST(id, ends, function)    [MP_POST_##id] = ends,
#define POST_AT(id, ends, function) [MP_POST_##id] = ends,
#include "trace/posts.def"
#undef POST
#undef POST_AT
};

/* All frames; FRAME_OWNER: one frame at most has an operation in progress. */
static void
check_frames(const mp_trace *T)
{
    int owners = 0, pending = (T->op.target != NULL) + (T->apply.cls != NULL);
    for (const mp_region *r = T->region; r != NULL; r = r->outer) {
        pending += !mp_is_branch(r);  // (a branch is no operation until its arms meet)
    }
    for (int i = 0; i < T->n_stack; i++) {
        const mp_shadow *s = &T->stack[i];
        check_frame(T, i);
        check_nesting(T, i);
        must(T, MP_I_FRAME_OWNER, i, s->owns_op == ENDS_OPERATION[s->post]);
        owners += s->owns_op;
    }
    must(T, MP_I_FRAME_OWNER, owners, owners == pending);
}

/* -- Operator log -------------------------------------------------------------------- */

/* A walk through the log.  Values have the numbers of the finished graph: inputs first. */
typedef struct {
    const mp_trace *T;
    mp_invariant order, result;
    bool finished;  // they carry these numbers
    int64_t n_inputs, n_values, last;
    uint8_t *defined;   // by number of result, or NULL: only ranges are checked
    PyObject **leaves;  // the same, or NULL
    int64_t item;
} log_walk;

/* The number that the value has, or will have, in the finished graph. */
static int64_t
value_number(const log_walk *w, PyObject *value)
{
    int64_t index = mp_value_index(value);
    return index < 0 ? (w->finished ? -1 : w->n_inputs - 1 - index) : index;
}

/* LOG_ORDER: an argument is an input or the result of an earlier entry. */
static int
value_used(void *ctx, PyObject *value)
{
    log_walk *w = ctx;
    if (!mp_value_check(value)) {
        return 0;
    }
    int64_t number = value_number(w, value), result = number - w->n_inputs;
    must(w->T, w->order, w->item,
         number >= 0
             && (result < 0
                 || (result < w->n_values
                     && (w->defined == NULL || w->defined[result]))));
    must(w->T, MP_I_LOG_LEAF, w->item,
         result < 0 ? w->finished || w->T->inputs[number]->leaf == value
                    : w->leaves == NULL || w->leaves[result] == value);
    return 0;
}

/* LOG_RESULT: results are numbered in the order of the log. */
static int
value_made(void *ctx, PyObject *value)
{
    log_walk *w = ctx;
    if (!mp_value_check(value)) {
        return 0;
    }
    int64_t result = value_number(w, value) - w->n_inputs;
    must(w->T, w->result, w->item, result > w->last && result < w->n_values);
    w->last = result;
    if (w->defined != NULL) {
        w->defined[result] = 1;
    }
    must(w->T, MP_I_LOG_LEAF, w->item, w->leaves == NULL || w->leaves[result] == value);
    return 0;
}

static void
walk_log(log_walk *w, PyObject *ops, Py_ssize_t from)
{
    for (Py_ssize_t i = from; i < PyList_GET_SIZE(ops); i++) {
        PyObject *entry = PyList_GET_ITEM(ops, i);
        w->item = i;
        must(w->T, MP_I_LOG_ENTRY, i,
             PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == 4
                 && PyTuple_CheckExact(PyTuple_GET_ITEM(entry, 1))
                 && PyDict_CheckExact(PyTuple_GET_ITEM(entry, 2)));
        mp_tree_walk(PyTuple_GET_ITEM(entry, 1), value_used, w);
        mp_tree_walk(PyTuple_GET_ITEM(entry, 2), value_used, w);
        mp_tree_walk(PyTuple_GET_ITEM(entry, 3), value_made, w);
    }
}

static log_walk
log_walk_of(const mp_trace *T)
{
    return (log_walk){.T = T,
                      .order = MP_I_LOG_ORDER,
                      .result = MP_I_LOG_RESULT,
                      .n_inputs = T->n_inputs,
                      .n_values = T->n_values,
                      .last = -1};
}

static void
check_log(const mp_trace *T, Py_ssize_t from)
{
    log_walk w = log_walk_of(T);
    walk_log(&w, T->ops, from);
}

/* Nodes with a leaf: which results they are; and that the others are the inputs. */
static void
note_leaves(const mp_trace *T, PyObject **leaves)
{
    for (int32_t i = 0; i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->leaf == NULL) {
            continue;
        }
        Py_ssize_t index = mp_value_index(n->leaf);
        must(T, MP_I_LOG_INPUT, i,
             (n->reg >= 0) == (index >= 0)
                 && (index < 0 ? -1 - index < T->n_values
                               : index < T->n_inputs && T->inputs[index] == n));
        if (index < 0) {
            leaves[-1 - index] = n->leaf;
        }
    }
}

/* What a body is given is there before its first operation. */
static void
note_params(log_walk *w, PyObject *params)
{
    for (Py_ssize_t i = 0; params != NULL && i < PyList_GET_SIZE(params); i++) {
        int64_t result = value_number(w, PyList_GET_ITEM(params, i)) - w->n_inputs;
        must(w->T, MP_I_LOG_ORDER, i, result >= 0 && result < w->n_values);
        w->defined[result] = 1;
    }
}

/* The whole log, the operation in progress, and which node has which leaf. */
static void
check_log_all(const mp_trace *T)
{
    log_walk w = log_walk_of(T);
    w.defined = calloc((size_t)T->n_values + 1, 1);
    w.leaves = calloc((size_t)T->n_values + 1, sizeof(*w.leaves));
    if (w.defined != NULL && w.leaves != NULL) {
        note_leaves(T, w.leaves);
        for (const mp_region *r = T->region; r != NULL; r = r->outer) {
            note_params(&w, r->params);
        }
        walk_log(&w, T->ops, 0);
        w.item = PyList_GET_SIZE(T->ops);
        mp_tree_walk(T->op.args, value_used, &w);
        mp_tree_walk(T->op.kwargs, value_used, &w);
        mp_tree_walk(T->apply.op.args, value_used, &w);
        mp_tree_walk(T->apply.op.kwargs, value_used, &w);
    }
    free(w.defined);
    free(w.leaves);
}

/* LOG_INPUT, LOG_WRITTEN: the inputs of the graph, and which of them were written. */
static void
check_inputs(const mp_trace *T)
{
    bool wrote = false;
    for (int i = 0; i < T->n_inputs; i++) {
        const mp_node *n = T->inputs[i];
        must(T, MP_I_LOG_INPUT, i,
             n->kind == MP_NODE_TENSOR && n->reg >= 0 && n->leaf != NULL
                 && mp_value_index(n->leaf) == i);
        must(T, MP_I_LOG_WRITTEN, i,
             !n->changed
                 || (n->wrote_at >= 0 && n->wrote_at <= PyList_GET_SIZE(T->ops)));
        wrote = wrote || n->changed || n->restated;
    }
    must(T, MP_I_LOG_WRITTEN, T->n_inputs, !wrote || T->wrote_input);
}

/* LOG_VERSION: nothing wrote to an external tensor without the log. */
static void
check_versions(const mp_trace *T)
{
    for (int32_t i = 0; T->n_mutations == 0 && i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        must(T, MP_I_LOG_VERSION, i,
             n->kind != MP_NODE_TENSOR || n->reg < 0 || !mp_node_is_alive(n)
                 || mp_tensor_version(n->obj) == n->version);
    }
}

/* LOG_PENDING: an operation in progress has arguments; without one nothing is kept. */
static void
check_pending(const mp_trace *T)
{
    const mp_pending_op *op = &T->op;
    must(T, MP_I_LOG_PENDING, op->n_inputs,
         op->n_inputs >= 0 && op->n_inputs <= op->cap_inputs
             && (op->target == NULL
                     ? op->args == NULL && op->kwargs == NULL && op->arrays == NULL
                           && op->effects == NULL && op->n_inputs == 0
                     : op->args != NULL && op->kwargs != NULL));
}

/* -- Counters ------------------------------------------------------------------------ */

static Py_ssize_t
list_size(PyObject *list)
{
    return list == NULL ? 0 : PyList_GET_SIZE(list);
}

/* ARRAYS, COUNTS: lists that belong together, counters and capacities. */
static void
check_counts(const mp_trace *T)
{
    must(T, MP_I_ARRAYS, 0, list_size(T->exposed) == list_size(T->holders));
    must(T, MP_I_ARRAYS, 1, list_size(T->known) == list_size(T->frozen));
    must(T, MP_I_COUNTS, 0, T->n_writes >= 0 && T->n_writes <= T->cap_writes);
    must(T, MP_I_COUNTS, 1, T->n_inputs >= 0 && T->n_inputs <= T->cap_inputs);
    must(T, MP_I_COUNTS, 2, T->n_values >= 0 && T->n_mutations >= 0 && T->n_locks >= 0);
    must(T, MP_I_COUNTS, 3, T->n_instr >= T->n_begin && T->n_instr <= T->max_instr);
    must(T, MP_I_COUNTS, 4, T->raises_at < list_size(T->ops));
    must(T, MP_I_COUNTS, 5, T->graph.n_nodes <= T->graph.cap_nodes);
    must(T, MP_I_COUNTS, 6, T->guards->n_ops <= T->guards->cap_ops);
}

/* -- All of it ----------------------------------------------------------------------- */

/* A full check costs about this much, so it is made at most once in as many
 * instructions. */
static int64_t
segment_size(const mp_trace *T)
{
    return (int64_t)T->graph.n_nodes + T->guards->n_ops + T->n_writes
           + PyList_GET_SIZE(T->ops);
}

static void
note_checked(mp_trace *T)
{
    T->checked.n_guards = T->guards->n_ops;
    T->checked.n_nodes = T->graph.n_nodes;
    T->checked.n_writes = T->n_writes;
    T->checked.n_ops = PyList_GET_SIZE(T->ops);
}

static void
check_all(mp_trace *T)
{
    check_guards(T, 0);
    check_nodes(T, 0);
    check_tables(T);
    check_asked(T);
    check_writes(T, 0);
    check_journal(T);
    check_inputs(T);
    check_log_all(T);
    check_versions(T);
    check_counts(T);
    T->checked.at = T->n_instr;
    note_checked(T);
}

/* What came since the last check.  (`forward` of a function with a backward takes its
 * operations out of the log again.) */
static void
check_new(mp_trace *T)
{
    check_guards(T, T->checked.n_guards);
    check_nodes(T, T->checked.n_nodes);
    check_writes(T, T->checked.n_writes);
    check_log(T, T->checked.n_ops);
    note_checked(T);
}

/* After each instruction: what is new, and from time to time everything. */
void
mp_trace_check(mp_trace *T)
{
    if (check_level() <= LEVEL_OFF || T->state != MP_TRACE_RECORDING) {
        return;
    }
    bool planted = mp_plant_in_trace(T);
    int64_t since = T->n_instr - T->checked.at;
    if (planted || check_level() == LEVEL_FULL
        || (since >= SAMPLE_EVERY && since >= segment_size(T))) {
        check_all(T);
        check_frames(T);
    }
    else {
        check_new(T);
    }
    check_pending(T);
    check_top(T);
}

void
mp_trace_check_all(mp_trace *T)
{
    if (check_level() > LEVEL_OFF) {
        check_all(T);
    }
}

/* PLAN_VALUE: the finished graph uses inputs and earlier results only. */
static void
check_plan_graph(const mp_trace *T, const mp_plan *plan)
{
    log_walk w = log_walk_of(T);
    w.order = w.result = MP_I_PLAN_VALUE;
    w.finished = true;
    w.n_inputs = plan->n_inputs;  // numbers are inputs as well
    w.defined = calloc((size_t)T->n_values + 1, 1);
    if (w.defined == NULL) {
        return;
    }
    walk_log(&w, PyTuple_GET_ITEM(plan->graph, 0), 0);
    PyObject *outputs = PyTuple_GET_ITEM(plan->graph, 2);
    must(T, MP_I_PLAN_VALUE, -1, PyTuple_GET_SIZE(outputs) == plan->n_outputs);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outputs); i++) {
        int64_t number = PyLong_AsLongLong(PyTuple_GET_ITEM(outputs, i));
        int64_t result = number - w.n_inputs;
        must(T, MP_I_PLAN_VALUE, i,
             number >= 0 && (result < 0 || (result < w.n_values && w.defined[result])));
    }
    free(w.defined);
}

void
mp_trace_check_plan(mp_trace *T, mp_plan *plan)
{
    if (check_level() <= LEVEL_OFF) {
        return;
    }
    mp_plant_in_plan(T, plan);
    const mp_guards *g = T->guards;
    uint8_t *asked = calloc((size_t)g->n_regs + 1, 1);
    if (asked != NULL) {
        note_tests(T, asked);
    }
    for (int32_t i = 0; i < plan->n_inputs; i++) {
        int32_t reg = plan->inputs[i];
        bool tensor =
            reg >= 0 && reg < g->n_regs
            && (asked == NULL || mp_plant_is_set() || asked[reg] & ASKS_TENSOR);
        must(T, MP_I_PLAN_INPUT, i, tensor || (reg < 0 && ~reg < g->numbers.n));
    }
    free(asked);
    const mp_replay *p = plan->replay;
    for (int32_t i = 0; p != NULL && i < p->n_sources; i++) {
        int32_t given = p->source_regs[i];
        must(T, MP_I_PLAN_SOURCE, i,
             given < 0 ? ~given < g->numbers.n : given < g->n_regs);
    }
    if (plan->graph != NULL) {
        check_plan_graph(T, plan);
    }
}

#endif
