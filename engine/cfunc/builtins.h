/* cfunc/builtins.h - what the handlers of cfunc/builtins.def share; private to builtins*.c. */
#ifndef MP_BUILTINS_H
#define MP_BUILTINS_H

#include "trace/trace.h"

typedef enum {
    RULE_NONE,
#define RULE(id, effect, text) RULE_##id,
#include "cfunc/rules.def"
#undef RULE
} mp_rule;

/* Rows (cfunc/rows.c): RULE_NONE if there is none. */
mp_rule mp_rule_of(PyObject *callable);
mp_rule mp_rule_of_type(PyTypeObject *tp);
/* The type that a method taken from its class belongs to, borrowed, or NULL. */
PyTypeObject *mp_method_owner(PyObject *callee);
/* Methods without a row only read what never changes. */
bool mp_is_value_type(PyTypeObject *tp);
/* The nearest type written in C: it lays out what is not in __dict__ and __slots__. */
PyTypeObject *mp_c_base(PyTypeObject *tp);

Py_ssize_t mp_count_args(Py_ssize_t nargs, PyObject *kwnames);
/* Guard what C code takes out of its arguments: one level, or all (deep). */
mp_rc mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
                   bool *has_tensor);

/* Methods of dicts: keys are tracked one by one (cfunc/dict.c). */
mp_rc mp_rule_dict_pop(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);
mp_rc mp_rule_dict_setdefault(mp_trace *T, mp_shadow *s, PyObject *const *args,
                              Py_ssize_t nargs);
mp_rc mp_rule_dict_update(mp_trace *T, mp_shadow *s, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_dict_get(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);

/* Objects of C types (cfunc/objects.c). */
int mp_objects_init(void);
int mp_re_init(void);
mp_rc mp_rule_pattern(mp_trace *T, mp_shadow *s, PyObject *callee,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
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
/* json's scanner takes attributes of its argument (cfunc/json.c). */
mp_rc mp_rule_scanner(mp_trace *T, mp_shadow *s, PyObject *const *args,
                      Py_ssize_t count);
/* Guard all that the arguments hold, and what C code calls among them. */
mp_rc mp_rule_eval(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t count);

/* Code of texts, and frames (cfunc/exec.c). */
mp_rc mp_rule_exec(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_compile(mp_trace *T, mp_shadow *s, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_locals(mp_trace *T, mp_shadow *s, Py_ssize_t count);
mp_rc mp_rule_proxy(mp_trace *T, PyObject *const *args, Py_ssize_t count);
mp_rc mp_rule_frame(mp_trace *T, PyObject *const *args, Py_ssize_t nargs);

/* isinstance(), issubclass(); property.__get__ and its kin (cfunc/class.c). */
mp_rc mp_rule_isinstance(mp_trace *T, mp_shadow *s, PyObject *const *args,
                         Py_ssize_t nargs);
mp_rc mp_rule_issubclass(mp_trace *T, mp_shadow *s, PyObject *const *args,
                         Py_ssize_t count);
mp_rc mp_rule_super(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs);
mp_rc mp_rule_property(mp_trace *T, mp_shadow *s, PyObject *callee,
                       PyObject *const *args, Py_ssize_t nargs);

/* id() and hash() (cfunc/identity.c). */
mp_rc mp_rule_id(mp_trace *T, PyObject *obj);
mp_rc mp_rule_hash(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count);

/* print, and methods of text files (cfunc/file.c). */
mp_rc mp_rule_print(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);
mp_rc mp_rule_write(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);
mp_rc mp_rule_flush(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames);

/* warnings.warn, and the call that tells of changed filters (cfunc/warn.c). */
int mp_warn_init(void);
mp_rc mp_rule_warn(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);
mp_rc mp_rule_filters(mp_trace *T, const mp_shadow *s, PyObject *callee,
                      Py_ssize_t count);

#endif
