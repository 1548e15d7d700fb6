/* plan/plan.c - life of a finished recording.
 *
 * A plan owns its parts (guards, ambient snapshots, replay, graph spec, exit) and the
 * input table.  It may be half filled: the recorder builds it part by part and frees it
 * on any failure.  Freeing drops references to user objects and so may run Python; the
 * caller unlinks the plan from everything that can be reached before. */
#include "plan/plan.h"

void
mp_plan_free(mp_plan *p)
{
    if (p == NULL) {
        return;
    }
    if (p->guards != NULL) {
        mp_guards_free(p->guards);
    }
    if (p->ambient != NULL) {
        mp_ambient_free(p->ambient);
    }
    if (p->after != NULL) {
        mp_ambient_free(p->after);
    }
    if (p->replay != NULL) {
        mp_replay_free(p->replay);
    }
    Py_XDECREF(p->graph);
    Py_XDECREF(p->pins);
    Py_XDECREF(p->filtered);
    PyMem_Free(p->inputs);
    PyMem_Free(p->stores);
    mp_exit_free(p->exit);
    mp_sites_fini(&p->sites);
    PyMem_Free(p);
}

int
mp_plan_visit(mp_plan *p, visitproc visit, void *arg)
{
    int rc = 0;
    if (p->guards != NULL) {
        rc = mp_guards_visit(p->guards, visit, arg);
    }
    if (rc == 0 && p->ambient != NULL) {
        rc = mp_ambient_visit(p->ambient, visit, arg);
    }
    if (rc == 0 && p->after != NULL) {
        rc = mp_ambient_visit(p->after, visit, arg);
    }
    if (rc == 0 && p->replay != NULL) {
        rc = mp_replay_visit(p->replay, visit, arg);
    }
    if (rc == 0) {
        Py_VISIT(p->graph);
        Py_VISIT(p->pins);
        Py_VISIT(p->filtered);
        Py_VISIT(p->sites.codes);
        if (p->exit != NULL) {
            Py_VISIT(p->exit->codes);
        }
    }
    return rc;
}
