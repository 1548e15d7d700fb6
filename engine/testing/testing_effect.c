/* testing_effect.c - lets Python tests build, run, print and traverse replay programs.
 *
 * A program is a capsule; an op is a tuple (kind, a, b, items) or, with an object,
 * (kind, a, b, items, obj).  Sources and graph outputs may be any objects.
 *
 * Ownership: the capsule owns the program and is held for the time of a run; sources
 * and graph outputs are held by tuples of our own. */
#include "effect/effect.h"

#include <string.h>

#include "objects/types.h"

extern PyMethodDef mp_testing_effect_methods[];

static const char testing_replay_name[] = "magpy.replay";

static void
testing_replay_destroy(PyObject *capsule)
{
    mp_replay_free(PyCapsule_GetPointer(capsule, testing_replay_name));
}

/* Registers of a sequence of int: PyMem block, its length in *count; NULL on error. */
static int32_t *
testing_regs(PyObject *sequence, int32_t *count)
{
    PyObject *items = PySequence_Tuple(sequence);
    if (items == NULL) {
        return NULL;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    int32_t *regs = PyMem_New(int32_t, n);
    if (regs == NULL) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < n && regs != NULL; i++) {
        regs[i] = (int32_t)PyLong_AsLong(PyTuple_GET_ITEM(items, i));
        if (regs[i] == -1 && PyErr_Occurred()) {
            PyMem_Free(regs);
            regs = NULL;
        }
    }
    *count = (int32_t)n;
    Py_DECREF(items);
    return regs;
}

/* Append the op that the tuple describes: its register, -1, or -2 with an exception. */
static int32_t
testing_emit(mp_replay *p, PyObject *op)
{
    const char *id = NULL;
    PyObject *items = NULL, *obj = NULL;  // borrowed from op
    int a = -1, b = -1, kind = 0;
    int32_t count = 0;
    if (!PyTuple_Check(op)) {
        PyErr_SetString(PyExc_TypeError, "an op is a tuple");
        return -2;
    }
    if (!PyArg_ParseTuple(op, "siiO|O", &id, &a, &b, &items, &obj)) {
        return -2;
    }
    while (kind < MP_E_COUNT && strcmp(mp_effect_id(kind), id) != 0) {
        kind++;
    }
    int32_t *regs = testing_regs(items, &count);
    if (regs == NULL) {
        return -2;
    }
    int32_t made = mp_replay_emit(p, (mp_effect_kind)kind, obj, a, b, regs, count);
    PyMem_Free(regs);
    return made;
}

static PyObject *
testing_replay_new(PyObject *module, PyObject *args)
{
    PyObject *ops = NULL;      // borrowed from args
    PyObject *fast = NULL;     // owned
    PyObject *capsule = NULL;  // owned
    int n_sources = 0, n_graph = 0;
    if (!PyArg_ParseTuple(args, "iiO:replay_new", &n_sources, &n_graph, &ops)) {
        return NULL;
    }
    mp_replay *p = mp_replay_new();
    if (p == NULL) {
        return NULL;
    }
    p->n_sources = n_sources;
    p->n_graph = n_graph;
    capsule = PyCapsule_New(p, testing_replay_name, testing_replay_destroy);
    if (capsule == NULL) {
        mp_replay_free(p);
        return NULL;
    }
    fast = PySequence_Tuple(ops);
    Py_ssize_t n = fast == NULL ? -1 : PyTuple_GET_SIZE(fast), i = 0;
    while (i < n && testing_emit(p, PyTuple_GET_ITEM(fast, i)) != -2) {
        i++;
    }
    if (i != n) {
        Py_CLEAR(capsule);
    }
    Py_XDECREF(fast);
    return capsule;
}

static PyObject *
testing_replay_emit(PyObject *module, PyObject *args)
{
    PyObject *capsule = NULL, *op = NULL;  // borrowed from args
    if (!PyArg_ParseTuple(args, "OO:replay_emit", &capsule, &op)) {
        return NULL;
    }
    mp_replay *p = PyCapsule_GetPointer(capsule, testing_replay_name);
    int32_t made = p == NULL || mp_types_refresh() < 0 ? -2 : testing_emit(p, op);
    return made == -2 ? NULL : PyLong_FromLong(made);
}

