/* call/bind.h - find the Python function below a callable, and lay out a call's arguments as
 * that function's frame would have them. */
#ifndef MP_BIND_H
#define MP_BIND_H

#include "engine.h"

/* What the user gave, resolved down to one Python function. */
typedef enum {
    MP_TARGET_FUNCTION,
    MP_TARGET_METHOD,    // bound method
    MP_TARGET_INSTANCE,  // its class defines __call__ in Python
    MP_TARGET_PARTIAL,   // functools.partial of a function or bound method
} mp_target_kind;

typedef struct {
    mp_target_kind kind;
    PyObject *callable;      // owned; what a plain call calls
    PyFunctionObject *root;  // owned; the function whose frame comes first
    PyObject *self;          // owned or NULL; goes before every argument
} mp_target;

/* Fill t.  -1: callable ends in no Python function, TypeError is set. */
int mp_target_init(mp_target *t, PyObject *callable);
/* Does a call of the callable still lead to `root`?  The class of an instance can get
 * another __call__, and the instance another class.  1: yes; 0: no, `root` is now the
 * function to which it leads, and *old the one before, to be released; -1: it leads to no
 * Python function. */
int mp_target_follow(mp_target *t, PyFunctionObject **old);
int mp_target_visit(mp_target *t, visitproc visit, void *arg);
void mp_target_clear(mp_target *t);

#define MP_BIND_SMALL 16

/* The parameters of one call in the order of the frame's first locals: positional,
 * keyword-only, *args, **kwargs.  slots borrow from the caller's arguments, from the
 * function's defaults and from the two containers; they are dead once Python runs. */
typedef struct {
    PyObject *const *slots;
    PyCodeObject *code;  // owned; what the binding was made for
    PyObject *rest;      // owned; the *args tuple; NULL if there is none
    PyObject *named;     // owned; the **kwargs dict; NULL if there is none
    PyObject *merged;    // owned; keeps a partial's arguments; NULL if there is none
    PyObject **heap;     // slots, where they did not fit into small
    PyObject *small[MP_BIND_SMALL];
} mp_bound;

/* 1: bound.  0: the call does not fit (calling will raise, or it reaches another
 * function now).  -1: exception.  mp_bound_clear must follow in every case. */
MP_MAYRUN int mp_bind(mp_bound *b, const mp_target *t, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);
MP_MAYRUN void mp_bound_clear(mp_bound *b);

#endif
