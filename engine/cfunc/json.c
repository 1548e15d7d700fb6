/* cfunc/json.c - the C half of json: _json.Encoder and _json.Scanner.
 *
 * The encoder reads its argument at any depth, and calls `default` for objects that it
 * cannot write.  The scanner makes new objects from a text, and calls a hook with each of
 * them.  Both callbacks are watched if they are Python functions; any other is refused. */
#include "cfunc/cfunc.h"

#include <string.h>

#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

enum { MAX_DEPTH = 100 };

/* A member of an encoder or scanner (a C struct member): new. */
static PyObject *
json_member(PyObject *callee, const char *name)
{
    return PyObject_GetAttrString(callee, name);
}

/* -- Encoding ------------------------------------------------------------------------------ */

static mp_rc json_walk(mp_trace *T, mp_shadow *s, PyObject *obj, int depth,
                       bool *needs_default);

/* Items of a dict subclass come from its method: it must be that of C. */
static mp_rc
json_items(mp_trace *T, mp_shadow *s, PyObject *dict)
{
    PyObject *const name = MP_NAME(ITEMS);
    mp_rc rc = mp_record_getattr(T, s, dict, name);
    PyObject *own = rc == MP_OK ? mp_instance_dict_borrow(dict) : NULL;
    PyObject *method = mp_type_lookup_borrow(Py_TYPE(dict), name);
    int hidden = own == NULL ? 0 : PyDict_Contains(own, name);
    if (rc == MP_OK && (hidden < 0 || PyErr_Occurred())) {
        rc = MP_ERR;
    }
    if (rc == MP_OK
        && (hidden || method == NULL || !Py_IS_TYPE(method, &PyMethodDescr_Type))) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "json of a %s", mp_type_name(dict));
    }
    return rc;
}

/* The keys and values of a dict, or the items of a list or tuple. */
static mp_rc
json_children(mp_trace *T, mp_shadow *s, PyObject *obj, int depth, bool *needs_default)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    mp_rc rc = MP_OK;
    if (!PyDict_Check(obj)) {
        for (Py_ssize_t i = 0; rc == MP_OK && i < PySequence_Fast_GET_SIZE(obj); i++) {
            rc =
                json_walk(T, s, PySequence_Fast_GET_ITEM(obj, i), depth, needs_default);
        }
        return rc;
    }
    while (rc == MP_OK && PyDict_Next(obj, &pos, &key, &value)) {
        rc = mp_is_constant(key)
                 ? json_walk(T, s, value, depth, needs_default)
                 : mp_trace_abort(T, MP_AB_HASH, "key of type %s", mp_type_name(key));
    }
    return rc;
}

/* Follows the encoder through `obj`, all of which has been read.  Sets *needs_default if
 * it meets an object that json cannot write, so that `default` will be called. */
static mp_rc
json_walk(mp_trace *T, mp_shadow *s, PyObject *obj, int depth, bool *needs_default)
{
    if (mp_is_constant(obj) || PyLong_Check(obj) || PyFloat_Check(obj)
        || PyUnicode_Check(obj)) {
        *needs_default = *needs_default || PyBytes_Check(obj) || PyComplex_Check(obj);
        return MP_OK;
    }
    if (!PyDict_Check(obj) && !PyList_Check(obj) && !PyTuple_Check(obj)) {
        *needs_default = true;
        return MP_OK;
    }
    if (depth > MAX_DEPTH) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a container nested too deeply");
    }
    mp_rc rc = MP_OK;
    if (PyDict_Check(obj) && !PyDict_CheckExact(obj)) {
        rc = json_items(T, s, obj);
    }
    return rc != MP_OK ? rc : json_children(T, s, obj, depth + 1, needs_default);
}

/* json.dumps of obj: all of it is read.  Objects that json cannot write go to `default`,
 * which must be Python code that is watched. */
static mp_rc
json_encode(mp_trace *T, mp_shadow *s, PyObject *encoder, PyObject *obj)
{
    bool has_tensor = false, needs_default = false;
    PyObject *fallback = json_member(encoder, "default");
    PyObject *quote = json_member(encoder, "encoder");
    if (fallback == NULL || quote == NULL) {
        Py_XDECREF(fallback);
        Py_XDECREF(quote);
        return MP_ERR;
    }
    bool known = mp_callee_is_watched(quote) || mp_builtin_effect(quote) == MP_C_READS;
    Py_DECREF(quote);
    mp_rc rc = known ? mp_read_deep(T, obj, &has_tensor)
                     : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "json with an encoder");
    rc = rc != MP_OK ? rc : json_walk(T, s, obj, 0, &needs_default);
    if (rc == MP_OK && needs_default && !mp_callee_is_watched(fallback)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "json calls a %s",
                            mp_type_name(fallback));
    }
    Py_DECREF(fallback);
    s->looks = true;
    s->through_c = true;
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    return rc;
}

/* -- Decoding -------------------------------------------------------------------------------- */

/* json.scanner.c_make_scanner(context): copies the callbacks out of the context, which
 * must be an object that the recording made or a constant. */
