/* python/python.h - the object protocol, instruction by instruction. */
#ifndef MP_PYTHON_H
#define MP_PYTHON_H

#include "trace/trace.h"

/* -- attr.c ------------------------------------------------------------------------ */

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
mp_rc mp_instance_dict_node(mp_trace *T, PyObject *owner, mp_node *n, PyObject **dict,
                            mp_node **dict_node);

/* -- call.c ------------------------------------------------------------------------ */

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
/* type.__call__(cls, ...), whatever __call__ the metaclass has. */
mp_rc mp_call_constructors(mp_trace *T, mp_shadow *s, PyTypeObject *cls,
                           PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
bool mp_constructor_reads(PyTypeObject *cls);
/* The object inside a wrapper (node n), read from this field.  That of an external
 * wrapper is loaded and guarded; a wrapper that the run made holds known objects; and if
 * n has no register, the object is a constant. */
mp_rc mp_load_wrapped(mp_trace *T, mp_node *n, int field, PyObject *inner);
/* A C method or slot bound to an object: its descriptor (overrides of its name do not
 * count; NULL if there is none), and the object. */
PyObject *mp_bound_descr_borrow(PyObject *bound);
PyObject *mp_bound_self_borrow(PyObject *bound);
bool mp_is_storing_type(PyTypeObject *tp);
/* Calls of objects of C types (cfunc/objects.c, cfunc/json.c). */
/* What a functools.partial holds, guarded; parts: function, arguments, keywords, owned
 * (some may be NULL after an error). */
mp_rc mp_read_partial(mp_trace *T, PyObject *partial, mp_node *n, PyObject **parts);

/* -- body.c ------------------------------------------------------------------------ */

/* A body is recorded, and is about to do this. */
mp_rc mp_body_check_instr(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_body_check_call(mp_trace *T, const mp_call *c);

/* -- callback.c -------------------------------------------------------------------- */

/* The interpreter calls what was found in the class of obj, in its place. */
mp_rc mp_call_special(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *found,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
/* The C function gets these arguments and calls those that are callable. */
mp_rc mp_look_at_calls(mp_trace *T, mp_shadow *s, const mp_call *c);
/* A key that is missing in a defaultdict that obj is, or holds, would be written by `who`. */
mp_rc mp_refuse_default(mp_trace *T, PyObject *obj, const char *who);

/* -- class.c ----------------------------------------------------------------------- */

/* May a new object get this class?  One that never leaves the run dies there, and no hit
 * would run its __del__. */
bool mp_may_become(PyObject *cls);
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

/* -- descr.c ----------------------------------------------------------------------- */

/* Python code of the program runs below this instruction. */
mp_rc mp_attr_runs(mp_trace *T, mp_shadow *s, PyObject *func);
/* The mp_field behind a C attribute of this name, or -1. */
int mp_descr_find_field(PyObject *owner, PyObject *name);
/* The value of a field, read the way the interpreter will: C getters only. */
mp_rc mp_descr_load_field(mp_trace *T, mp_node *n, PyObject *owner, PyObject *name,
                          int field);
/* Does it stand before the instance dict? */
bool mp_descr_is_data(PyObject *descr);
/* Guard that it stays a data descriptor, or stays none; NULL: nothing was found. */
mp_rc mp_descr_guard_kind(mp_trace *T, PyObject *descr);
/* Special method `name` of a descriptor's class, if it is Python code. */
mp_rc mp_descr_runs(mp_trace *T, mp_shadow *s, PyObject *descr,
                    PyTypeObject *owner_type, const char *name, bool *runs);
/* Guard a descriptor of C and the object in this field of it. */
mp_rc mp_load_part(mp_trace *T, PyObject *descr, int field, PyObject *part);
/* A value found in a class: bind it to the owner as its type says. */
mp_rc mp_descr_bind(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                    PyObject *name, PyObject *descr);
/* Store value through a data descriptor; NULL: delete. */
mp_rc mp_descr_set(mp_trace *T, mp_shadow *s, PyObject *owner, mp_node *n,
                   PyObject *name, PyObject *value, PyObject *descr);

/* -- import.c ---------------------------------------------------------------------- */

/* The module that C code imports by name: borrowed. */
mp_rc mp_read_module(mp_trace *T, mp_shadow *s, const char *name, PyObject **module);
/* Is this call of a function of importlib the search for a module?  Then a break. */
mp_rc mp_check_search(mp_trace *T, PyObject *func, PyObject *const *args,
                      Py_ssize_t nargs);
/* names: those of `from m import ...`, or None. */
mp_rc mp_record_import(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *level,
                       PyObject *names);
mp_rc mp_record_import_from(mp_trace *T, mp_shadow *s, PyObject *module,
                            PyObject *name);

/* -- disabled.c ------------------------------------------------------------------------ */

/* Is the function, or the method of this object, one that compilers are to keep off? */
bool mp_is_disabled(PyObject *func, PyObject *const *args, Py_ssize_t nargs);
/* count: with keyword arguments */
mp_rc mp_call_disabled(mp_trace *T, mp_shadow *s, PyObject *func, PyObject *const *args,
                       Py_ssize_t count);

/* -- instr_call.c ------------------------------------------------------------------ */

mp_rc mp_do_call(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_do_precall(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_do_two_locals(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_do_compare(mp_trace *T, mp_shadow *s, const mp_instr *in);
/* A jump that this value decides. */
mp_rc mp_do_jump(mp_trace *T, mp_shadow *s, PyObject *value);
mp_rc mp_do_to_bool(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_do_call_ex(mp_trace *T, mp_shadow *s, const mp_instr *in);

/* -- with.c ------------------------------------------------------------------------- */

mp_rc mp_do_before_with(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_do_load_special(mp_trace *T, mp_shadow *s, const mp_instr *in);
mp_rc mp_do_with_except(mp_trace *T, mp_shadow *s, const mp_instr *in);

/* -- instr.c ----------------------------------------------------------------------- */

mp_rc mp_record_instr(mp_trace *T, mp_shadow *s, const mp_instr *in);
/* What a handler of exceptions gets. */
mp_rc mp_do_exception(mp_trace *T, PyObject *exc);
/* What the cell in local i holds is read. */
mp_rc mp_read_cell(mp_trace *T, mp_shadow *s, int i);
/* A lock that only functools and logging use, in code of theirs. */
bool mp_is_cache_lock(const mp_shadow *s, PyObject *lock);  // python/instr.c
/* A hit takes no such lock, so the segment that takes it must give it back. */
mp_rc mp_take_lock(mp_trace *T, const mp_shadow *s, PyObject *lock, bool takes);
mp_rc mp_know_cell(mp_trace *T, mp_shadow *s, int i);  // python/instr.c

/* -- item.c ------------------------------------------------------------------------ */

mp_rc mp_prepare_key(mp_trace *T, mp_shadow *s, PyObject *key);
/* A field of a namedtuple: a descriptor that knows an index. */
bool mp_is_tuple_field(PyObject *descr);
mp_rc mp_read_tuple_field(mp_trace *T, PyObject *owner, mp_node *n, PyObject *field);
mp_rc mp_record_getitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key);
mp_rc mp_record_setitem(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *key,
                        PyObject *value);
mp_rc mp_record_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item);
mp_rc mp_record_iter(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_record_unpack(mp_trace *T, mp_shadow *s, PyObject *obj);

/* -- late.c ------------------------------------------------------------------------ */

/* Arithmetic on late values, and conversions of tensors.  *done: the instruction answers with
 * a late value; else its operands are what they were, and whoever looks at them breaks. */
mp_rc mp_late_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                     bool *done);
/* bool(a) */
mp_rc mp_late_truth(mp_trace *T, mp_shadow *s, PyObject *a, bool *done);
mp_rc mp_late_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name,
                    bool *done);
mp_rc mp_late_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                      bool *done);
mp_rc mp_late_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done);

/* -- late_text.c ------------------------------------------------------------------- */

/* FORMAT_VALUE, BUILD_STRING, calls of str, repr, format and methods of texts, % and +, as
 * above: what they show is a late value or a tensor, or holds some. */
mp_rc mp_late_format(mp_trace *T, mp_shadow *s, PyObject *value, PyObject *spec,
                     int how, bool *done);
mp_rc mp_late_build_string(mp_trace *T, mp_shadow *s, PyObject *const *parts,
                           Py_ssize_t count, bool *done);
mp_rc mp_late_text_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done);
mp_rc mp_late_text_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                          bool *done);
/* callee(obj), a text that C code makes in the instruction in progress: a late one, new.
 * NULL: obj is none of these. */
mp_rc mp_late_text_of(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *obj,
                      PyObject **box);

/* -- match.c ----------------------------------------------------------------------- */

/* Is it a sequence, or a mapping? */
mp_rc mp_record_match_kind(mp_trace *T, PyObject *subject);
mp_rc mp_record_get_len(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_record_match_keys(mp_trace *T, mp_shadow *s, PyObject *mapping);
/* `case C(p, q, name=r)`: count is that of p and q, names those of the others. */
mp_rc mp_record_match_class(mp_trace *T, mp_shadow *s, PyObject *subject, PyObject *cls,
                            PyObject *names, int count);
/* An exception is compared with these classes. */
mp_rc mp_record_except(mp_trace *T, PyObject *classes);

/* -- operate.c --------------------------------------------------------------------- */

mp_rc mp_record_operate(mp_trace *T, mp_shadow *s, const mp_call *c, bool has_tensor);
mp_rc mp_record_inplace(mp_trace *T, mp_shadow *s, const mp_call *c);
/* s is in sum() over a generator, whose frame `left` with item. */
mp_rc mp_sum_take(mp_trace *T, mp_shadow *s, const mp_shadow *left, PyObject *item);
mp_rc mp_sum_end(mp_trace *T, mp_shadow *s, PyObject *result);

/* -- number.c ---------------------------------------------------------------------- */

/* Arithmetic on symbols.  *done: the instruction answers with a number, or a truth that is
 * guarded; else its operands are what they were, and whoever looks at them pins them. */
mp_rc mp_number_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                       bool *done);
mp_rc mp_number_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name,
                      bool *done);
