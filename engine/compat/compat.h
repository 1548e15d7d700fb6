/* compat.h - the only door to what differs between CPython versions.
 *
 * Knows nothing of recording, guards or torch.  Everything here works on frames and code
 * objects of the running interpreter, and on nothing else.
 */
#ifndef MP_COMPAT_H
#define MP_COMPAT_H

#include "engine.h"

typedef struct _PyInterpreterFrame mp_frame;

/* -- Instructions ------------------------------------------------------------------ */

/* Canonical opcodes: the union of the supported versions' base opcodes, MP_OP_<NAME>.
 * Version differences are folded away while decoding:
 *   EXTENDED_ARG      folded into the instruction that it prefixes
 *   LOAD_GLOBAL       arg = index into co_names, flag = 1 if a NULL is pushed below
 *   LOAD_ATTR         3.12: arg = name index; the method form decodes as LOAD_METHOD
 *   LOAD_SUPER_ATTR   3.12: arg = name index, flag bit 0 = method form, bit 1 = 2-arg
 *   COMPARE_OP        arg = Py_LT .. Py_GE; 3.13: flag = 1 if bool() of the result follows
 *   BINARY_SUBSCR     also BINARY_OP of 3.14 that subscribes
 *   CALL_FUNCTION_EX  arg bit 0 = a dict is on top; from 3.14 on it may be NULL
 *   CALL              3.13: flag = 1 if a tuple of names is on top (CALL_KW)
 *   *_FAST_*_FAST     3.13: arg and flag are the two locals, in order
 *   FORMAT_VALUE      also 3.13's FORMAT_SIMPLE, FORMAT_WITH_SPEC and CONVERT_VALUE
 *   LOAD_FAST         also LOAD_FAST_BORROW; NOT_TAKEN and POP_ITER decode as NOP and POP_TOP
 *   LOAD_CLOSURE      also LOAD_FAST of a cell, as 3.13 has it
 *   POP_JUMP_*        3.11's FORWARD/BACKWARD variants decode as POP_JUMP_IF_{TRUE,
 *                     FALSE,NONE,NOT_NONE}; JUMP_BACKWARD* and JUMP_FORWARD as
 *                     JUMP_BACKWARD / JUMP_FORWARD
 *   KW_NAMES          as is (the names tuple is co_consts[arg]) */
typedef enum {
#define OP(name, reads) MP_OP_##name,
#include "compat/opcodes.def"
#undef OP
    MP_OP_COUNT
} mp_op;

typedef struct {
    int16_t op;     // mp_op, or -1 inside an inline cache
    int16_t depth;  // value-stack depth before it runs; -1 if unreachable
    int32_t arg;
    int32_t flag;
    int32_t next;    // index of the following instruction
    int32_t target;  // index that a jump goes to; -1 if it is no jump
} mp_instr;

typedef struct {
    PyCodeObject *code;   // borrowed; the table entry dies with the code object
    int count;            // code units
    mp_instr *at;         // indexed by code unit
    uint8_t *is_handler;  // per code unit: an exception handler starts here
} mp_code_info;

/* Decoded form of a code object, cached for its life (code extra).  NULL with an
 * exception set on failure. */
const mp_code_info *mp_code_info_get(PyCodeObject *code);
int mp_op_of_raw(int raw);  // the canonical opcode of one of this version
const char *mp_op_name(int op);
const char *mp_op_reads(int op);  // for people
/* Where an exception of this code unit goes (-1: out of the frame), and how many values
 * stay on the stack. */
int mp_code_handler(PyCodeObject *code, int index, int *depth);
int mp_code_line(PyCodeObject *code, int index);  // line of a code unit; -1: none

/* -- Frames ------------------------------------------------------------------------ */

PyCodeObject *mp_frame_code_borrow(mp_frame *f);
PyObject *mp_frame_func_borrow(mp_frame *f);  // the PyFunctionObject
PyObject *mp_frame_globals_borrow(mp_frame *f);
PyObject *mp_frame_builtins_borrow(mp_frame *f);
PyObject *mp_frame_names_borrow(mp_frame *f);         // of a class body; else NULL
PyObject *mp_frame_local_borrow(mp_frame *f, int i);  // localsplus[i]; may be NULL
PyObject *mp_frame_stack_borrow(mp_frame *f, int i);  // i = 0: the bottom
/* Replace a stack slot that is in use; takes over value.  May run Python (the old value's
 * deallocation). */
