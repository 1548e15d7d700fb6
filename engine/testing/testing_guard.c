/* testing_guard.c - lets Python tests build, check, print and traverse guard programs.
 *
 * A program is a capsule; a row is a tuple (kind, a, b, n) or (kind, a, b, n, obj); the
 * obj of TENSOR is the tensor whose metadata is guarded, n the bits of its open sizes; kind NUMBER adds to the table of
 * numbers.
 *
 * Ownership: the capsule owns the program and is held for the time of a check; so is
 * the tuple of arguments.  Registers are borrowed until they are put into a list. */
#include "compat/compat.h"
#include "guard/cover.h"
#include "guard/place.h"
#include "guard/words.h"

#include <string.h>

#include "objects/equal.h"
#include "objects/types.h"

extern PyMethodDef mp_testing_guard_methods[];

static const char testing_guards_name[] = "magpy.guards";

static void
testing_guards_destroy(PyObject *capsule)
{
    mp_guards_free(PyCapsule_GetPointer(capsule, testing_guards_name));
}

static mp_guards *
testing_guards_borrow(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, testing_guards_name);
}

static int
testing_guard_kind(const char *id)
{
    for (int i = 0; i < MP_G_COUNT; i++) {
        if (strcmp(mp_guard_id(i), id) == 0) {
            return i;
        }
    }
    PyErr_Format(PyExc_ValueError, "no row %s in guard/guards.def", id);
    return -1;
}

/* A number: obj is the id of its row, or the value of a constant. */
static int
testing_guard_number(mp_guards *g, int a, int b, int64_t n, PyObject *obj)
{
    if (obj == NULL || !PyUnicode_Check(obj)) {
        return obj == NULL || mp_guards_number_const(g, obj) < 0 ? -1 : 0;
    }
    const char *id = PyUnicode_AsUTF8(obj);
    int op = id == NULL ? -1 : mp_number_find(id);
    if (op < 0) {
        PyErr_Format(PyExc_ValueError, "no row %R in number/numbers.def", obj);
        return -1;
    }
    return mp_guards_number(g, (mp_number_op)op, a, b, n, 0.0) < 0 ? -1 : 0;
}

