/* read/read.h - what reading and writing mean. */
#ifndef MP_READ_H
#define MP_READ_H

#include "trace/trace.h"

/* -- array.c ----------------------------------------------------------------------- */

bool mp_is_numpy_callable(PyObject *callee);
/* A function or type of numpy is called; its arguments are args, whatever their names. */
mp_rc mp_numpy_call(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                    Py_ssize_t count);
/* A method of an array is called. */
mp_rc mp_numpy_check_method(mp_trace *T, PyObject *callee, const char *name);
/* What either of them answered. */
mp_rc mp_numpy_result(mp_trace *T, PyObject *result);
/* An external array is read: all of it.  n is its node. */
mp_rc mp_array_read(mp_trace *T, PyObject *a, mp_node *n);
/* The run is over: it has written to none of those that it read. */
mp_rc mp_array_check_known(mp_trace *T);
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

/* -- bytes.c ----------------------------------------------------------------------- */

/* obj is an external bytearray: its content is read; obj[key] is written or deleted. */
mp_rc mp_read_bytes(mp_trace *T, PyObject *obj, mp_node *n);
mp_rc mp_write_bytes(mp_trace *T, mp_shadow *s, mp_node *n, PyObject *key,
                     PyObject *value);

/* -- c_object.c -------------------------------------------------------------------- */

/* C code looks at an object of a C type (objects/rows.c): what never changes is pinned,
 * what may change unseen is refused. */
mp_rc mp_read_c_object(mp_trace *T, PyObject *obj, mp_node *n);

/* -- content.c --------------------------------------------------------------------- */

/* Defaults of its keyword-only parameters live in a dict that can change in place. */
mp_rc mp_read_kwdefaults(mp_trace *T, PyObject *func);
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
/* A read-only view of a mapping: go on with the mapping behind it. */
mp_rc mp_unwrap_proxy(mp_trace *T, PyObject **obj);
/* Guard all of a container's entry content (keys, length, items), one level. */
mp_rc mp_read_all(mp_trace *T, PyObject *obj);
/* Numbers of a list, dict or deque that was read so become symbols in it (read/boxes.c). */
mp_rc mp_box_in_place(mp_trace *T, PyObject *obj);
/* A list holds the program's own numbers again, where boxes of symbols or late values were; the
 * second pins them before. */
void mp_unbox_list(mp_trace *T, PyObject *list);
mp_rc mp_unbox_in_place(mp_trace *T, PyObject *list);
/* The same for an object whose items C code will take: aborts if no guard can cover the
 * items of an external object. */
mp_rc mp_read_items(mp_trace *T, PyObject *obj);
mp_rc mp_read_deep(mp_trace *T, PyObject *obj, bool *has_tensor);
/* The same of len(obj), which the instruction answers with: it may be a symbol. */
mp_rc mp_read_length(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_read_len(mp_trace *T, PyObject *obj);
/* The keys in the dict's own order, whatever __iter__ a subclass has: new tuple. */
PyObject *mp_dict_keys(PyObject *dict);
mp_rc mp_read_truth(mp_trace *T, PyObject *obj, mp_shadow *s);

/* -- identity.c -------------------------------------------------------------------- */

/* C code is about to hash or compare obj: it may find it to be another object it knows. */
mp_rc mp_note_identity(mp_trace *T, PyObject *obj);
/* Refuse a tensor that may be another one with other data: contiguous() of a selection. */
mp_rc mp_refuse_unsure(mp_trace *T, const mp_node *n);
/* It is hashed, or compared as an item: by identity first. */
mp_rc mp_refuse_nan(mp_trace *T, PyObject *item);
/* The program asks whether two constants are one object: guards on values do not tell. */
mp_rc mp_constants_is(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b);
/* id() of a constant: abort if that of an equal one was asked for. */
mp_rc mp_constant_id(mp_trace *T, mp_shadow *s, PyObject *obj);
mp_rc mp_note_items(mp_trace *T, PyObject *const *args, Py_ssize_t count);
/* An external dict is looked up or written with this key. */
mp_rc mp_pin_key(mp_trace *T, PyObject *key);
bool mp_key_is_new(mp_trace *T, PyObject *key);
mp_rc mp_guard_compared(mp_trace *T);
/* 3.11's PRECALL takes a bound method apart: guard its parts before. */
mp_rc mp_record_method_parts(mp_trace *T, PyObject *method);

/* -- iter.c ------------------------------------------------------------------------ */

/* C code is about to look at what the items of obj hold, if it is a fresh iterator. */
mp_rc mp_look_at_yields(mp_trace *T, PyObject *obj, const char *who, bool *has_tensor);
/* C code is about to advance it: items that came since it was made are read as well. */
mp_rc mp_look_before_next(mp_trace *T, PyObject *iterator);
/* An object of a C type without a row, whose items C code could ask for. */
bool mp_is_opaque_external(PyObject *obj, const mp_node *n);
/* Code that no mode looks into must not advance an iterator that calls operations. */
mp_rc mp_refuse_lazy(mp_trace *T, PyObject *arg);
/* The dict behind d.values() or d.items(), borrowed, or NULL. */
PyObject *mp_viewed_dict(PyObject *obj);

/* -- keys.c ------------------------------------------------------------------------ */

bool mp_key_is_safe(PyObject *key);
mp_rc mp_read_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key,
                  PyObject **value);