MP_MAYRUN void mp_frame_stack_set_steal(mp_frame *f, int i, PyObject *value);
/* The same of a local; into its cell, if it lives in one. */
MP_MAYRUN void mp_frame_local_set_steal(mp_frame *f, int i, PyObject *value);
/* What CALL calls, and the slot where the arguments begin; what CALL_FUNCTION_EX calls. */
PyObject *mp_frame_callee_borrow(mp_frame *f, const mp_instr *in, int *first);
PyObject *mp_frame_callee_ex_borrow(mp_frame *f, const mp_instr *in);
/* The `__exit__` of a `with` that an exception leaves, and its first argument, or NULL: it is
 * bound.  depth: of the stack below what the handler has pushed. */
PyObject *mp_frame_exit_borrow(mp_frame *f, int depth, PyObject **self);
/* The slot of an instruction's result, which a NULL may follow.  depth: after it. */
int mp_frame_result_slot(mp_frame *f, int depth);
/* Does a value on the stack, which is this object, count on a local to hold it? */
bool mp_frame_borrows(mp_frame *f, PyObject *obj);
mp_frame *mp_frame_previous(mp_frame *f);  // next outer Python frame, C shims skipped
/* Code unit index of the current instruction; -1 before the first.  Exact for frames that
 * began under a watch; others may answer an inline cache of it. */
int mp_frame_lasti(mp_frame *f);
int mp_frame_line(mp_frame *f);
/* Do an exception's handlers in the frame, and more than the compiler's own, see it? */
bool mp_frame_is_in_block(mp_frame *f);
PyObject *mp_frame_generator_borrow(mp_frame *f);  // whose frame it is; NULL: no one's
/* Does code of this generator or coroutine run when it dies?  It waits in a block. */
bool mp_gen_runs_code(PyObject *o);
/* The frame of a generator that has started and waits; NULL: there is none. */
mp_frame *mp_gen_frame_borrow(PyObject *o);
/* Objects made and not freed since the collector ran last; 0 if that is not known. */
int mp_gc_waiting(void);
/* Would it run when the next object is made, if it were on? */
bool mp_gc_is_due(void);
/* From 3.12 on a collection runs at a later instruction than the one that made it due,
 * even if the collector was switched off meanwhile.  Was one scheduled?  It is cancelled. */
bool mp_gc_take_scheduled(void);
/* It has been off and was due: let it run now, if it is on. */
MP_MAYRUN void mp_gc_catch_up(void);
/* Close such a generator without running any of its code. */
MP_MAYRUN void mp_gen_discard(PyObject *o);
int mp_frame_depth_saved(mp_frame *f);  // the interpreter's own; -1: not saved now
int mp_local_kind(PyCodeObject *code, int i);  // sum of CO_FAST_LOCAL, _CELL, _FREE
/* The values of CPython's private headers, for users of mp_local_kind. */
#ifndef CO_FAST_LOCAL
#define CO_FAST_LOCAL 0x20
#define CO_FAST_CELL  0x40
#define CO_FAST_FREE  0x80
#endif

/* -- Objects whose layout is private ------------------------------------------------ */

/* The instance dict of o: borrowed, NULL (without an exception) if there is none, or not
 * yet. Attributes that an instance keeps in compact form are moved into a dict, which the
 * program cannot observe.  No dict is made for an exception or a partial, because their
 * __reduce__ shows whether there is one.  NULL with an exception if memory is short. */
PyObject *mp_instance_dict_borrow(PyObject *o);
/* The same, made if the type can have one, as a store or o.__dict__ does. */
PyObject *mp_instance_dict_make_borrow(PyObject *o);
/* What LOAD_COMMON_CONSTANT loads. */
PyObject *mp_common_constant_borrow(int number);
bool mp_str_is_ready(PyObject *text);  // has its canonical form, as all do from 3.12
// `__type_params__` of a function; NULL before 3.12
PyObject *mp_func_type_params_borrow(PyObject *function);
/* What makes `__annotations__` when somebody asks for them; NULL: nothing does, as before 3.14. */
PyObject *mp_func_annotate_borrow(PyObject *function);
bool mp_func_waits_for_annotations(PyObject *function);  // it would be called
void mp_func_annotate_set(PyObject *function, PyObject *annotate);  // NULL is allowed
uint64_t mp_dict_version(PyObject *dict);   // changes at every change of the dict
bool mp_dict_keys_are_str(PyObject *dict);  // all keys exact str (O(1))
/* Look-up that runs no user code: key is an exact str (or other type with a C hash/eq)
 * and the dict holds only such keys.  Borrowed or NULL, never sets an exception. */
