/* python/body.c - what a body (graph/region.c) must not do.
 *
 * R: nothing that was there before a body is changed by it: the body that the program has not
 * run leaves no trace, and the one that it has run is repeated only if it is chosen again.
 * Tensors are looked at by graph/writes.c, external objects by the journal; this file looks at
 * the objects that the run has made, which need no journal. */
#include "cfunc/cfunc.h"
#include "compat/compat.h"
#include "graph/graph.h"
#include "objects/rows.h"
#include "python/python.h"

#define TOP(s, in, k) mp_frame_stack_borrow((s)->f, (in)->depth - (k))

/* obj is about to be changed. */
static mp_rc
must_own(mp_trace *T, PyObject *obj)
{
    const mp_node *n = obj == NULL ? NULL : mp_refgraph_find(&T->graph, obj);
    return n != NULL && mp_body_made(T, n)
               ? MP_OK
               : mp_trace_abort(T, MP_AB_CONTROL_FLOW, "a %s from outside is changed",
                                obj == NULL ? "variable" : mp_type_name(obj));
}

/* It may be advanced: one that only the stack holds has been made for that. */
static mp_rc
must_own_iterator(mp_trace *T, PyObject *obj)
{
    mp_frame *f = T->stack[T->n_stack - 1].f;
    bool harmless = obj == NULL || !PyIter_Check(obj)
                    || (Py_REFCNT(obj) == 1 && !mp_frame_borrows(f, obj));
    return harmless ? MP_OK : must_own(T, obj);
}

/* FOR_ITER: one that the arms of a branch have each for themselves may be advanced, too. */
static mp_rc
may_advance(mp_trace *T, const mp_shadow *s, const mp_instr *in)
{
    const mp_region *r = T->region;
    int place = in->depth - 1;
    bool own = r != NULL && mp_is_branch(r) && r->arrived && T->n_stack - 1 == r->depth
               && place < r->below && place < MP_REGION_LOOPS
               && (r->loops >> place & 1) != 0 && Py_REFCNT(TOP(s, in, 1)) == 1;
    return own ? MP_OK : must_own(T, TOP(s, in, 1));
}

/* Cells of frames that the body has called are its own. */
static mp_rc
check_cell(mp_trace *T, const mp_shadow *s, int i)
{
    bool own = T->n_stack - 1 > T->region->depth + 1
               && (mp_local_kind(s->info->code, i) & CO_FAST_CELL);
    return own ? MP_OK : must_own(T, NULL);
}

mp_rc
mp_body_check_instr(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    assert(T->inside > 0);
    PyObject *obj;
    switch ((mp_op)in->op) {
    case MP_OP_STORE_ATTR:
    case MP_OP_DELETE_ATTR:
        return must_own(T, TOP(s, in, 1));
    case MP_OP_STORE_SUBSCR:
    case MP_OP_DELETE_SUBSCR:
        obj = TOP(s, in, 2);
        return mp_tensor_is_any(obj) ? MP_OK : must_own(T, obj);
    case MP_OP_STORE_SLICE:
        obj = TOP(s, in, 3);
        return mp_tensor_is_any(obj) ? MP_OK : must_own(T, obj);
    case MP_OP_STORE_DEREF:
    case MP_OP_DELETE_DEREF:
        return check_cell(T, s, in->arg);
    case MP_OP_LIST_APPEND:
    case MP_OP_SET_ADD:
        return must_own(T, TOP(s, in, 1 + in->arg));
    case MP_OP_MAP_ADD:
        return must_own(T, TOP(s, in, 2 + in->arg));
    case MP_OP_LIST_EXTEND:
    case MP_OP_SET_UPDATE:
    case MP_OP_DICT_UPDATE:
    case MP_OP_DICT_MERGE: {
        mp_rc rc = must_own_iterator(T, TOP(s, in, 1));
        return rc != MP_OK ? rc : must_own(T, TOP(s, in, 1 + in->arg));
    }
    case MP_OP_FOR_ITER:
        return may_advance(T, s, in);
    case MP_OP_GET_ITER:
    case MP_OP_UNPACK_SEQUENCE:
    case MP_OP_UNPACK_EX:
    case MP_OP_CONTAINS_OP:
        return must_own_iterator(T, TOP(s, in, 1));
    case MP_OP_BINARY_OP:
        obj = TOP(s, in, 2);
        return in->arg < 13 || mp_is_constant(obj) || mp_tensor_is_any(obj)
                       || PyTuple_CheckExact(obj)
                   ? MP_OK
                   : must_own(T, obj);
    case MP_OP_STORE_GLOBAL:
    case MP_OP_DELETE_GLOBAL:
    case MP_OP_STORE_NAME:
    case MP_OP_DELETE_NAME:
    case MP_OP_SETUP_ANNOTATIONS:
        return must_own(T, NULL);
    case MP_OP_SEND:
    case MP_OP_GET_YIELD_FROM_ITER:
    case MP_OP_YIELD_VALUE:
    case MP_OP_IMPORT_NAME:
    case MP_OP_LOAD_BUILD_CLASS:
    case MP_OP_BEFORE_WITH:
    case MP_OP_LOAD_SPECIAL:
    case MP_OP_PUSH_EXC_INFO:
    case MP_OP_RAISE_VARARGS:
    case MP_OP_RERAISE:
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%s in a body",
                              mp_op_name(in->op));
    default:
        return MP_OK;
    }
}

mp_rc
mp_body_check_call(mp_trace *T, const mp_call *c)
{
    assert(T->inside > 0);
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < c->count && rc == MP_OK; i++) {
        rc = mp_is_array(c->args[i])
                 ? mp_trace_abort(T, MP_AB_CONTROL_FLOW, "an array in a body")
                 : must_own_iterator(T, c->args[i]);
    }
    if (rc != MP_OK) {
        return rc;
    }
    switch (c->rule) {
    case RULE_EVAL:
    case RULE_MOVE:
    case RULE_PASS:
    case RULE_SPREAD:
    case RULE_OPERATE:
    case RULE_READ:
    case RULE_GETITEM:
    case RULE_ITEM:
    case RULE_CONTAINS:
    case RULE_DICT_GET:
    case RULE_LEN:
    case RULE_TRUTH:
    case RULE_TEXT:
    case RULE_ISINSTANCE:
    case RULE_ISSUBCLASS:
    case RULE_CALLABLE:
    case RULE_TYPE:
    case RULE_GETATTR:
    case RULE_GENERIC_GETATTR:
    case RULE_SUPER:
    case RULE_VALUE:
    case RULE_ITER:
    case RULE_NEW:
        return MP_OK;
    case RULE_APPEND:
    case RULE_CONTENT:
    case RULE_CONTENT_PASS:
    case RULE_CONTENT_EVAL:
    case RULE_SETITEM:
    case RULE_DICT_SETDEFAULT:
    case RULE_DICT_POP:
    case RULE_DICT_UPDATE:
    case RULE_SETATTR:
    case RULE_GENERIC_SETATTR:
    case RULE_INPLACE:
        return c->count > 0 && mp_tensor_is_any(c->args[0])
                   ? MP_OK
                   : must_own(T, c->count > 0 ? c->args[0] : NULL);
    default:
        return mp_trace_abort(T, MP_AB_CONTROL_FLOW, "%s in a body",
                              mp_callee_name(c->callee));
    }
}
