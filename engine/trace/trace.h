/* trace/trace.h - one recording in progress.  Private to record*.c, graph/oplog.c and rebuild/rebuild.c.
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
#include "trace/record.h"
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
    mp_ambient *ambient;      // owned; at the segment's begin; NULL without torch
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
    bool whole_only;   // what aborts depends on what neither recipes nor effects tell
                       // (which of equal constants it gets), so no break helps
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

/* -- Outcomes ------------------------------------------------------------------------ */

#define MP_NO_SITE ((mp_site){-1, -1})
/* No plan can be made of a run with the instruction at this site: the next one breaks
 * before it.  The first one counts. */
static inline void
mp_blame(mp_trace *T, mp_site site)
{
    T->blamed = T->blamed.code < 0 ? site : T->blamed;
}

/* format as PyUnicode_FromFormat takes it. */
mp_rc mp_trace_abort(mp_trace *T, mp_abort_id id, const char *format, ...);
const char *mp_type_name(PyObject *o);

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

/* -- Values (trace/value.c) ---------------------------------------------------------- */

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

/* The node of a value on the stack; *node = NULL for a constant.  Aborts if unknown. */
mp_rc mp_value(mp_trace *T, PyObject *obj, mp_node **node);
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
/* Defaults of its keyword-only parameters live in a dict that can change in place. */
mp_rc mp_read_kwdefaults(mp_trace *T, PyObject *func);
mp_rc mp_guard_type_attr(mp_trace *T, PyTypeObject *type, PyObject *name,
                         PyObject *found);

/* -- Special methods (python/special.c) ------------------------------------------------------ */

/* A special method of obj's type that C code will call becomes known.  *found: borrowed, or
 * NULL if the type has none.  Aborts if it is neither a function in Python nor the C type's
 * own. */
mp_rc mp_special(mp_trace *T, PyObject *obj, const char *name, PyObject **found);
/* The same, whatever it is: for callers that tell what calling it does. */
mp_rc mp_special_any(mp_trace *T, PyObject *obj, const char *name, PyObject **found);
/* The interpreter calls what was found in the class of obj, in its place. */
mp_rc mp_call_special(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *found,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* All special methods that C code may call on obj (python/specials.def). */
mp_rc mp_prepare_instance(mp_trace *T, PyObject *obj);

/* -- Instructions (python/instr.c) ------------------------------------------------------------ */

mp_rc mp_record_instr(mp_trace *T, mp_shadow *s, const mp_instr *in);

/* -- Match statements (python/match.c) -- */
/* Is it a sequence, or a mapping? */
mp_rc mp_record_match_kind(mp_trace *T, PyObject *subject);
mp_rc mp_record_get_len(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_record_match_keys(mp_trace *T, mp_shadow *s, PyObject *mapping);
/* `case C(p, q, name=r)`: count is that of p and q, names those of the others. */
mp_rc mp_record_match_class(mp_trace *T, mp_shadow *s, PyObject *subject, PyObject *cls,
                            PyObject *names, int count);

/* -- Imports, except clauses (python/import.c) -- */
/* names: those of `from m import ...`, or None. */
/* The module that C code imports by name: borrowed. */
mp_rc mp_read_module(mp_trace *T, mp_shadow *s, const char *name, PyObject **module);
mp_rc mp_record_import(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *level,
                       PyObject *names);
mp_rc mp_record_import_from(mp_trace *T, mp_shadow *s, PyObject *module,
                            PyObject *name);
/* An exception is compared with these classes. */
mp_rc mp_record_except(mp_trace *T, PyObject *classes);

/* What the cell in local i holds is read. */
mp_rc mp_read_cell(mp_trace *T, mp_shadow *s, int i);

/* -- Containers (python/item.c, read/content.c) ---------------------------------------- */

bool mp_key_is_safe(PyObject *key);
mp_rc mp_prepare_key(mp_trace *T, mp_shadow *s, PyObject *key);
/* Find the types of collections once: 0 / -1. */
int mp_container_types(void);
bool mp_is_sized(PyObject *obj);  // a container whose length and items C code reads
bool mp_is_deque(PyObject *obj);
PyObject *mp_deque_item(PyObject *deque,
                        Py_ssize_t i);  // new; whatever a subclass does
bool mp_is_default_dict(PyObject *obj);
mp_rc mp_read_maxlen(mp_trace *T, PyObject *deque, mp_node *n);
/* Does the class define `name` in Python?  Then the instruction runs it: watch. */
mp_rc mp_runs_python(mp_trace *T, mp_shadow *s, PyObject *obj, const char *name,
                     bool *runs);
/* Items are reached through a read-only view: go on with the mapping itself. */
mp_rc mp_unwrap_proxy(mp_trace *T, PyObject **obj);
/* Guard all of a container's entry content (keys, length, items), one level. */
mp_rc mp_read_all(mp_trace *T, PyObject *obj);
/* The same, of whatever C code is about to take the items of: aborts if nobody can guard
 * what an object from outside hands out. */
mp_rc mp_read_items(mp_trace *T, PyObject *obj);
mp_rc mp_read_deep(mp_trace *T, PyObject *obj, bool *has_tensor);
/* C code looks at an object of a C type (cfunc/rows.c): what never changes is pinned,
 * what may change unseen is refused. */
mp_rc mp_read_c_object(mp_trace *T, PyObject *obj, mp_node *n);
mp_rc mp_read_len(mp_trace *T, PyObject *obj);
/* The keys in the dict's own order, whatever __iter__ a subclass has: new tuple. */
PyObject *mp_dict_keys(PyObject *dict);
/* A field of a namedtuple: a descriptor that knows an index. */
bool mp_is_tuple_field(PyObject *descr);
mp_rc mp_read_tuple_field(mp_trace *T, PyObject *owner, mp_node *n, PyObject *field);
mp_rc mp_read_truth(mp_trace *T, PyObject *obj, mp_shadow *s);
mp_rc mp_read_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key,
                  PyObject **value);
mp_rc mp_record_getitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key);
mp_rc mp_record_setitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key,
                        PyObject *value);
