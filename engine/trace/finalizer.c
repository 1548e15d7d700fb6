/* trace/finalizer.c - does something run when an object dies? */
#include "guard/weak.h"
#include "trace/trace.h"

/* A callback of a weak reference, other than those of weak tables (WeakKeyDictionary,
 * ...) and those by which an entry learns that an object of its guards has died. */
static bool
has_callback(PyObject *v)
{
    if (mp_is_identity(v) || !PyType_SUPPORTS_WEAKREFS(Py_TYPE(v))) {
        return false;
    }
    PyWeakReference *ref = *(PyWeakReference **)PyObject_GET_WEAKREFS_LISTPTR(v);
    for (; ref != NULL; ref = ref->wr_next) {
        PyObject *callback = ref->wr_callback;
        if (callback != NULL && !mp_guards_is_watch(callback)
            && !(PyFunction_Check(callback)
                 && mp_is_library(PyFunction_GET_GLOBALS(callback)))) {
            return true;
        }
    }
    return false;
}

bool
mp_has_finalizer(PyObject *v)
{
    PyTypeObject *tp = Py_TYPE(v);
    bool in_python = (tp->tp_flags & Py_TPFLAGS_HEAPTYPE)
                     && !(tp->tp_flags & Py_TPFLAGS_IMMUTABLETYPE);
    return (in_python && (tp->tp_finalize != NULL || tp->tp_del != NULL))
           || mp_gen_runs_code(v) || has_callback(v);
}