PyObject *mp_dict_find_borrow(PyObject *dict, PyObject *key, Py_hash_t hash);
/* The value of a text key in a dict of names; NULL if it is not there.  No exception. */
PyObject *mp_dict_text_borrow(PyObject *dict, const char *name);
/* hash(id(o)) */
Py_hash_t mp_address_hash(PyObject *o);
PyObject *mp_type_lookup_borrow(PyTypeObject *type, PyObject *name);  // through the MRO
/* Does a look-up run no code of the program, as that of a key with its own __eq__? */
bool mp_type_names_are_str(PyTypeObject *type);
unsigned int mp_type_version(PyTypeObject *type);  // 0: none now
/* Words that get a value which they never had when the object changes: a dict in any way, a
 * type in what a look-up finds, a function in code, defaults and closure.  NULL: there is
 * none, or not now. */
const uint64_t *mp_dict_word(PyObject *dict);
const uint64_t *mp_type_word(PyTypeObject *type);
const uint64_t *mp_function_word(PyObject *function);
/* Where o keeps its __dict__, if that follows from its address and type; it may have none
 * yet.  NULL without an exception: elsewhere, or there is no memory. */
PyObject *const *mp_instance_dict_place(PyObject *o);
/* A set's own MP_SET_WORDS: how many members and remains of members, and where.  If these are
 * as they were, all are in the entries where they were found one after the other (*at: first 0;
 * false: no more). */
enum { MP_SET_WORDS = 5 };
typedef struct {
    PyObject *const *key;
    const uint64_t *hash;
    bool is_member;
} mp_set_entry;
void mp_set_words(PyObject *set, const uint64_t **words);
bool mp_set_next_entry(PyObject *set, Py_ssize_t *at, mp_set_entry *entry);
/* The class's own dict; NULL for a type that was never readied. */
/* The weak references that a heap type keeps to the classes that it is a base of, in the order
 * of __subclasses__(), without the dead ones: new tuple; NULL, for want of memory or of a type
 * that keeps them elsewhere, without an exception.  Are they still these? */
PyObject *mp_subclasses_refs(PyTypeObject *type);
bool mp_subclasses_are(PyTypeObject *type, PyObject *refs);
PyObject *mp_type_dict_borrow(PyTypeObject *type);
/* The dict that a view (keys, values, items) shows. */
PyObject *mp_view_dict_borrow(PyObject *view);
/* Next entry in table order: 1, or 0 at the end.  Start with *pos = 0; key and value are
 * borrowed; any out pointer of mp_dict_next may be NULL.  Runs no user code. */
int mp_set_next(PyObject *set, Py_ssize_t *pos, PyObject **key, Py_hash_t *hash);
/* The table of a set (set.c): new bytes; a set with no members yet gets it, if they hash alike
 * (1; 0: they do not, -1: exception); a set with the same table. */
PyObject *mp_set_layout(PyObject *set);
int mp_set_fill(PyObject *set, PyObject *layout, PyObject *const *members,
                Py_ssize_t n);
PyObject *mp_set_copy(PyObject *set);
/* Has it this table?  Does a new set that copies it get a table that its order does not tell? */
bool mp_set_has_layout(PyObject *set, PyObject *layout);
bool mp_set_is_odd(PyObject *set);
/* Equal members of two sets change places, so that `to` has the objects of `from`.  R: members
 * whose types compare without code of the program. */
int mp_set_keep_members(PyObject *to, PyObject *from);
int mp_dict_next(PyObject *dict, Py_ssize_t *pos, PyObject **key, PyObject **value,
                 Py_hash_t *hash);
/* An iterator over a dict's keys, values or items: the dict (borrowed; NULL: exhausted),
 * and how many entries it has handed out, which are the dict's first ones.  false: that
 * is not so, because the dict has changed. */
bool mp_dict_iter_state(PyObject *it, PyObject **dict, Py_ssize_t *consumed);
/* A new one over a dict that will have `size` entries, none of them deleted: the first ones
 * are behind it. */