mp_rc mp_record_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item);
mp_rc mp_record_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op);
mp_rc mp_record_is(mp_trace *T, PyObject *a, PyObject *b);
mp_rc mp_record_iter(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_record_unpack(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_record_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op);
mp_rc mp_record_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name);
mp_rc mp_record_format(mp_trace *T, mp_shadow *s, PyObject *value);
/* C code writes a text of obj, whose content is known. */
mp_rc mp_look_at_text(mp_trace *T, PyObject *obj);
/* Does "{0.x}" get at attributes, when it formats? */
bool mp_format_takes_attrs(PyObject *text);

/* -- What C code sees (cfunc/look.c) ---------------------------------------------------- */

enum {
    MP_YIELDS_TENSORS = 1,
    MP_YIELDS_OBJECTS = 2,
    MP_YIELDS_KNOWN = 4,
    MP_YIELDS_TUPLES = 8,  // whose content nobody has asked for
    MP_YIELDS_READ = 16,   // C code reads each of its items first: map(len, xs)
};
/* What an iterator that `maker` (NULL: iter) makes of these objects may hand to C code, and
 * KNOWN; over a dict: its keys, or with `values` all that it holds. */
uint8_t mp_yields(mp_trace *T, PyObject *maker, PyObject *const *args, Py_ssize_t count,
                  bool values);
/* C code is about to look at what the items of obj hold, if it is a fresh iterator. */
mp_rc mp_look_at_yields(mp_trace *T, PyObject *obj, const char *who);
/* The C function `who` takes each item of these arguments apart: dict(pairs). */
mp_rc mp_look_into(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
                   Py_ssize_t count);
/* C code takes the items of a dict; aborts if its class says what they are. */
mp_rc mp_prepare_merge(mp_trace *T, PyObject *dict);
/* Read the containers behind an iterator (read/iter.c). */
mp_rc mp_look_behind(mp_trace *T, PyObject *iterator, const char *who);
/* C code is about to advance it: items that came since it was made are read as well. */
mp_rc mp_look_before_next(mp_trace *T, PyObject *iterator);
/* An object of a C type without a row, whose items C code could ask for. */
bool mp_is_opaque_external(PyObject *obj, const mp_node *n);
/* A Python frame below the instruction of `caller` has answered. */
mp_rc mp_look_at_answer(mp_trace *T, mp_shadow *caller, const mp_shadow *left,
                        PyObject *answer);

/* -- Callables that C code calls (python/callback.c) ----------------------------------------- */

/* The C function gets these arguments and calls those that are callable. */
mp_rc mp_look_at_calls(mp_trace *T, mp_shadow *s, PyObject *callee,
                       PyObject *const *args, Py_ssize_t count);

