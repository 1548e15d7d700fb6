/* call/bind.c - argument binding without raising.
 *
 * CPython binds arguments while it makes a frame; a hit makes no frame, so the same
 * must be done here.  Where CPython would raise, the binder only answers "does not
 * fit": the caller then calls the original, which raises its own error.
 *
 * Order matters: what can run Python (allocating the *args tuple and the **kwargs dict
 * may start the collector) comes first; borrowed pointers out of the function's
 * defaults are taken last and stay good until Python runs again.  Keyword names that
 * are no exact str do not fit, so that no comparison runs user code.
 *
 * A functools.partial is read anew at every call (its state can be replaced): its
 * arguments are merged with the call's first, as it does itself. */
#include "call/bind.h"

#include "compat/compat.h"
#include "objects/names.h"

static const char bind_accepted[] =
    "magpy.compile takes a Python function, a bound method, an object whose class "
    "defines __call__ in Python, or a functools.partial of a function or bound method; "
    "not '%.200s'";

/* -- Targets ----------------------------------------------------------------------- */

/* Exactly functools.partial: a subclass may do anything. 1 / 0 / -1. */
static int
target_is_partial(PyObject *callable)
{
    PyObject *functools = PyImport_ImportModule("functools");
    if (functools == NULL) {
        return -1;
    }
    PyObject *type = PyObject_GetAttrString(functools, "partial");
    Py_DECREF(functools);
    if (type == NULL) {
        return -1;
    }
    int yes = (PyObject *)Py_TYPE(callable) == type;
    Py_DECREF(type);
    return yes;
}

/* Function or bound method of one: set root and self.  1 / 0. */
static int
target_take_function(mp_target *t, PyObject *callable)
{
    if (PyMethod_Check(callable) && PyFunction_Check(PyMethod_GET_FUNCTION(callable))) {
        t->self = Py_NewRef(PyMethod_GET_SELF(callable));
        t->root = (PyFunctionObject *)Py_NewRef(PyMethod_GET_FUNCTION(callable));
        return 1;
    }
    if (PyFunction_Check(callable)) {
        t->root = (PyFunctionObject *)Py_NewRef(callable);
        return 1;
    }
    return 0;
}

/* A partial of a function or of a bound method. 1 / 0 / -1. */
static int
target_take_partial(mp_target *t, PyObject *callable)
{
    int rc = target_is_partial(callable);
    if (rc <= 0) {
        return rc;
    }
    PyObject *func = PyObject_GetAttrString(callable, "func");
    if (func == NULL) {
        return -1;
    }
    rc = target_take_function(t, func);
    Py_DECREF(func);
    t->kind = MP_TARGET_PARTIAL;
    return rc;
}

/* An object whose class has a __call__ in Python. 1 / 0 / -1. */
static int
target_take_instance(mp_target *t, PyObject *callable)
{
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(callable), MP_NAME(CALL));
    if (found == NULL || !PyFunction_Check(found)) {
        return 0;
    }
    t->kind = MP_TARGET_INSTANCE;
    t->root = (PyFunctionObject *)Py_NewRef(found);
    t->self = Py_NewRef(callable);
    return 1;
}

int
mp_target_init(mp_target *t, PyObject *callable)
{
    assert(callable != NULL);
    memset(t, 0, sizeof(*t));
    t->kind = PyMethod_Check(callable) ? MP_TARGET_METHOD : MP_TARGET_FUNCTION;
    int rc = target_take_function(t, callable);
    if (rc == 0) {
        rc = target_take_partial(t, callable);
    }
    if (rc == 0) {
        rc = target_take_instance(t, callable);
    }
    if (rc == 0) {
        PyErr_Format(PyExc_TypeError, bind_accepted, Py_TYPE(callable)->tp_name);
    }
    if (rc <= 0) {
        mp_target_clear(t);
        return -1;
    }
    t->callable = Py_NewRef(callable);
    return 0;
}

