/* trace/trace.h - one recording in progress.
 *
 * Nothing about the program's values is kept in a shadow stack: operands are read from the
 * real frame and looked up by address (trace/refgraph.h).  What a watched frame needs beyond
 * that is only the instruction in progress, because its result is seen at the next event.
 *
 * States: RECORDING -> DONE (root frame returned; a plan can be made)
 *                   -> ABORTED (reason in `why`; watching has stopped)
 *                   -> GAP, and back, or -> LEFT (see run/segment.c)
 * Handlers run only while RECORDING. */
#ifndef MP_TRACE_H
#define MP_TRACE_H

#include "compat/compat.h"
#include "objects/array.h"
#include "objects/rows.h"
#include "objects/types.h"
#include "plan/sites.h"
#include "trace/host.h"
#include "trace/late.h"
#include "trace/refgraph.h"
#include "trace/symbol.h"

typedef enum {
    MP_TRACE_RECORDING,
    MP_TRACE_DONE,
    MP_TRACE_ABORTED,
    MP_TRACE_GAP,
    MP_TRACE_LEFT,
} mp_trace_state;

/* What may happen below the instruction in progress. */
typedef enum {
    MP_BELOW_NOTHING,  // a Python frame there is a surprise: abort
    MP_BELOW_WATCH,    // Python code of the program: watch it
    MP_BELOW_SKIP,     // inside a logged operation: library frames run unwatched
    MP_BELOW_TRUSTED,  // inside an operator of torch.library: all frames do
    MP_BELOW_ONE,      // one function that is known before: it alone is watched
    MP_BELOW_ARM,      // below a branch: the frame of the arm that is not taken
} mp_below;

/* How the result of the instruction in progress is taken in. */
typedef enum {
#define POST(id, ends, function)    MP_POST_##id,
#define POST_AT(id, ends, function) MP_POST_##id,
#include "trace/posts.def"
#undef POST
#undef POST_AT
} mp_post;

typedef struct {
    mp_frame *f;  // freed when `leave` has been called
    const mp_code_info *info;
    int pending;    // code unit index in progress; -1: none
    uint8_t below;  // mp_below
    uint8_t post;   // mp_post
    bool owns_op;   // the operation in T->op belongs to this instruction
    bool root;
    bool raw;            // a C method called directly: overrides do not run
    bool started;        // first event seen: arguments are classified
    bool fresh;          // false: a generator's frame, which continues
    bool ended;          // of f only the address is left
    bool caught;         // an exception of this frame meets a handler further out
    bool looks;          // C code below tests or compares results of Python code
    bool calls;          // C code below may call torch operations (run/mode.c)
    bool spreads;        // C code below takes results of Python code apart
    bool hashes;         // C code below puts results of Python code into a set
    bool execs;          // exec() or eval(): the frame below has no function
    bool through_c;      // the result of the frame below goes to C code
    bool passes;         // the result of the frame below is that of the instruction
    int32_t number;      // MP_POST_NUMBER: which it is
    PyObject *summands;  // owned list of log leaves while sum() takes them, or NULL
    PyObject
        *folded;    // owned list of what a generator yields to sum() or max(), or NULL
    uint8_t folds;  // MP_N_ADD, MUL, MIN or MAX: what becomes of them
    PyObject *cached,
        *cached_key;     // owned: a cache that has no answer, and its key; or NULL
    int32_t sum_writes;  // in-place operations before that sum
    bool sums_tensors, sums_dynamic;
    int skip;        // what T->skip was when the frame was entered (MP_BELOW_ONE)
    uint8_t yields;  // mp_yields of the result, if it is an iterator
    PyTypeObject
        *applies;     // borrowed: autograd function that is applied without a graph of
                      // gradients; its `forward` is part of the run
    PyObject *alone;  // borrowed: MP_BELOW_ONE: that function; NULL: those of T->apply
    PyObject *answered;     // owned: what it has returned, or NULL
    uint64_t answers_grad;  // bit per tensor there that required gradients
    PyObject *dirty;  // owned: tensors that its context was told of as written, or NULL
    PyTypeObject *makes;  // borrowed: class whose instance the call is making
    PyObject *callee;   // borrowed: of CALL in progress; C code may use its stack slot
    PyObject *names;    // borrowed from the caller: the namespace of a class body
    PyObject *kwnames;  // borrowed from the code's constants, from KW_NAMES to CALL
    int names_at;       // where they were loaded
    int32_t code_no;    // number of its code in the trace
    int32_t site;       // its row in the trace's sites, counted from 1; 0: none yet
    int handling;       // how many exceptions this frame is handling
    mp_site raised;     // where the first of them came from
    // Segments that do not begin with the call (run/segment.c):
    uint8_t *unread;  // owned, by local: a constant of the entry row, not loaded yet
    int32_t base;     // of the frame's slots in the entry row
    bool arm;         // it runs the arm of a branch that the program does not take
    bool waits;       // numbers among the operands of its call in progress are unread
    bool rebuilt;     // no C code runs its call in progress, ...
    uint8_t how;      // ... and its result is used like this (mp_resume_how)
    PyObject *made;   // borrowed from the rebuilt point: the instance being made
} mp_shadow;

