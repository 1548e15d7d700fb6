/* cfunc/cfunc.h - what C functions read, write and return. */
#ifndef MP_CFUNC_H
#define MP_CFUNC_H

#include "objects/rows.h"
#include "trace/trace.h"

/* The handler of each rule of objects/rules.def: it runs before the call, guards what the C
 * function will read, journals what it will write, and says what may happen below it.
 * (`none` has no function.) */
#define RULE(id, handler, effect, calls, traits, text)                                 \
    mp_rc mp_rule_##handler(mp_trace *T, mp_shadow *s, const mp_call *c);
#include "objects/rules.def"
#undef RULE

/* -- builtins.c -------------------------------------------------------------------- */

mp_rc mp_record_builtin(mp_trace *T, mp_shadow *s, const mp_call *c, bool *found);
mp_c_effect mp_builtin_effect(PyObject *callable);
/* Its name, for people. */
const char *mp_callee_name(PyObject *callee);
/* Guard what C code takes out of its arguments: one level, or all (deep). */
mp_rc mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
                   bool *has_tensor);
/* C code stores these, and looks at none. */
mp_rc mp_pass_args(mp_trace *T, PyObject *const *args, Py_ssize_t count);

/* -- reads.c ----------------------------------------------------------------------- */

/* Guard all that the arguments hold, and what C code calls among them. */
mp_rc mp_eval_args(mp_trace *T, mp_shadow *s, const mp_call *c);
/* set(xs), s.add(x): items are hashed and compared. */
mp_rc mp_note_hashing(mp_trace *T, mp_shadow *s, PyObject *callee,
                      PyObject *const *args, Py_ssize_t count);
/* A str subclass as the name of an attribute may have its own __eq__ and __hash__. */
mp_rc mp_check_attr_name(mp_trace *T, PyObject *name);

/* -- cached.c ---------------------------------------------------------------------- */

mp_rc mp_cached_begin(mp_trace *T, mp_shadow *s, const mp_call *c);
mp_rc mp_cached_end(mp_trace *T, mp_shadow *s, PyObject *answer);

/* -- exec.c ------------------------------------------------------------------------ */

/* A C attribute of an object that the run made (cfunc/exec.c). */
mp_rc mp_read_frame_attr(mp_trace *T, PyObject *owner, PyObject *name);

/* -- json.c ------------------------------------------------------------------------ */

mp_rc mp_call_json(mp_trace *T, mp_shadow *s, const mp_call *c);
mp_rc mp_post_nested(mp_trace *T, PyObject *obj);
/* The token of ContextVar.set. */
mp_rc mp_post_token(mp_trace *T, PyObject *token);

/* -- look.c ------------------------------------------------------------------------ */

/* What an iterator that `maker` (NULL: iter) makes of these objects may hand to C code, and
 * KNOWN; over a dict: its keys, or with `values` all that it holds. */
uint8_t mp_yields(mp_trace *T, PyObject *maker, PyObject *const *args, Py_ssize_t count,
                  bool values);
/* The C function `who` takes each item of these arguments apart: dict(pairs). */
mp_rc mp_look_into(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
                   Py_ssize_t count);
/* C code takes the items of a dict; aborts if its class says what they are. */
mp_rc mp_prepare_merge(mp_trace *T, PyObject *dict);
/* A Python frame below the instruction of `caller` has answered. */
mp_rc mp_look_at_answer(mp_trace *T, mp_shadow *caller, const mp_shadow *left,
                        PyObject *answer);

/* -- objects.c --------------------------------------------------------------------- */

mp_rc mp_call_getter(mp_trace *T, mp_shadow *s, const mp_call *c);
mp_rc mp_record_alias_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name);
/* Sets (cfunc/set.c): are all members constants?  A method of set changes one. */
bool mp_set_is_constant(PyObject *set);
mp_rc mp_write_set_by(mp_trace *T, mp_node *n, const mp_call *c);
/* Objects of C types (cfunc/objects.c). */
int mp_objects_init(void);
/* The C function calls an operator.attrgetter with items of these arguments. */
mp_rc mp_look_at_getter(mp_trace *T, mp_shadow *s, const mp_call *c, PyObject *get);
/* A key of functools.cmp_to_key that the run made of a function in Python. */
bool mp_is_watched_key(mp_trace *T, PyObject *obj);
/* A method of types.MappingProxyType is recorded as that of the dict behind it, if
 * *found. */
mp_rc mp_record_proxy_method(mp_trace *T, mp_shadow *s, const mp_call *c, bool *found);

/* -- re.c -------------------------------------------------------------------------- */

/* Attributes of compiled patterns (cfunc/re.c). */
mp_rc mp_read_pattern(mp_trace *T, mp_shadow *s, PyObject *pattern, PyObject *name);
int mp_re_init(void);

/* -- warn.c ------------------------------------------------------------------------ */

/* Will effects show the warnings of the run as it did?  (cfunc/warn.c) */
mp_rc mp_check_warnings(mp_trace *T);
/* warnings.warn, and the call that tells of changed filters (cfunc/warn.c). */
int mp_warn_init(void);
/* The instruction op has used what numpy made.  May it have warned, or what called it?
 * Guards the filters, by which a warning may have been ignored. */
mp_rc mp_warn_check_quiet(mp_trace *T, mp_op op);
bool mp_warn_frame_has_warned(mp_frame *f);

/* -- describe.c ----------------------------------------------------------------------- */

/* The effect class of a callable: one of objects/rules.def, or "torch" (a row of setup_torch),
 * "python" (runs in frames, which are watched), "numpy".  NULL: no row. */
const char *mp_record_class_of(PyObject *callable);

#endif
