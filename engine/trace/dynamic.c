/* trace/dynamic.c - which of the numbers that are loaded become symbols.
 *
 * What was learned stands in the marks of the compiled object; what the user wants of a
 * tensor stands in the tensor's attributes, as torch._dynamo.mark_dynamic and its kind write
 * them.  Neither needs a guard: a number that is pinned is guarded as one, and a symbol's
 * guards say what was assumed of it. */
#include "objects/equal.h"
#include "trace/trace.h"

typedef enum { WISH_NONE, WISH_STATIC, WISH_MAYBE, WISH_DYNAMIC } dynamic_wish;

/* Attributes of a tensor that hold sets of dims; the first that has the dim counts. */
static const struct {
    const char *name;
    dynamic_wish wish;
} dynamic_wishes[] = {
    {"_dynamo_dynamic_indices", WISH_DYNAMIC},
    {"_dynamo_unbacked_indices", WISH_DYNAMIC},
    {"_dynamo_strict_unbacked_indices", WISH_DYNAMIC},
    {"_dynamo_weak_dynamic_indices", WISH_MAYBE},
    {"_dynamo_static_indices", WISH_STATIC},
};

static bool
dynamic_has(PyObject *dims, PyObject *dim)
{
    return dims != NULL && PyAnySet_CheckExact(dims)
           && mp_guard_set_find(dims, dim, PyObject_Hash(dim)) == 1;
}

static dynamic_wish
dynamic_ask_user(PyObject *tensor, int64_t n)
{
    dynamic_wish wish = WISH_NONE;
    PyObject *attrs = mp_instance_dict_borrow(tensor);
    PyObject *dim = attrs == NULL ? NULL : PyLong_FromLongLong(n);
    for (size_t i = 0;
         dim != NULL && wish == WISH_NONE && i < Py_ARRAY_LENGTH(dynamic_wishes); i++) {
        if (dynamic_has(mp_dict_text_borrow(attrs, dynamic_wishes[i].name), dim)) {
            wish = dynamic_wishes[i].wish;
        }
    }
    Py_XDECREF(dim);
    mp_err_drop();  // without memory nothing was asked for
    return wish;
}

bool
mp_dynamic_is_wanted(PyObject *tensor, int64_t dim)
{
    return dynamic_ask_user(tensor, dim) == WISH_DYNAMIC;
}

static bool
dynamic_is_learned(mp_trace *T, const mp_marks *marks, int32_t reg, mp_part part,
                   int64_t n)
{
    switch (
        mp_marks_get(marks, mp_place_of(T->guards, reg, part, n), T->compiling->age)) {
    case MP_MARK_DYNAMIC:
        return true;
    case MP_MARK_STATIC:
        return false;
    default:
        return marks->mode == MP_DYNAMIC_ALWAYS && part != MP_PART_LENGTH
               && mp_place_is_argument(T->guards, reg);
    }
}

mp_dynamic
mp_is_dynamic_place(mp_trace *T, int32_t reg, mp_part part, int64_t n, PyObject *o,
                    int64_t now)
{
    const mp_marks *marks = T->compiling == NULL ? NULL : T->compiling->numbers;
    if (marks == NULL || reg < 0 || T->all_static
        || (part == MP_PART_VALUE && !PyLong_CheckExact(o) && !PyFloat_CheckExact(o))) {
        return MP_STATIC;
    }
    dynamic_wish wish = WISH_NONE;
    if (part == MP_PART_SIZE && marks->mode >= MP_DYNAMIC_NEVER) {
        wish = dynamic_ask_user(o, n);
    }
    if (wish == WISH_DYNAMIC) {
        mp_number_place place = mp_place_of(T->guards, reg, part, n);
        return mp_marks_get(marks, place, T->compiling->age) == MP_MARK_STATIC
                   ? MP_STATIC
                   : MP_DYNAMIC_WANTED;
    }
    if (wish == WISH_STATIC || (part == MP_PART_SIZE && now < 2)) {
        return MP_STATIC;
    }
    bool is = wish == WISH_MAYBE || dynamic_is_learned(T, marks, reg, part, n);
    return is ? MP_DYNAMIC : MP_STATIC;
}