void mp_dict_iter_place(PyObject *it, Py_ssize_t consumed, Py_ssize_t size);
/* The same over a list, which may be shorter for now. */
void mp_list_iter_place(PyObject *it, Py_ssize_t index);
/* The item that an iterator over a list, a tuple, a range, or a dict's keys or values hands
 * out after `ahead` others: 1 and the item, borrowed; 0 if there is none; -1 for another
 * iterator, one whose dict has changed, and numbers that are no shared objects.  No
 * exception; nothing is advanced. */
int mp_iterator_peek(PyObject *it, Py_ssize_t ahead, PyObject **item);
/* The container that the iterator goes through, borrowed; NULL: it is exhausted, or a
 * range's. */
PyObject *mp_iterator_sequence_borrow(PyObject *it);
/* The object of a weak reference or proxy; None: it has died. */
PyObject *mp_weakref_borrow(PyObject *ref);
/* What a types.MappingProxyType shows: borrowed.  (guard/field.c proves the layout.) */
PyObject *mp_proxy_mapping_borrow(PyObject *proxy);
/* A contextvars.Token: the variable that it can set back; what that held before (borrowed,
 * NULL: nothing); has it been used?  Was it made in the context of this thread? */
PyObject *mp_token_var_borrow(PyObject *token);
PyObject *mp_token_old_borrow(PyObject *token);
bool mp_token_is_used(PyObject *token);
bool mp_token_is_of_here(PyObject *token);
/* What a staticmethod, a classmethod or a mapping proxy holds (0); the functions of a
 * property that get (0), set (1) and delete (2); of a method-wrapper, (1).__add__, the slot
 * (0) and the object (1); of a super the class behind which it looks (0), the object (1) and
 * its class (2).  NULL: nothing. */
PyObject *mp_descr_part_borrow(PyObject *o, int i);
/* Is a descriptor of a C member or getter made for obj?  Only then may it look into it. */
bool mp_descr_fits(PyObject *descr, PyObject *obj);
/* Exceptions in flight, as one object (3.12's API on every version). */
PyObject *mp_err_take(void);               // new reference or NULL
void mp_err_restore_steal(PyObject *exc);  // NULL is allowed
/* Has a signal handler raised it?  Its frame is in the traceback, or it is no Exception
 * (KeyboardInterrupt, SystemExit). */
bool mp_exc_is_signal(PyObject *exc);
bool mp_err_is_signal(void);  // the exception in flight, if any
/* The exception in flight, if any, is of no interest to the program.  What a signal handler
 * raised is deferred, and the answer is true. */
bool mp_err_drop(void);
/* Raise it in the program, in this thread, as soon as that runs on. */
void mp_err_defer_steal(PyObject *exc);

/* The most digits that the text of an int may have; 0: any number. */
int mp_int_max_digits(void);
/* A new exact int (of int64) or float of the same value, at an address that no other
 * object has: also of the ints that CPython keeps one object for. */
PyObject *mp_number_box(PyObject *o);
bool mp_number_has_box(PyObject *o);
/* The same of any exact int, float, complex or bool: new; NULL without an exception: it can
 * have none.  The box of a bool is neither True nor False, and mp_value_box_end must be called
 * before it is released: whoever holds it then has an int. */
PyObject *mp_value_box(PyObject *o);
void mp_value_box_end(PyObject *box);

/* -- swap.c ---------------------------------------------------------------------------- */

/* Wherever an object that the collector knows, or a range, holds `from` it holds `to` from now
 * on; nobody notices.  R: the two are equal, and it is not the last owner of `from`. */
void mp_swap_held(PyObject *holder, PyObject *from, PyObject *to);
/* What it holds; of a class, its attributes. */
void mp_visit_held(PyObject *holder, visitproc visit, void *ctx);

/* -- threading.RLock (lock.c) ---------------------------------------------------------- */

/* As mp_cached_init, of locks. */
int mp_lock_init(void);
bool mp_lock_is_known(PyObject *o);  // only where the layout is known
/* o is such a lock: could this thread take it without waiting? */
bool mp_lock_is_free(PyObject *o);

/* -- threading.local (local.c) --------------------------------------------------------- */

/* As mp_cached_init, of such objects. */
int mp_local_init(void);
bool mp_is_local(PyObject *o);  // only where the layout is known
/* A class of them that looks attributes up, and sets them, as threading.local does. */
bool mp_local_is_plain(PyTypeObject *type);
/* The attributes that it has in this thread; NULL if it has none here. */
PyObject *mp_local_dict_borrow(PyObject *o);
/* The same, made if no code of the program runs for that; NULL with or without an exception. */
PyObject *mp_local_dict_make_borrow(PyObject *o);