/* A member of an Enum, whose own __hash__ runs. */
bool mp_is_enum_member(PyObject *key);
/* *value: what the dict has under the key, or NULL, found without code of the program. */
mp_rc mp_find_key(mp_trace *T, PyObject *dict, mp_node *n, PyObject *key,
                  PyObject **value);

/* -- process.c --------------------------------------------------------------------- */

/* The exception that the caller of the run is handling becomes visible. */
mp_rc mp_read_handled(mp_trace *T);
/* An ABC says that a class is none of its subclasses. */
mp_rc mp_guard_abc(mp_trace *T);
/* issubclass(x, classes): some metaclass may answer from what was registered. */
mp_rc mp_guard_subclass_hooks(mp_trace *T, PyObject *classes);

/* -- special.c --------------------------------------------------------------------- */

/* A special method of obj's type that C code will call becomes known.  *found: borrowed, or
 * NULL if the type has none.  Aborts if it is neither a function in Python nor the C type's
 * own. */
mp_rc mp_special(mp_trace *T, PyObject *obj, const char *name, PyObject **found);
/* The same, whatever it is: for callers that tell what calling it does. */
mp_rc mp_special_any(mp_trace *T, PyObject *obj, const char *name, PyObject **found);
/* All special methods that C code may call on obj (read/specials.def). */
mp_rc mp_prepare_instance(mp_trace *T, PyObject *obj);
/* `call`, which the class of obj has as __call__, is a slot with one of our functions. */
bool mp_is_compiled_call(PyObject *obj, PyObject *call);
/* What the slot `descr` of obj holds, if it is a CallSlot; borrowed or NULL. */
PyObject *mp_call_slot_borrow(PyObject *obj, PyObject *descr);
/* A method or slot of a C type? */
bool mp_is_method_of_c(PyObject *found);

/* -- write.c ----------------------------------------------------------------------- */

mp_rc mp_write_key(mp_trace *T, mp_node *dict, PyObject *key, bool is_delete);
mp_rc mp_write_slot(mp_trace *T, mp_node *n, PyObject *descr, bool is_delete);
mp_rc mp_write_cell(mp_trace *T, mp_node *cell);
mp_rc mp_write_type(mp_trace *T, mp_node *cls, PyObject *name);
mp_rc mp_write_append(mp_trace *T, mp_node *list);
/* list.extend(more): appends of items that are known, however long the list is. */
bool mp_extends_by_items(PyObject *list, PyObject *more);
mp_rc mp_write_extend(mp_trace *T, mp_node *list, PyObject *more);
/* The whole content is about to change: guards the entry content first. */
mp_rc mp_write_content(mp_trace *T, mp_node *n);
/* The same, of an object whose content does not become an entry by itself. */
mp_rc mp_write_whole(mp_trace *T, mp_node *n);
/* Sets (read/set.c).  One change, as effect/set.c has them; one that cannot be told. */
mp_rc mp_write_set(mp_trace *T, mp_node *n, char letter, PyObject *operand);
mp_rc mp_write_set_whole(mp_trace *T, mp_node *n);
/* The order of a set from outside that the run has changed. */
mp_rc mp_read_order(mp_trace *T, mp_node *n);
/* The order of any set matters: objects from outside that hash by their address are pinned. */
mp_rc mp_note_set_order(mp_trace *T, PyObject *set);
/* Do all members hash in a hit as they did in the run?  Other objects have no order. */
bool mp_set_has_order(mp_trace *T, PyObject *set);
/* Does sorted() make one list of it, whatever its order? */
bool mp_set_sorts(PyObject *set);
/* All changes of a set: their letters, and a list of their operands; both new. */
mp_rc mp_set_script(mp_node *n, PyObject **script, PyObject **operands);
/* A constant, or a tuple or frozenset of such, at any depth. */
bool mp_hashes_by_value(PyObject *obj);
/* A text to a file of C code alone; NULL: flush. */
mp_rc mp_write_file(mp_trace *T, mp_node *file, PyObject *text);
/* An external iterator gives an item, or has none. */
mp_rc mp_write_advance(mp_trace *T, mp_node *iterator);
/* The function n is called with this, when the other writes are done. */
mp_rc mp_write_late(mp_trace *T, mp_write_kind kind, mp_node *n, PyObject *key);
void mp_writes_fini(mp_trace *T);

#endif
