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
#include "objects/types.h"
#include "trace/host.h"
#include "trace/refgraph.h"

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
    MP_BELOW_APPLY,    // inside autograd.Function.apply: its `forward` is watched
} mp_below;

/* How the result of the instruction in progress is taken in. */
typedef enum {
    MP_POST_NONE,
    MP_POST_FRESH,      // top of stack is a new object
    MP_POST_RESULT,     // result of a modelled C call: constant, known, or else new
    MP_POST_OP,         // result of the logged operation
    MP_POST_APPLY,      // the same, of autograd.Function.apply
    MP_POST_STORE,      // the logged operation is a statement: it has no result
    MP_POST_CONST,      // must be a constant (metadata)
    MP_POST_PAIR,       // two results: LOAD_METHOD, BEFORE_WITH
    MP_POST_UNPACK,     // UNPACK_EX: one of the new slots is a new list
    MP_POST_COMPILING,  // answer of torch.compiler.is_compiling()
    MP_POST_CACHED,     // of a cached function (cfunc/cached.c)
    MP_POST_HINT,       // of a cached function of typing: a type hint
    MP_POST_SUM,        // of sum() over a generator
    MP_POST_IMPORT,     // a module: guard that the import answers with it
    MP_POST_CLASS,      // a class that type.__new__ has made
    MP_POST_NESTED,     // a nesting of new containers
    MP_POST_NUMPY,      // of a function of numpy, or of a method of an array
} mp_post;

typedef struct {
    mp_frame *f;  // dead once `leave` was told
    const mp_code_info *info;
    int pending;    // code unit index in progress; -1: none
    uint8_t below;  // mp_below
    uint8_t post;   // mp_post
    bool owns_op;   // the operation in T->op belongs to this instruction
    bool root;
    bool raw;            // a C method called by itself: overrides do not run
    bool started;        // first event seen: arguments are classified
    bool fresh;          // false: a generator's frame went on
    bool caught;         // an exception of this frame meets a handler further out
    bool looks;          // C code below tests or compares what Python answers
    bool calls;          // C code below may call torch operations (run/mode.c)
    bool spreads;        // C code below takes apart what Python answers
    bool hashes;         // C code below puts what Python answers into a set
    bool execs;          // exec() or eval(): its frame is no function's
    bool through_c;      // C code takes in what Python answers
    PyObject *summands;  // owned list of log leaves while sum() takes them, or NULL
    PyObject *cached, *cached_key;  // owned: a cache that misses, and for what; or NULL
    int32_t sum_writes;             // in-place operations before that sum
    bool sums_tensors, sums_dynamic;
    int skip;        // what T->skip was when the frame was entered (MP_BELOW_APPLY)
    uint8_t yields;  // what the result, if it is an iterator, may hand out
    PyTypeObject *makes;  // borrowed: class whose instance the call is making
    PyObject *names;      // borrowed from the caller: what the body of a class fills
    PyObject *kwnames;    // borrowed from the code's constants, from KW_NAMES to CALL
    int names_at;         // where they were loaded
    int32_t code_no;      // number of its code in the trace
    int handling;         // exceptions that handlers of this frame are handling
    mp_site raised;       // where the first of them came from
    // Segments that do not begin with the call (run/segment.c):
    uint8_t *unread;  // owned, by local: a constant of the entry row, not looked at yet
    int32_t base;     // of the frame's slots in the entry row
    bool rebuilt;     // in the call in progress, whose operands are gone, ...
    uint8_t how;      // ... this happens with its result (mp_resume_how)
    PyObject *made;   // borrowed from whoever rebuilds the frame
} mp_shadow;

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
    MP_W_CACHED_FILL,  // ... and the answer, as found at the end
    MP_W_WRITE,        // file node; the text is the key
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
    PyObject *key;     // owned or NULL
    Py_ssize_t index;  // APPEND
    bool dead;         // cancelled by a later write
} mp_write;

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
    PyObject **inputs;  // owned tensors of the call, until the next event: a temporary
                        // view may be the only one whose counter tells of a write
    int64_t *versions;  // their in-place counters before the call
    int n_inputs, cap_inputs;
    mp_array_use array_use;  // what it may do with arrays of numpy
    PyObject *arrays;        // owned list: those it may share memory with, or NULL
    PyObject *effects;       // owned answer of mp_op_effects, or NULL
} mp_pending_op;

/* A call of autograd.Function.apply in progress, and how far things were before it. */
typedef struct {
    mp_pending_op op;   // owned
    PyTypeObject *cls;  // borrowed, as the functions: guards hold them; NULL: none
    PyObject *forward, *setup_context;
    Py_ssize_t n_ops;
    int32_t n_nodes, n_mutations;
    int n_inputs, n_values, n_writes;
} mp_apply;

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

