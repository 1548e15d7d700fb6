/* run/outer.c - what happens to the result of a frame in the instruction that runs it.
 *
 * A break may lie below C code: a method that C calls, an `__init__`, a property, the
 * `__getitem__` of a subscription.  A frame that is rebuilt does not run that C code; it does
 * what that would have done with the result (mp_resume_how).  So the code must be one of
 * those that are known here, and the function below it the one that it runs. */
#include "objects/types.h"
#include "run/run.h"

static PyObject *
type_attr(PyTypeObject *type, const char *name)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *found = key == NULL ? NULL : mp_type_lookup_borrow(type, key);
    Py_XDECREF(key);
    mp_err_drop();  // without the name nothing was found
    return found;
}

static PyObject *
outer_callee(const mp_shadow *s, const mp_instr *in)
{
    if (in->op == MP_OP_CALL && s->callee != NULL) {
        return s->callee;
    }
    return in->op == MP_OP_CALL ? mp_frame_callee_borrow(s->f, in, &(int){0})
                                : mp_frame_callee_ex_borrow(s->f, in);
}

/* Does a call of callee run func, and hand its result on? */
static bool
passes_on(PyObject *callee, PyObject *func)
{
    if (mp_type_is(callee, MP_K_PARTIAL)) {
        PyObject *inner = PyObject_GetAttrString(callee, "func");  // (a C member)
        bool passes = inner != NULL && passes_on(inner, func);
        Py_XDECREF(inner);
        mp_err_drop();
        return passes;
    }
    return callee == func
           || (PyMethod_Check(callee) && PyMethod_GET_FUNCTION(callee) == func);
}

/* The first argument of a frame: the object whose method it runs, if the method has not bound
 * that name anew. */
static PyObject *
self_of(const mp_shadow *inner)
{
    bool has_arguments = inner->info->code->co_argcount > 0;
    PyObject *self = has_arguments ? mp_frame_local_borrow(inner->f, 0) : NULL;
    bool in_cell = self != NULL && PyCell_Check(self)
                   && (mp_local_kind(inner->info->code, 0) & CO_FAST_CELL);
    return in_cell ? PyCell_GET(self) : self;
}

/* The result of a method of obj is what the instruction answers with, or is dropped. */
static bool
method_continues(PyObject *obj, const char *name, PyObject *func)
{
    return obj != NULL && !PyType_Check(obj) && type_attr(Py_TYPE(obj), name) == func;
}

/* len(obj), bool(obj): C functions that hand the result of a method on. */
static bool
builtin_continues(PyObject *callee, PyObject *obj, PyObject *func, uint8_t *how)
{
    static const struct {
        int id;  // mp_known_id; -1: the class bool
        const char *method;
        mp_resume_how how;
    } rows[] = {
        {MP_K_LEN, "__len__", MP_RESUME_LENGTH},
        {-1, "__bool__", MP_RESUME_BOOL},
        {MP_K_ITER, "__iter__", MP_RESUME_ITER},
        {MP_K_NEXT, "__next__", MP_RESUME_PUSH},
        {MP_K_ABS, "__abs__", MP_RESUME_PUSH},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rows); i++) {
        bool called = rows[i].id < 0 ? callee == (PyObject *)&PyBool_Type
                                     : mp_is_known(callee, (mp_known_id)rows[i].id);
        if (called) {
            *how = (uint8_t)rows[i].how;
            return method_continues(obj, rows[i].method, func);
        }
    }
    return false;
}

static bool
call_continues(const mp_shadow *s, const mp_instr *in, const mp_shadow *inner,
               uint8_t *how, PyObject **made)
{
    PyObject *callee = outer_callee(s, in), *func = mp_frame_func_borrow(inner->f);
    if (callee == NULL) {
        return false;
    }
    if (passes_on(callee, func)) {
        return true;
    }
    if (in->op == MP_OP_CALL && in->arg == 1 && in->flag == 0
        && builtin_continues(callee, mp_frame_stack_borrow(s->f, in->depth - 1), func,
                             how)) {
        return true;
    }
    if (PyType_Check(callee)) {
        PyTypeObject *type = (PyTypeObject *)callee;
        PyObject *self = self_of(inner);
        *how = MP_RESUME_INIT;
        *made = self;
        return Py_TYPE(callee)->tp_call == PyType_Type.tp_call && self != NULL
               && Py_TYPE(self) == type && type_attr(type, "__init__") == func;
    }
    return PyVectorcall_Function(callee) == NULL
           && type_attr(Py_TYPE(callee), "__call__") == func;
}

/* Does obj.name run func as the part of a property, with object's own look-up?  (A class of
 * classes looks up otherwise.) */