/* Does the instruction in progress hand something out of a generator that goes on? */
static inline bool
mp_shadow_yields(const mp_shadow *s)
{
    return s->pending >= 0 && s->info->at[s->pending].op == MP_OP_YIELD_VALUE;
}

/* One primitive write to an external object, in program order.  The value is read from the
 * live object when the run has ended. */
typedef enum {
    MP_W_KEY_SET,  // dict-like node, key
    MP_W_KEY_DEL,
    MP_W_SLOT_SET,  // instance node, member descriptor
    MP_W_SLOT_DEL,
    MP_W_CELL,        // cell node (set or emptied, as found at the end)
    MP_W_TYPE,        // class node, name (set or deleted, as found at the end)
    MP_W_APPEND,      // list node; item index = entry length + how many before
    MP_W_CONTENT,     // list, set, dict or deque node: whole content
    MP_W_ADVANCE,     // iterator node: its next item is taken, or it has none
    MP_W_CACHED_HIT,  // node of a cache (cfunc/cached.c), key
    MP_W_CACHED_MISS,
    MP_W_CACHED_FILL,   // ... and the answer, as found at the end
    MP_W_CONTEXT,       // context variable node: set; index: address of the token
    MP_W_CONTEXT_BACK,  // token node: sets the variable, which is the key, back
    MP_W_WRITE,         // file node; the text is the key
    MP_W_FLUSH,
    MP_W_WARN,     // the function's node; key: what it warns of (effect/effects.def)
    MP_W_FILTERS,  // the function's node: the filters have changed
} mp_write_kind;

/* May a hit drop the last reference of something by such a write?  What the run has found
 * in the place says little: a write that reads nothing guards nothing. */
static inline bool
mp_write_lets_go(mp_write_kind kind)
{
    switch (kind) {
    case MP_W_APPEND:
    case MP_W_CACHED_HIT:
    case MP_W_CACHED_MISS:
    case MP_W_CACHED_FILL:
    case MP_W_CONTEXT:  // the token holds it
    case MP_W_WRITE:
    case MP_W_FLUSH:
        return false;
    default:
        return true;
    }
}

typedef struct {
    mp_write_kind kind;
    mp_node *node;     // borrowed from the refgraph
    PyObject *key;     // owned or NULL; CONTEXT: the token, if that keeps nothing else
    Py_ssize_t index;  // APPEND; CONTEXT: the address of the token; WARN: of the box
                       // of a late text
    bool dead;         // cancelled by a later write
    bool memo;  // KEY_SET: kept for later; a hit whose guards hold no more must not
} mp_write;

/* What the run has set on a tensor or on a node of the autograd graph, or such a node that it
 * has read (graph/hook.c).  Owned. */