int
mp_target_follow(mp_target *t, PyFunctionObject **old)
{
    assert(t->callable != NULL);
    if (t->kind != MP_TARGET_INSTANCE) {
        return 1;
    }
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(t->callable), MP_NAME(CALL));
    if (found == (PyObject *)t->root) {
        return 1;
    }
    if (found == NULL || !PyFunction_Check(found)) {
        return -1;
    }
    *old = t->root;
    t->root = (PyFunctionObject *)Py_NewRef(found);
    return 0;
}

int
mp_target_visit(mp_target *t, visitproc visit, void *arg)
{
    Py_VISIT(t->callable);
    Py_VISIT(t->root);
    Py_VISIT(t->self);
    return 0;
}

void
mp_target_clear(mp_target *t)
{
    Py_CLEAR(t->callable);
    Py_CLEAR(t->root);
    Py_CLEAR(t->self);
}

/* -- Binding to a function --------------------------------------------------------- */

typedef struct {
    PyObject *const *args;
    Py_ssize_t nargs;
    PyObject *kwnames;  // borrowed; NULL if there are none
    PyObject *self;     // borrowed; NULL if there is none
} bind_call;

/* Room for n slots, zeroed. */
static PyObject **
bind_slots(mp_bound *b, Py_ssize_t n)
{
    assert(n >= 0);
    PyObject **slots = b->small;
    if (n > MP_BIND_SMALL) {
        slots = b->heap = PyMem_New(PyObject *, n);
        if (slots == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    memset(slots, 0, (size_t)n * sizeof(*slots));
    b->slots = slots;
    return slots;
}

/* The *args tuple and the **kwargs dict: allocations first, see above.  1 / 0 / -1. */
static int
bind_containers(mp_bound *b, const bind_call *call)
{
    PyCodeObject *code = b->code;
    Py_ssize_t shift = call->self != NULL;
    Py_ssize_t extra = shift + call->nargs - code->co_argcount;
    if (code->co_flags & CO_VARARGS) {
        b->rest = PyTuple_New(extra > 0 ? extra : 0);
        if (b->rest == NULL) {
            return -1;
        }
        for (Py_ssize_t i = 0; i < extra; i++) {
            Py_ssize_t at = code->co_argcount + i - shift;
            PyObject *item = at < 0 ? call->self : call->args[at];
            PyTuple_SET_ITEM(b->rest, i, Py_NewRef(item));
        }
    }
    else if (extra > 0) {
        return 0;
    }
    if (code->co_flags & CO_VARKEYWORDS) {
        b->named = PyDict_New();
        if (b->named == NULL) {
            return -1;
        }
    }
    return 1;
}

/* Positional arguments, with self in front. */
static void
bind_positional(mp_bound *b, const bind_call *call, PyObject **slots)
{
    Py_ssize_t n = 0, limit = b->code->co_argcount;
    if (call->self != NULL && n < limit) {
        slots[n++] = call->self;
    }
    for (Py_ssize_t i = 0; i < call->nargs && n < limit; i++) {
        slots[n++] = call->args[i];
    }
}

/* Index of the parameter that may be given by this keyword, or -1. */
static int
bind_find_name(PyCodeObject *code, PyObject *name)
{
    int n = code->co_argcount + code->co_kwonlyargcount;
    for (int i = code->co_posonlyargcount; i < n; i++) {
        if (PyTuple_GET_ITEM(code->co_localsplusnames, i) == name) {
            return i;
        }
    }
    for (int i = code->co_posonlyargcount; i < n; i++) {
        PyObject *known = PyTuple_GET_ITEM(code->co_localsplusnames, i);
        if (PyUnicode_Compare(known, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* Arguments by name, into parameters or into **kwargs. 1; 0: CPython would raise; -1. */
static int
bind_keywords(mp_bound *b, const bind_call *call, PyObject **slots)
{
    Py_ssize_t n = call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames);
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *name = PyTuple_GET_ITEM(call->kwnames, k);
        PyObject *value = call->args[call->nargs + k];
        if (!PyUnicode_CheckExact(name)) {
            return 0;
        }
        int i = bind_find_name(b->code, name);
        if (i >= 0 && slots[i] == NULL) {
            slots[i] = value;
        }
        else if (i >= 0 || b->named == NULL) {
            return 0;  // given twice, or unknown
        }
        else if (PyDict_SetItem(b->named, name, value) < 0) {
            return -1;
        }
    }
    return 1;
}

/* The default of keyword-only parameter i: borrowed or NULL. */
static PyObject *
bind_kwdefault_borrow(PyFunctionObject *func, PyCodeObject *code, int i)
{
    PyObject *dict = func->func_kwdefaults;
    if (dict == NULL || !PyDict_CheckExact(dict) || !mp_dict_keys_are_str(dict)) {
        return NULL;
    }
    PyObject *name = PyTuple_GET_ITEM(code->co_localsplusnames, i);
    return mp_dict_find_borrow(dict, name, PyObject_Hash(name));
}

/* What the call left out.  Defaults are borrowed from the function. 1; 0: an argument is
 * missing. */
static int
bind_defaults(mp_bound *b, PyFunctionObject *func, PyObject **slots)
{
    PyCodeObject *code = b->code;
    PyObject *defaults = func->func_defaults;
    Py_ssize_t n = defaults == NULL ? 0 : PyTuple_GET_SIZE(defaults);
    for (int i = 0; i < code->co_argcount; i++) {
        Py_ssize_t k = i - (code->co_argcount - n);
        if (slots[i] == NULL && k >= 0) {
            slots[i] = PyTuple_GET_ITEM(defaults, k);
        }
        if (slots[i] == NULL) {
            return 0;
        }
    }
    int end = code->co_argcount + code->co_kwonlyargcount;
    for (int i = code->co_argcount; i < end; i++) {
        if (slots[i] == NULL) {
            slots[i] = bind_kwdefault_borrow(func, code, i);
        }
        if (slots[i] == NULL) {
            return 0;
        }
    }
    return 1;
}

/* The arguments as the locals of func's frame begin with them.  Without *args, names and
 * self they are the caller's array itself. */
static int
bind_function(mp_bound *b, PyFunctionObject *func, const bind_call *call)
{
    assert(PyFunction_Check(func));
    PyCodeObject *code = b->code = (PyCodeObject *)Py_NewRef(func->func_code);
    int more = code->co_kwonlyargcount != 0
               || (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) != 0;
    if (!more && call->kwnames == NULL && call->self == NULL
        && call->nargs == code->co_argcount) {
        b->slots = call->args;
        return 1;
    }
    int rc = bind_containers(b, call);
    if (rc <= 0) {
        return rc;
    }
    int n = code->co_argcount + code->co_kwonlyargcount;
    PyObject **slots = bind_slots(b, n + 2);
    if (slots == NULL) {
        return -1;
    }
    bind_positional(b, call, slots);
    rc = bind_keywords(b, call, slots);
    if (rc > 0) {
        rc = bind_defaults(b, func, slots);
    }
    if (b->rest != NULL) {
        slots[n++] = b->rest;
    }
    if (b->named != NULL) {
        slots[n++] = b->named;
    }
    return rc;
}

/* -- functools.partial ------------------------------------------------------------- */

/* The call's keywords over the partial's own: new dict. */
static PyObject *
bind_partial_keywords(PyObject *partial, const bind_call *call)
{
    PyObject *own = PyObject_GetAttrString(partial, "keywords");
    if (own == NULL) {
        return NULL;
    }
    PyObject *all = PyDict_Copy(own);
    Py_DECREF(own);
    Py_ssize_t n = call->kwnames == NULL ? 0 : PyTuple_GET_SIZE(call->kwnames);
    for (Py_ssize_t k = 0; all != NULL && k < n; k++) {
        if (PyDict_SetItem(all, PyTuple_GET_ITEM(call->kwnames, k),
                           call->args[call->nargs + k])
            < 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

/* [positional..., keyword values...] of the merged call: new tuple; *names new. */
static PyObject *
bind_partial_merge(PyObject *partial, const bind_call *call, PyObject **names)
{
    PyObject *result = NULL, *keywords = NULL;                // owned
    PyObject *own = PyObject_GetAttrString(partial, "args");  // owned
    if (own == NULL) {
        return NULL;
    }
    keywords = bind_partial_keywords(partial, call);
    if (keywords == NULL) {
        goto done;
    }
    Py_ssize_t n_own = PyTuple_GET_SIZE(own), n_names = PyDict_GET_SIZE(keywords);
    result = PyTuple_New(n_own + call->nargs + n_names);
    *names = PyTuple_New(n_names);
    if (result == NULL || *names == NULL) {
        Py_CLEAR(result);
        Py_CLEAR(*names);
        goto done;
    }
    Py_ssize_t at = 0, pos = 0, k = 0;
    for (Py_ssize_t i = 0; i < n_own; i++) {
        PyTuple_SET_ITEM(result, at++, Py_NewRef(PyTuple_GET_ITEM(own, i)));
    }
    for (Py_ssize_t i = 0; i < call->nargs; i++) {
        PyTuple_SET_ITEM(result, at++, Py_NewRef(call->args[i]));
    }
    PyObject *key, *value;
    while (PyDict_Next(keywords, &pos, &key, &value)) {
        PyTuple_SET_ITEM(*names, k++, Py_NewRef(key));
        PyTuple_SET_ITEM(result, at++, Py_NewRef(value));
    }
done:
    Py_XDECREF(keywords);
    Py_DECREF(own);
    return result;
}

/* Does the partial still lead to the function that was found at construction? */
static int
bind_partial_is_same(const mp_target *t)
{
    PyObject *func = PyObject_GetAttrString(t->callable, "func");
    if (func == NULL) {
        return -1;
    }
    int same = func == (PyObject *)t->root;
    if (PyMethod_Check(func)) {
        same = PyMethod_GET_FUNCTION(func) == (PyObject *)t->root
               && PyMethod_GET_SELF(func) == t->self;
    }
    Py_DECREF(func);
    return same;
}

/* The arguments of a partial and of the call together. 1; 0: it leads elsewhere; -1. */
static int
bind_partial(mp_bound *b, const mp_target *t, const bind_call *call)
{
    int rc = bind_partial_is_same(t);
    if (rc <= 0) {
        return rc;
    }
    PyObject *names = NULL;  // owned
    b->merged = bind_partial_merge(t->callable, call, &names);
    if (b->merged == NULL) {
        return -1;
    }
    bind_call merged = {
        .args = ((PyTupleObject *)b->merged)->ob_item,
        .nargs = PyTuple_GET_SIZE(b->merged) - PyTuple_GET_SIZE(names),
        .kwnames = PyTuple_GET_SIZE(names) > 0 ? names : NULL,
        .self = t->self,
    };
    rc = bind_function(b, t->root, &merged);
    Py_DECREF(names);
    return rc;
}

/* -- Entry points ------------------------------------------------------------------ */

/* See call/bind.h. 1: bound; 0: it does not fit; -1: exception. */
int
mp_bind(mp_bound *b, const mp_target *t, PyObject *const *args, Py_ssize_t nargs,
        PyObject *kwnames)
{
    assert(nargs >= 0 && (kwnames == NULL || PyTuple_Check(kwnames)));
    b->code = NULL;
    b->rest = b->named = b->merged = NULL;
    b->heap = NULL;
    bind_call call = {args, nargs, kwnames, t->self};
    if (t->kind == MP_TARGET_PARTIAL) {
        return bind_partial(b, t, &call);
    }
    if (t->kind == MP_TARGET_INSTANCE
        && mp_type_lookup_borrow(Py_TYPE(t->callable), MP_NAME(CALL))
               != (PyObject *)t->root) {
        return 0;  // until mp_target_follow has been called
    }
    return bind_function(b, t->root, &call);
}

void
mp_bound_clear(mp_bound *b)
{
    Py_XDECREF(b->code);
    Py_XDECREF(b->rest);
    Py_XDECREF(b->named);
    Py_XDECREF(b->merged);
    PyMem_Free(b->heap);
}
