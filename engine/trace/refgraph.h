/* trace/refgraph.h - the Python objects that a run touches, by address.
 *
 * Every value on a watched stack is one of
 *   constant   an immutable scalar; pinned by value when it was loaded; has no node
 *   external   existed before the run; has a guard register (its source)
 *   fresh      made by the run; no guards, rebuilt from the live object if it escapes
 *   tensor     external (register) or result of a logged operation (value)
 *   symbol     a number that is not pinned, in a box of its own (trace/symbol.h)
 *   late       what the graph gives a value to, in a box of its own (trace/late.h)
 * Invariants
 *  1 A node's address is valid for look-up only while its object lives: external nodes own
 *    their object until they are its last owner (mp_refgraph_release), tensors are checked
 *    through a weak reference.
 *    Fresh nodes own nothing: an object that reuses the address of a dead fresh object was
 *    made by the run too, so it is fresh as well.
 *  2 Sources are in entry-time coordinates.  A key that the run wrote is in `written` and
 *    is never read through a source again.
 *  3 A register is loaded once per (parent, step); another path to a known object adds an
 *    alias guard.
 */
#ifndef MP_REFGRAPH_H
#define MP_REFGRAPH_H

#include "guard/guard.h"

/* An instruction of the run. */
typedef struct {
    int32_t code;   // number of the frame's code in the trace; -1: none
    int32_t index;  // code unit
} mp_site;

typedef enum {
    MP_NODE_EXTERNAL,
    MP_NODE_FRESH,
    MP_NODE_TENSOR,
    MP_NODE_SYMBOL,
    MP_NODE_LATE,
} mp_node_kind;

typedef struct mp_node {
    PyObject *obj;  // owned if external and no tensor, or the box of a symbol or late
                    // value; else an address only
    PyTypeObject *type;  // of obj; an external object's is held by its TYPE_IS guard
    PyObject *weak;      // owned weak reference of a tensor
    PyObject *leaf;      // owned Value of a tensor that the op log uses, or of a late
                         // value; or NULL
    PyObject *written;   // owned dict: keys written since entry, and which entry of
                         // the journal is their newest; NULL: none
    PyObject *changes;   // owned: those of a written set (read/set.c), or NULL
    PyObject *entry_layout;    // owned: the table of a written set at entry, or NULL
    PyObject *entry_iterator;  // owned: over a written deque, made before; or NULL
    PyObject *entry_keys;      // owned tuple: a written dict's keys at entry, in order
    Py_ssize_t entry_len;  // lists that were only appended to, tables of caches: length
                           // at entry
    Py_ssize_t taken;      // iterators from outside: items that the run took; caches:
                           // answers that it put in
    Py_ssize_t ordered;  // sets: 0, or the table at entry is guarded, and what all but
                         // the last of `changes` need, so many as this - 1
    int64_t version;     // external tensors: in-place counter when first seen
    int32_t reg;         // guard register, -1 if the object is not external
    int32_t made;        // fresh: the body in which an instruction made it; 0: none
    int32_t number;      // symbols: which of the guard program's (trace/symbol.h); late
                         // values: which of the trace's
    uint8_t kind;        // mp_node_kind
    bool pinned;         // a guard says that the register is this very object
    bool released;       // external: died during the run as in eager; obj is an address
    bool appended;       // list: journal holds appends, entry part untouched
    bool takes_new;      // set: a new object was put into it
    bool whole;        // set: `changes` do not tell all; its content is the live one's
    bool rewritten;    // container: whole entry content is guarded, content is new
    bool dynamic;      // tensor: shape depends on data
    bool blind;        // tensor: `dynamic`, and nobody can tell more
    bool odd;          // tensor: sizes and strides do not describe it (torch/odd.c)
    bool unsure;       // tensor: with other data it may be an operand itself
    bool sized;        // tensor: shape depends on symbols
    bool boxed;        // external container: boxes stand in it (mp_box_in_place)
    bool compared;     // C code told it from other objects: see read/identity.c
    bool loose;        // external: in mp_refgraph.loose
    bool of_code;      // a constant of code: always this very object
    bool changed;      // external tensor: the run wrote to its memory
    int32_t wrote_at;  // `changed`: position of the first operation that wrote to it
    bool restated;     // external tensor: the run changed its data or requires_grad
    bool required;     // tensors: did it require grad when it was first seen?
    bool regraded;     // external tensor: the run changed that, at some time
    bool distinct;     // external tensor: no other one that was looked at may be it
    bool passes;       // external: a tensor of a subclass, which must not be used
    bool attrs;        // tensor of the run: attributes were put on it
    uint8_t yields;    // fresh iterator or view: what it may give (mp_yields)
    mp_site born;      // fresh: where it was made
    int32_t constant;  // 0-d tensor computed from constants alone: the trace's count of
                       // in-place writes at that time + 1; 0: no such tensor
    struct mp_node *child, *sibling;  // external nodes that were loaded from this one
} mp_node;

/* What a value is: tested by kind, never by whether there is a node. */
typedef enum {
    MP_VAL_CONSTANT,  // has no node
    MP_VAL_NODE,      // an object: external, fresh, or a tensor
    MP_VAL_SYMBOL,    // a number that is not pinned (trace/symbol.h)
    MP_VAL_LATE,      // what only the graph gives a value to (trace/late.h)
} mp_val_kind;

typedef struct {
    mp_val_kind kind;
    mp_node *node;  // NULL for a constant
} mp_val;