/* A key that is missing in a defaultdict that obj is, or holds, would be written by `who`. */
mp_rc mp_refuse_default(mp_trace *T, PyObject *obj, const char *who);

/* -- C functions of Python on tensors (python/operate.c) ------------------------------------ */

mp_rc mp_record_operate(mp_trace *T, mp_shadow *s, PyObject *callee,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                        bool has_tensor);
mp_rc mp_record_inplace(mp_trace *T, mp_shadow *s, PyObject *callee,
                        PyObject *const *args, Py_ssize_t nargs);
/* s is in sum() over a generator, whose frame `left` with item. */
mp_rc mp_sum_take(mp_trace *T, mp_shadow *s, const mp_shadow *left, PyObject *item);
mp_rc mp_sum_end(mp_trace *T, mp_shadow *s, PyObject *result);

/* -- Operations that C code calls (run/mode.c) ---------------------------------------- */

typedef enum {
    MP_MODE_OFF,
    MP_MODE_ON,      // on torch's stack
    MP_MODE_INSIDE,  // hidden by torch, in __torch_function__
} mp_mode_state;

int mp_mode_init(void);
/* If C code below s may call operations: after the last callback before it runs. */
void mp_mode_on(mp_trace *T, const mp_shadow *s);
/* Before any Python code runs. */
void mp_mode_off(mp_trace *T);
/* Run a step of the innermost watched frame as a callback. */
void mp_record_step(mp_trace *T, mp_rc (*step)(mp_trace *, mp_shadow *, void *),
                    void *arg);

/* -- Bytearrays (read/bytes.c) --------------------------------------------------------- */

/* obj is an external bytearray: its content is read; obj[key] is written or deleted. */
mp_rc mp_read_bytes(mp_trace *T, PyObject *obj, mp_node *n);
mp_rc mp_write_bytes(mp_trace *T, mp_shadow *s, mp_node *n, PyObject *key,
                     PyObject *value);

/* -- What dies (run/death.c) ---------------------------------------------------------- */

int mp_death_init(void);
/* The frame is no part of the program: it runs because something died. */
bool mp_is_finalizer(mp_trace *T, const mp_shadow *parent, mp_frame *f);
/* It is one that the recording cannot hold. */
bool mp_runs_as_it_dies(mp_trace *T, mp_frame *f, bool fresh);
/* Code of the library, or of the collector's users. */
bool mp_death_is_harmless(mp_frame *f);
/* Code of WeakKeyDictionary, WeakSet and the like. */
bool mp_is_weakref_frame(mp_frame *f);
/* So many objects that the collector looks at have been made since it was switched off that
 * it has to run now.  What runs then and is not the library's ends the recording. */
void mp_collect_garbage(mp_trace *T);
/* No segment is recorded any more: the collector does what it would have done. */
MP_MAYRUN void mp_collector_restore(mp_trace *T);
/* Would its death run code of the program?  The same of what is behind an iterator. */
bool mp_has_finalizer(PyObject *v);
bool mp_reaches_finalizer(PyObject *v);

/* -- Autograd state (graph/leaf.c) ----------------------------------------------------- */