typedef struct {
    PyObject *owner;
    PyObject *method;    // torch's, which sets it; NULL: `made` is owner.grad_fn
    PyObject *function;  // what it is given, or NULL
    PyObject *made;      // its answer; NULL: not there yet
    int64_t version;     // of a tensor, at the time
    mp_site at;
} mp_hook;

/* What an operation does with an array of numpy (read/array.c). */
typedef enum {
    MP_ARRAY_REFUSED,
    MP_ARRAY_INDEX,   // x[a]
    MP_ARRAY_COPIED,  // torch.tensor(a)
    MP_ARRAY_SHARED,  // torch.from_numpy(a): the tensor may be over the array's memory
} mp_array_use;

typedef struct {
    PyObject *target;  // owned callable, or str for a Tensor method; NULL: none pending
    PyObject *args, *kwargs;  // owned trees
    int flags;                // mp_torch_flags
    bool dynamic;             // some argument is dynamic
    bool blind;               // ... and nobody can tell more of it
    bool odd;                 // some argument is odd (graph/odd.c)
    bool sized;               // some argument is sized, or a symbol
    bool takes_numbers;       // some argument is a symbol
    Py_ssize_t n_parts;       // into so many tensors it splits a selection, or -1
    PyObject **inputs;  // owned tensors of the call, until the next event: a temporary
                        // view may be the only one whose counter tells of a write
    int64_t *versions;  // their in-place counters before the call
    int n_inputs, cap_inputs;
    mp_array_use array_use;  // what it does with arrays of numpy
    PyObject *arrays;        // owned list: those it may share memory with, or NULL
    PyObject *effects;       // owned answer of mp_op_effects, or NULL
    uint8_t late;            // mp_late_kind
    bool takes_late;         // some argument is a late value; where:
    bool late_first, late_slice,
        late_bool;    // in the first argument, in a slice; a bool
    bool of_numbers;  // it makes a text that shows symbols alone
} mp_pending_op;

/* What the operation in progress makes of late values. */
typedef enum {
    MP_LATE_NONE,
    MP_LATE_READS,   // one
    MP_LATE_RAISES,  // one, if it does not raise
} mp_late_kind;

/* An entry of the log that makes a late value. */
typedef struct {
    int32_t at;           // its position
    int32_t n_mutations;  // operations in place before it
    bool raises;          // it may raise in a hit
} mp_late_op;

/* A call of autograd.Function.apply in progress, and how far things were before it. */
typedef struct {
    mp_pending_op op;   // owned
    PyTypeObject *cls;  // borrowed, as the functions: guards hold them; NULL: none
    PyObject *forward, *setup_context;
    Py_ssize_t n_ops;
    int32_t n_nodes, n_mutations;
    int n_inputs, n_values, n_writes;
    int32_t n_late_ops;
} mp_apply;

enum { MP_REGION_LOOPS = 64 };  // places on the stack that mp_region.loops has bits for

/* A call of an operator with bodies in Python (torch.cond), or a branch on a tensor, whose
 * arms are bodies: graph/region.c.  An object, because it stands on the stack of the frame in
 * the place of the callee, and may outlive the segment. */
typedef struct mp_region {
    PyObject_HEAD  // mp-ok: a type of our own
    vectorcallfunc vectorcall;
    struct mp_trace *T;       // NULL: the segment has ended
    struct mp_region *outer;  // owned: the region around it, or NULL
    mp_pending_op op;         // owned: what the operator is given
    PyObject *callee, *call;  // owned; call: of src/magpy/regions.py
    PyObject *bodies;         // owned list of (params, operations, results)
    PyObject *params;         // owned list of Values, while a body is recorded
    mp_site site;             // of the instruction
    Py_ssize_t n_ops;         // how far things were before the body in progress
    int32_t inside;
    bool trial;  // what T->trial was before it
    // A branch: of the frame that branches, and where its arms meet.
    int32_t body;       // what T->body was before it
    int64_t arm_end;    // likewise
    int32_t depth;      // its place in T->stack
    int32_t join;       // the first unit of call[2], or an mp_join
    int32_t others[2];  // where the arms begin, if it is false, if it is true
    int32_t below;      // how many values the stack holds there, without the condition
    uint64_t loops;  // bits: places on the stack whose iterator each arm has for itself
    bool calls;      // bool() decides
    bool answers;    // the arms begin with the answer on the stack
    PyObject *
        written;  // owned list or NULL: Values of what was there before, and is written
    PyObject *undo;    // owned list or NULL: what the arm that is not taken has written
    bool arrived;      // the arm that the program does not take is recorded
    int truth;         // which one the program takes
    PyObject **slots;  // owned: what the locals and the stack held there
    PyObject **leaves;  // owned, parallel: Values of tensors among these, or NULL
    int32_t n_slots;
    int (*decide)(PyObject *self);
    bool dynamic;
} mp_region;

