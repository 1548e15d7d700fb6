/* answer.c - what C code does with the result of the Python frame that it has called.
 *
 * A rebuilt frame is not run by the C code that once called it (resume.c), so the rest of that
 * code is done here: a row of answers.def for each kind.  What is done must be what CPython
 * does behind that call, its errors included. */
#include "compat/private.h"

#define BINARY_OPS 13  // from this number on they work in place

static const struct {
    const char *name, *symbol;
} answer_binary[BINARY_OPS] = {
    {"add", "+"},           {"and", "&"},     {"floordiv", "//"}, {"lshift", "<<"},
    {"matmul", "@"},        {"mul", "*"},     {"mod", "%"},       {"or", "|"},
    {"pow", "** or pow()"}, {"rshift", ">>"}, {"sub", "-"},       {"truediv", "/"},
    {"xor", "^"},
};
static const char *const answer_compare[] = {"lt", "le", "eq", "ne", "gt", "ge"};
static const int answer_swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};

/* Borrowed; prefix: "", "r" or "i". NULL: the class has none (or without memory). */
static PyObject *
answer_method_borrow(PyTypeObject *type, const char *prefix, const char *name)
{
    char text[24];
    PyOS_snprintf(text, sizeof(text), "__%s%s__", prefix, name);
    PyObject *key = PyUnicode_InternFromString(text);
    PyObject *found = key == NULL ? NULL : mp_type_lookup_borrow(type, key);
    Py_XDECREF(key);
    mp_err_drop();  // without the name nothing was found
    return found;
}

/* -- Which method runs? ----------------------------------------------------------------- */

/* `+` and `*` go on with the sequences among their operands, and a subclass on the right goes
 * first: what follows the method would be more than the other method. */
static bool
is_plain_pair(PyObject *a, PyObject *b, int op)
{
    enum { ADD = 0, MULTIPLY = 5 };
    PyTypeObject *ta = Py_TYPE(a), *tb = Py_TYPE(b);
    const PySequenceMethods *sa = ta->tp_as_sequence, *sb = tb->tp_as_sequence;
    int base = op % BINARY_OPS;
    bool joins = base == ADD && sa != NULL
                 && (sa->sq_concat != NULL || sa->sq_inplace_concat != NULL);
    bool repeats =
        base == MULTIPLY
        && ((sa != NULL && (sa->sq_repeat != NULL || sa->sq_inplace_repeat != NULL))
            || (sb != NULL && sb->sq_repeat != NULL));
    return !joins && !repeats && (ta == tb || !PyType_IsSubtype(tb, ta));
}

bool
mp_answer_binary(PyObject *a, PyObject *b, int op, PyObject *func, PyObject *self,
                 uint8_t *how)
{
    assert(op >= 0 && op < 2 * BINARY_OPS);
    const char *name = answer_binary[op % BINARY_OPS].name;
    if (!is_plain_pair(a, b, op)) {
        return false;
    }
    PyObject *left = answer_method_borrow(Py_TYPE(a), "", name);
    if (op >= BINARY_OPS) {
        PyObject *inplace = answer_method_borrow(Py_TYPE(a), "i", name);
        if (inplace == func && self == a) {
            *how = MP_RESUME_INPLACE;
            return left != func;  // else it cannot be told which of them runs
        }
    }
    if (left == func && self == a) {
        *how = MP_RESUME_LEFT;
        return true;
    }
    *how = MP_RESUME_RIGHT;
    return Py_TYPE(a) != Py_TYPE(b) && self == b
           && answer_method_borrow(Py_TYPE(b), "r", name) == func;
}

bool
mp_answer_compare(PyObject *a, PyObject *b, int op, PyObject *func, PyObject *self,
                  uint8_t *how)
{
    assert(op >= Py_LT && op <= Py_GE);
    if (a == b
        || (Py_TYPE(a) != Py_TYPE(b) && PyType_IsSubtype(Py_TYPE(b), Py_TYPE(a)))) {
        return false;
    }
    *how = self == a ? MP_RESUME_COMPARED : MP_RESUME_REFLECTED;
    int of = self == a ? op : answer_swapped[op];
    return (self == a || self == b)
           && answer_method_borrow(Py_TYPE(self), "", answer_compare[of]) == func;
}

int
mp_answer_operands(uint8_t how)
{
    static const uint8_t operands[] = {
#define ANSWER(name, operands, tests, text) operands,
#include "compat/answers.def"
#undef ANSWER
    };
    assert(how < Py_ARRAY_LENGTH(operands));
    return operands[how];
}