/* Would t.requires_grad_(...) with these arguments leave t as it is? */
bool mp_keeps_requires_grad(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* An attribute of a tensor is set, or with NULL deleted.  Not *done: it is one that the
 * program keeps in the tensor's dict. */
mp_rc mp_record_tensor_store(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                             PyObject *name, PyObject *value, bool *done);
/* Attributes of a tensor that tell of the autograd graph; aborts on all others. */
mp_rc mp_record_leaf_attr(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                          PyObject *name);

/* -- Identity (read/identity.c) --------------------------------------------------- */

/* C code is about to hash or compare obj: it may find it to be another object it knows. */
mp_rc mp_note_identity(mp_trace *T, PyObject *obj);
/* It is hashed, or compared as an item: by identity first. */
mp_rc mp_refuse_nan(mp_trace *T, PyObject *item);
/* Is every constant that equals it the same object? */
bool mp_is_unique(PyObject *constant);
/* The program asks whether two constants are one object: guards on values do not tell. */
mp_rc mp_constants_is(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b);
mp_rc mp_note_items(mp_trace *T, PyObject *const *args, Py_ssize_t count);
/* An external dict is looked up or written with this key. */
mp_rc mp_pin_key(mp_trace *T, PyObject *key);
bool mp_key_is_new(mp_trace *T, PyObject *key);
mp_rc mp_guard_compared(mp_trace *T);

/* -- Writes (read/write.c) ----------------------------------------------------------- */

mp_rc mp_write_key(mp_trace *T, mp_node *dict, PyObject *key, bool is_delete);
mp_rc mp_write_slot(mp_trace *T, mp_node *n, PyObject *descr, bool is_delete);
mp_rc mp_write_cell(mp_trace *T, mp_node *cell);
mp_rc mp_write_type(mp_trace *T, mp_node *cls, PyObject *name);
mp_rc mp_write_append(mp_trace *T, mp_node *list);
/* The whole content is about to change: guards the entry content first. */
mp_rc mp_write_content(mp_trace *T, mp_node *n);
/* A text to a file of C code alone; NULL: flush. */
mp_rc mp_write_file(mp_trace *T, mp_node *file, PyObject *text);
/* An iterator from outside hands out an item, or finds none. */
mp_rc mp_write_advance(mp_trace *T, mp_node *iterator);
/* The function n is called with this, when the other writes are done. */
mp_rc mp_write_late(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key);
void mp_writes_fini(mp_trace *T);

/* -- Attributes (python/attr.c) --------------------------------------------------------- */

mp_rc mp_record_getattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name);
/* As object.__getattribute__ and object.__setattr__ do, whatever the class overrides. */
mp_rc mp_record_generic_getattr(mp_trace *T, mp_shadow *s, PyObject *owner,
                                PyObject *name, bool with_hook);
mp_rc mp_record_setattr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name,
                        PyObject *value);
mp_rc mp_record_generic_setattr(mp_trace *T, mp_shadow *s, PyObject *owner,
                                PyObject *name, PyObject *value);
mp_rc mp_record_super_attr(mp_trace *T, mp_shadow *s, PyTypeObject *after,
                           PyObject *obj, PyTypeObject *obj_type, PyObject *name);
/* A C attribute of an object that the run made (cfunc/exec.c). */
mp_rc mp_read_frame_attr(mp_trace *T, PyObject *owner, PyObject *name);
mp_rc mp_instance_dict_node(mp_trace *T, PyObject *owner, mp_node *n, PyObject **dict,
                            mp_node **dict_node);

/* -- Descriptors (python/descr.c) ------------------------------------------------------- */

static inline bool
mp_name_is(PyObject *name, const char *text)
{
    return PyUnicode_CompareWithASCIIString(name, text) == 0;
}

/* Python code of the program runs below this instruction. */
mp_rc mp_attr_runs(mp_trace *T, mp_shadow *s, PyObject *func);
/* The mp_field behind a C attribute of this name, or -1. */
int mp_descr_find_field(PyObject *owner, PyObject *name);
/* The value of a field, read the way the interpreter will: C getters only. */
mp_rc mp_descr_load_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name,
                          int field);
/* Does it stand before the instance dict? */
bool mp_descr_is_data(PyObject *descr);
/* Guard that it goes on to be such a one, or not; NULL: nothing was found. */
mp_rc mp_descr_guard_kind(mp_trace *T, PyObject *descr);
/* Special method `name` of a descriptor's class, if it is Python code. */
mp_rc mp_descr_runs(mp_trace *T, mp_shadow *s, PyObject *descr,
                    PyTypeObject *owner_type, const char *name, bool *runs);
/* Guard a descriptor of C and what it holds in this field. */
mp_rc mp_load_part(mp_trace *T, PyObject *descr, int field, PyObject *part);
/* A value found in a class: bind it to the owner as its type says. */
mp_rc mp_descr_bind(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                    PyObject *name, PyObject *descr);
/* Store value through a data descriptor; NULL: delete. */
mp_rc mp_descr_set(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                   PyObject *name, PyObject *value, PyObject *descr);

/* -- Calls (python/call.c, cfunc/builtins.c) --------------------------------------------------- */

