/* guard/plant.c - planted holes, see guard/plant.h; empty without MP_TESTING.
 *
 * A planted test is left out.  A load cannot be left out, because other operations need
 * its register: a constant takes its place, the object that it found (a copy, if that is
 * a dict that the program names). */
#include "guard/plant.h"

#ifdef MP_TESTING

#include <string.h>

static int plant_guard = -1;  // kind, -1: none

int
mp_plant_find(const char *id, const char *(*id_of)(int), int n, int *kind)
{
    *kind = -1;
    for (int i = 0; id != NULL && i < n; i++) {
        if (strcmp(id_of(i), id) == 0) {
            *kind = i;
        }
    }
    if (id != NULL && *kind < 0) {
        PyErr_Format(PyExc_ValueError, "no kind %s", id);
        return -1;
    }
    return 0;
}

int
mp_plant_set_guard(const char *id)
{
    return mp_plant_find(id, mp_guard_id, MP_G_COUNT, &plant_guard);
}

bool
mp_plant_has_guard(mp_guard_kind kind)
{
    return (int)kind == plant_guard;
}

int
mp_plant_freeze(mp_guards *g, int32_t reg, PyObject *value)
{
    mp_guard *op = &g->ops[g->def[reg]];
    if ((int)op->kind != plant_guard) {
        return 0;
    }
    PyObject *frozen = op->kind == MP_G_LOAD_CONST && PyDict_CheckExact(value)
                           ? PyDict_Copy(value)
                           : Py_NewRef(value);
    if (frozen == NULL) {
        return -1;
    }
    op->kind = MP_G_LOAD_CONST;
    op->a = -1;
    op->dict = -1;
    Py_XSETREF(op->obj, frozen);
    return 0;
}

bool
mp_plant_is_set(void)
{
    return plant_guard >= 0;
}

#endif