bool
mp_answer_is_tested(uint8_t how)
{
    static const bool tests_it[] = {
#define ANSWER(name, operands, tests, text) tests,
#include "compat/answers.def"
#undef ANSWER
    };
    assert(how < Py_ARRAY_LENGTH(tests_it));
    return tests_it[how];
}

bool
mp_answer_is_final(uint8_t how, PyObject *result)
{
    switch (how) {
    case MP_RESUME_INPLACE:
    case MP_RESUME_LEFT:
    case MP_RESUME_RIGHT:
    case MP_RESUME_COMPARED:
    case MP_RESUME_REFLECTED:
        return result != Py_NotImplemented;
    case MP_RESUME_TRUTH:
    case MP_RESUME_BOOL:
    case MP_RESUME_MEMBER:
        return PyBool_Check(result);
    case MP_RESUME_SIZED:
    case MP_RESUME_LENGTH:
        return PyLong_CheckExact(result);
    case MP_RESUME_ITER:
        return PyIter_Check(result);
    default:
        return true;
    }
}

/* -- What follows ------------------------------------------------------------------------- */

#if MP_CAN_WATCH

static const char *const answer_compare_symbol[] = {"<", "<=", "==", "!=", ">", ">="};

/* The method of self, as an operator calls it: new result, or NotImplemented. */
static PyObject *
answer_ask(PyObject *self, const char *prefix, const char *name, PyObject *other)
{
    PyObject *func = answer_method_borrow(Py_TYPE(self), prefix, name);
    if (func == NULL) {
        return Py_NewRef(Py_NotImplemented);
    }
    descrgetfunc get = Py_TYPE(func)->tp_descr_get;
    PyObject *method =
        get == NULL ? Py_NewRef(func) : get(func, self, (PyObject *)Py_TYPE(self));
    PyObject *result = method == NULL ? NULL : PyObject_CallOneArg(method, other);
    Py_XDECREF(method);
    return result;
}

static PyObject *
binary_error(PyObject *a, PyObject *b, int op)
{
    bool inplace = op >= BINARY_OPS;
    const char *symbol = answer_binary[op % BINARY_OPS].symbol;
    const char *shown = inplace && symbol[0] == '*' && symbol[1] == '*' ? "**" : symbol;
    PyErr_Format(PyExc_TypeError,
                 "unsupported operand type(s) for %.100s%s: '%.100s' and '%.100s'",
                 shown, inplace ? "=" : "", Py_TYPE(a)->tp_name, Py_TYPE(b)->tp_name);
    return NULL;
}

/* Takes result over, as all of these do. */
static PyObject *
finish_binary(uint8_t how, PyObject *result, PyObject *a, PyObject *b, int op)
{
    const char *name = answer_binary[op % BINARY_OPS].name;
    if (result == Py_NotImplemented && how == MP_RESUME_INPLACE) {
        Py_SETREF(result, answer_ask(a, "", name, b));
    }
    if (result == Py_NotImplemented && how != MP_RESUME_RIGHT
        && Py_TYPE(a) != Py_TYPE(b)) {
        Py_SETREF(result, answer_ask(b, "r", name, a));
    }
    if (result == Py_NotImplemented) {
        Py_DECREF(result);
        return binary_error(a, b, op);
    }
    return result;
}

static PyObject *
finish_compare(uint8_t how, PyObject *result, PyObject *a, PyObject *b, int op)
{
    richcmpfunc reflected = Py_TYPE(b)->tp_richcompare;
    if (result == Py_NotImplemented && how == MP_RESUME_COMPARED && reflected != NULL) {
        Py_SETREF(result, reflected(b, a, answer_swapped[op]));
    }
    if (result != Py_NotImplemented) {
        return result;
    }
    Py_DECREF(result);
    if (op == Py_EQ || op == Py_NE) {
        return PyBool_FromLong((a == b) == (op == Py_EQ));
    }
    PyErr_Format(PyExc_TypeError,
                 "'%s' not supported between instances of '%.100s' and '%.100s'",
                 answer_compare_symbol[op], Py_TYPE(a)->tp_name, Py_TYPE(b)->tp_name);
    return NULL;
}

/* -1: exception. */
static int
truth_of(PyObject *result)
{
    if (!PyBool_Check(result)) {
        PyErr_Format(PyExc_TypeError, "__bool__ should return bool, returned %s",
                     Py_TYPE(result)->tp_name);
        return -1;
    }
    return PyObject_IsTrue(result);
}