static PyObject *
testing_replay_run(PyObject *module, PyObject *args)
{
    PyObject *capsule = NULL, *sources = NULL, *graph = NULL;  // borrowed from args
    PyObject *result = NULL;                                   // owned
    long times = 1;
    int holds = 1;
    if (!PyArg_ParseTuple(args, "OOO|lp:replay_run", &capsule, &sources, &graph, &times,
                          &holds)) {
        return NULL;
    }
    mp_replay *p = PyCapsule_GetPointer(capsule, testing_replay_name);
    if (p == NULL) {
        return NULL;
    }
    sources = PySequence_Tuple(sources);
    graph = PySequence_Tuple(graph);
    if (sources == NULL || graph == NULL) {
        goto done;
    }
    if (PyTuple_GET_SIZE(sources) != p->n_sources
        || PyTuple_GET_SIZE(graph) != p->n_graph) {
        PyErr_SetString(PyExc_ValueError, "wrong number of sources or graph outputs");
        goto done;
    }
    for (long i = 0; i < times; i++) {
        Py_XSETREF(result, mp_replay_run(p, ((PyTupleObject *)sources)->ob_item,
                                         ((PyTupleObject *)graph)->ob_item, holds));
        if (result == NULL) {
            break;
        }
    }

done:
    Py_XDECREF(sources);
    Py_XDECREF(graph);
    return result;
}

static PyObject *
testing_replay_text(PyObject *module, PyObject *args)
{
    PyObject *capsule = NULL, *names = NULL;  // borrowed from args
    if (!PyArg_ParseTuple(args, "OO:replay_text", &capsule, &names)) {
        return NULL;
    }
    mp_replay *p = PyCapsule_GetPointer(capsule, testing_replay_name);
    return p == NULL ? NULL : mp_replay_text(p, names);
}

static PyObject *
testing_replay_info(PyObject *module, PyObject *capsule)
{
    mp_replay *p = PyCapsule_GetPointer(capsule, testing_replay_name);
    if (p == NULL) {
        return NULL;
    }
    return Py_BuildValue("{s:i,s:i,s:i,s:i}", "n_ops", (int)p->n_ops, "n_regs",
                         (int)p->n_regs, "n_commit", (int)p->n_commit, "result",
                         (int)p->result);
}

static int
testing_replay_collect(PyObject *o, void *list)
{
    return PyList_Append(list, o);
}

static PyObject *
testing_replay_visit(PyObject *module, PyObject *capsule)
{
    mp_replay *p = PyCapsule_GetPointer(capsule, testing_replay_name);
    PyObject *list = p == NULL ? NULL : PyList_New(0);
    if (list != NULL && mp_replay_visit(p, testing_replay_collect, list) != 0) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
testing_replay_kinds(PyObject *module, PyObject *unused)
{
    PyObject *ids = PyTuple_New(MP_E_COUNT);
    for (int i = 0; i < MP_E_COUNT && ids != NULL; i++) {
        PyObject *id = PyUnicode_FromString(mp_effect_id(i));
        if (id == NULL) {
            Py_CLEAR(ids);
            break;
        }
        PyTuple_SET_ITEM(ids, i, id);
    }
    return ids;
}

PyMethodDef mp_testing_effect_methods[] = {
    {"replay_new", testing_replay_new, METH_VARARGS,
     "replay_new(n_sources, n_graph, ops): a new program"},
    {"replay_emit", testing_replay_emit, METH_VARARGS,
     "replay_emit(program, op): append; the register made or -1"},
    {"replay_run", testing_replay_run, METH_VARARGS,
     "replay_run(program, sources, graph, times=1, holds=True): the last result"},
    {"replay_text", testing_replay_text, METH_VARARGS,
     "replay_text(program, source_names): list of lines"},
    {"replay_info", testing_replay_info, METH_O, "replay_info(program): its counters"},
    {"replay_visit", testing_replay_visit, METH_O,
     "replay_visit(program): the objects that it owns"},
    {"replay_kinds", testing_replay_kinds, METH_NOARGS,
     "replay_kinds(): ids of the rows"},
    {NULL, NULL, 0, NULL},
};
