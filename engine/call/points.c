/* call/points.c - the places of a compiled function at which its calls go on after a
 * break.
 *
 * A place (mp_resume_point) is where all frames of the call stand, and which of their
 * slots are empty (mp_point_key).  It is made when a run first comes there, and has a
 * cache of entries like the function's own.  Two more tables belong to the function as a
 * whole:
 *
 *   avoided    instructions before which recordings must break, because a plan could not
 *              hold what they made (mp_blame), each with the reason that is shown
 *   changing   source texts of numbers whose guard keeps failing: they are left to the
 *              interpreter
 *
 * Places live until the table is cleared, and their addresses stay valid until then.  A
 * call that is in progress notices that by `serial`. */
#include "call/points.h"

#include <string.h>

enum { POINTS_MAX = 512 };

/* A place that is new.  Its address must not move: calls in progress hold it. */
static int
points_add(mp_points *points, PyObject *key, const mp_point *p)
{
    assert(points->index != NULL && points->n < POINTS_MAX && p->n_frames > 0);
    PyObject *number = NULL;
    mp_resume_point *point = NULL;
    if (mp_grow(&points->at, &points->cap, points->n + 1, sizeof(*points->at)) < 0) {
        return -1;
    }
    // Allocated one by one: calls in progress hold addresses of points while `at` grows.
    point = PyMem_Calloc(1, sizeof(*point));
    if (point == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    point->codes = mp_point_codes(p);
    point->index = p->frames[p->n_frames - 1].index;
    number = PyLong_FromLong(points->n);
    if (point->codes == NULL || number == NULL
        || PyDict_SetItem(points->index, key, number) < 0) {
        Py_XDECREF(number);
        Py_XDECREF(point->codes);
        PyMem_Free(point);
        return -1;
    }
    Py_DECREF(number);
    points->at[points->n++] = point;
    return 0;
}

/* The place where this run stands, made if there is room for one more; NULL: no room, or
 * an exception. */
mp_resume_point *
mp_points_find(mp_points *points, const mp_point *p)
{
    if (points->index == NULL && (points->index = PyDict_New()) == NULL) {
        return NULL;
    }
    PyObject *key = mp_point_key(p);
    PyObject *number = key == NULL ? NULL : PyDict_GetItemWithError(points->index, key);
    mp_resume_point *point = NULL;
    if (number != NULL) {
        assert(PyLong_AsLong(number) >= 0 && PyLong_AsLong(number) < points->n);
        point = points->at[PyLong_AsLong(number)];
    }
    else if (!PyErr_Occurred() && points->n < POINTS_MAX
             && points_add(points, key, p) == 0) {
        point = points->at[points->n - 1];
    }
    Py_XDECREF(key);
    return point;
}

/* An instruction: the code object's address and the code unit. (The row owns the code.) */
static PyObject *
avoid_key(PyCodeObject *code, int index)
{
    assert(index >= 0);
    struct {
        PyCodeObject *code;
        int64_t index;
    } key = {code, index};
    return PyBytes_FromStringAndSize((char *)&key, sizeof(key));
}

/* at_once: or else when it is blamed a second time, because a program may do this in its
 * first call only. */
int
mp_points_avoid(mp_points *points, PyCodeObject *code, int index, bool at_once,
                int reason, PyObject *detail)
{
    if (points->avoided == NULL && (points->avoided = PyDict_New()) == NULL) {
        return -1;
    }
    PyObject *key = avoid_key(code, index);
    bool known = key != NULL && PyDict_GetItemWithError(points->avoided, key) != NULL;
    PyObject *row = Py_BuildValue("OiOO", code, reason, detail,
                                  at_once || known ? Py_True : Py_False);
    int rc =
        key == NULL || row == NULL ? -1 : PyDict_SetItem(points->avoided, key, row);
    Py_XDECREF(key);
    Py_XDECREF(row);
    return rc;
}

/* The row of an instruction that must be avoided, borrowed; NULL: it need not. */
PyObject *
mp_points_avoids(const mp_points *points, PyCodeObject *code, int index)
{
    if (points->avoided == NULL) {
        return NULL;
    }
    PyObject *key = avoid_key(code, index);
    PyObject *row = key == NULL ? NULL : PyDict_GetItemWithError(points->avoided, key);
    mp_err_drop();  // without memory the instruction fails again
    assert(row == NULL || PyTuple_GET_SIZE(row) == 4);
    Py_XDECREF(key);
    return row != NULL && PyTuple_GET_ITEM(row, 3) == Py_True ? row : NULL;
}

/* Guard `at` has failed again.  If it compares a number, or a text where these count, its
 * source is left to the interpreter from now on. */
int
mp_points_note_change(mp_points *points, const mp_guards *guards, int32_t at,
                      bool texts)
{
    assert(at >= 0 && at < guards->n_ops);
    const mp_guard *guard = &guards->ops[at];
    if (guards->dead) {
        return 0;
    }
    if (guard->kind != MP_G_EQUALS
        || !(PyLong_CheckExact(guard->obj) || PyFloat_CheckExact(guard->obj)
             || (texts && PyUnicode_CheckExact(guard->obj)))) {
        return 0;
    }
    if (points->changing == NULL && (points->changing = PySet_New(NULL)) == NULL) {
        return -1;
    }
    PyObject *source = mp_guards_source(guards, guard->a);
    int rc = source == NULL ? -1 : PySet_Add(points->changing, source);
    Py_XDECREF(source);
    return rc;
}

/* Is this register such a number or text? */
bool
mp_points_changes(const mp_points *points, const mp_guards *guards, int32_t reg)
{
    assert(reg >= 0 && reg < guards->n_regs);
    if (points->changing == NULL) {
        return false;
    }
    PyObject *source = mp_guards_source(guards, reg);
    int found = source == NULL ? -1 : PySet_Contains(points->changing, source);
    Py_XDECREF(source);
    mp_err_drop();  // without memory it is pinned once more
    return found > 0;
}

PyObject *
mp_points_place(const mp_resume_point *point)
{
    assert(PyTuple_GET_SIZE(point->codes) > 0);
    Py_ssize_t n = PyTuple_GET_SIZE(point->codes);
    PyCodeObject *code = (PyCodeObject *)PyTuple_GET_ITEM(point->codes, n - 1);
    return Py_BuildValue("(Oi)", code->co_filename, mp_code_line(code, point->index));
}

int
mp_points_visit(mp_points *points, visitproc visit, void *arg)
{
    Py_VISIT(points->index);
    Py_VISIT(points->avoided);
    for (int32_t i = 0; i < points->n; i++) {
        Py_VISIT(points->at[i]->codes);
        int rc = mp_cache_visit(&points->at[i]->cache, visit, arg);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* reset(), or another function under the same object: all entries go.  What they drop
 * may run finalizers, so the table is empty before. */
void
mp_points_clear(mp_points *points)
{
    mp_points old = *points;
    memset(points, 0, sizeof(*points));
    points->serial = old.serial + 1;
    for (int32_t i = 0; i < old.n; i++) {
        mp_cache_clear(&old.at[i]->cache);
        Py_DECREF(old.at[i]->codes);
        PyMem_Free(old.at[i]);
    }
    PyMem_Free(old.at);
    Py_XDECREF(old.index);
    Py_XDECREF(old.avoided);
    Py_XDECREF(old.changing);
}