static bool
runs_property(PyObject *obj, PyObject *name, int part, const char *look_up,
              PyObject *func)
{
    PyObject *found = mp_type_lookup_borrow(Py_TYPE(obj), name);
    return !PyType_Check(obj) && !PyModule_Check(obj) && found != NULL
           && Py_IS_TYPE(found, &PyProperty_Type)
           && mp_descr_part_borrow(found, part) == func
           && type_attr(Py_TYPE(obj), look_up)
                  == type_attr(&PyBaseObject_Type, look_up);
}

/* The same of the topmost operand, with something to be done about the result. */
static bool
method_answers(const mp_shadow *s, const mp_instr *in, mp_resume_how what,
               const char *name, PyObject *func, uint8_t *how)
{
    *how = (uint8_t)what;
    return method_continues(mp_frame_stack_borrow(s->f, in->depth - 1), name, func);
}

bool
mp_outer_continues(const mp_shadow *s, const mp_shadow *inner, uint8_t *how,
                   PyObject **made)
{
    assert(s->pending >= 0);
    const mp_instr *in = &s->info->at[s->pending];
    *how = s->rebuilt ? s->how : MP_RESUME_PUSH;
    *made = s->rebuilt ? s->made : NULL;
    if (s->rebuilt) {
        return true;
    }
    PyObject *func = mp_frame_func_borrow(inner->f), *obj, *name;
    switch (in->op) {
    case MP_OP_BINARY_OP:
        return mp_answer_binary(mp_frame_stack_borrow(s->f, in->depth - 2),
                                mp_frame_stack_borrow(s->f, in->depth - 1), in->arg,
                                func, self_of(inner), how);
    case MP_OP_COMPARE_OP:
        return mp_answer_compare(mp_frame_stack_borrow(s->f, in->depth - 2),
                                 mp_frame_stack_borrow(s->f, in->depth - 1), in->arg,
                                 func, self_of(inner), how);
    case MP_OP_CONTAINS_OP:
        return method_answers(s, in, MP_RESUME_MEMBER, "__contains__", func, how);
    case MP_OP_GET_LEN:
        return method_answers(s, in, MP_RESUME_LENGTH, "__len__", func, how);
    case MP_OP_GET_ITER:
        return method_answers(s, in, MP_RESUME_ITER, "__iter__", func, how);
    case MP_OP_FOR_ITER:
        return method_answers(s, in, MP_RESUME_NEXT, "__next__", func, how);
    case MP_OP_TO_BOOL:
    case MP_OP_UNARY_NOT:
    case MP_OP_POP_JUMP_IF_TRUE:
    case MP_OP_POP_JUMP_IF_FALSE:
    case MP_OP_JUMP_IF_TRUE_OR_POP:
    case MP_OP_JUMP_IF_FALSE_OR_POP:
        return method_answers(s, in, MP_RESUME_TRUTH, "__bool__", func, how)
               || method_answers(s, in, MP_RESUME_SIZED, "__len__", func, how);
    case MP_OP_CALL:
    case MP_OP_CALL_FUNCTION_EX:
        return call_continues(s, in, inner, how, made);
    case MP_OP_LOAD_ATTR:
        obj = mp_frame_stack_borrow(s->f, in->depth - 1);
        name = PyTuple_GET_ITEM(s->info->code->co_names, in->arg);
        *how = MP_RESUME_ATTR;
        *made = obj;
        return obj != NULL && runs_property(obj, name, 0, "__getattribute__", func);
    case MP_OP_STORE_ATTR:
        obj = mp_frame_stack_borrow(s->f, in->depth - 1);
        name = PyTuple_GET_ITEM(s->info->code->co_names, in->arg);
        *how = MP_RESUME_DROP;
        return obj != NULL
               && (runs_property(obj, name, 1, "__setattr__", func)
                   || method_continues(obj, "__setattr__", func));
    case MP_OP_BINARY_SUBSCR:
        return method_continues(mp_frame_stack_borrow(s->f, in->depth - 2),
                                "__getitem__", func);
    case MP_OP_STORE_SUBSCR:
    case MP_OP_DELETE_SUBSCR:
        *how = MP_RESUME_DROP;
        return method_continues(
            mp_frame_stack_borrow(s->f, in->depth - 2),
            in->op == MP_OP_STORE_SUBSCR ? "__setitem__" : "__delitem__", func);
    case MP_OP_UNARY_NEGATIVE:
    case MP_OP_UNARY_POSITIVE:
    case MP_OP_UNARY_INVERT:
        return method_continues(mp_frame_stack_borrow(s->f, in->depth - 1),
                                in->op == MP_OP_UNARY_NEGATIVE   ? "__neg__"
                                : in->op == MP_OP_UNARY_POSITIVE ? "__pos__"
                                                                 : "__invert__",
                                func);
    default:
        return false;
    }
}