#define MP_NO_VALUE ((mp_val){MP_VAL_CONSTANT, NULL})

static inline mp_val
mp_val_of(mp_node *n)
{
    return n == NULL ? MP_NO_VALUE : (mp_val){MP_VAL_NODE, n};
}

static inline bool
mp_val_is_constant(mp_val v)
{
    assert((v.kind == MP_VAL_CONSTANT) == (v.node == NULL));
    return v.kind == MP_VAL_CONSTANT;
}

static inline bool
mp_val_is_external(mp_val v)
{
    return v.kind == MP_VAL_NODE && v.node->kind == MP_NODE_EXTERNAL;
}

static inline bool
mp_val_is_fresh(mp_val v)
{
    return v.kind == MP_VAL_NODE && v.node->kind == MP_NODE_FRESH;
}

static inline bool
mp_val_is_tensor(mp_val v)
{
    return v.kind == MP_VAL_NODE && v.node->kind == MP_NODE_TENSOR;
}

/* Was it there before the run?  Then reads of it are guarded. */
static inline bool
mp_val_has_source(mp_val v)
{
    return v.kind == MP_VAL_NODE && v.node->reg >= 0;
}

/* Tables with open addressing; refgraph.c fills them, check.c looks into them. */
struct mp_slot {
    PyObject *obj;  // address; NULL: free
    mp_node *node;
};

struct mp_seen {
    int32_t kind;  // guard kind + 1; 0: free
    int32_t a, b;
    int32_t reg;
    const void *obj;
    int64_t n;
};

enum { MP_RECENT = 16 };

typedef struct {
    mp_guards *guards;  // borrowed from the trace
    mp_site at;         // what new nodes are made by
    mp_node **nodes;    // all nodes in order of discovery; owned
    int32_t n_nodes, cap_nodes;
    struct mp_slot *slots;  // address -> newest node
    uint32_t n_slots, used_slots;
    struct mp_seen *seen;  // guards and loads that were emitted already
    uint32_t n_seen, used_seen;
    mp_node **by_reg;  // external nodes by register, NULL where there is none
    int32_t cap_by_reg;
    mp_node **loose;             // external nodes that a write took from their place
    int32_t n_loose, cap_loose;  // R: there is room for all external nodes
    mp_node *recent[MP_RECENT];  // the last ones of these, in turn
    uint32_t n_recent;
    int32_t credit;  // how many of them may be looked at without growing quadratic
    bool touched;  // a node was found that the run has written to; the reader resets it
} mp_refgraph;

int mp_refgraph_init(mp_refgraph *g, mp_guards *guards);
void mp_refgraph_fini(mp_refgraph *g);

/* The live node of an object, or NULL (never an error).  Symbols and late values are none
 * here: who is not taught takes them for constants, and pins them (mp_value). */
mp_node *mp_refgraph_find(mp_refgraph *g, PyObject *obj);
/* What was last known at this address, dead or alive; changes nothing. */
mp_node *mp_refgraph_at(const mp_refgraph *g, PyObject *obj);
/* The address means nothing any more. */
void mp_refgraph_forget(mp_refgraph *g, PyObject *obj);
/* Make obj a fresh object; replaces what the address meant before.  NULL: MemoryError. */
mp_node *mp_refgraph_add_fresh(mp_refgraph *g, PyObject *obj);
mp_node *mp_refgraph_add_external(mp_refgraph *g, PyObject *obj, int32_t reg);
mp_node *mp_refgraph_add_tensor(mp_refgraph *g, PyObject *obj, int32_t reg);
/* The node gets a reference to the box. */
mp_node *mp_refgraph_add_symbol(mp_refgraph *g, PyObject *box, int32_t number);
mp_node *mp_refgraph_add_late(mp_refgraph *g, PyObject *box, int32_t number);
bool mp_node_is_alive(const mp_node *n);
/* A write is about to take obj (or NULL) from its place, or whatever n holds. */
void mp_refgraph_loosen(mp_refgraph *g, PyObject *obj);
void mp_refgraph_loosen_items(mp_refgraph *g, mp_node *n);
/* Release objects that nothing but the graph holds any more, so that they die when they
 * die in eager mode; those that the journal writes to are kept.  May run __del__.  The
 * last ones are examined each time, all of them as often as their number allows. */
MP_MAYRUN void mp_refgraph_release(mp_refgraph *g);

/* Emit a load once.  *is_new tells whether it was not there before.  -1: exception. */
int32_t mp_refgraph_load(mp_refgraph *g, mp_guard_kind kind, int32_t a, PyObject *obj,
                         int64_t n, bool *is_new);
/* Emit a test once. */
int mp_refgraph_test(mp_refgraph *g, mp_guard_kind kind, int32_t a, int32_t b,
                     PyObject *obj, int64_t n);

/* Has this (kind, obj, n) been asked for before?  1 the first time, 0 later, -1 error.
 * The caller emits a test that owns obj, so that its address stays unique. */
int mp_refgraph_first(mp_refgraph *g, mp_guard_kind kind, const void *obj, int64_t n);

/* Was the key, or all of the content, written since entry?  Slots are no content. */
bool mp_node_wrote(const mp_node *n, PyObject *key);
bool mp_node_wrote_slot(const mp_node *n, PyObject *key);
/* The newest entry of the journal for a key that was written, or -1. */
int mp_node_written_at(const mp_node *n, PyObject *key);
int mp_node_mark_written(mp_node *n, PyObject *key, int entry);

#endif
