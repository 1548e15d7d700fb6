/* plan/value.c - magpy._engine.Value and magpy._engine.Number.
 *
 * A graph spec (plan/plan.h) is plain Python data: tuples, lists, dicts, constants.  Where a
 * tensor belongs there is a Value, which only carries its number: 0 .. n_inputs-1 are
 * the graph's inputs, then each operation's results in order.  A Number stands for an int
 * or float that may be another one in each call: a number of the guard program.
 *
 * To Python it is immutable, compared and hashed by number.  While its log grows the
 * engine may still number it (mp_value_finish); nobody else sees it then.  It refers to
 * no other object, so the type has no collector support.  The type is created once per
 * process (mp_value_init) and never freed: graph specs may outlive the module. */
#include "plan/value.h"

typedef struct {
    PyObject_HEAD  // mp-ok: a type of our own
    Py_ssize_t index;
} mp_ValueObject;

static PyTypeObject *value_type;   // owned; NULL until mp_value_init
static PyTypeObject *number_type;  // likewise

static void
value_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
value_make(PyTypeObject *type, Py_ssize_t index)
{
    mp_ValueObject *op = (mp_ValueObject *)type->tp_alloc(type, 0);
    if (op != NULL) {
        op->index = index;
    }
    return (PyObject *)op;
}

static PyObject *
value_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {(char *)"index", NULL};
    Py_ssize_t index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n", names, &index)) {
        return NULL;
    }
    if (index < 0) {
        PyErr_SetString(PyExc_ValueError, "index must not be negative");
        return NULL;
    }
    return value_make(type, index);
}

static PyObject *
value_repr(PyObject *self)
{
    return PyUnicode_FromFormat("%%%zd", ((mp_ValueObject *)self)->index);
}

static PyObject *
number_repr(PyObject *self)
{
    return PyUnicode_FromFormat("#%zd", ((mp_ValueObject *)self)->index);
}

static Py_hash_t
value_hash(PyObject *self)
{
    Py_ssize_t index = ((mp_ValueObject *)self)->index;
    return index < 0 ? index - 1 : index;  // never -1
}

static PyObject *
value_compare(PyObject *self, PyObject *other, int how)
{
    if (Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    Py_RETURN_RICHCOMPARE(((mp_ValueObject *)self)->index,
                          ((mp_ValueObject *)other)->index, how);
}

static PyObject *
value_get_index(PyObject *self, void *closure)
{
    return PyLong_FromSsize_t(((mp_ValueObject *)self)->index);
}

static PyObject *
value_reduce(PyObject *self, PyObject *ignored)
{
    return Py_BuildValue("O(n)", Py_TYPE(self), ((mp_ValueObject *)self)->index);
}

static PyGetSetDef value_getset[] = {
    {"index", value_get_index, NULL, "its number", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef value_methods[] = {
    {"__reduce__", value_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot value_slots[] = {
    {Py_tp_doc, (void *)"Value(index)\n--\n\nA tensor of a recorded graph, by number."},
    {Py_tp_new, (void *)value_tp_new},
    {Py_tp_dealloc, (void *)value_dealloc},
    {Py_tp_repr, (void *)value_repr},
    {Py_tp_hash, (void *)value_hash},
    {Py_tp_richcompare, (void *)value_compare},
    {Py_tp_getset, value_getset},
    {Py_tp_methods, value_methods},
    {0, NULL},
};

static PyType_Spec value_spec = {
    .name = "magpy._engine.Value",
    .basicsize = sizeof(mp_ValueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = value_slots,
};

static PyType_Slot number_slots[] = {
    {Py_tp_doc,
     (void *)"Number(index)\n--\n\nAn int or float of a recorded graph, by number."},
    {Py_tp_new, (void *)value_tp_new},
    {Py_tp_dealloc, (void *)value_dealloc},
    {Py_tp_repr, (void *)number_repr},
    {Py_tp_hash, (void *)value_hash},
    {Py_tp_richcompare, (void *)value_compare},
    {Py_tp_getset, value_getset},
    {Py_tp_methods, value_methods},
    {0, NULL},
};

static PyType_Spec number_spec = {
    .name = "magpy._engine.Number",
    .basicsize = sizeof(mp_ValueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = number_slots,
};

int
mp_value_init(PyObject *module)
{
    if (value_type == NULL) {
        value_type = (PyTypeObject *)PyType_FromSpec(&value_spec);
    }
    if (number_type == NULL) {
        number_type = (PyTypeObject *)PyType_FromSpec(&number_spec);
    }
    return value_type == NULL || number_type == NULL
                   || PyModule_AddType(module, value_type) < 0
                   || PyModule_AddType(module, number_type) < 0
               ? -1
               : 0;
}

PyObject *
mp_number_leaf_new(Py_ssize_t number)
{
    assert(number_type != NULL && number >= 0);
    return value_make(number_type, number);
}

int
mp_number_leaf_check(PyObject *o)
{
    return Py_IS_TYPE(o, number_type);
}

Py_ssize_t
mp_number_leaf_index(PyObject *o)
{
    assert(mp_number_leaf_check(o));
    return ((mp_ValueObject *)o)->index;
}

PyObject *
mp_value_new(Py_ssize_t index)
{
    if (value_type == NULL) {
        PyErr_BadInternalCall();
        return NULL;
    }
    return value_make(value_type, index);
}

void
mp_value_finish(PyObject *o, Py_ssize_t n_inputs)
{
    assert(mp_value_check(o) && n_inputs >= 0);
    mp_ValueObject *op = (mp_ValueObject *)o;
    if (op->index < 0) {
        op->index = n_inputs - 1 - op->index;
    }
}

int
mp_value_check(PyObject *o)
{
    return Py_IS_TYPE(o, value_type);
}

Py_ssize_t
mp_value_index(PyObject *o)
{
    assert(mp_value_check(o));
    return ((mp_ValueObject *)o)->index;
}

int
mp_tree_walk(PyObject *tree, mp_tree_visit visit, void *ctx)
{
    int rc = 0;
    if (tree == NULL) {
        return 0;
    }
    if (PyTuple_Check(tree) || PyList_Check(tree)) {
        for (Py_ssize_t i = 0; rc == 0 && i < PySequence_Fast_GET_SIZE(tree); i++) {
            rc = mp_tree_walk(PySequence_Fast_GET_ITEM(tree, i), visit, ctx);
        }
        return rc;
    }
    if (PyDict_Check(tree)) {
        PyObject *key, *value;
        Py_ssize_t pos = 0;
        while (rc == 0 && PyDict_Next(tree, &pos, &key, &value)) {
            rc = mp_tree_walk(value, visit, ctx);
        }
        return rc;
    }
    if (PySlice_Check(tree)) {
        const PySliceObject *slice = (PySliceObject *)tree;
        rc = mp_tree_walk(slice->start, visit, ctx);
        rc = rc != 0 ? rc : mp_tree_walk(slice->stop, visit, ctx);
        return rc != 0 ? rc : mp_tree_walk(slice->step, visit, ctx);
    }
    return visit(ctx, tree);
}
