/* builtins.h - what the handlers of builtins.def share; private to builtins*.c. */
#ifndef MP_BUILTINS_H
#define MP_BUILTINS_H

#include "trace.h"

Py_ssize_t mp_count_args(Py_ssize_t nargs, PyObject *kwnames);
/* Guard what C code takes out of its arguments: one level, or all (deep). */
mp_rc mp_read_args(mp_trace *T, PyObject *const *args, Py_ssize_t count, bool deep,
                   bool *has_tensor);

/* Methods of dicts: keys are tracked one by one (builtins_dict.c). */
mp_rc mp_rule_dict_pop(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);
mp_rc mp_rule_dict_setdefault(mp_trace *T, mp_shadow *s, PyObject *const *args,
                              Py_ssize_t nargs);
mp_rc mp_rule_dict_update(mp_trace *T, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames);
mp_rc mp_rule_dict_get(mp_trace *T, mp_shadow *s, PyObject *const *args,
                       Py_ssize_t nargs);

/* id() and hash() (builtins_identity.c). */
mp_rc mp_rule_id(mp_trace *T, PyObject *obj);
mp_rc mp_rule_hash(mp_trace *T, mp_shadow *s, PyObject *const *args, Py_ssize_t count);

#endif
