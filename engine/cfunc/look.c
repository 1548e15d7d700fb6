/* cfunc/look.c - values that C code sees without an event of the recorder.
 *
 * any(), sorted(key=f), `x in [..]` and filter() test and compare the values that
 * iterators and Python callbacks give them.  If that is a tensor, its value decides: a
 * host read.  If it is a container, its content decides, which is guarded here.  There
 * are three ways in:
 *   iterators and views  are marked, when made, with what they may give (node->yields)
 *   Python frames        their results are examined when they return (mp_look_at_answer)
 *   C callables          map(f, xs) calls f unseen: f may only read (mp_look_at_calls) */
#include "cfunc/cfunc.h"

#include <string.h>

#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* -- What iterators hand out --------------------------------------------------------------- */

/* values: of a dict, not only its keys */
static uint8_t
yields_of(mp_trace *T, PyObject *obj, int depth, bool values)
{
    mp_node *n;
    uint8_t found = 0;
    if (mp_is_constant(obj) || depth > 8) {
        return depth > 8 ? MP_YIELDS_TENSORS | MP_YIELDS_OBJECTS : 0;
    }
    if (mp_tensor_is_any(obj)) {
        return mp_tensor_is_constant(T, obj) ? 0 : MP_YIELDS_TENSORS;
    }
    n = mp_refgraph_find(&T->graph, obj);
    if (PyList_Check(obj) || PyTuple_Check(obj)) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            found |= yields_of(T, PySequence_Fast_GET_ITEM(obj, i), depth + 1, true);
        }
    }
    else if (PyDict_Check(obj) && (depth > 0 || values)) {
        PyObject *value;
        Py_ssize_t pos = 0;
        while (PyDict_Next(obj, &pos, NULL, &value)) {
            found |= yields_of(T, value, depth + 1, true);
        }
    }
    else if (mp_type_is(obj, MP_K_DEQUE)) {
        PyObject *items = PySequence_List(obj);  // (runs no code: an exact deque)
        found = items == NULL ? MP_YIELDS_TENSORS | MP_YIELDS_OBJECTS
                              : yields_of(T, items, depth, true);
        mp_err_drop();  // without memory for the list it may hold anything
        Py_XDECREF(items);
    }
    else if (n != NULL && n->kind == MP_NODE_FRESH) {
        return n->yields;
    }
    if (depth > 0 && n != NULL && n->reg >= 0 && PyTuple_Check(obj)) {
        found |= MP_YIELDS_OBJECTS | MP_YIELDS_TUPLES;
    }
    if (depth > 0 && n != NULL && n->reg >= 0
        && (PyList_Check(obj) || PyDict_Check(obj) || PyAnySet_Check(obj))) {
        found |= MP_YIELDS_OBJECTS;  // reading it needs guards that are not there
    }
    return found;
}

uint8_t
mp_yields(mp_trace *T, PyObject *maker, PyObject *const *args, Py_ssize_t count,
          bool values)
{
    uint8_t found = MP_YIELDS_KNOWN;
    if (maker != NULL && (mp_marks_of(maker) & MP_MARK_ANSWERS)) {
        return found;  // answers of a function: they pass by, or all that it read is guarded
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        found |= yields_of(T, args[i], 0, values);
    }
    return found;
}

/* -- Items that C code takes apart ----------------------------------------------------------- */

/* Iterators whose items are tuples of their own making. */
static bool
makes_tuples(PyObject *obj)
{
    return PyObject_TypeCheck(obj, &PyDictItems_Type)
           || (mp_type_marks(obj) & MP_MARK_TUPLES) != 0;
}

/* dict(x) asks an object for keys(), before it takes it for pairs. */
static mp_rc
look_for_keys(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    if (!(Py_TYPE(obj)->tp_flags & Py_TPFLAGS_HEAPTYPE) || mp_is_identity(obj)
        || mp_c_base(Py_TYPE(obj)) == Py_TYPE(obj)) {
        return MP_OK;
    }
    uint8_t post = s->post;
    mp_rc rc = mp_record_getattr(T, s, obj, MP_NAME(KEYS));
    s->post = post;
    s->below = MP_BELOW_WATCH;
    return rc;
}

mp_rc
mp_prepare_merge(mp_trace *T, PyObject *dict)
{
    PyObject *const names[] = {MP_NAME(ITER), MP_NAME(GETITEM), MP_NAME(KEYS)};
    PyTypeObject *tp = Py_TYPE(dict), *base = mp_c_base(tp);
    mp_rc rc = MP_OK;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && rc == MP_OK && tp != base; i++) {
        PyObject *found = mp_type_lookup_borrow(tp, names[i]);
        rc = mp_guard_type_attr(T, tp, names[i], found);
        // A dict's own __iter__ means that C code does not ask for the others.
        bool is_own = rc == MP_OK && found == mp_type_lookup_borrow(base, names[i]);
        if (rc == MP_OK && !is_own) {
            return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the items of a %s",
                                  mp_type_name(dict));
        }
        if (is_own && i == 0 && tp->tp_iter == PyDict_Type.tp_iter) {
            return MP_OK;
        }
    }
    return rc;
}

/* C code will take the items of obj apart, as pairs or as summands: read one level more
 * than a walk over them does. */