/* -- functools.lru_cache (cached.c) -------------------------------------------------- */

/* Find out whether such objects are what we take them for.  0, or -1 with an exception. */
int mp_cached_init(void);
bool mp_is_cached(PyObject *o);           // only where the layout is known
PyTypeObject *mp_cached_type(void);       // NULL: unknown
PyTypeObject *mp_cached_link_type(void);  // of what a table with a bound holds
Py_ssize_t mp_cached_table_offset(void);
Py_ssize_t mp_cached_result_offset(void);
/* o is a cache from here on.  Look-ups compare keys as the cache does. */
PyObject *mp_cached_function_borrow(PyObject *o);
PyObject *mp_cached_table_borrow(PyObject *o);  // a dict
Py_ssize_t mp_cached_bound(PyObject *o);        // -1: none; 0: it keeps nothing
bool mp_cached_has_room(PyObject *o, int64_t n);
/* The key of a call with these arguments: new reference. */
PyObject *mp_cached_key(PyObject *o, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);
/* What an entry of the table answers. */
PyObject *mp_cached_answer_borrow(PyObject *o, PyObject *found);
PyObject *mp_cached_find_borrow(PyObject *o,
                                PyObject *key);  // NULL: not there, or error
/* What a call does: it hits; it misses; its answer is kept (there is room, and no entry). */
int mp_cached_count_hit(PyObject *o, PyObject *key);
void mp_cached_count_miss(PyObject *o);
int mp_cached_fill(PyObject *o, PyObject *key, PyObject *answer);

/* -- Watching ---------------------------------------------------------------------- */

/* How many values the innermost frame that is watched has on its stack, or one of these. */
enum {
    MP_DEPTH_CALLS = -1,  // it waits for a call, which has taken its arguments
    MP_DEPTH_GONE = -2,   // there are no frames any more, or they hold none
};

/* Callbacks of the recorder.  All run on the thread that called mp_watch_call, with the
 * exception state of the program: a callback saves and restores what it changes. */
typedef struct {
    /* A Python frame is about to run (again, if a generator resumes).  Answer true to get
     * its instructions.  `fresh` is true only if nothing of the frame has run yet; each
     * entry into a generator's own frame, the first one too, has fresh == false.  (The call
     * that makes a generator is a fresh frame that returns the generator.) */
    bool (*enter)(void *ctx, mp_frame *f, bool fresh);
    /* An instruction of a watched frame is about to run.  Exactly one call for each, with
     * the index of its first EXTENDED_ARG if it has any.  No call for RESUME and for what
     * stands before the first RESUME. */
    void (*instr)(void *ctx, mp_frame *f, const mp_code_info *info, int index);
    /* A frame that was reported to `enter` has ended (or yielded: a generator's frame).
     * result is borrowed; NULL when it ended by an exception. f is dead already. */
    void (*leave)(void *ctx, mp_frame *f, bool watched, PyObject *result);
    /* Watching ended before the call did, as after mp_watch_stop: the frames are nested too
     * deep, or another tool took the trace slot.  why is static text.  depth: where the
     * frames are; 0 also if only that is certain, that all of them are alive.  May be NULL. */
    void (*lost)(void *ctx, const char *why, int depth);
    /* A Python frame is about to run that `enter` is not told of, in a callback of these or
     * in a pause.  May be NULL. */
    void (*missed)(void *ctx, mp_frame *f);
} mp_watch_ops;

/* 1 if this interpreter can be watched now, else 0 and a static text why in *why
 * (unknown version, a debugger or another tracer holds the slot, ...). */
int mp_watch_available(const char **why);
/* The same of what does not change while the process lives. */
int mp_watch_supported(const char **why);
/* Call callable with every new Python frame of this thread shown to ops.  Nests: an inner
 * call suspends the outer watcher for its time.  Returns the call's result. */
MP_MAYRUN PyObject *mp_watch_call(const mp_watch_ops *ops, void *ctx,
                                  PyObject *callable, PyObject *const *args,
                                  size_t nargsf, PyObject *kwnames);
