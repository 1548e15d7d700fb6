/* rebuild/prove.c - a recipe is tried out when it is planned.
 *
 * A recipe rests on the layout of a type in C, which its flags and slots only suggest: a
 * static subclass of tuple may take its fields one by one, or keep some of them elsewhere.
 * So the object is built once, from the live parts, and compared with the live one.
 * R: no code of the program runs: constructors are C's (effect/build.h), and objects that
 * would be noticed when they die are not built. */
#include "effect/build.h"
#include "objects/equal.h"
#include "rebuild/shape.h"

enum { PROVE_SMALL = 32 };

static bool
is_proved_elsewhere(mp_effect_kind kind)
{
    switch (kind) {
    case MP_E_STRUCT:
    case MP_E_INSTANCE:
    case MP_E_PARTIAL:
    case MP_E_EXCEPTION:
    case MP_E_SCALAR:
    case MP_E_DICT_LIKE:
    case MP_E_LIST_LIKE:
        return false;
    default:
        return true;  // one type, whose layout is public
    }
}

/* The parts in regs[0, n), then what `extra` is. */
static PyObject *
build_once(const mp_shape *s, const int32_t *items, PyObject *const *regs)
{
    mp_effect op = {.kind = (uint16_t)s->kind,
                    .dst = -1,
                    .a = s->extra == NULL ? -1 : s->n_items,
                    .b = -1,
                    .count = s->n_items,
                    .obj = s->type};
    if (s->kind == MP_E_DICT_LIKE || s->kind == MP_E_LIST_LIKE) {
        op.count = 0;  // C functions fill it; hashing keys may run code
    }
    if (s->kind == MP_E_EXCEPTION || s->kind == MP_E_SCALAR) {
        op.a = 0;
    }
    return mp_effect_build(&op, items, regs);
}

static bool
is_alike(const mp_shape *s, PyObject *built, PyObject *obj)
{
    if (Py_TYPE(built) != Py_TYPE(obj)) {
        return false;
    }
    if (s->kind == MP_E_EXCEPTION) {
        return ((PyBaseExceptionObject *)built)->args == s->items[0];
    }
    if (s->kind != MP_E_STRUCT) {
        return true;
    }
    bool same = Py_SIZE(built) == Py_SIZE(obj);
    for (Py_ssize_t i = 0; same && i < s->n_items; i++) {
        // Fields of a struct sequence that len() does not count stand behind the others.
        PyObject *item = ((PyTupleObject *)built)->ob_item[i];
        same = item == s->items[i]
               || (item != NULL && mp_guard_is_constant(s->items[i], 0)
                   && mp_guard_equals(item, s->items[i]) == 1);
    }
    return same;
}

mp_rc
mp_shape_prove(mp_trace *T, const mp_shape *s, PyObject *obj)
{
    assert(obj != NULL);
    PyObject *small[PROVE_SMALL], **regs = small;
    int32_t small_items[PROVE_SMALL], *items = small_items;
    if (is_proved_elsewhere(s->kind) || mp_has_finalizer(obj)) {
        return MP_OK;
    }
    if (s->n_items + 1 > PROVE_SMALL) {
        regs = PyMem_New(PyObject *, s->n_items + 1);
        items = PyMem_New(int32_t, s->n_items + 1);
    }
    PyObject *built = NULL;
    if (regs != NULL && items != NULL) {
        for (int i = 0; i < s->n_items; i++) {
            regs[i] = s->items[i];
            items[i] = i;
        }
        regs[s->n_items] = s->extra;
        built = build_once(s, items, regs);
    }
    else {
        PyErr_NoMemory();
    }
    mp_rc rc = MP_OK;
    if (built == NULL && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        rc = MP_ERR;
    }
    else if (built == NULL || !is_alike(s, built, obj)) {
        mp_err_drop();  // it is no type that the recipe is for
        rc = mp_trace_abort(T, MP_AB_OUTPUT, "a new %s", mp_type_name(obj));
    }
    Py_XDECREF(built);
    if (regs != small) {
        PyMem_Free(regs);
        PyMem_Free(items);
    }
    return rc;
}