/* Where the arms of a branch meet, if they meet at no instruction. */
typedef enum {
    MP_JOIN_RETURNS = -1,  // both return
    MP_JOIN_NONE = -2,     // the region is no branch
} mp_join;

static inline bool
mp_is_branch(const mp_region *r)
{
    return r->join != MP_JOIN_NONE;
}

/* How much of the segment mp_trace_check has looked at. */
typedef struct {
    int32_t n_guards, n_nodes;
    int n_writes;
    Py_ssize_t n_ops;
    int64_t at;  // T->n_instr when it last looked at all of it
} mp_checked;

typedef struct {
    int32_t number;  // a source
    mp_site at;
} mp_pin_note;

enum { MP_MAX_READ = 16 };  // dimensions of a tensor whose sizes are symbols

typedef struct mp_trace {
    mp_trace_state state;
    mp_abort_info *why;
    mp_guards *guards;
    mp_sites sites;  // of the segment
    mp_refgraph graph;
    mp_symbols symbols;
    mp_lates lates;
    PyObject *root_function;  // borrowed from the compiled function
    mp_shadow *stack;
    int n_stack, cap_stack;
    int skip;     // > 0: inside a skipped frame
    int outside;  // > 0: in a finalizer, which skipped this many frames
    mp_write *writes;
    int n_writes, cap_writes;
    mp_pending_op op;
    mp_apply apply;
    mp_hook *hooks;  // owned, in the order of the program
    int32_t n_hooks, cap_hooks;
    mp_region *region;  // owned: the innermost in progress, or NULL
    bool branches;      // a branch on a tensor is an operation
    int32_t stale;      // > 0: so many frames from the outermost on, the last one has a
                        // variable that tells which arm of a branch was taken
    mp_site stale_at;   // that branch
    int32_t body, n_bodies;  // number of the body that is recorded; how many so far
    int32_t inside;  // > 0: a body is recorded; nodes from here on, counted from 1, are
                     // its own
    PyObject *id_hashes;   // owned set: hashes of constants whose id() was asked
    PyObject *fresh_ids;   // owned set of id()s of new objects, or NULL
    PyObject *ops;         // owned list of (target, args, kwargs, result)
    int n_values;          // results so far
    int32_t n_mutations;   // operations that wrote in place so far
    mp_late_op *late_ops;  // owned: entries of the log that make late values
    int32_t n_late_ops, cap_late_ops;
    int32_t read[MP_MAX_READ];  // MP_POST_SHAPE: numbers of the sizes, or -1
    int32_t n_read;
    PyObject *read_of,
        *read_by;        // owned: the Value, and what reads a size that depends
                         // on data, or NULL
    PyObject *recorder;  // owned: answers for sizes of results (graph/shape.c), or NULL
    PyObject *input_rows;   // owned list: what it is told of the inputs; NULL: nothing
    PyObject *number_rows;  // owned: what it knows of the numbers; NULL: nothing
    // Owned list of (Value, terms, terms or None): sizes and strides that the program has read
    // (graph/shape.c); NULL: none.
    PyObject *sizes;
    mp_node **inputs;  // external tensors used by the graph
    int n_inputs, cap_inputs;
    PyObject *result;   // owned: the root's return value, while planning
    PyObject *outputs;  // borrowed list that gets the graph's real outputs, or NULL
    int64_t n_instr, max_instr;
    int64_t arm_end;  // > 0: the arm that is not taken may be recorded so far
    int64_t n_begin;  // n_instr when the segment began
    int64_t
        n_reads;  // items that C code has read, all segments together (read/content.c)
    bool root_seen;
    bool wrote_input;   // some operation wrote to an input of the graph
    int32_t raises_at;  // position of the last operation that may raise, or -1
    bool op_caught;     // some operation ran where the program would catch it ...
    bool op_ended;      // ... and may raise for the values of its tensors
    bool lazy_calls;    // an iterator of C code will call torch operations
    uint8_t in_mode;    // mp_mode_state
    bool lazy_spreads;  // an iterator of C code will take its items apart
    bool recounted;     // a view may have a version counter of its own
    bool uncounted;     // some memory has several counters (t.data, unsafe_chunk)
    bool lazy_indexes;  // an iterator of C code will look keys up in its items
    bool lazy_looks;    // an iterator of C code will test or compare its items
    bool any_order;     // C code puts what a set hands out into an order of its own
    bool postpones;     // the collector is off, because the segment is recorded ...
    bool collects;      // ... although the program has it on, ...
    bool overdue;       // ... and it would have run by now
    bool odd;           // some operation took or made an odd tensor
    bool loads_open;    // sizes of the tensor that is being loaded are data
    bool selects;       // some result has sizes that depend on data
    bool lets_go;       // an object from outside may have died by a write
    int32_t *stores;  // owned; values of the entry row that the outermost frame has let
                      // go of, before it ended
    int32_t n_stores, cap_stores;
    bool busy;  // inside a callback: frames that a finalizer runs are not ours
    mp_ambient *ambient;  // owned; at the segment's begin; NULL without torch
    mp_pin_note *pins;    // owned; sources of numbers that were pinned, and where
    int32_t n_pins;
    mp_compiling *compiling;  // borrowed: what is_compiling() answers
    bool trial;               // a trial: nothing outside may change
    PyObject *generators;     // owned list of weak references: in a trial, to
                              // those that wait in a block; or NULL
    PyObject *undo;           // owned list of a trial, or NULL: (dict, key, value at
                              // the time), without a value if there was none
    const mp_host *host;      // NULL: the run is one segment, or aborts
    void *host_ctx;
    PyObject *codes;      // owned list, by number: keeps the code that sites name
    mp_site wrote;        // the first operation that wrote to an input
    mp_site clash;        // the first that both writes or draws, and can be caught, or
                          // the second of two that do
    mp_site raised;       // where the exception in flight came from
    bool unwinding;       // a frame has just ended with it
    int n_locks;          // locks that the segment holds (mp_take_lock)
    int n_free_writes;    // n_writes when it took the first of these
    mp_site locked;       // where it took it
    int n_levels;         // levels of torch.func that the run has open (graph/levels.c)
    mp_site opened;       // where it opened the outermost one
    bool all_static;      // no number becomes a symbol from here on
    PyObject *warn_view;  // owned: the filters and hooks for its warnings, or NULL
    mp_site warned;       // the first of them
    bool filters_change;  // the run has changed the filters of warnings ...
    bool op_filtered;     // ... and a logged operation came after that:
    mp_site filtered;     // the first one
    mp_site blamed;       // the instruction because of which there is no plan
    PyObject *handled;    // the exception that the caller handles; only compared
    const mp_exit *resumed;    // borrowed: its frames are being rebuilt; NULL: no more
    const mp_point *rebuilds;  // borrowed: the values that they get
    bool whole_only;   // an abort that a graph break cannot avoid: neither recipes nor
                       // effects tell which of equal constants is met
    bool is_root;      // the segment begins with the call
    bool releases;     // the recorder is releasing objects
    bool died;         // code of the program ran while it did
    bool follows;      // it is compared with an entry, and ends where that ends
    bool holds;        // an abort of this instruction may become a break
    int32_t n_guards;  // number of guards before the instruction in progress
    int32_t n_looked;  // number after it, if the segment ends before it
    bool avoids;       // the instruction is avoided: no handler was called
    bool ends;         // the handler was called, but the entry ends here
    bool makes_classes;  // the run made a class (python/class.c)
    bool compiles;       // the run made code from a text (cfunc/exec.c)
    PyObject *lent;      // owned list of arrays that tensors share memory with, or NULL
    mp_site lent_at;     // the operation that made the first such tensor
    PyObject *exposed;   // owned list of arrays whose items other objects (iterators,
                         // memory views) may get at, or NULL
    PyObject *holders;   // owned list, parallel: such an iterator, or None
    PyObject *known;  // owned list of external arrays whose content is guarded, or NULL
    PyObject *frozen;  // owned list, parallel: their content
    mp_site known_at;  // where the first of them was read
    bool computes;     // the instruction in progress uses values of numpy
    bool exposes;      // the result of the instruction is the last holder
    mp_checked checked;
} mp_trace;