/* args: nargs positional, then one per name in kwnames (tuple or NULL). */
mp_rc mp_record_callee(mp_trace *T, mp_shadow *s, PyObject *callee,
                       PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* Call callee with one more argument in front. */
mp_rc mp_call_with_self(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *self,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* Does calling it run a Python frame of the program, whatever the arguments are? */
bool mp_callee_is_watched(PyObject *callee);
/* What calling this class runs becomes known; aborts if that is neither Python (*runs) nor C
 * code that only stores. */
mp_rc mp_prepare_class(mp_trace *T, PyTypeObject *cls, bool *runs);
bool mp_constructor_reads(PyTypeObject *cls);
/* `call`, which the class of obj has as __call__, is a slot with one of our functions. */
bool mp_is_compiled_call(PyObject *obj, PyObject *call);
/* What the callable in node n stands for, in this field: a wrapper from outside is told by
 * that, one that the run made holds what is known, and what no register has is a constant. */
mp_rc mp_load_wrapped(mp_trace *T, mp_node *n, int field, PyObject *inner);
/* A C method or slot bound to an object: its descriptor (overrides of its name do not
 * count; NULL if there is none), and the object. */
PyObject *mp_bound_descr_borrow(PyObject *bound);
PyObject *mp_bound_self_borrow(PyObject *bound);
/* 3.11's PRECALL takes a bound method apart: guard its parts before. */
mp_rc mp_record_method_parts(mp_trace *T, PyObject *method);
mp_rc mp_record_builtin(mp_trace *T, mp_shadow *s, PyObject *callee,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                        bool *found);
/* What a C function does when other C code calls it, if it holds no tensor. */
typedef enum {
    MP_C_NOTHING,   // runs in frames of Python, which are watched
    MP_C_READS,     // looks at its arguments
    MP_C_COMPUTES,  // READS, or operations on tensors
    MP_C_TORCH,     // a torch operation
    MP_C_MOVES,     // hands out or stores references, in the object it is bound to
    MP_C_OPAQUE,
} mp_c_effect;
mp_c_effect mp_builtin_effect(PyObject *callable);
/* What a context variable with node n holds; pins: that very object. */
mp_rc mp_read_context(mp_trace *T, PyObject *var, const mp_node *n, bool pins);
/* Will effects show the warnings of the run as it did?  (cfunc/warn.c) */
mp_rc mp_check_warnings(mp_trace *T);
/* Code that no mode looks into must not advance an iterator that calls operations. */
mp_rc mp_refuse_lazy(mp_trace *T, PyObject *arg);
bool mp_is_storing_type(PyTypeObject *tp);
/* Calls of objects of C types (cfunc/objects.c, cfunc/json.c). */
/* What a functools.partial holds, guarded; parts: function, arguments, keywords, owned
 * (some may be NULL after an error). */
mp_rc mp_read_partial(mp_trace *T, PyObject *partial, mp_node *n, PyObject **parts);
mp_rc mp_call_getter(mp_trace *T, mp_shadow *s, PyObject *get, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_call_json(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t nargs);
mp_rc mp_post_nested(mp_trace *T, PyObject *obj);
mp_rc mp_record_alias_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name);
/* A constant, or a tuple or frozenset of such, at any depth. */
bool mp_hashes_by_value(PyObject *obj);
/* What identifies a callable in tables: C functions and methods share their PyMethodDef. */
const void *mp_callable_key(PyObject *callable);
/* Its name, for people. */
const char *mp_callee_name(PyObject *callee);
/* Is it the __new__ of a C type? */
bool mp_is_new(PyObject *callable);
/* Would this constant be another number in the next run? */
bool mp_is_fresh_id(mp_trace *T, PyObject *obj);
/* C code computes with obj: it must be no such number. */
mp_rc mp_refuse_fresh_id(mp_trace *T, PyObject *obj);
int mp_builtins_init(void);

/* -- numpy (read/array.c) ---------------------------------------------------------------- */

bool mp_is_numpy_callable(PyObject *callee);
/* A value of numpy's is used: what numpy keeps in contexts is guarded (once). */
mp_rc mp_array_guard_state(mp_trace *T);
/* The instruction that did so has ended: was there anything to warn of? */
mp_rc mp_array_check_floats(mp_trace *T);
/* A function or type of numpy is called; its arguments are args, whatever their names. */
mp_rc mp_numpy_call(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                    Py_ssize_t count);
/* A method of an array is called. */
mp_rc mp_numpy_check_method(mp_trace *T, const char *name);
/* What either of them answered. */
mp_rc mp_numpy_result(mp_trace *T, PyObject *result);
/* An external array is read: all of it.  n is its node. */
mp_rc mp_array_read(mp_trace *T, PyObject *a, mp_node *n);
/* The run is over: it has written to none of those that it read. */
mp_rc mp_array_check_known(mp_trace *T);
/* R: an array that a tensor shares memory with is not used again: neither guards nor
 * journal see what the one does to the other.  Nor is such a tensor made of an array that
 * could be reached through something else than arrays. */
mp_rc mp_array_check_lent(mp_trace *T, PyObject *a);
/* A C attribute of an array is read. */
mp_rc mp_array_attr(mp_trace *T, PyObject *a, mp_node *n, PyObject *name);
/* Something else than an array gets at the items of a: what the instruction makes. */
mp_rc mp_array_expose(mp_trace *T, PyObject *a);
/* It made this. */
mp_rc mp_array_expose_end(mp_trace *T, PyObject *made);
mp_rc mp_array_expose_all(mp_trace *T, PyObject *const *args, Py_ssize_t count);
mp_array_use mp_op_array_use(PyObject *callee, PyObject *const *args, Py_ssize_t nargs);
/* An array is an argument of the operation in T->op: what stands for it in the log. */
mp_rc mp_array_leaf(mp_trace *T, PyObject *a, PyObject **leaf);
/* The operation has ended: which of its arguments share memory with the result? */
mp_rc mp_array_lend(mp_trace *T, PyObject *result);
/* It outlives the run: can a copy stand for it? */
mp_rc mp_array_check_output(mp_trace *T, PyObject *a, PyObject **root);

/* -- Operations (graph/oplog.c) ----------------------------------------------------------------- */

int mp_op_flags_of(PyObject *callable);  // 0: no torch callable
/* Is a Python function with these flags one operation, or is it watched? */
bool mp_op_is_whole(int flags);
bool mp_grad_is_enabled(void);
/* Classes of torch that operations are told by; NULL until torch is set up.  Owned. */
typedef struct {
    PyObject *tensor;               // torch.Tensor
    PyTypeObject *graph_object;     // torch._C._InferenceMode
    PyTypeObject *script_function;  // torch.jit.ScriptFunction
    PyObject *masks[2];             // torch.bool, torch.uint8
} mp_op_types_t;
extern mp_op_types_t mp_op_types;  // graph/rows.c
bool mp_op_holds_tensor(PyObject *obj, bool nested_only);
bool mp_op_index_is_dynamic(PyObject *key);
int mp_op_resolve_flags(int flags, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);
/* A tensor whose value follows from constants: may be read while recording. */
bool mp_tensor_is_constant(mp_trace *T, PyObject *obj);
int mp_op_register(PyObject *callable, int flags);
/* What it may do besides answering: tuple (bits, writes) of _effects.py, or NULL, without an
 * exception, if nothing is known.  Its bits: */
enum {
    MP_OP_RANDOM = 1,  // what it answers is no function of its arguments
    MP_OP_RAISES = 2,  // it may raise for the values of its tensors
};
PyObject *mp_op_effects(PyObject *callable);
bool mp_is_op_object(PyObject *callable);
/* A tensor operation is about to run: log it with its argument trees. */
mp_rc mp_op_begin(mp_trace *T, mp_shadow *s, PyObject *target, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, int flags);
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
/* The operator.* function that stands for an instruction. */
PyObject *mp_operator_borrow(const char *name);
/* What the log calls the callee: its name, if the class of the first argument leads from
 * that to it.  Guards all that running it again looks up by name.  *target: new. */
mp_rc mp_op_call_name(mp_trace *T, PyObject *callee, PyObject *const *args,
                      Py_ssize_t nargs, PyObject **target);
mp_rc mp_tensor_observe(mp_trace *T, PyObject *tensor);
PyObject *mp_op_spec(mp_trace *T, PyObject *outputs);
mp_rc mp_op_value(mp_trace *T, mp_node *tensor, PyObject **leaf);
int mp_oplog_init(PyObject *setup);

/* -- Functions with a backward (graph/apply.c) ------------------------------------------------ */

mp_rc mp_apply_begin(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_apply_end(mp_trace *T, PyObject *result);
/* Is this function watched below the call in progress?  Is this its context? */
bool mp_apply_watches(mp_trace *T, PyObject *func);
bool mp_apply_is_context(mp_trace *T, PyObject *obj);
/* MP_TORCH_NOTE of this context: a hit makes that of the call in progress anew, any other
 * is an object like all.  Other flags stay. */
int mp_apply_note_flags(mp_trace *T, int flags, PyObject *context);
/* May an operation in its `forward` take this tensor? */
bool mp_apply_may_use(mp_trace *T, PyObject *tensor, const mp_node *n);
mp_rc mp_apply_refuse_input(mp_trace *T);
/* `a is b` in its `forward`, which a hit may run with copies of lists. */
mp_rc mp_apply_refuse_is(mp_trace *T, PyObject *a, PyObject *b);
/* The call in progress becomes the pending operation again. */
void mp_apply_take_back(mp_trace *T);

/* -- Writes of operations (graph/writes.c) ---------------------------------------------------- */

/* Has the operation that just ended written to an argument?  has_old: it answered with a
 * tensor that was known. */
bool mp_op_mutated(mp_trace *T, bool has_old);
/* The tensor is a new result of the operation: is its memory that of an argument, with a
 * version counter of its own? */
void mp_op_note_alias(mp_trace *T, PyObject *result);
/* The operation that just ended may raise in a hit. */
void mp_op_note_raises(mp_trace *T);
/* Refuse a graph whose writes to inputs could not be put back where they must be. */
mp_rc mp_check_writes(mp_trace *T);
mp_rc mp_op_check_dynamic(mp_trace *T, PyObject *result, bool has_old);
/* A handler of the program needs the state that eager has there: does the run write, and
 * catch, by now? */
static inline void
mp_op_note_clash(mp_trace *T)
{
    if (T->wrote_input && T->op_caught && T->clash.code < 0) {
        T->clash = T->graph.at;
    }
}
/* Would the program notice if the instruction in progress raised? */
bool mp_shadow_catches(const mp_shadow *s);

/* Attributes of compiled patterns (cfunc/re.c). */
mp_rc mp_read_pattern(mp_trace *T, mp_shadow *s, PyObject *pattern, PyObject *name);

/* -- Caches of functools.lru_cache (cfunc/cached.c) ----------------------------------------- */

mp_rc mp_cached_begin(mp_trace *T, mp_shadow *s, PyObject *cached,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_cached_end(mp_trace *T, mp_shadow *s, PyObject *answer);

/* -- New classes (python/class.c) ------------------------------------------------------------ */

/* May a new object get this class?  One that never leaves the run dies there, and no hit
 * would run its __del__. */
bool mp_may_become(PyObject *cls);
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
/* Calls that make a class; *found tells whether this is one. */
mp_rc mp_record_class_maker(mp_trace *T, mp_shadow *s, PyObject *callee,
                            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                            bool *found);
mp_rc mp_post_class(mp_trace *T, PyObject *cls);
/* The frame of a class body: its names, and what type.__new__ does with their values. */
mp_rc mp_class_start(mp_trace *T, mp_shadow *s);
mp_rc mp_class_names_end(mp_trace *T, PyObject *names);
mp_rc mp_record_load_name(mp_trace *T, mp_shadow *s, PyObject *name, bool *found);
mp_rc mp_record_store_name(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *value);
/* What an external class answers from its own dict. */
mp_rc mp_read_class_attr(mp_trace *T, mp_node *n, PyObject *cls, PyObject *name,
                         bool *done);
/* The text of a class; *runs tells whether its metaclass writes it, in Python. */
mp_rc mp_read_class_text(mp_trace *T, PyObject *cls, bool *runs);
/* What C code raised tells of classes and functions by name. */
mp_rc mp_guard_message(mp_trace *T, PyObject *exc);
/* Neither guards nor effects may name a class that the run made. */
mp_rc mp_check_new_classes(mp_trace *T, const mp_replay *p);

/* -- State of thread and process (read/process.c) ------------------------------------------- */

/* The exception that the caller of the run is handling becomes visible. */
mp_rc mp_read_handled(mp_trace *T);
/* An ABC says that a class is none of its subclasses. */
mp_rc mp_guard_abc(mp_trace *T);
/* issubclass(x, classes): some metaclass may answer from what was registered. */
mp_rc mp_guard_subclass_hooks(mp_trace *T, PyObject *classes);
mp_rc mp_rule_abc(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count);

/* -- Callbacks (run/record.c) -------------------------------------------------------------------- */

/* What a callback puts aside: the exception in flight, and the collector.  Before 3.12 a
 * collection can start in any allocation; its finalizers could change a container that a
 * handler is walking through. */
typedef struct {
    PyObject *exc;  // owned or NULL
    int collects;
} mp_callback;

mp_callback mp_callback_begin(mp_trace *T);
/* Lets go of what a segment held that has ended, too: what follows is eager. */
MP_MAYRUN void mp_callback_end(mp_trace *T, mp_callback saved);
MP_MAYRUN void mp_trace_drop(mp_trace *T);  // run/run.c
/* MP_ERR inside a callback is our failure, never the user's: it becomes a reason. */
void mp_trace_settle(mp_trace *T, mp_rc rc);
void mp_shadow_fini(mp_shadow *s);
extern const mp_watch_ops mp_record_watch;

/* -- is_compiling (run/compiling.c) -------------------------------------------------------- */

/* The frame of s asks. */
mp_rc mp_record_compiling(mp_trace *T, mp_shadow *s);
/* A trial: the generator of frame f has yielded; the run is given up; the call is over. */
mp_rc mp_trial_yielded(mp_trace *T, mp_frame *f);
void mp_trial_give_up(mp_trace *T);
/* It is about to write: can that be taken back? */
mp_rc mp_trial_wrote(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key);
void mp_trial_end(mp_trace *T);
/* The operation in T->op must write to nothing that was there before (graph/writes.c). */
mp_rc mp_op_check_trial(mp_trace *T);

/* -- Into a frame (run/frame.c) ------------------------------------------------------------ */

/* The first event of a frame: its arguments. */
mp_rc mp_frame_start(mp_trace *T, mp_shadow *s);
/* The instruction `before` has ended: its result, seen at index. */
mp_rc mp_frame_result(mp_trace *T, mp_shadow *s, const mp_instr *before, int index);

/* -- Segments (run/segment.c) -------------------------------------------------------------------- */

/* The instruction that s is about to run cannot be recorded: can the segment end before it?
 * n_writes: length of the journal before the instruction was looked at. */
bool mp_segment_break(mp_trace *T, mp_shadow *s, int n_writes);
/* An event in the gap.  *begun: this instruction is the first of a segment. */
mp_rc mp_segment_gap(mp_trace *T, mp_shadow *s, const mp_code_info *info, int index,
                     bool *begun);
/* Local i is about to be loaded, or stored; all of them are looked at. */
mp_rc mp_segment_load_local(mp_trace *T, mp_shadow *s, int i);
void mp_segment_store_local(mp_trace *T, mp_shadow *s, int i);
mp_rc mp_segment_load_locals(mp_trace *T, mp_shadow *s);
/* Are these the globals of a module whose frames may run below an operation? */
bool mp_is_library(PyObject *globals);
/* A function or class that this call has made, in an earlier segment or between two? */
bool mp_is_of_call(mp_trace *T, PyObject *v);
/* An instruction of a gap has answered with this. */
int mp_note_gap_made(mp_trace *T, PyObject *v);
/* A lock that only functools and logging use, in code of theirs. */
bool mp_is_cache_lock(const mp_shadow *s, PyObject *lock);  // python/instr.c
/* A hit takes no such lock, so the segment that takes it must give it back. */
mp_rc mp_take_lock(mp_trace *T, const mp_shadow *s, PyObject *lock, bool takes);
mp_rc mp_know_cell(mp_trace *T, mp_shadow *s, int i);  // python/instr.c
/* run/run.c: forget the segment but for the frames; NULL if it cannot be planned. */
mp_rc mp_trace_again(mp_trace *T);
int32_t mp_trace_code_number(mp_trace *T,
                             PyCodeObject *code);  // run/record.c; -1: error
/* Break before the instruction there next time, for the reason in T->why; unless at_once,
 * only if it fails again: what a program does at its first call, it may not do again. */
void mp_trace_avoid(mp_trace *T, mp_site site, bool at_once);  // run/segment.c
mp_plan *mp_plan_make(mp_trace *T, PyObject *result);

/* -- Planning (rebuild/rebuild.c) ------------------------------------------------------------------- */

mp_rc mp_rebuild(mp_trace *T, mp_plan *plan);
/* Of what the run has written: objects and tensors under other names; memory
 * (rebuild/apart.c). */
mp_rc mp_guard_distinct(mp_trace *T);
mp_rc mp_guard_apart(mp_trace *T);

#endif
