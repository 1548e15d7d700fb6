/* trace/refgraph.c - see trace/refgraph.h for the invariants.
 *
 * Two hash tables with open addressing: addresses to nodes, and emitted guards to
 * registers.  Both only grow; a recording frees them as a whole.  An address that has a
 * slot keeps it; what it means is in slot->node, which a new object at the address
 * replaces.
 *
 * Re-entrancy: a finalizer of the program may run where a node drops its object, and
 * nowhere else (mp_refgraph_release, mp_refgraph_fini).  It finds the graph consistent,
 * because the object is dropped last.  Weak references of tensors have no callbacks. */
#include "trace/refgraph.h"

#include <string.h>

#include "compat/compat.h"

int
mp_refgraph_init(mp_refgraph *g, mp_guards *guards)
{
    assert(guards != NULL);
    memset(g, 0, sizeof(*g));
    g->guards = guards;
    g->n_slots = 256;
    g->n_seen = 256;
    g->slots = PyMem_Calloc(g->n_slots, sizeof(*g->slots));
    g->seen = PyMem_Calloc(g->n_seen, sizeof(*g->seen));
    if (g->slots == NULL || g->seen == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Only external nodes own their object; what the run made dies when eager frees it. */
static void
node_free(mp_node *n)
{
    assert(n->kind == MP_NODE_TENSOR || n->weak == NULL);
    bool owns = n->kind == MP_NODE_SYMBOL || n->kind == MP_NODE_LATE
                || (n->kind == MP_NODE_EXTERNAL && !n->released);
    PyObject *obj = owns ? n->obj : NULL;
    if (n->kind == MP_NODE_LATE) {
        mp_value_box_end(obj);
    }
    Py_XDECREF(n->weak);
    Py_XDECREF(n->leaf);
    Py_XDECREF(n->written);
    Py_XDECREF(n->entry_keys);
    Py_XDECREF(n->changes);
    Py_XDECREF(n->entry_layout);
    Py_XDECREF(n->entry_iterator);
    PyMem_Free(n);
    Py_XDECREF(obj);  // last: a finalizer may run, and must find no half of a node
}

void
mp_refgraph_fini(mp_refgraph *g)
{
    mp_node **nodes = g->nodes;
    int32_t count = g->n_nodes;
    PyMem_Free(g->slots);
    PyMem_Free(g->seen);
    PyMem_Free(g->by_reg);
    PyMem_Free(g->loose);
    memset(g, 0, sizeof(*g));
    for (int32_t i = 0; i < count; i++) {
        node_free(nodes[i]);
    }
    PyMem_Free(nodes);
}

bool
mp_node_is_alive(const mp_node *n)
{
    return n->weak == NULL ? !n->released : mp_weakref_borrow(n->weak) == n->obj;
}

/* The slot of the address, or the free one where it would go: linear probing in a power
 * of two. */
static struct mp_slot *
slot_find(struct mp_slot *slots, uint32_t count, PyObject *obj)
{
    assert((count & (count - 1)) == 0);
    uint32_t i = mp_hash(obj) & (count - 1);
    while (slots[i].obj != NULL && slots[i].obj != obj) {
        i = (i + 1) & (count - 1);
    }
    return &slots[i];
}

mp_node *
mp_refgraph_at(const mp_refgraph *g, PyObject *obj)
{
    return slot_find(g->slots, g->n_slots, obj)->node;
}

/* Dead objects have no node.  Also notes in g->touched whether the caller has come upon
 * something that the run wrote to. */
mp_node *
mp_refgraph_find(mp_refgraph *g, PyObject *obj)
{
    struct mp_slot *slot = slot_find(g->slots, g->n_slots, obj);
    if (slot->obj == NULL || slot->node == NULL || !mp_node_is_alive(slot->node)
        || slot->node->kind == MP_NODE_SYMBOL || slot->node->kind == MP_NODE_LATE) {
        return NULL;
    }
    const mp_node *n = slot->node;
    g->touched = g->touched || n->written != NULL || n->rewritten || n->appended;
    return slot->node;
}

void
mp_refgraph_forget(mp_refgraph *g, PyObject *obj)
{
    struct mp_slot *slot = slot_find(g->slots, g->n_slots, obj);
    if (slot->obj != NULL) {
        slot->node = NULL;
    }
}

static int
slots_grow(mp_refgraph *g)
{
    assert(g->used_slots <= g->n_slots);
    uint32_t count = g->n_slots * 2;
    struct mp_slot *slots = PyMem_Calloc(count, sizeof(*slots));
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < g->n_slots; i++) {
        if (g->slots[i].obj != NULL) {
            *slot_find(slots, count, g->slots[i].obj) = g->slots[i];
        }
    }
    PyMem_Free(g->slots);
    g->slots = slots;
    g->n_slots = count;
    return 0;
}

/* A new node, which is what its address means from here on.  NULL: MemoryError. */
static mp_node *
node_add(mp_refgraph *g, PyObject *obj, mp_node_kind kind, int32_t reg)
{
    assert(obj != NULL && reg >= -1 && reg < g->guards->n_regs);
    if (g->used_slots * 2 >= g->n_slots && slots_grow(g) < 0) {
        return NULL;
    }
    if (mp_grow(&g->nodes, &g->cap_nodes, g->n_nodes + 1, sizeof(*g->nodes)) < 0) {
        return NULL;
    }
    mp_node *n = PyMem_Calloc(1, sizeof(*n));
    if (n == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    n->obj = obj;
    n->type = Py_TYPE(obj);
    n->kind = (uint8_t)kind;
    n->reg = reg;
    n->born = g->at;
    g->nodes[g->n_nodes++] = n;
    struct mp_slot *slot = slot_find(g->slots, g->n_slots, obj);
    if (slot->obj == NULL) {
        g->used_slots++;
    }
    slot->obj = obj;
    slot->node = n;
    return n;
}

mp_node *
mp_refgraph_add_fresh(mp_refgraph *g, PyObject *obj)
{
    struct mp_slot *slot = slot_find(g->slots, g->n_slots, obj);
    if (slot->obj != NULL && slot->node != NULL && slot->node->kind == MP_NODE_FRESH) {
        // Loops make millions of short-lived objects at few addresses: reuse the node.
        Py_CLEAR(slot->node->written);
        slot->node->type = Py_TYPE(obj);
        slot->node->yields = 0;
        slot->node->born = g->at;
        slot->node->of_code = false;
        slot->node->made = 0;
        return slot->node;
    }
    return node_add(g, obj, MP_NODE_FRESH, -1);
}

mp_node *
mp_refgraph_add_tensor(mp_refgraph *g, PyObject *obj, int32_t reg)
{
    PyObject *weak = PyWeakref_NewRef(obj, NULL);
    if (weak == NULL) {
        return NULL;
    }
    mp_node *n = node_add(g, obj, MP_NODE_TENSOR, reg);
    if (n == NULL) {
        Py_DECREF(weak);
        return NULL;
    }
    n->weak = weak;
    n->version = mp_tensor_version(obj);
    n->required = reg >= 0 && mp_tensor_requires_grad(obj);
    return n;
}

mp_node *
mp_refgraph_add_symbol(mp_refgraph *g, PyObject *box, int32_t number)
{
    mp_node *n = node_add(g, box, MP_NODE_SYMBOL, -1);
    if (n != NULL) {
        Py_INCREF(box);
        n->number = number;
    }
    return n;
}

mp_node *
mp_refgraph_add_late(mp_refgraph *g, PyObject *box, int32_t number)
{
    mp_node *n = node_add(g, box, MP_NODE_LATE, -1);
    if (n != NULL) {
        Py_INCREF(box);
        n->number = number;
    }
    return n;
}

/* -- Objects that a write took from their place ------------------------------------------ */

enum { CREDIT_EVENT = 64, CREDIT_NODE = 8 };

/* A write took the object from its place, so nothing but this node may hold it any more. */
static void
node_loosen(mp_refgraph *g, mp_node *n)
{
    if (n->kind != MP_NODE_EXTERNAL || n->released) {
        return;
    }
    g->recent[g->n_recent++ % MP_RECENT] = n;
    if (!n->loose) {
        assert(g->n_loose < g->cap_loose);
        n->loose = true;
        g->loose[g->n_loose++] = n;
        g->credit += CREDIT_NODE;
    }
}

void
mp_refgraph_loosen(mp_refgraph *g, PyObject *obj)
{
    mp_node *n = obj == NULL ? NULL : mp_refgraph_find(g, obj);
    if (n != NULL) {
        node_loosen(g, n);
    }
}

/* All that was loaded from n: its whole content is about to be replaced. */
void
mp_refgraph_loosen_items(mp_refgraph *g, mp_node *n)
{
    for (mp_node *child = n->child; child != NULL; child = child->sibling) {
        node_loosen(g, child);
    }
}

/* Let go of an object that nothing but its node holds.  Objects that the journal writes
 * to are kept: their values are read at the end. */
static void
node_release(mp_refgraph *g, mp_node *n)
{
    if (n == NULL || n->released || n->written != NULL || n->rewritten || n->appended
        || Py_REFCNT(n->obj) != 1) {
        return;
    }
    assert(n->kind == MP_NODE_EXTERNAL);
    n->released = true;
    mp_refgraph_forget(g, n->obj);
    mp_refgraph_loosen_items(g, n);
    Py_DECREF(n->obj);
}

/* Eager mode frees an object when the last reference goes; the node's own reference must
 * not delay that.  Looking at all loose nodes after each instruction would be quadratic:
 * the last MP_RECENT are looked at each time, all of them when `credit` has grown to
 * their number. */
void
mp_refgraph_release(mp_refgraph *g)
{
    uint32_t seen = 0;
    while (seen != g->n_recent) {  // what dies may have held others
        seen = g->n_recent;
        for (int i = 0; i < MP_RECENT; i++) {
            node_release(g, g->recent[i]);
        }
    }
    g->credit += CREDIT_EVENT;
    if (g->credit < g->n_loose) {
        return;
    }
    g->credit = 0;
    int32_t kept = 0;
    for (int32_t i = 0; i < g->n_loose; i++) {  // (n_loose may grow meanwhile)
        node_release(g, g->loose[i]);
    }
    for (int32_t i = 0; i < g->n_loose; i++) {
        if (!g->loose[i]->released) {
            g->loose[kept++] = g->loose[i];
        }
    }
    g->n_loose = kept;
}

/* Room for one more external node. */
static int
external_reserve(mp_refgraph *g, int32_t reg)
{
    int32_t known = g->cap_by_reg;
    if (mp_grow(&g->by_reg, &g->cap_by_reg, reg + 1, sizeof(*g->by_reg)) < 0) {
        return -1;
    }
    memset(g->by_reg + known, 0, (size_t)(g->cap_by_reg - known) * sizeof(*g->by_reg));
    if (mp_grow(&g->loose, &g->cap_loose, g->n_nodes + 1, sizeof(*g->loose)) < 0) {
        return -1;
    }
    return 0;
}

/* Enter the node under its register, and under the node from which that register is
 * loaded. */
static void
external_link(mp_refgraph *g, mp_node *n)
{
    if (n->reg < 0) {
        return;
    }
    assert(g->by_reg[n->reg] == NULL);
    g->by_reg[n->reg] = n;
    int32_t parent = g->guards->ops[g->guards->def[n->reg]].a;
    mp_node *from = parent < 0 ? NULL : g->by_reg[parent];
    if (from != NULL) {
        n->sibling = from->child;
        from->child = n;
    }
}

mp_node *
mp_refgraph_add_external(mp_refgraph *g, PyObject *obj, int32_t reg)
{
    assert(reg >= 0);
    assert(mp_refgraph_at(g, obj) == NULL || !mp_node_is_alive(mp_refgraph_at(g, obj)));
    mp_node *n =
        external_reserve(g, reg) < 0 ? NULL : node_add(g, obj, MP_NODE_EXTERNAL, reg);
    if (n != NULL) {
        Py_INCREF(obj);
        n->entry_len = -1;
        external_link(g, n);
    }
    return n;
}

/* -- Emitted guards ------------------------------------------------------------------ */

static uint32_t
seen_hash(const struct mp_seen *key)
{
    uint64_t x = mp_hash_mix(0, (uintptr_t)key->obj);
    x = mp_hash_mix(x, (uint64_t)(uint32_t)key->kind);
    x = mp_hash_mix(x, (uint64_t)(uint32_t)key->a << 32 | (uint32_t)key->b);
    return (uint32_t)mp_hash_mix(x, (uint64_t)key->n);
}

/* Like slot_find, for guards: kind, registers, object and number together are the key. */
static struct mp_seen *
seen_find(struct mp_seen *table, uint32_t count, const struct mp_seen *key)
{
    assert((count & (count - 1)) == 0);
    uint32_t i = seen_hash(key) & (count - 1);
    while (table[i].kind != 0
           && !(table[i].kind == key->kind && table[i].a == key->a
                && table[i].b == key->b && table[i].obj == key->obj
                && table[i].n == key->n)) {
        i = (i + 1) & (count - 1);
    }
    return &table[i];
}

static int
seen_reserve(mp_refgraph *g)
{
    if (g->used_seen * 2 < g->n_seen) {
        return 0;
    }
    uint32_t count = g->n_seen * 2;
    struct mp_seen *table = PyMem_Calloc(count, sizeof(*table));
    if (table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < g->n_seen; i++) {
        if (g->seen[i].kind != 0) {
            *seen_find(table, count, &g->seen[i]) = g->seen[i];
        }
    }
    PyMem_Free(g->seen);
    g->seen = table;
    g->n_seen = count;
    return 0;
}

int32_t
mp_refgraph_load(mp_refgraph *g, mp_guard_kind kind, int32_t a, PyObject *obj,
                 int64_t n, bool *is_new)
{
    assert((int)kind < MP_G_TYPE_IS);
    struct mp_seen key = {(int32_t)kind + 1, a, -1, -1, obj, n};
    *is_new = false;
    if (seen_reserve(g) < 0) {
        return -1;
    }
    struct mp_seen *s = seen_find(g->seen, g->n_seen, &key);
    if (s->kind != 0) {
        assert(s->reg >= 0 && s->reg < g->guards->n_regs);
        return s->reg;
    }
    // The program owns obj from here on, so its address stays unique for the table.
    key.reg = mp_guards_load(g->guards, kind, a, obj, n);
    if (key.reg < 0) {
        return -1;
    }
    *s = key;
    g->used_seen++;
    *is_new = true;
    return key.reg;
}

int
mp_refgraph_first(mp_refgraph *g, mp_guard_kind kind, const void *obj, int64_t n)
{
    struct mp_seen key = {(int32_t)kind + 1, -2, -1, -1, obj, n};
    if (seen_reserve(g) < 0) {
        return -1;
    }
    struct mp_seen *s = seen_find(g->seen, g->n_seen, &key);
    if (s->kind != 0) {
        return 0;
    }
    *s = key;
    g->used_seen++;
    return 1;
}

int
mp_refgraph_test(mp_refgraph *g, mp_guard_kind kind, int32_t a, int32_t b,
                 PyObject *obj, int64_t n)
{
    assert((int)kind >= MP_G_TYPE_IS);
    struct mp_seen key = {(int32_t)kind + 1, a, b, -1, obj, n};
    if (seen_reserve(g) < 0) {
        return -1;
    }
    struct mp_seen *s = seen_find(g->seen, g->n_seen, &key);
    if (s->kind != 0) {
        return 0;
    }
    if (mp_guards_test(g->guards, kind, a, b, obj, n, NULL) < 0) {
        return -1;
    }
    *s = key;
    g->used_seen++;
    return 0;
}

/* -- Written keys -------------------------------------------------------------------- */

bool
mp_node_wrote(const mp_node *n, PyObject *key)
{
    assert(key != NULL);
    return n->rewritten || mp_node_wrote_slot(n, key);
}

bool
mp_node_wrote_slot(const mp_node *n, PyObject *key)
{
    if (n->written == NULL) {
        return false;
    }
    // Keys were checked to be scalars or identity-hashed: the look-up cannot fail.
    int found = PyDict_Contains(n->written, key);
    assert(found >= 0);
    return found > 0;
}

int
mp_node_written_at(const mp_node *n, PyObject *key)
{
    PyObject *at = n->written == NULL ? NULL : PyDict_GetItemWithError(n->written, key);
    assert(!PyErr_Occurred());
    return at == NULL ? -1 : (int)PyLong_AsLong(at);
}

int
mp_node_mark_written(mp_node *n, PyObject *key, int entry)
{
    assert(!n->released && entry >= -1);
    if (n->written == NULL && (n->written = PyDict_New()) == NULL) {
        return -1;
    }
    PyObject *at = PyLong_FromLong(entry);
    int r = at == NULL ? -1 : PyDict_SetItem(n->written, key, at);
    Py_XDECREF(at);
    return r;
}