/* Append the op that the tuple describes: 0 or -1. */
static int
testing_guard_add(mp_guards *g, PyObject *row)
{
    const char *id;
    int a, b;
    long long n;
    PyObject *obj = NULL;  // borrowed from row
    if (!PyTuple_Check(row)) {
        PyErr_SetString(PyExc_TypeError, "a row is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(row, "siiL|O", &id, &a, &b, &n, &obj)) {
        return -1;
    }
    if (strcmp(id, "NUMBER") == 0) {
        return testing_guard_number(g, a, b, n, obj);
    }
    int kind = testing_guard_kind(id);
    if (kind < 0) {
        return -1;
    }
    if (kind < MP_G_TYPE_IS) {
        return mp_guards_load(g, (mp_guard_kind)kind, a, obj, n) < 0 ? -1 : 0;
    }
    mp_tensor_meta *meta = NULL;
    if (kind == MP_G_TENSOR && obj != NULL) {
        meta = mp_tensor_meta_new(obj);
        if (meta == NULL) {
            return -1;
        }
        if (n > 0) {
            mp_tensor_meta_open(meta, (uint64_t)n, 0, 0);
        }
        obj = NULL;
    }
    return mp_guards_test(g, (mp_guard_kind)kind, a, b, obj, n, meta);
}

static PyObject *
testing_guard_new(PyObject *module, PyObject *rows)
{
    PyObject *items = mp_types_refresh() < 0 ? NULL : PySequence_Tuple(rows);
    mp_guards *g = items == NULL ? NULL : mp_guards_new();
    for (Py_ssize_t i = 0; g != NULL && i < PyTuple_GET_SIZE(items); i++) {
        if (testing_guard_add(g, PyTuple_GET_ITEM(items, i)) < 0) {
            mp_guards_free(g);
            g = NULL;
        }
    }
    Py_XDECREF(items);
    if (g == NULL) {
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(g, testing_guards_name, testing_guards_destroy);
    if (capsule == NULL) {
        mp_guards_free(g);
    }
    return capsule;
}

static bool testing_by_words;

/* Until it is proved by words, if it holds at all. */
static int
testing_guard_prove(mp_guards *g, PyObject *const *values, PyObject **regs)
{
    PyObject *const *found = mp_guards_prove(g, values, regs);
    for (int i = 0; i < 3 && found != NULL; i++) {
        found = mp_guards_prove(g, values, regs);
        if (found == NULL) {
            PyErr_SetString(PyExc_AssertionError, "a guard holds once only");
            return -1;
        }
    }
    if (found != NULL && found != regs) {
        memcpy(regs, found, (size_t)g->n_regs * sizeof(*regs));
    }
    // A proof that fails leaves no registers, which texts of misses need.
    return found != NULL || mp_guards_check(g, values, regs);
}

/* guard_words(on): are programs proved by words from now on?  What was. */
static PyObject *
testing_guard_words(PyObject *module, PyObject *on)
{
    bool was = testing_by_words;
    testing_by_words = on == Py_True;
    return PyBool_FromLong(was);
}

#ifdef MP_TESTING
static PyObject *
testing_words_plant(PyObject *module, PyObject *id)
{
    const char *name = id == Py_None ? NULL : PyUnicode_AsUTF8(id);
    if ((name == NULL && id != Py_None) || mp_words_plant(name) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
testing_words_wrong(PyObject *module, PyObject *unused)
{
    return PyLong_FromLongLong(mp_words_wrong());
}
#endif

/* Words, tensors and steps of a program's proof, and how many it has had. */
static PyObject *
testing_guard_proof(PyObject *module, PyObject *capsule)
{
    mp_guards *g = testing_guards_borrow(capsule);
    if (g == NULL) {
        return NULL;
    }
    mp_words_count n = mp_guards_count_words(g);
    return Py_BuildValue("iiii", (int)n.words, (int)n.tensors, (int)n.steps,
                         (int)n.made);
}

/* Check the program against a tuple: 1 / 0, -1 with an exception set.  *regs: a PyMem
 * block that the caller frees, unless -1. */
static int
testing_guard_run(PyObject *arguments, mp_guards **g, PyObject ***regs)
{
    PyObject *capsule, *args;
    if (!PyArg_ParseTuple(arguments, "OO!", &capsule, &PyTuple_Type, &args)) {
        return -1;
    }
    *g = testing_guards_borrow(capsule);
    if (*g == NULL) {
        return -1;
    }
    for (int32_t i = 0; i < (*g)->n_ops; i++) {
        const mp_guard *op = &(*g)->ops[i];
        if (op->kind == MP_G_LOAD_ARG && op->n >= PyTuple_GET_SIZE(args)) {
            PyErr_SetString(PyExc_ValueError, "too few arguments for the program");
            return -1;
        }
    }
    *regs = PyMem_Calloc((size_t)(*g)->n_regs + 1, sizeof(PyObject *));
    if (*regs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject *const *values = ((PyTupleObject *)args)->ob_item;
    return testing_by_words ? testing_guard_prove(*g, values, *regs)
                            : mp_guards_check(*g, values, *regs);
}

static PyObject *
testing_guard_check(PyObject *module, PyObject *arguments)
{
    mp_guards *g;
    PyObject **regs;
    int hit = testing_guard_run(arguments, &g, &regs);
    if (hit < 0) {
        return NULL;
    }
    PyMem_Free(regs);
    return PyBool_FromLong(hit);
}

/* The registers after a hit, None after a miss. */
static PyObject *
testing_guard_regs(PyObject *module, PyObject *arguments)
{
    mp_guards *g;
    PyObject **regs;
    int hit = testing_guard_run(arguments, &g, &regs);
    if (hit < 0) {
        return NULL;
    }
    PyObject *result = hit ? PyList_New(g->n_regs) : Py_NewRef(Py_None);
    for (int32_t i = 0; hit && result != NULL && i < g->n_regs; i++) {
        PyList_SET_ITEM(result, i, Py_NewRef(regs[i]));
    }
    PyMem_Free(regs);
    return result;
}

/* guard_numbers(program, args, indices): their values after a hit, None after a miss. */
static PyObject *
testing_guard_numbers(PyObject *module, PyObject *arguments)
{
    mp_guards *g;
    PyObject **regs, *rest = PyTuple_GetSlice(arguments, 0, 2);
    PyObject *list = PySequence_List(PyTuple_GET_ITEM(arguments, 2)), *result = NULL;
    int hit = rest == NULL || list == NULL ? -1 : testing_guard_run(rest, &g, &regs);
    if (hit >= 0) {
        PyMem_Free(regs);
        result = hit ? list : Py_NewRef(Py_None);
    }
    for (Py_ssize_t i = 0; hit > 0 && i < PyList_GET_SIZE(list); i++) {
        int32_t which = (int32_t)PyLong_AsLong(PyList_GET_ITEM(list, i));
        PyObject *value = NULL;
        if (mp_guards_numbers(g, &which, 1, &value) < 0) {
            hit = -1;
            break;
        }
        PyList_SetItem(list, i, value);
    }
    Py_XDECREF(rest);
    if (result != list) {
        Py_XDECREF(list);
    }
    if (hit < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The text of a miss, None after a hit. */
static PyObject *
testing_guard_miss(PyObject *module, PyObject *arguments)
{
    mp_guards *g;
    PyObject **regs;
    int hit = testing_guard_run(arguments, &g, &regs);
    if (hit < 0) {
        return NULL;
    }
    PyObject *result = hit ? Py_NewRef(Py_None) : mp_guards_miss(g, regs);
    PyMem_Free(regs);
    return result;
}

static PyObject *
testing_guard_failed(PyObject *module, PyObject *capsule)
{
    mp_guards *g = testing_guards_borrow(capsule);
    return g == NULL ? NULL : PyLong_FromLong(g->failed);
}

static PyObject *
testing_guard_text(PyObject *module, PyObject *capsule)
{
    mp_guards *g = testing_guards_borrow(capsule);
    return g == NULL ? NULL : mp_guards_text(g, NULL);
}

static PyObject *
testing_guard_line(PyObject *module, PyObject *arguments)
{
    PyObject *capsule;
    int op;
    if (!PyArg_ParseTuple(arguments, "Oi", &capsule, &op)) {
        return NULL;
    }
    mp_guards *g = testing_guards_borrow(capsule);
    return g == NULL ? NULL : mp_guards_line(g, op);
}

static PyObject *
testing_guard_source(PyObject *module, PyObject *arguments)
{
    PyObject *capsule;
    int reg;
    if (!PyArg_ParseTuple(arguments, "Oi", &capsule, &reg)) {
        return NULL;
    }
    mp_guards *g = testing_guards_borrow(capsule);
    return g == NULL ? NULL : mp_guards_source(g, reg);
}

/* One bool per dict record: did the last check take it as unchanged? */
static PyObject *
testing_guard_unchanged(PyObject *module, PyObject *capsule)
{
    mp_guards *g = testing_guards_borrow(capsule);
    PyObject *list = g == NULL ? NULL : PyList_New(g->n_dicts);
    for (int32_t i = 0; list != NULL && i < g->n_dicts; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(g->dicts[i].unchanged ? Py_True : Py_False));
    }
    return list;
}

/* guard_uncovered(old, fresh): the op of fresh that old does not ask for, or -1, and the
 * number of old that each number of fresh stands for. */
static PyObject *
testing_guard_uncovered(PyObject *module, PyObject *arguments)
{
    PyObject *capsules[2];
    mp_cover cover;
    if (!PyArg_ParseTuple(arguments, "OO", &capsules[0], &capsules[1])) {
        return NULL;
    }
    mp_guards *old = testing_guards_borrow(capsules[0]);
    mp_guards *fresh = old == NULL ? NULL : testing_guards_borrow(capsules[1]);
    PyObject *list = fresh == NULL ? NULL : PyList_New(0), *result = NULL;
    if (list != NULL && mp_cover_init(&cover, old, fresh) == 0) {
        int32_t at = mp_guards_uncovered(old, fresh, fresh->n_ops, &cover);
        for (int32_t k = 0; list != NULL && k < fresh->numbers.n; k++) {
            PyObject *number = PyLong_FromLong(cover.numbers[k]);
            if (number == NULL || PyList_Append(list, number) < 0) {
                Py_CLEAR(list);
            }
            Py_XDECREF(number);
        }
        result = list == NULL ? NULL : Py_BuildValue("iO", (int)at, list);
        mp_cover_fini(&cover);
    }
    Py_XDECREF(list);
    return result;
}

/* guard_extend(program, terms, registers): append tests of a backend. */
static PyObject *
testing_guard_extend(PyObject *module, PyObject *arguments)
{
    PyObject *capsule, *terms, *given;
    int32_t inputs[8];
    if (!PyArg_ParseTuple(arguments, "OOO!", &capsule, &terms, &PyTuple_Type, &given)) {
        return NULL;
    }
    int32_t n = (int32_t)PyTuple_GET_SIZE(given);
    mp_guards *g = testing_guards_borrow(capsule);
    if (g == NULL || n > 8) {
        return g == NULL ? NULL : PyErr_NoMemory();
    }
    for (int32_t i = 0; i < n; i++) {
        inputs[i] = (int32_t)PyLong_AsLong(PyTuple_GET_ITEM(given, i));
    }
    if (mp_guards_extend(g, terms, inputs, n) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
testing_guard_collect(PyObject *o, void *list)
{
    return PyList_Append(list, o);
}

static PyObject *
testing_guard_referents(PyObject *module, PyObject *capsule)
{
    mp_guards *g = testing_guards_borrow(capsule);
    PyObject *list = g == NULL ? NULL : PyList_New(0);
    if (list != NULL && mp_guards_visit(g, testing_guard_collect, list) != 0) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
testing_guard_register(PyObject *module, PyObject *type)
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a class is needed");
        return NULL;
    }
    if (mp_guard_register_constant_type((PyTypeObject *)type) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
testing_guard_absent(PyObject *module, PyObject *unused)
{
    return Py_NewRef(mp_guard_absent());
}

/* In which numbers the arguments differ, if in nothing else: list of (place, then, now) and
 * how many other conditions on numbers fail; or None. */
static PyObject *
testing_guard_differ(PyObject *module, PyObject *arguments)
{
    mp_guards *g;
    PyObject **regs;
    if (testing_guard_run(arguments, &g, &regs) < 0) {
        return NULL;
    }
    mp_differences d = {.at = NULL};
    PyTupleObject *args = (PyTupleObject *)PyTuple_GET_ITEM(arguments, 1);
    bool differ = mp_guards_differ(g, args->ob_item, regs, &d);
    PyMem_Free(regs);
    PyObject *list = differ ? PyList_New(0) : NULL;
    for (int32_t i = 0; list != NULL && i < d.n; i++) {
        const mp_difference *x = &d.at[i];
        PyObject *text = mp_place_text(g, x->reg, x->part, x->n);
        PyObject *row = text == NULL ? NULL
                                     : Py_BuildValue("NLL", text, (long long)x->then,
                                                     (long long)x->now);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    int others = d.others;
    mp_differences_clear(&d);
    return differ ? list == NULL ? NULL : Py_BuildValue("Ni", list, others)
                  : Py_NewRef(Py_None);
}

/* The place of part `part` of a register. */
static PyObject *
testing_guard_place(PyObject *module, PyObject *arguments)
{
    PyObject *capsule;
    int reg, part, n;
    if (!PyArg_ParseTuple(arguments, "Oiii", &capsule, &reg, &part, &n)) {
        return NULL;
    }
    mp_guards *g = testing_guards_borrow(capsule);
    return g == NULL
               ? NULL
               : PyLong_FromUnsignedLongLong(mp_place_of(g, reg, (mp_part)part, n));
}

/* Marks of a new table, of rows (place, mark): what each was answered, what was there before,
 * asked afterwards, and what is there. */
static PyObject *
testing_guard_marks(PyObject *module, PyObject *rows)
{
    mp_marks marks = {.mode = MP_DYNAMIC_AUTO};
    PyObject *items = PySequence_Tuple(rows), *list = PyList_New(0);
    for (Py_ssize_t i = 0; items != NULL && list != NULL && i < PyTuple_GET_SIZE(items);
         i++) {
        unsigned long long place;
        int mark;
        PyObject *row = NULL;
        if (PyArg_ParseTuple(PyTuple_GET_ITEM(items, i), "Ki", &place, &mark)) {
            uint32_t age = marks.age;
            int rc = mp_marks_set(&marks, place, (mp_mark)mark);
            row = rc < 0 ? NULL
                         : Py_BuildValue("iii", rc, mp_marks_get(&marks, place, age),
                                         mp_marks_get(&marks, place, MP_MARKS_NOW));
        }
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    for (Py_ssize_t i = 0; list != NULL && i < PyTuple_GET_SIZE(items); i++) {
        PyObject *place = PyTuple_GET_ITEM(PyTuple_GET_ITEM(items, i), 0);
        if (mp_marks_get(&marks, PyLong_AsUnsignedLongLong(place), MP_MARKS_NOW)
            == MP_MARK_NONE) {
            PyErr_SetString(PyExc_AssertionError, "a mark is gone");
            Py_CLEAR(list);
        }
    }
    Py_XDECREF(items);
    mp_marks_clear(&marks);
    return list;
}

static PyObject *
testing_set_layout(PyObject *mod, PyObject *set)
{
    (void)mod;
    if (!PyAnySet_Check(set)) {
        PyErr_SetString(PyExc_TypeError, "no set");
        return NULL;
    }
    return mp_set_layout(set);
}

PyMethodDef mp_testing_guard_methods[] = {
    {"set_layout", testing_set_layout, METH_O, "The table of a set, for SET_LAYOUT."},
    {"guard_new", testing_guard_new, METH_O, "Build a program from rows."},
    {"guard_check", testing_guard_check, METH_VARARGS, "Do the arguments pass?"},
    {"guard_regs", testing_guard_regs, METH_VARARGS, "Registers of a hit, or None."},
    {"guard_numbers", testing_guard_numbers, METH_VARARGS,
     "Numbers of a hit, or None."},
    {"guard_miss", testing_guard_miss, METH_VARARGS, "Text of a miss, or None."},
    {"guard_failed", testing_guard_failed, METH_O, "Op of the last miss, or -1."},
    {"guard_text", testing_guard_text, METH_O, "Lines of all tests."},
    {"guard_line", testing_guard_line, METH_VARARGS, "Line of one op."},
    {"guard_source", testing_guard_source, METH_VARARGS, "Source of a register."},
    {"guard_unchanged", testing_guard_unchanged, METH_O, "Dicts taken as unchanged."},
    {"guard_uncovered", testing_guard_uncovered, METH_VARARGS, "What old leaves out."},
    {"guard_extend", testing_guard_extend, METH_VARARGS, "Append terms."},
    {"guard_referents", testing_guard_referents, METH_O, "What the program owns."},
    {"guard_register", testing_guard_register, METH_O, "Register a constant type."},
    {"guard_differ", testing_guard_differ, METH_VARARGS, "Numbers that differ."},
    {"guard_words", testing_guard_words, METH_O, "Prove programs by words?"},
#ifdef MP_TESTING
    {"words_plant", testing_words_plant, METH_O, "Leave words of this kind out."},
    {"words_wrong", testing_words_wrong, METH_NOARGS, "Proofs that a check refused."},
#endif
    {"guard_proof", testing_guard_proof, METH_O, "What its proof is made of."},
    {"guard_place", testing_guard_place, METH_VARARGS, "The place of a number."},
    {"guard_marks", testing_guard_marks, METH_O, "Marks of places."},
    {"guard_absent", testing_guard_absent, METH_NOARGS, "The marker for `absent`."},
    {NULL, NULL, 0, NULL},
};