enum { MP_UNREAD = 1, MP_VOLATILE = 2 };  // mp_shadow.unread

#define MP_NO_SITE ((mp_site){-1, -1})

/* The instruction at this site is the reason why there will be no plan: the next recording
 * breaks before it.  The first one that is blamed counts. */
static inline void
mp_blame(mp_trace *T, mp_site site)
{
    T->blamed = T->blamed.code < 0 ? site : T->blamed;
}

static inline bool
is_tensor_node(const mp_node *n)
{
    return n != NULL && n->kind == MP_NODE_TENSOR;
}

/* External and not yet rewritten: reads need guards. */
static inline bool
mp_node_needs_guards(const mp_node *n)
{
    return n != NULL && n->reg >= 0 && !n->rewritten;
}

enum {
    MP_YIELDS_TENSORS = 1,
    MP_YIELDS_OBJECTS = 2,
    MP_YIELDS_KNOWN = 4,
    MP_YIELDS_TUPLES = 8,  // tuples whose content has not been read
    MP_YIELDS_READ = 16,   // C code reads each of its items first: map(len, xs)
};

typedef enum {
    MP_MODE_OFF,
    MP_MODE_ON,      // on torch's stack
    MP_MODE_INSIDE,  // hidden by torch, in __torch_function__
} mp_mode_state;