/* What `__len__` answers, as a size; -1: exception. */
static Py_ssize_t
length_of(PyObject *result)
{
    PyObject *size = PyNumber_Index(result);
    PyObject *zero = size == NULL ? NULL : PyLong_FromLong(0);
    int negative = zero == NULL ? -1 : PyObject_RichCompareBool(size, zero, Py_LT);
    Py_ssize_t n = negative == 0 ? PyNumber_AsSsize_t(size, PyExc_OverflowError) : -1;
    if (negative > 0) {
        PyErr_SetString(PyExc_ValueError, "__len__() should return >= 0");
    }
    Py_XDECREF(size);
    Py_XDECREF(zero);
    return n;
}

static PyObject *
finish_length(PyObject *result)
{
    Py_ssize_t n = length_of(result);
    Py_DECREF(result);
    return n < 0 ? NULL : PyLong_FromSsize_t(n);
}

static PyObject *
finish_bool(PyObject *result, int truth)
{
    Py_DECREF(result);
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

static PyObject *
finish_iter(PyObject *result)
{
    if (!PyIter_Check(result)) {
        PyErr_Format(PyExc_TypeError, "iter() returned non-iterator of type '%.100s'",
                     Py_TYPE(result)->tp_name);
        Py_CLEAR(result);
    }
    return result;
}

/* What the instruction pushes, or what a test tests: new reference. */
static PyObject *
answer_value(const mp_instr *in, uint8_t how, PyObject *result, PyObject **operands)
{
    switch (how) {
    case MP_RESUME_INPLACE:
    case MP_RESUME_LEFT:
    case MP_RESUME_RIGHT:
        return finish_binary(how, result, operands[0], operands[1], in->arg);
    case MP_RESUME_COMPARED:
    case MP_RESUME_REFLECTED:
        result = finish_compare(how, result, operands[0], operands[1], in->arg);
        return result == NULL || !in->flag
                   ? result
                   : finish_bool(result, PyObject_IsTrue(result));
    case MP_RESUME_TRUTH:
    case MP_RESUME_BOOL:
        return finish_bool(result, truth_of(result));
    case MP_RESUME_SIZED: {
        Py_ssize_t n = length_of(result);
        return finish_bool(result, n < 0 ? -1 : n > 0);
    }
    case MP_RESUME_MEMBER: {
        int is_in = PyObject_IsTrue(result);
        return finish_bool(result, is_in < 0 ? -1 : is_in ^ (in->arg & 1));
    }
    case MP_RESUME_LENGTH:
        return finish_length(result);
    case MP_RESUME_ITER:
        return finish_iter(result);
    default:
        return result;
    }
}

/* A test: *next, and whether its operand stays; what `not` and TO_BOOL push stays in *value. */
static bool
answer_jump(const mp_instr *in, PyObject **value, int *next)
{
    bool truth = *value == Py_True;
    bool on_true =
        in->op == MP_OP_POP_JUMP_IF_TRUE || in->op == MP_OP_JUMP_IF_TRUE_OR_POP;
    bool stays =
        in->op == MP_OP_JUMP_IF_TRUE_OR_POP || in->op == MP_OP_JUMP_IF_FALSE_OR_POP;
    if (in->op == MP_OP_TO_BOOL || in->op == MP_OP_UNARY_NOT) {
        Py_SETREF(*value, PyBool_FromLong(truth == (in->op == MP_OP_TO_BOOL)));
        return false;
    }
    Py_CLEAR(*value);
    *next = truth == on_true ? in->target : in->next;
    return stays && truth == on_true;
}

bool
mp_answer_finish(mp_frame *f, const mp_instr *in, uint8_t how, PyObject *result,
                 int *next)
{
    int n = mp_answer_operands(how);
    PyObject *operands[2] = {n == 2 ? mp_frame_top_borrow(f, 2) : NULL, NULL};
    if (n > 0) {
        operands[n - 1] = mp_frame_top_borrow(f, 1);
    }
    PyObject *value = result == NULL ? NULL : answer_value(in, how, result, operands);
    bool stays = how == MP_RESUME_NEXT, ends = false;
    *next = in->next;
    if (value == NULL && how == MP_RESUME_NEXT
        && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_Clear();                         // mp-ok: as FOR_ITER does
        stays = PY_VERSION_HEX >= 0x030e0000;  // (POP_ITER is the next instruction)
        ends = true;
        *next = in->target;
    }
    if (value == NULL && !ends) {
        return false;
    }
    if (how == MP_RESUME_DROP) {
        Py_CLEAR(value);
    }
    else if (how == MP_RESUME_TRUTH || how == MP_RESUME_SIZED) {
        stays = answer_jump(in, &value, next);
    }
    for (int i = 0; i < n && !stays; i++) {
        mp_frame_pop(f);
    }
    if (value != NULL) {
        mp_frame_push_steal(f, value);
    }
    return true;
}

#endif
