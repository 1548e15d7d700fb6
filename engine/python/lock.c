/* python/lock.c - locks of the standard library's caches, which `with` statements and calls of
 * acquire() and release() take.
 *
 * The rule is at mp_take_lock.  T->n_locks counts the locks that the run holds; T->locked is
 * where it took the first one, T->n_free_writes how many entries the journal had then. */
#include "python/python.h"

bool
mp_is_cache_lock(const mp_shadow *s, PyObject *lock)
{
    PyObject *globals = mp_frame_globals_borrow(s->f);
    return mp_type_is(lock, MP_K_RLOCK)
           && (mp_is_module(globals, MP_MODULE_FUNCTOOLS)
               || mp_is_module(globals, MP_MODULE_LOGGING));
}

/* Has the run written to an external object since it took the lock? A hit runs its graph
 * between the guards and the effects, and other threads may run then: they would see the
 * lock free and the write not yet done. */
static bool
writes_while_locked(mp_trace *T)
{
    for (int i = T->n_free_writes; i < T->n_writes; i++) {
        const mp_write *w = &T->writes[i];
        if (!w->dead && !w->memo && w->kind <= MP_W_CONTENT && w->node->reg >= 0) {
            return true;
        }
    }
    return false;
}

/* Is it the frame of Logger.isEnabledFor()? */
static bool
is_asked(const mp_shadow *s)
{
    PyObject *f = mp_known[MP_K_IS_ENABLED_FOR];
    return f != NULL && PyFunction_Check(f)
           && (PyObject *)mp_frame_code_borrow(s->f)
                  == ((PyFunctionObject *)f)->func_code;
}

/* That keeps what it has found in self._cache, under the lock.  Another thread
 * may change a level and clear it while a hit runs its graph: then the hit keeps nothing, as
 * its guards no longer hold.  (What code of the program writes below it counts.) */
static void
mark_answers(mp_trace *T, const mp_shadow *s)
{
    const mp_shadow *asks = is_asked(s) ? s : NULL;
    if (asks == NULL && s > T->stack && is_asked(s - 1)) {
        asks = s - 1;  // until 3.12 the lock is released by a function
    }
    if (asks == NULL) {
        return;
    }
    PyObject *logger = mp_frame_local_borrow(asks->f, 0);
    PyObject *dict = logger == NULL ? NULL : mp_instance_dict_borrow(logger);
    PyObject *cache = dict == NULL ? NULL : mp_dict_text_borrow(dict, "_cache");
    mp_err_drop();  // without memory for the dict of an instance it has none
    for (int i = T->n_free_writes; cache != NULL && i < T->n_writes; i++) {
        mp_write *w = &T->writes[i];
        if (w->kind == MP_W_KEY_SET && w->node->obj == cache) {
            w->memo = true;
        }
    }
}

/* A hit takes no lock. It runs only where the lock is free (UNLOCKED), and a run that
 * wrote while it held a lock of logging is not recorded. (What cached_property writes
 * under its lock is the same value whichever thread writes last; since 3.12 it has no
 * lock.) takes: acquire, else release. */
mp_rc
mp_take_lock(mp_trace *T, const mp_shadow *s, PyObject *lock, bool takes)
{
    mp_val n;
    if (T->trial) {
        return mp_trace_abort(T, MP_AB_MUTATION, "a lock, in a trial");
    }
    if (!takes && T->n_locks == 0) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a lock that was taken before");
    }
    mp_rc rc = mp_value(T, lock, &n);
    if (rc == MP_OK && !mp_lock_is_known(lock)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a lock");
    }
    if (rc != MP_OK || !takes) {
        T->n_locks -= takes ? 0 : 1;
        if (rc == MP_OK && T->n_locks == 0) {
            mark_answers(T, s);
        }
        if (rc == MP_OK && T->n_locks == 0
            && mp_is_module(mp_frame_globals_borrow(s->f), MP_MODULE_LOGGING)
            && writes_while_locked(T)) {
            T->whole_only = true;  // the next call finds what this one writes
            rc = mp_trace_abort(T, MP_AB_MUTATION, "a write under a lock of logging");
        }
        return rc;
    }
    if (T->n_locks == 0) {
        T->locked = T->graph.at;
        T->n_free_writes = T->n_writes;
    }
    T->n_locks++;
    return mp_test(T, MP_G_UNLOCKED, n.node, NULL, 0);
}
