/* run/frame.c - what comes into a watched frame: its arguments.
 *
 * They are classified at the first event of the frame: those of the root function are
 * loaded and guarded, those of a callee are known already, or were made for the call. */
#include "graph/graph.h"
#include "python/python.h"
#include "read/read.h"
#include "run/run.h"

/* -- First event of a frame: what its arguments are -------------------------------------------- */

/* How many locals are parameters, with *args and **kwargs. */
static int
param_count(PyCodeObject *code)
{
    return code->co_argcount + code->co_kwonlyargcount
           + ((code->co_flags & CO_VARARGS) != 0)
           + ((code->co_flags & CO_VARKEYWORDS) != 0);
}

/* The value of parameter i; one that a nested function uses is in a cell. */
static PyObject *
param_value(mp_shadow *s, int i)
{
    PyObject *v = mp_frame_local_borrow(s->f, i);
    if (v != NULL && (mp_local_kind(s->info->code, i) & CO_FAST_CELL)
        && PyCell_Check(v)) {
        return PyCell_GET(v);
    }
    return v;
}

/* Did the caller leave the parameter out? Then it is one of these very objects. */
static bool
is_default(PyObject *func, PyObject *value)
{
    PyFunctionObject *f = (PyFunctionObject *)func;
    PyObject *key, *other;
    Py_ssize_t pos = 0;
    for (Py_ssize_t i = 0; f->func_defaults && i < PyTuple_GET_SIZE(f->func_defaults);
         i++) {
        if (PyTuple_GET_ITEM(f->func_defaults, i) == value) {
            return true;
        }
    }
    while (f->func_kwdefaults && PyDict_Next(f->func_kwdefaults, &pos, &key, &other)) {
        if (other == value) {
            return true;
        }
    }
    return false;
}

/* Has C code made this argument for the call?  `self` of an __init__, the owner that a
 * __set_name__ gets, what a C function hands to its callback (a method's second one). */
static bool
is_made_for_call(mp_trace *T, const mp_shadow *parent, int i, PyObject *value)
{
    PyTypeObject *makes = parent == NULL ? NULL : parent->makes;
    if (makes == NULL || !PyType_IsSubtype(Py_TYPE(value), makes)
        || mp_refgraph_find(&T->graph, value) != NULL) {
        return false;
    }
    bool of_c = !(makes->tp_flags & Py_TPFLAGS_HEAPTYPE)
                || (makes->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
    return i == 0 || (i == 1 && (of_c || PyType_Check(value)));
}

/* An object that C code made for this call is fresh. */
static mp_rc
take_made(mp_trace *T, PyObject *value)
{
    mp_rc rc = PyType_Check(value) ? mp_post_class(T, value) : mp_fresh(T, value);
    mp_node *n =
        T->body == 0 || rc != MP_OK ? NULL : mp_refgraph_find(&T->graph, value);
    if (n != NULL && n->kind == MP_NODE_FRESH) {
        n->made = T->body;
    }
    return rc;
}

/* *args, behind the first `count` arguments: a decorated __init__ finds its self there. */
static mp_rc
start_rest(mp_trace *T, const mp_shadow *parent, int count, PyObject *rest)
{
    mp_rc rc = mp_fresh(T, rest);
    Py_ssize_t size = PyTuple_CheckExact(rest) ? PyTuple_GET_SIZE(rest) : 0;
    for (int k = 0; k < size && count + k < 2 && rc == MP_OK; k++) {
        PyObject *item = PyTuple_GET_ITEM(rest, k);
        if (is_made_for_call(T, parent, count + k, item)) {
            rc = take_made(T, item);
        }
    }
    return rc;
}

/* A number that an argument is becomes a symbol. */
static mp_rc
take_local(mp_trace *T, mp_shadow *s, int i, PyObject *value)
{
    PyObject *box;
    mp_symbol_offer(T, value);
    mp_rc rc = mp_symbol_take(T, value, &box);
    if (rc == MP_OK && box != NULL) {
        mp_frame_local_set_steal(s->f, i, box);
    }
    return rc;
}

/* Parameter i at the begin of its frame. */
static mp_rc
start_param(mp_trace *T, mp_shadow *s, int i)
{
    PyCodeObject *code = s->info->code;
    PyObject *value = param_value(s, i), *func = mp_frame_func_borrow(s->f);
    int plain = code->co_argcount + code->co_kwonlyargcount;
    if (value == NULL) {
        return MP_OK;
    }
    if (s->root) {
        mp_rc rc = mp_load(T, MP_G_LOAD_ARG, -1,
                           PyTuple_GET_ITEM(code->co_localsplusnames, i), i, value);
        return rc != MP_OK ? rc : take_local(T, s, i, value);
    }
    if (!s->fresh && mp_refgraph_find(&T->graph, value) != NULL) {
        return MP_OK;  // a generator continues: its locals are its own values
    }
    mp_shadow *parent = T->n_stack > 1 ? &T->stack[T->n_stack - 2] : NULL;
    if (is_made_for_call(T, parent, i, value)) {
        return take_made(T, value);
    }
    if (i <= 1 && parent != NULL && parent->below == MP_BELOW_ONE
        && mp_apply_is_context(T, value)) {
        return mp_fresh(T, value);
    }
    if (i >= plain && PyDict_CheckExact(value)) {
        // The interpreter made this dict for the call, whatever the address meant before.
        return mp_refgraph_add_fresh(&T->graph, value) == NULL ? MP_ERR : MP_OK;
    }
    if (i >= plain) {
        return start_rest(T, parent, code->co_argcount, value);
    }
    if (!mp_is_constant(value) && is_default(func, value)) {
        // The guard of the function pins it: another object may be known by its place.
        return mp_load_const(T, value);
    }
    return s->fresh ? mp_pass(T, value) : MP_OK;
}

mp_rc
mp_frame_start(mp_trace *T, mp_shadow *s)
{
    assert(!s->started && s == &T->stack[T->n_stack - 1]);
    mp_rc rc = MP_OK;
    s->started = true;
    if (T->lets_go && !s->root && mp_is_weakref_frame(s->f)) {
        // Such tables lose what dies, and on a hit other things may (call_weakref).
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a weak table after a write");
    }
    if (!s->root) {
        rc = mp_read_kwdefaults(T, mp_frame_func_borrow(s->f));
    }
    if (rc == MP_OK && !(s->info->code->co_flags & CO_OPTIMIZED)) {
        rc = mp_class_start(T, s);
    }
    for (int i = 0; i < param_count(s->info->code) && rc == MP_OK; i++) {
        rc = start_param(T, s, i);
    }
    return rc;
}

mp_rc
mp_frame_take_number(mp_trace *T, mp_shadow *s, int index)
{
    PyObject *box;
    int depth = s->info->at[index].depth;
    int slot = depth == 0 ? -1 : mp_frame_result_slot(s->f, depth);
    PyObject *top = slot < 0 ? NULL : mp_frame_stack_borrow(s->f, slot);
    mp_rc rc = mp_symbol_take(T, top, &box);
    if (rc == MP_OK && box != NULL) {
        mp_frame_stack_set_steal(s->f, slot, box);
    }
    return rc;
}