static inline bool
mp_name_is(PyObject *name, const char *text)
{
    return PyUnicode_CompareWithASCIIString(name, text) == 0;
}

/* -- abort.c ----------------------------------------------------------------------- */

/* format as PyUnicode_FromFormat takes it. */
mp_rc mp_trace_abort(mp_trace *T, mp_abort_id id, const char *format, ...);
const char *mp_type_name(PyObject *o);
/* Break before the instruction there next time, for the reason in T->why; unless at_once,
 * only if it fails again: what a program does at its first call, it may not do again. */
void mp_trace_avoid(mp_trace *T, mp_site site, bool at_once);  // run/segment.c

/* Is an arm of a branch recorded, or a body within one? */
static inline bool
mp_in_arm(const mp_trace *T)
{
    const mp_region *r = T->inside > 0 ? T->region : NULL;
    while (r != NULL && !mp_is_branch(r)) {
        r = r->outer;
    }
    return r != NULL;
}

/* Why a body cannot be recorded: control-flow, with that reason. */
void mp_abort_of_body(mp_abort_info *why);

/* -- arrays.c ---------------------------------------------------------------------- */

/* Guard the value of a context variable with node n; pins: its identity. */
mp_rc mp_read_context(mp_trace *T, PyObject *var, const mp_node *n, bool pins);
/* A value of numpy is used: guard numpy's state in context variables (once). */
mp_rc mp_array_guard_state(mp_trace *T);
/* The instruction that did so has ended: would numpy have warned? */
mp_rc mp_array_check_floats(mp_trace *T);
/* R: an array that shares memory with a tensor is not used again, because neither guards nor
 * journal notice writes of one to the other.  No such tensor is made from an array that can
 * be reached through another kind of object. */
