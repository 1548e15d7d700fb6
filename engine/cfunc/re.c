/* cfunc/re.c - pattern.sub, pattern.subn, match.expand.
 *
 * The replacement is a callable, which gets the match, or a text, from which C code makes
 * a template.  For that it looks up a Python function of `re` and calls it: the look-up
 * is guarded like one of the program, and the frames are watched.  From 3.12 on the
 * function is a cache (cfunc/cached.c) that C code has looked up once for the process:
 * re_static.cache. */
#include "cfunc/cfunc.h"

#include <string.h>

#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

static struct {
    PyTypeObject *match;  // owned for the process, as all
    PyObject *cache;      // what C code calls; NULL: it looks up _subx and _expand
    bool unknown;         // it is not known what it calls
} re_static;

/* The number of answers of a cache that functools.lru_cache made; -1 with an exception. */
static long
cache_hits(PyObject *cache)
{
    PyObject *info = PyObject_CallMethod(cache, "cache_info", NULL);
    PyObject *hits = info == NULL ? NULL : PyObject_GetAttrString(info, "hits");
    long n = hits == NULL ? -1 : PyLong_AsLong(hits);
    Py_XDECREF(hits);
    Py_XDECREF(info);
    return n;
}

/* Is this the cache that C code asks?  A template that it has answers for counts. */
static int
prove_cache(PyObject *re, PyObject *cache)
{
    long before = -1, after = -1;
    PyObject *last = NULL;
    if (!mp_is_cached(cache)) {
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        before = cache_hits(cache);
        PyObject *text = before < 0
                             ? NULL
                             : PyObject_CallMethod(re, "sub", "sss", "(a)", "\\1", "a");
        Py_XSETREF(last, text);
        after = last == NULL ? -1 : cache_hits(cache);
    }
    Py_XDECREF(last);
    return PyErr_Occurred() ? -1 : after == before + 1;
}

int
mp_re_init(void)
{
    if (re_static.match != NULL) {
        return 0;
    }
    PyObject *re = PyImport_ImportModule("re");
    PyObject *dict = re != NULL && PyModule_Check(re) ? PyModule_GetDict(re) : NULL;
    PyObject *match = re == NULL ? NULL : PyObject_GetAttrString(re, "Match");
    PyObject *cache =
        dict == NULL ? NULL : mp_dict_text_borrow(dict, "_compile_template");
    int proved = match == NULL ? -1 : cache == NULL ? 0 : prove_cache(re, cache);
    if (proved >= 0) {
        re_static.unknown = cache != NULL && proved == 0;
        re_static.cache = Py_XNewRef(cache);
        re_static.match = (PyTypeObject *)Py_NewRef(match);
    }
    Py_XDECREF(match);
    Py_XDECREF(re);
    return re_static.match == NULL ? -1 : 0;
}

/* The argument behind self, or the keyword `name`: borrowed, or NULL. */
static PyObject *
second_arg(const mp_call *c, const char *name)
{
    for (Py_ssize_t i = c->nargs; i < c->count; i++) {
        if (mp_name_is(PyTuple_GET_ITEM(c->kwnames, i - c->nargs), name)) {
            return c->args[i];
        }
    }
    return c->nargs > 1 ? c->args[1] : NULL;
}

/* An attribute of a pattern that is there before the run: no pattern changes.  The names of
 * groups come in a new view. */
mp_rc
mp_read_pattern(mp_trace *T, mp_shadow *s, PyObject *pattern, PyObject *name)
{
    mp_rc rc = mp_load_const(T, pattern);
    PyObject *value = rc == MP_OK ? PyObject_GenericGetAttr(pattern, name) : NULL;
    if (value == NULL) {
        return rc != MP_OK ? rc : MP_ERR;
    }
    if (Py_IS_TYPE(value, &PyDictProxy_Type) || PyDict_CheckExact(value)) {
        s->post = MP_POST_FRESH;
        rc = Py_IS_TYPE(value, &PyDictProxy_Type)
                 ? mp_load_const(T, mp_proxy_mapping_borrow(value))
                 : MP_OK;
    }
    else {
        rc = mp_load_const(T, value);
    }
    Py_DECREF(value);
    return rc;
}

/* Texts without a backslash stand for themselves. */
static bool
is_template(PyObject *text)
{
    return PyUnicode_CheckExact(text)
               ? PyUnicode_FindChar(text, '\\', 0, PyUnicode_GET_LENGTH(text), 1) >= 0
           : PyBytes_CheckExact(text)
               ? memchr(PyBytes_AS_STRING(text), '\\', (size_t)PyBytes_GET_SIZE(text))
                     != NULL
               : !PyCallable_Check(text);
}

/* The template comes from the cache.  One that it has to make is a break: its frames would
 * run below a call that does other things, too. */
static mp_rc
read_cache(mp_trace *T, const mp_shadow *s, PyObject *pattern, PyObject *text)
{
    mp_shadow scratch = *s;
    PyObject *args[] = {pattern, text};
    mp_call c = mp_call_make(re_static.cache, args, 2, NULL);
    scratch.cached = scratch.cached_key = NULL;
    mp_rc rc = mp_load_const(T, re_static.cache);
    rc = rc != MP_OK ? rc : mp_cached_begin(T, &scratch, &c);
    if (rc == MP_OK && scratch.cached != NULL) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a new template of re");
    }
    Py_XDECREF(scratch.cached);
    Py_XDECREF(scratch.cached_key);
    return rc;
}

/* The function of re that C code calls. */
static mp_rc
read_function(mp_trace *T, mp_shadow *s, PyObject *name)
{
    PyObject *module, *found;
    mp_rc rc = mp_read_module(T, s, "re", &module);
    PyObject *dict =
        rc == MP_OK && PyModule_CheckExact(module) ? PyModule_GetDict(module) : NULL;
    if (rc != MP_OK || dict == NULL) {
        return rc != MP_OK
                   ? rc
                   : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a replaced module re");
    }
    rc = mp_load_const(T, dict);
    rc = rc != MP_OK
             ? rc
             : mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), name, &found);
    return rc == MP_OK && (found == NULL || !PyFunction_Check(found))
               ? mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a replaced re.%U", name)
               : rc;
}

mp_rc
mp_rule_pattern(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    s->below = MP_BELOW_WATCH;
    mp_rc rc = mp_eval_args(T, s, c);
    bool expands = c->nargs > 0 && Py_IS_TYPE(c->args[0], re_static.match);
    PyObject *text = second_arg(c, expands ? "template" : "repl"), *pattern;
    s->makes = re_static.match;
    if (rc != MP_OK || text == NULL || !(expands || is_template(text))) {
        return rc;
    }
    if (re_static.unknown) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a replaced cache of re");
    }
    if (re_static.cache == NULL) {
        return read_function(T, s, expands ? MP_NAME(EXPAND) : MP_NAME(SUBX));
    }
    pattern =
        expands ? PyObject_GetAttrString(c->args[0], "re") : Py_NewRef(c->args[0]);
    rc = pattern == NULL ? MP_ERR : read_cache(T, s, pattern, text);
    Py_XDECREF(pattern);
    return rc;
}
