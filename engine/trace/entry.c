/* trace/entry.c - the entry row of a segment: the values of its frames.
 *
 * Constants among them are guarded only when an instruction loads them, so a loop counter
 * that the segment does not use adds no guard. */
#include "trace/trace.h"

PyObject *
mp_entry_name(const mp_shadow *s, int32_t i, bool root)
{
    PyCodeObject *code = s->info->code;
    if (i >= code->co_nlocalsplus) {
        return PyUnicode_FromFormat("%U.stack[%d]", code->co_qualname,
                                    (int)(i - code->co_nlocalsplus));
    }
    PyObject *name = PyTuple_GET_ITEM(code->co_localsplusnames, i);
    return root ? Py_NewRef(name)
                : PyUnicode_FromFormat("%U.%U", code->co_qualname, name);
}

mp_rc
mp_entry_load(mp_trace *T, int32_t at, PyObject *name, PyObject *value)
{
    if (name == NULL) {
        return MP_ERR;
    }
    mp_rc rc = mp_load(T, MP_G_LOAD_ARG, -1, name, at, value);
    Py_DECREF(name);
    return rc;  // (a number waits, or is pinned: mp_symbols_settle)
}

mp_rc
mp_segment_load_local(mp_trace *T, mp_shadow *s, int i)
{
    assert(i >= 0 && i < s->info->code->co_nlocalsplus);
    if (s->unread == NULL || s->unread[i] == 0) {
        return MP_OK;
    }
    PyObject *value = mp_frame_local_borrow(s->f, i);
    if (s->unread[i] == MP_VOLATILE && !T->follows) {
        return mp_trace_abort(T, MP_AB_VOLATILE, "%U",
                              PyTuple_GET_ITEM(s->info->code->co_localsplusnames, i));
    }
    mp_rc rc = mp_entry_load(T, s->base + i, mp_entry_name(s, i, s->root), value);
    mp_refgraph_loosen(&T->graph, value);
    PyObject *box = NULL;
    if (rc == MP_OK) {
        mp_symbol_offer(T, value);
        rc = mp_symbol_take(T, value, &box);
    }
    if (box != NULL) {
        mp_frame_local_set_steal(s->f, i, box);
    }
    if (rc == MP_OK) {  // else it is still what the entry row holds
        s->unread[i] = 0;
    }
    return rc;
}

mp_rc
mp_segment_load_locals(mp_trace *T, mp_shadow *s)
{
    mp_rc rc = MP_OK;
    for (int i = 0;
         s->unread != NULL && rc == MP_OK && i < s->info->code->co_nlocalsplus; i++) {
        rc = mp_segment_load_local(T, s, i);
    }
    return rc;
}

/* The outermost frame lets go of a value of the entry row (or of what came after it). */
static mp_rc
note_store(mp_trace *T, int32_t at)
{
    for (int32_t i = 0; i < T->n_stores; i++) {
        if (T->stores[i] == at) {
            return MP_OK;
        }
    }
    if (mp_grow(&T->stores, &T->cap_stores, T->n_stores + 1, sizeof(*T->stores)) < 0) {
        return MP_ERR;
    }
    T->stores[T->n_stores++] = at;
    return MP_OK;
}

mp_rc
mp_segment_store_local(mp_trace *T, mp_shadow *s, int i)
{
    assert(i >= 0 && i < s->info->code->co_nlocalsplus);
    if (s->unread == NULL) {
        return MP_OK;
    }
    PyObject *old = mp_frame_local_borrow(s->f, i);
    T->lets_go |= old != NULL;  // the frame alone may have held it
    s->unread[i] = 0;
    return s->root && old != NULL && !mp_is_constant(old) ? note_store(T, s->base + i)
                                                          : MP_OK;
}