typedef struct mp_trace {
    mp_trace_state state;
    mp_abort_info *why;
    mp_guards *guards;
    mp_refgraph graph;
    PyObject *root_function;  // borrowed from the compiled function
    mp_shadow *stack;
    int n_stack, cap_stack;
    int skip;     // > 0: inside a skipped frame
    int outside;  // > 0: in a finalizer, which skipped this many frames
    mp_write *writes;
    int n_writes, cap_writes;
    mp_pending_op op;
    mp_apply apply;
    PyObject *fresh_ids;  // owned set of id()s of new objects, or NULL
    PyObject *ops;        // owned list of (target, args, kwargs, result)
    int n_values;         // results so far
    int32_t n_mutations;  // operations that wrote in place so far
    mp_node **inputs;     // external tensors used by the graph
    int n_inputs, cap_inputs;
    PyObject *result;   // owned: the root's return value, while planning
    PyObject *outputs;  // borrowed list that gets the graph's real outputs, or NULL
    int64_t n_instr, max_instr;
    int64_t n_begin;  // n_instr when the segment began
    bool root_seen;
    bool wrote_input;   // some operation wrote to an input of the graph
    int32_t raises_at;  // position of the last operation that may raise, or -1
    bool op_caught;     // some operation ran where the program would catch it
    bool lazy_calls;    // some iterator of C code calls torch operations, later
    uint8_t in_mode;    // mp_mode_state
    bool lazy_spreads;  // some iterator of C code takes apart what it gets, later
    bool recounted;     // some view may count its writes by itself
    bool uncounted;     // some memory has several counters (t.data, unsafe_chunk)
    bool lazy_indexes;  // some iterator of C code looks keys up in what it gets, later
    bool lazy_looks;    // some iterator of C code looks at what it gets, later
    bool postpones;     // the collector is off, because the segment is recorded ...
    bool collects;      // ... and was on before, ...
    bool overdue;       // ... and would have run meanwhile
    bool lets_go;       // a write may have let something die that was there before
    bool busy;          // inside a callback: frames that a finalizer runs are not ours
    mp_ambient *ambient;  // owned; at the segment's begin; NULL without torch
    mp_pin_note *pins;    // owned; sources of numbers that were pinned, and where
    int32_t n_pins;
    mp_compiling *compiling;  // borrowed: what the run is told of compilers
    bool trial;               // until the call is over: nothing outside may change
    PyObject *generators;     // owned list of weak references: in a trial, to
                              // those that wait in a block; or NULL
    PyObject *undo;           // owned list of (dict, key, value) of a trial, or NULL
    const mp_host *host;      // NULL: the run is one segment, or aborts
    void *host_ctx;
    PyObject *codes;      // owned list, by number: keeps the code that sites name
    mp_site wrote;        // the first operation that wrote to an input
    mp_site clash;        // the first that both writes or draws, and can be caught, or
                          // the second of two that do
    mp_site raised;       // where the exception in flight came from
    bool unwinding;       // a frame has just ended by it
    int n_locks;          // that the segment holds (mp_take_lock)
    int n_free_writes;    // n_writes when it took the first of them
    mp_site locked;       // where it did
    PyObject *warn_view;  // owned: what shows the warnings of the segment, or NULL
    mp_site warned;       // the first of them
    mp_site blamed;       // what made that no plan can be made
    PyObject *handled;    // the exception that the caller handles; only compared
    const mp_exit *resumed;    // borrowed: its frames are being rebuilt; NULL: no more
    const mp_point *rebuilds;  // borrowed: what they get
    bool whole_only;   // an abort that a graph break cannot avoid: neither recipes nor
                       // effects tell which of equal constants is met
    bool is_root;      // the segment begins with the call
    bool releases;     // it lets go of objects that nothing else holds
    bool died;         // code of the program ran meanwhile
    bool follows;      // it is compared with an entry, and ends where that does
    bool holds;        // an abort now may become a break
    int32_t n_guards;  // there were before the instruction in progress was looked at
    int32_t n_looked;  // and how many there are since, when its segment ends before it
    bool avoids;       // it is avoided, so it was not looked at
    bool ends;         // it was recorded, but the entry that is followed ends here
    bool makes_classes;  // it made a class (python/class.c)
    bool compiles;       // it made code of a text (cfunc/exec.c)
    PyObject *lent;      // owned list of arrays that tensors share memory with, or NULL
    mp_site lent_at;     // the operation that made the first such tensor
    PyObject *exposed;   // owned list of arrays whose items other objects (iterators,
                         // memory views) may get at, or NULL
    PyObject *holders;   // owned list beside it: such an iterator, or None
    PyObject *known;  // owned list of external arrays whose content is guarded, or NULL
    PyObject *frozen;  // owned list beside it: what they held
    mp_site known_at;  // where the first of them was read
    bool computes;     // the instruction in progress uses values of numpy
    bool exposes;      // the instruction in progress makes the last one's holder
    mp_checked checked;
} mp_trace;

