/* python/with.c - the `with` statement. */
#include "graph/graph.h"
#include "objects/operators.h"
#include "python/python.h"
#include "read/read.h"

#define TOP(s, in, k) mp_frame_stack_borrow((s)->f, (in)->depth - (k))

/* Both methods are read from the class; NULL: it lacks one, and the instruction raises. */
static mp_rc
with_methods(mp_trace *T, PyObject *obj, PyObject **enter, PyObject **leave)
{
    mp_val n;
    *enter = *leave = NULL;
    mp_rc rc = mp_value(T, obj, &n);
    rc = rc != MP_OK ? rc : mp_special(T, obj, "__enter__", enter);
    return rc != MP_OK ? rc : mp_special(T, obj, "__exit__", leave);
}

/* Methods in Python are watched. C methods are accepted only on objects that the run made,
 * because then what they do stays inside the run. */
static mp_rc
check_methods(mp_trace *T, PyObject *obj, PyObject *enter, PyObject *leave)
{
    mp_val n;
    mp_rc rc = mp_value(T, obj, &n);
    bool own = rc == MP_OK && mp_val_is_fresh(n);  // as methods of its own objects
    if (rc == MP_OK
        && ((!PyFunction_Check(enter)
             && !(own && Py_IS_TYPE(enter, &PyMethodDescr_Type)))
            || (!PyFunction_Check(leave)
                && !(own && Py_IS_TYPE(leave, &PyMethodDescr_Type))))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "`with` a %s", mp_type_name(obj));
    }
    return rc;
}

/* `with obj`: looks up __enter__ and __exit__ of the class and calls the first. */
mp_rc
mp_do_before_with(mp_trace *T, mp_shadow *s, PyObject *obj)
{
    PyObject *enter, *leave;
    mp_rc rc = with_methods(T, obj, &enter, &leave);
    if (rc != MP_OK || enter == NULL || leave == NULL) {
        return rc;
    }
    if (mp_is_cache_lock(s, obj)) {
        s->post = MP_POST_PAIR;
        return mp_take_lock(T, s, obj, true);
    }
    if (mp_op_flags_of(enter) == MP_TORCH_SETS_STATE) {
        rc = mp_op_begin(T, s, enter, &obj, 1, NULL, MP_TORCH_SETS_STATE);
        s->post = rc == MP_OK ? MP_POST_ENTER : s->post;
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_PAIR;
    return check_methods(T, obj, enter, leave);
}

/* 3.14: one of the two is looked up, and calls follow as instructions. */
mp_rc
mp_do_load_special(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    enum { ENTER, EXIT };
    PyObject *obj = TOP(s, in, 1), *enter, *leave;
    if (in->arg != ENTER && in->arg != EXIT) {
        return mp_trace_abort(T, MP_AB_OPCODE, "async with");
    }
    mp_rc rc = with_methods(T, obj, &enter, &leave);
    if (rc != MP_OK || enter == NULL || leave == NULL) {
        return rc;
    }
    s->post = MP_POST_PAIR;
    return mp_is_cache_lock(s, obj) || mp_op_flags_of(enter) == MP_TORCH_SETS_STATE
               ? MP_OK
               : check_methods(T, obj, enter, leave);
}

/* An exception leaves the block.  An `__exit__` that ends a mode of torch is not interested in it. */
mp_rc
mp_do_with_except(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *self, *leave = mp_frame_exit_borrow(s->f, in->depth - 3, &self);
    PyObject *args[4] = {self, Py_None, Py_None, Py_None};
    int bound = self == NULL;
    mp_rc rc = mp_do_exception(T, TOP(s, in, 1));
    if (rc == MP_OK && mp_op_flags_of(leave) == MP_TORCH_SETS_STATE) {
        return mp_record_callee(T, s, leave, args + bound, 4 - bound, NULL);
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    return rc;
}