mp_rc mp_number_contains(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *item,
                         bool *done);
mp_rc mp_number_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op,
                        bool *done);
/* What is on the stack there was read: its numbers become symbols, in a copy that the
 * instruction takes apart in its place. */
mp_rc mp_number_box_items(mp_trace *T, mp_shadow *s, int slot);
/* *made: a tuple of the items of obj, with boxes for those that wait. */
mp_rc mp_number_box_sequence(mp_trace *T, int32_t reg, PyObject *obj, PyObject **made);
/* abs, int, float, min, max, round, math.*. */
mp_rc mp_number_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done);
/* obj.name, which is to be called: of a symbol, or a torch.Size of symbols, a method that has
 * a row or folds them.  It is found without a look at them. */
mp_rc mp_number_method(mp_trace *T, mp_shadow *s, PyObject *obj, PyObject *name,
                       bool *done);
/* Are these numbers, and one a symbol?  b may be NULL. */
bool mp_are_symbolic(const mp_trace *T, PyObject *a, PyObject *b);
/* The same of many, none of which is late. */
bool mp_are_numbers(const mp_trace *T, PyObject *const *items, Py_ssize_t count);

/* -- fold.c ------------------------------------------------------------------------ */

/* sum(), math.prod(), min(), max(), sorted() of what one argument holds, as mp_number_call. */
mp_rc mp_fold_call(mp_trace *T, mp_shadow *s, const mp_call *c, bool *done);
/* min() or max() of these. */
mp_rc mp_fold_extreme(mp_trace *T, mp_shadow *s, mp_number_op op,
                      PyObject *const *items, Py_ssize_t count, bool *done);
/* s is in such a function over a generator, whose frame `left` with item.  *taken: it need not
 * be pinned. */
mp_rc mp_fold_take(mp_trace *T, mp_shadow *s, const mp_shadow *left, PyObject *item,
                   bool *taken);
/* The answer is there.  *done: it is the number s->number. */
mp_rc mp_fold_end(mp_trace *T, mp_shadow *s, bool *done);

/* -- operator.c -------------------------------------------------------------------- */

mp_rc mp_record_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op);
mp_rc mp_record_is(mp_trace *T, PyObject *a, PyObject *b);
mp_rc mp_record_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op);
mp_rc mp_record_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name);
mp_rc mp_record_format(mp_trace *T, mp_shadow *s, PyObject *value);
/* C code writes a text of obj, whose content is known. */
mp_rc mp_look_at_text(mp_trace *T, PyObject *obj);
/* Does "{0.x}" get at attributes, when it formats? */
bool mp_format_takes_attrs(PyObject *text);

#endif