mp_rc mp_array_check_lent(mp_trace *T, PyObject *a);
/* Does it share memory with one of these arrays?  On doubt: yes. */
bool mp_array_overlaps(PyObject *list, PyObject *a);

/* -- classes.c --------------------------------------------------------------------- */

mp_rc mp_guard_type_attr(mp_trace *T, PyTypeObject *type, PyObject *name,
                         PyObject *found);
/* Did the run make this class? */
bool mp_is_new_class(mp_trace *T, PyObject *obj);
/* `name` is looked up in a class that the run made: after the class `after` in its MRO, or,
 * with NULL, in all of it. */
mp_rc mp_guard_new_class(mp_trace *T, PyTypeObject *type, PyTypeObject *after,
                         PyObject *name);
/* The answer depends on the base classes of `type`, which C.__bases__ = ... replaces. */
mp_rc mp_guard_mro(mp_trace *T, PyTypeObject *type);
/* Of the type of obj, and of obj itself if it is a class. */
mp_rc mp_guard_mro_of(mp_trace *T, PyObject *obj);

/* -- compiling.c ------------------------------------------------------------------- */

/* The frame of s asks is_compiling(). */
mp_rc mp_record_compiling(mp_trace *T, mp_shadow *s);

/* -- dynamic.c --------------------------------------------------------------------- */

typedef enum {
    MP_STATIC,
    MP_DYNAMIC,
    MP_DYNAMIC_WANTED,  // by the user's word: also a size of 0 or 1
} mp_dynamic;

/* Shall this number become a symbol?  reg: where it was loaded, or what it is a part of;
 * o: the object there; now: the number itself, where it is a size. */
mp_dynamic mp_is_dynamic_place(mp_trace *T, int32_t reg, mp_part part, int64_t n,
                               PyObject *o, int64_t now);
/* Has the user asked for a symbol (mark_dynamic)? */
bool mp_dynamic_is_wanted(PyObject *tensor, int64_t dim);

/* -- pins.c ------------------------------------------------------------------------ */

/* The instruction in progress needs the value of this number. */
mp_rc mp_note_pin(mp_trace *T, int32_t number);
/* (place, file, line, was it marked by the user?) of each: new list. */
PyObject *mp_pins_rows(mp_trace *T);

/* -- entry.c ----------------------------------------------------------------------- */

/* Local i is about to be loaded, or stored; all of them are looked at. */
mp_rc mp_segment_load_local(mp_trace *T, mp_shadow *s, int i);
mp_rc mp_segment_store_local(mp_trace *T, mp_shadow *s, int i);
mp_rc mp_segment_load_locals(mp_trace *T, mp_shadow *s);
/* The name of value i of the frame, for texts: new str. */
PyObject *mp_entry_name(const mp_shadow *s, int32_t i, bool root);
/* Value `at` of the entry row is guarded.  Takes the reference to name, which may be NULL
 * with an exception set. */
mp_rc mp_entry_load(mp_trace *T, int32_t at, PyObject *name, PyObject *value);

/* -- finalizer.c ------------------------------------------------------------------- */

/* Would its death run code of the program?  Also asked of the objects behind an iterator. */
bool mp_has_finalizer(PyObject *v);

/* -- library.c --------------------------------------------------------------------- */

/* Are these the globals of a module whose frames may run below an operation? */
bool mp_is_library(PyObject *globals);
/* More prefixes of names of modules: tuple of str.  Once; 0 / -1. */
int mp_library_init(PyObject *prefixes);

/* -- sites.c ----------------------------------------------------------------------- */

void mp_sites_note_new(mp_trace *T);
/* Guards and operations since the last call came from the instruction in progress. */
static inline void
mp_sites_note(mp_trace *T)
{
    if (T->guards->n_ops != T->sites.guards.end
        || PyList_GET_SIZE(T->ops) != T->sites.ops.end) {
        mp_sites_note_new(T);
    }
}
/* The segment's rows have gone. */
void mp_sites_forget(mp_trace *T);
/* (file, line, function) of the watched frames, the outermost first: new list. */
PyObject *mp_trace_stack(const mp_trace *T);