mp_rc
mp_rule_scanner(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    if (c->count != 1) {
        return MP_OK;  // TypeError
    }
    mp_rc rc = mp_value(T, c->args[0], &n);
    if (rc == MP_OK && !mp_val_is_constant(n) && !mp_val_is_fresh(n)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a scanner of an external %s",
                            mp_type_name(c->args[0]));
    }
    s->post = MP_POST_RESULT;
    return rc;
}

/* Is one of json's constants in the text?  They are looked up in a dict. */
static int
json_names_constant(PyObject *text)
{
    static const char *const names[] = {"NaN", "Infinity"};
    int found = 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && found == 0; i++) {
        PyObject *name = PyUnicode_FromString(names[i]);
        found = name == NULL ? -1 : PyUnicode_Contains(text, name);
        Py_XDECREF(name);
    }
    return found;
}

/* What the scanner calls; *used tells whether there is such a callback. */
static mp_rc
json_callback(mp_trace *T, PyObject *scanner, bool pinned, const char *name,
              PyObject *text, bool *used)
{
    PyObject *found = json_member(scanner, name);
    if (found == NULL) {
        return MP_ERR;
    }
    mp_rc rc = pinned ? mp_load_const(T, found) : MP_OK;
    *used = found != Py_None;
    if (rc == MP_OK && *used && found != (PyObject *)&PyFloat_Type
        && found != (PyObject *)&PyLong_Type && !PyFunction_Check(found)) {
        int called = strcmp(name, "parse_constant") == 0 ? json_names_constant(text)
                                                         : 1;  // mp-ok: an attribute
        rc = called == 0  ? MP_OK
             : called < 0 ? MP_ERR
                          : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "json calls a %s",
                                           mp_type_name(found));
    }
    Py_DECREF(found);
    return rc;
}

/* scanner(text, index), the body of json.loads.  The text is known; what the scanner
 * makes depends on it and on the callbacks.  A scanner from outside is pinned with its
 * callbacks. */
static mp_rc
json_scan(mp_trace *T, mp_shadow *s, PyObject *scanner, PyObject *text)
{
    static const char *const names[] = {"parse_float", "parse_int", "parse_constant",
                                        "object_hook", "object_pairs_hook"};
    enum { HOOK = 3, PAIRS_HOOK = 4, NAMES = 5 };
    bool used[NAMES];
    mp_val n;
    mp_rc rc = mp_value(T, scanner, &n);
    bool pinned = rc == MP_OK && n.node->reg >= 0;
    if (pinned) {
        rc = mp_load_const(T, scanner);
    }
    for (int i = 0; i < NAMES && rc == MP_OK; i++) {
        rc = json_callback(T, scanner, pinned, names[i], text, &used[i]);
    }
    if (rc == MP_OK) {
        s->makes = used[PAIRS_HOOK] ? &PyList_Type : used[HOOK] ? &PyDict_Type : NULL;
    }
    s->through_c = true;
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_NESTED;
    return rc;
}

/* Notes a new object and, if it is a container, all that is in it as made by this call. */
static mp_rc
nested_result(mp_trace *T, PyObject *obj, int depth)
{
    PyObject *value;
    Py_ssize_t pos = 0;
    mp_rc rc = depth > MAX_DEPTH ? mp_trace_abort(T, MP_AB_OPAQUE_TYPE,
                                                  "a container nested too deeply")
                                 : mp_result(T, obj);
    mp_node *n = rc == MP_OK ? mp_refgraph_find(&T->graph, obj) : NULL;
    if (n == NULL || n->kind != MP_NODE_FRESH) {
        return rc;
    }
    if (PyDict_CheckExact(obj)) {
        while (rc == MP_OK && PyDict_Next(obj, &pos, NULL, &value)) {
            rc = nested_result(T, value, depth + 1);
        }
    }
    else if (PyList_CheckExact(obj) || PyTuple_CheckExact(obj)) {
        for (Py_ssize_t i = 0; rc == MP_OK && i < PySequence_Fast_GET_SIZE(obj); i++) {
            rc = nested_result(T, PySequence_Fast_GET_ITEM(obj, i), depth + 1);
        }
    }
    return rc;
}

mp_rc
mp_post_nested(mp_trace *T, PyObject *obj)
{
    return nested_result(T, obj, 0);
}

/* A call of one of the two types.  An encoder from outside the recording is refused: its
 * C members could have been replaced. */
mp_rc
mp_call_json(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    mp_val n;
    bool encodes = mp_type_is(c->callee, MP_K_JSON_ENCODER);
    mp_rc rc = mp_value(T, c->callee, &n);
    if (rc == MP_OK
        && (c->nargs != 2 || (encodes && n.node->reg >= 0)
            || (!encodes && !PyUnicode_CheckExact(c->args[0])))) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s", mp_type_name(c->callee));
    }
    if (rc != MP_OK) {
        return rc;
    }
    return encodes ? json_encode(T, s, c->callee, c->args[0])
                   : json_scan(T, s, c->callee, c->args[0]);
}