enum { MP_UNREAD = 1, MP_VOLATILE = 2 };  // mp_shadow.unread

#define MP_NO_SITE ((mp_site){-1, -1})

/* No plan can be made of a run with the instruction at this site: the next one breaks
 * before it.  The first one counts. */
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
    MP_YIELDS_TUPLES = 8,  // whose content nobody has asked for
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
void mp_trial_give_up(mp_trace *T);
/* Break before the instruction there next time, for the reason in T->why; unless at_once,
 * only if it fails again: what a program does at its first call, it may not do again. */
void mp_trace_avoid(mp_trace *T, mp_site site, bool at_once);  // run/segment.c

/* -- arrays.c ---------------------------------------------------------------------- */

/* What a context variable with node n holds; pins: that very object. */
mp_rc mp_read_context(mp_trace *T, PyObject *var, const mp_node *n, bool pins);
/* A value of numpy's is used: what numpy keeps in contexts is guarded (once). */
mp_rc mp_array_guard_state(mp_trace *T);
/* The instruction that did so has ended: was there anything to warn of? */
mp_rc mp_array_check_floats(mp_trace *T);
/* R: an array that a tensor shares memory with is not used again: neither guards nor
 * journal see what the one does to the other.  Nor is such a tensor made of an array that
 * could be reached through something else than arrays. */
mp_rc mp_array_check_lent(mp_trace *T, PyObject *a);
/* Does it share memory with one of these arrays?  On doubt: yes. */
bool mp_array_overlaps(PyObject *list, PyObject *a);

/* -- classes.c --------------------------------------------------------------------- */

mp_rc mp_guard_type_attr(mp_trace *T, PyTypeObject *type, PyObject *name,
                         PyObject *found);
/* Did the run make this class? */
bool mp_is_new_class(mp_trace *T, PyObject *obj);
/* `name` is looked up in a class that the run made, behind `after` in its MRO or, with
 * NULL, in all of it. */
mp_rc mp_guard_new_class(mp_trace *T, PyTypeObject *type, PyTypeObject *after,
                         PyObject *name);
/* What is answered follows from the classes behind `type`: C.__bases__ = ... changes them. */
mp_rc mp_guard_mro(mp_trace *T, PyTypeObject *type);
/* Of the type of obj, and of obj itself if it is a class. */
mp_rc mp_guard_mro_of(mp_trace *T, PyObject *obj);

/* -- compiling.c ------------------------------------------------------------------- */

/* The frame of s asks. */
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
void mp_segment_store_local(mp_trace *T, mp_shadow *s, int i);
mp_rc mp_segment_load_locals(mp_trace *T, mp_shadow *s);
/* What value i of the frame is called: new str. */
PyObject *mp_entry_name(const mp_shadow *s, int32_t i, bool root);
/* Value `at` of the entry row is guarded.  Takes the reference to name, which may be NULL
 * with an exception set. */
mp_rc mp_entry_load(mp_trace *T, int32_t at, PyObject *name, PyObject *value);

/* -- finalizer.c ------------------------------------------------------------------- */

/* Would its death run code of the program?  The same of what is behind an iterator. */
bool mp_has_finalizer(PyObject *v);

/* -- library.c --------------------------------------------------------------------- */

/* Are these the globals of a module whose frames may run below an operation? */
bool mp_is_library(PyObject *globals);
/* More prefixes of names of modules: tuple of str.  Once; 0 / -1. */
int mp_library_init(PyObject *prefixes);

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
} mp_call;

static inline mp_call
mp_call_make(PyObject *callee, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    assert(nargs >= 0 && (kwnames == NULL || PyTuple_Check(kwnames)));
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    return (mp_call){callee, args, nargs, count, kwnames};
}

/* What a value on the stack is.  Aborts if unknown. */
mp_rc mp_value(mp_trace *T, PyObject *obj, mp_val *v);
/* The same where nobody asks for the node; and of each of them. */
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
/* C code computes with obj: it must be no such number. */
mp_rc mp_refuse_fresh_id(mp_trace *T, PyObject *obj);
/* A tensor whose value follows from constants: may be read while recording. */
bool mp_tensor_is_constant(mp_trace *T, PyObject *obj);
/* A function or class that this call has made, in an earlier segment or between two? */
bool mp_is_of_call(mp_trace *T, PyObject *v);
/* An instruction of a gap has answered with this. */
int mp_note_gap_made(mp_trace *T, PyObject *v);

#endif