/* Stop the innermost watcher of this thread; its call goes on at full speed. */
void mp_watch_stop(void);
/* From `instr`: leave the watched call.  When the callback has returned, all its frames end
 * at once without running any code of theirs (no handler, no `finally`), and mp_watch_call
 * answers NULL with no exception set.  What they held is released then.  Only if every
 * Python frame of the call is watched; 0, or -1 with an exception: nothing happens. */
int mp_watch_leave(void);
/* From any callback: give the call up.  From now on each event of a watched frame, and each
 * frame that begins, raises an exception that no handler of the program sees; the frames
 * keep what they hold until they end.  The call may return all the same, if C code drops
 * the exception and nothing follows. */
void mp_watch_abandon(void);
/* From C code below such a call, which has caught that exception: the call goes on after all,
 * as before.  Drops the exception. */
void mp_watch_recover(void);
/* The same for a generator that nothing runs: until the call is over it has no handlers. */
void mp_watch_mute(PyObject *generator);
/* From C code below such a call: raise it now; answers NULL. */
PyObject *mp_watch_raise(void);
/* Suspend / resume watching around our own calls into Python.  Calls nest.  They apply to
 * the innermost watcher of this thread: a mp_watch_call made meanwhile watches. */
void mp_watch_pause(void);
void mp_watch_unpause(void);

/* -- Resuming ---------------------------------------------------------------------- */

/* How the result of a rebuilt frame enters the frame that called it: answers.def. */
typedef enum {
#define ANSWER(name, operands, tests, text) MP_RESUME_##name,
#include "compat/answers.def"
#undef ANSWER
} mp_resume_how;

/* How many values does the result become on the stack? (What a test makes of it is nothing, or
 * a value in the place of its operand.) */
static inline int
mp_resume_pushes(uint8_t how)
{
    return how != MP_RESUME_DROP;
}

/* How many operands of the instruction stay below the result until that is taken in? */
int mp_answer_operands(uint8_t how);
bool mp_answer_is_tested(uint8_t how);  // C code looks at it
/* Is it known, by the type of the result, that nothing of the program runs any more? */
bool mp_answer_is_final(uint8_t how, PyObject *result);
/* func runs below `a op b`, with this first argument: which of the methods is it? false: it
 * cannot be told, or what comes behind it is not known here. */
bool mp_answer_binary(PyObject *a, PyObject *b, int op, PyObject *func, PyObject *self,
                      uint8_t *how);
bool mp_answer_compare(PyObject *a, PyObject *b, int op, PyObject *func, PyObject *self,
                       uint8_t *how);

/* One frame of a chain to be rebuilt. */
typedef struct {
    PyFunctionObject *func;  // borrowed
    int32_t
        index;  // innermost: code unit of the next instruction; outer frames: of the
                // call in progress
    int32_t
        n_slots;  // locals, cells and free variables, then the value stack; of an outer
                  // frame what the call in progress leaves there (mp_answer_operands)
    PyObject *
        *slots;       // NULL: empty.  The frame takes each value over, leaving NULL, so
                      // that objects die when they die in eager mode
    uint8_t how;      // mp_resume_how, outer frames
    PyObject **made;  // MP_RESUME_INIT, MP_RESUME_ATTR: taken over in the same way
} mp_resume_frame;

/* Rebuild these frames, outermost first, and run them to their end; returns the result of
 * the outermost.  They are real frames: each sees its caller, and exceptions reach their
 * handlers. Not for generators, class bodies, and places between KW_NAMES and its CALL. */
MP_MAYRUN PyObject *mp_resume_run(const mp_resume_frame *frames, int32_t n);
/* The same, watched: each frame is reported to `enter`, outermost first, when it is
 * complete. */
MP_MAYRUN PyObject *mp_watch_resume(const mp_watch_ops *ops, void *ctx,
                                    const mp_resume_frame *frames, int32_t n);

/* From C code below a watched instruction: the same in the watch that is running. */
MP_MAYRUN PyObject *mp_watch_resume_below(const mp_resume_frame *frames, int32_t n);

int mp_compat_init(PyObject *module);  // at import; 0 or -1
void mp_compat_fini(void);
/* Does sum() of floats make up for what rounding loses? */
#define MP_SUM_COMPENSATES (PY_VERSION_HEX >= 0x030c0000)
/* Module slot (with its comma) of modules that only the main interpreter may load. */
#if PY_VERSION_HEX >= 0x030c0000
#define MP_SLOT_ONE_INTERPRETER                                                        \
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#else
#define MP_SLOT_ONE_INTERPRETER
#endif

#endif