/* -- value.c ----------------------------------------------------------------------- */

/* Immutable scalar: has no identity that matters, needs no node. */
bool mp_is_constant(PyObject *o);
/* Pinned by identity when loaded: class, function, builtin, module, code. */
bool mp_is_identity(PyObject *o);
/* A type hint, such as List[int]: never written to. */
bool mp_is_typing(PyObject *o);
/* A function of the module typing. */
bool mp_is_of_typing(PyObject *function);
bool mp_register_constant_type(PyTypeObject *type);
bool mp_is_constant_type(PyTypeObject *type);
/* A call of a C function that is about to happen. */
typedef struct {
    PyObject *callee;       // borrowed, as all
    PyObject *const *args;  // nargs positional ones, then one per name in kwnames
    Py_ssize_t nargs, count;
    PyObject *kwnames;  // tuple, or NULL
    mp_rule rule;
    uint32_t traits;  // mp_trait
} mp_call;

static inline mp_call
mp_call_make(PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    assert(nargs >= 0 && (kwnames == NULL || PyTuple_Check(kwnames)));
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    mp_call c = {callee, args, nargs, count, kwnames, RULE_NONE, 0};
    c.rule = callee == NULL ? RULE_NONE : mp_rule_and_traits(callee, &c.traits);
    return c;
}

/* What a value on the stack is.  Aborts if unknown.  A symbol is pinned, since whoever asks
 * may look at it, and is a constant then; not by the second. */
mp_rc mp_value(mp_trace *T, PyObject *obj, mp_val *v);
mp_rc mp_value_symbol(mp_trace *T, PyObject *obj, mp_val *v);
/* The same; late values are a kind of their own: all others refuse them. */
mp_rc mp_value_late(mp_trace *T, PyObject *obj, mp_val *v);
/* Of what is taken apart: sizes in a torch.Size, else a constant, are not pinned with it. */
mp_rc mp_value_items(mp_trace *T, PyObject *obj, mp_val *v);
/* A value that is only passed on becomes known. */
mp_rc mp_pass(mp_trace *T, PyObject *obj);
mp_rc mp_pass_all(mp_trace *T, PyObject *const *objs, Py_ssize_t count);
/* The same, if the caller needs no node; and for several values. */
mp_rc mp_know(mp_trace *T, PyObject *obj);
mp_rc mp_know_all(mp_trace *T, PyObject *const *objs, Py_ssize_t count);
/* The value was read at `step` of an external object: guard it, give it a node. */
mp_rc mp_load(mp_trace *T, mp_guard_kind kind, int32_t a, PyObject *key, int64_t n,
              PyObject *value);
/* obj is reached through something whose identity is guarded. */
mp_rc mp_load_const(mp_trace *T, PyObject *obj);
mp_rc mp_test(mp_trace *T, mp_guard_kind kind, mp_node *n, PyObject *obj, int64_t num);
mp_rc mp_fresh(mp_trace *T, PyObject *obj);
/* Result of a modelled C call. */
mp_rc mp_result(mp_trace *T, PyObject *obj);
/* Guard a function that is about to run (or whose defaults are used). */
mp_rc mp_guard_function(mp_trace *T, PyObject *func);
/* Would this constant be another number in the next run? */
bool mp_is_fresh_id(mp_trace *T, PyObject *obj);
/* C code computes with obj, so it must not be such a number. */
mp_rc mp_refuse_fresh_id(mp_trace *T, PyObject *obj);
/* A tensor whose value follows from constants: may be read while recording. */
bool mp_tensor_is_constant(mp_trace *T, PyObject *obj);
/* Has this call made the function or class, in an earlier segment or in a gap? */
bool mp_is_of_call(mp_trace *T, PyObject *v);
/* An instruction of a gap has returned this. */
int mp_note_gap_made(mp_trace *T, PyObject *v);

#endif
