/* cfunc/cfunc.h - what C functions read, write and return. */
#ifndef MP_CFUNC_H
#define MP_CFUNC_H

#include "objects/rows.h"
#include "trace/trace.h"

/* -- builtins.c -------------------------------------------------------------------- */

mp_rc mp_record_builtin(mp_trace *T, mp_shadow *s, PyObject *callee,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                        bool *found);
mp_c_effect mp_builtin_effect(PyObject *callable);
/* Its name, for people. */
const char *mp_callee_name(PyObject *callee);
Py_ssize_t mp_count_args(Py_ssize_t nargs, PyObject *kwnames);
/* Guard what C code takes out of its arguments: one level, or all (deep). */
mp_rc mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
                   bool *has_tensor);
/* Guard all that the arguments hold, and what C code calls among them. */
mp_rc mp_rule_eval(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t count);

/* -- cached.c ---------------------------------------------------------------------- */

mp_rc mp_cached_begin(mp_trace *T, mp_shadow *s, PyObject *cached,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_cached_end(mp_trace *T, mp_shadow *s, PyObject *answer);

/* -- class.c ----------------------------------------------------------------------- */

/* isinstance(), issubclass(); property.__get__ and its kin (cfunc/class.c). */
mp_rc mp_rule_isinstance(mp_trace *T, mp_shadow *s, PyObject *const *args,
                         Py_ssize_t nargs);
mp_rc mp_rule_issubclass(mp_trace *T, mp_shadow *s, PyObject *const *args,
                         Py_ssize_t count);
mp_rc mp_rule_super(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs);
mp_rc mp_rule_property(mp_trace *T, mp_shadow *s, PyObject *callee,
                       PyObject *const *args, Py_ssize_t nargs);

/* -- dict.c ------------------------------------------------------------------------ */

/* Methods of dicts: keys are tracked one by one (cfunc/dict.c). */
mp_rc mp_rule_dict_pop(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);
mp_rc mp_rule_dict_setdefault(mp_trace *T, mp_shadow *s, PyObject *const *args,
                              Py_ssize_t nargs);
mp_rc mp_rule_dict_update(mp_trace *T, mp_shadow *s, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_dict_get(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);

/* -- exec.c ------------------------------------------------------------------------ */

/* A C attribute of an object that the run made (cfunc/exec.c). */
mp_rc mp_read_frame_attr(mp_trace *T, PyObject *owner, PyObject *name);
/* Code of texts, and frames (cfunc/exec.c). */
mp_rc mp_rule_exec(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_compile(mp_trace *T, mp_shadow *s, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_locals(mp_trace *T, mp_shadow *s, Py_ssize_t count);
mp_rc mp_rule_frame(mp_trace *T, PyObject *const *args, Py_ssize_t nargs);

/* -- file.c ------------------------------------------------------------------------ */

/* print, and methods of text files (cfunc/file.c). */
mp_rc mp_rule_print(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);
mp_rc mp_rule_write(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);
mp_rc mp_rule_flush(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);

/* -- identity.c -------------------------------------------------------------------- */

/* id() and hash() (cfunc/identity.c). */
mp_rc mp_rule_id(mp_trace *T, PyObject *obj);
mp_rc mp_rule_hash(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count);

/* -- json.c ------------------------------------------------------------------------ */

mp_rc mp_call_json(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t nargs);
mp_rc mp_post_nested(mp_trace *T, PyObject *obj);
/* json's scanner takes attributes of its argument (cfunc/json.c). */
mp_rc mp_rule_scanner(mp_trace *T, mp_shadow *s, PyObject *const *args,
                      Py_ssize_t count);

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

mp_rc mp_call_getter(mp_trace *T, mp_shadow *s, PyObject *get, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_record_alias_attr(mp_trace *T, mp_shadow *s, PyObject *owner, PyObject *name);
/* A constant, or a tuple or frozenset of such, at any depth. */
bool mp_hashes_by_value(PyObject *obj);
/* Objects of C types (cfunc/objects.c). */
int mp_objects_init(void);
/* The C function calls an operator.attrgetter with items of these arguments. */
mp_rc mp_look_at_getter(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *get,
                        PyObject *const *args, Py_ssize_t count);
/* A key of functools.cmp_to_key that the run made of a function in Python. */
bool mp_is_watched_key(mp_trace *T, PyObject *obj);
/* A method of types.MappingProxyType is that of the dict behind it, if *found. */
mp_rc mp_record_proxy_method(mp_trace *T, mp_shadow *s, PyObject *callee,
                             PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                             bool *found);
/* object.__reduce_ex__ of a plain instance. */
mp_rc mp_rule_reduce(mp_trace *T, mp_shadow *s, PyObject *const *args,
                     Py_ssize_t nargs);
mp_rc mp_rule_proxy(mp_trace *T, PyObject *const *args, Py_ssize_t count);

/* -- re.c -------------------------------------------------------------------------- */

/* Attributes of compiled patterns (cfunc/re.c). */
mp_rc mp_read_pattern(mp_trace *T, mp_shadow *s, PyObject *pattern, PyObject *name);
int mp_re_init(void);
mp_rc mp_rule_pattern(mp_trace *T, mp_shadow *s, PyObject *callee,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/* -- warn.c ------------------------------------------------------------------------ */

/* Will effects show the warnings of the run as it did?  (cfunc/warn.c) */
mp_rc mp_check_warnings(mp_trace *T);
/* warnings.warn, and the call that tells of changed filters (cfunc/warn.c). */
int mp_warn_init(void);
/* The instruction op has used what numpy made.  May it have warned, or what called it?
 * Guards the filters, by which a warning may have been ignored. */
mp_rc mp_warn_check_quiet(mp_trace *T, mp_op op);
bool mp_warn_frame_has_warned(mp_frame *f);
mp_rc mp_rule_warn(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_filters(mp_trace *T, const mp_shadow *s, PyObject *callee,
                      Py_ssize_t count);

/* -- describe.c ----------------------------------------------------------------------- */

/* The effect class of a callable: one of objects/rules.def, or "torch" (a row of setup_torch),
 * "python" (runs in frames, which are watched), "numpy".  NULL: no row. */
const char *mp_record_class_of(PyObject *callable);

#endif
