/* lock.c - who holds a threading.RLock.  Its layout is private.
 *
 * The layout is that of CPython 3.11 to 3.14.  It is used only after a test at start: a
 * lock is made, taken and released (mp_lock_init).  If that fails, no lock is known to be
 * free. */
#include "compat/private.h"

#include <pythread.h>

typedef struct {
    PyObject_HEAD
#if PY_VERSION_HEX >= 0x030e0000
    size_t lock;               // (a byte and padding)
    unsigned long long owner;  // 0: it is free
    size_t again;              // how often the owner has taken it after the first time
#else
    PyThread_type_lock lock;
    unsigned long owner;
    unsigned long count;  // how often the owner has taken it; 0: it is free
    PyObject *weak_references;
#endif
} rlock_object;

static bool
is_taken(const rlock_object *l)
{
#if PY_VERSION_HEX >= 0x030e0000
    return l->owner != 0;
#else
    return l->count != 0;
#endif
}

static struct {
    bool ready;
    PyTypeObject *type;  // owned, for the process; NULL: unknown
} lock_static;

static bool
call(PyObject *o, const char *method)
{
    PyObject *answer = PyObject_CallMethod(o, method, NULL);
    Py_XDECREF(answer);
    return answer != NULL;
}

/* 1 / 0 / -1 with an exception. */
static int
proves_lock(PyObject *o)
{
    const rlock_object *l = (rlock_object *)o;
    if (Py_TYPE(o)->tp_basicsize != (Py_ssize_t)sizeof(*l) || is_taken(l)) {
        return 0;
    }
    if (!call(o, "acquire")) {
        return -1;
    }
    bool fits = is_taken(l) && l->owner == PyThread_get_thread_ident();
    return !call(o, "release") ? -1 : fits && !is_taken(l);
}

int
mp_lock_init(void)
{
    if (lock_static.ready) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *o = module == NULL ? NULL : PyObject_CallMethod(module, "RLock", NULL);
    int fits = o == NULL ? -1 : proves_lock(o);
    if (fits > 0) {
        lock_static.type = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(o));
    }
    lock_static.ready = fits >= 0;
    Py_XDECREF(o);
    Py_XDECREF(module);
    return fits < 0 ? -1 : 0;
}

bool
mp_lock_is_known(PyObject *o)
{
    return lock_static.type != NULL && Py_IS_TYPE(o, lock_static.type);
}

bool
mp_lock_is_free(PyObject *o)
{
    const rlock_object *l = (rlock_object *)o;
    return !is_taken(l) || l->owner == PyThread_get_thread_ident();
}