static mp_rc
look_into(mp_trace *T, mp_shadow *s, const char *who, PyObject *obj)
{
    bool has_tensor = false;
    mp_rc rc = MP_OK;
    if (PyDict_Check(obj)) {
        return mp_prepare_merge(T, obj);
    }
    if (mp_is_constant(obj) || makes_tuples(obj)) {
        return MP_OK;
    }
    PyObject *dict = mp_viewed_dict(obj), *items = NULL;
    if (dict != NULL) {
        items = PyDict_Values(dict);  // (runs no code, as the next line)
    }
    else if (PyList_Check(obj) || PyTuple_Check(obj) || mp_is_deque(obj)) {
        items = PySequence_List(obj);
    }
    else {
        rc = look_for_keys(T, s, obj);
        return rc != MP_OK ? rc : mp_look_at_yields(T, obj, who, &has_tensor);
    }
    if (items == NULL) {
        return MP_ERR;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items) && rc == MP_OK; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        rc = mp_read_args(T, &item, 1, false, &has_tensor);
        bool is_pair = (PyTuple_Check(item) || PyList_Check(item))
                       && PySequence_Fast_GET_SIZE(item) == 2;
        if (rc == MP_OK && is_pair) {
            rc = mp_note_identity(T, PySequence_Fast_GET_ITEM(item, 0));  // a key
        }
    }
    Py_DECREF(items);
    return rc;
}

mp_rc
mp_look_into(mp_trace *T, mp_shadow *s, const char *who, PyObject *const *args,
             Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    s->spreads = true;
    T->lazy_spreads = true;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = look_into(T, s, who, args[i]);
    }
    return rc;
}

/* -- Answers of Python code ---------------------------------------------------------------- */

/* Is the instruction that runs the frame a comparison which goes on with the truth of the
 * answer? */
static bool
asks_truth(const mp_shadow *caller)
{
    const mp_instr *in =
        caller->pending < 0 ? NULL : &caller->info->at[caller->pending];
    return in != NULL && in->op == MP_OP_COMPARE_OP && in->flag;
}

/* Is this the __new__ of the class that is being called?  C code asks for no more than the type of
 * its answer. */
static bool
is_new_of(const mp_shadow *caller, const mp_shadow *left)
{
    static PyObject *name;  // interned, for the process
    if (caller->makes == NULL || !left->fresh
        || (name == NULL && (name = PyUnicode_InternFromString("__new__")) == NULL)) {
        mp_err_drop();  // without memory it counts as another one
        return false;
    }
    PyObject *found = mp_type_lookup_borrow(caller->makes, name);
    PyObject *func = found != NULL && Py_IS_TYPE(found, &PyStaticMethod_Type)
                         ? mp_descr_part_borrow(found, 0)
                         : NULL;
    return func != NULL && func == mp_frame_func_borrow(left->f);
}

mp_rc
mp_look_at_answer(mp_trace *T, mp_shadow *caller, const mp_shadow *left,
                  PyObject *answer)
{
    assert(caller != NULL);
    bool has_tensor = false, folded = false;
    if (answer != NULL && (caller->rebuilt || caller->waits)
        && !mp_answer_is_final(caller->how, answer)) {
        return mp_trace_abort(T, MP_AB_OPCODE, "what a %s leads to, behind a break",
                              mp_type_name(answer));
    }
    mp_rc taken = mp_fold_take(T, caller, left, answer, &folded);
    bool passes = caller->passes || folded || is_new_of(caller, left);
    if (taken == MP_OK && answer != NULL && !passes) {
        taken = mp_pin_deep(T, answer);  // C code goes on with it
    }
    if (taken != MP_OK) {
        return taken;
    }
    if (answer != NULL && asks_truth(caller) && !mp_is_constant(answer)
        && answer != Py_NotImplemented) {
        return mp_trace_abort(T, MP_AB_OPCODE,
                              "the truth of a %s that a comparison answers",
                              mp_type_name(answer));
    }
    if (caller->summands != NULL) {
        mp_rc rc = mp_sum_take(T, caller, left, answer);
        if (rc != MP_OK || caller->summands != NULL) {
            return rc;
        }
    }
    if (answer != NULL && caller->hashes && mp_note_identity(T, answer) != MP_OK) {
        return T->state == MP_TRACE_RECORDING ? MP_ERR : MP_ABORTED;
    }
    if (answer != NULL && PyGen_CheckExact(answer) && mp_fresh(T, answer) != MP_OK) {
        return MP_ERR;  // what a generator function answers is new
    }
    if (answer != NULL && caller->through_c) {
        mp_rc rc = mp_prepare_instance(T, answer);  // C code goes on with it
        rc = rc != MP_OK || !T->lazy_indexes ? rc
                                             : mp_refuse_default(T, answer, "C code");
        if (rc != MP_OK) {
            return rc;
        }
    }
    bool looks = caller->looks || (T->lazy_looks && caller->through_c);
    bool spreads = caller->spreads || (T->lazy_spreads && caller->through_c);
    if (answer == NULL || !(looks || spreads) || mp_is_constant(answer)
        || mp_is_identity(answer)) {
        return answer != NULL && looks ? mp_refuse_fresh_id(T, answer) : MP_OK;
    }
    if (!looks) {
        mp_rc rc = mp_read_args(T, &answer, 1, false, &has_tensor);
        return rc != MP_OK || makes_tuples(answer)
                   ? rc
                   : mp_look_at_yields(T, answer, "C code", &has_tensor);
    }
    if (PyTuple_CheckExact(answer) && yields_of(T, answer, 0, true) == 0) {
        return MP_OK;
    }
    mp_rc rc = mp_read_deep(T, answer, &has_tensor);
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "C code looks at a tensor");
    }
    return rc;
}
