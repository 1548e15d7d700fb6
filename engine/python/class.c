/* python/class.c - classes that the run makes: `class` statements and calls of type.
 *
 * The body of a class is a frame like any other, with a dict of names.  What C code then
 * calls (__prepare__, __new__ and __init__ of the metaclass, __set_name__,
 * __init_subclass__) becomes known before, so that its frames are watched.
 *
 * Each call makes a class of its own, so a class that outlives the run, and an object of
 * one, cannot be replayed: that is an abort (mp_check_new_classes).
 */
#include "cfunc/cfunc.h"
#include "objects/callables.h"
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* -- What C code calls when a class is made -------------------------------------------------- */

/* The Python function behind what a class has under a name, or NULL. */
static PyObject *
class_function_borrow(PyObject *attr)
{
    if (attr != NULL
        && (Py_IS_TYPE(attr, &PyStaticMethod_Type)
            || Py_IS_TYPE(attr, &PyClassMethod_Type))) {
        attr = mp_descr_part_borrow(attr, 0);
    }
    return attr != NULL && PyFunction_Check(attr) ? attr : NULL;
}

/* cls.name will be called by C: it is Python code that becomes known, or what `plain`, a
 * type of C, has under that name. */
static mp_rc
class_prepare_hook(mp_trace *T, PyTypeObject *cls, PyTypeObject *plain,
                   const char *name)
{
    PyObject *key = PyUnicode_InternFromString(name);
    if (key == NULL) {
        return MP_ERR;
    }
    PyObject *attr = mp_type_lookup_borrow(cls, key);
    PyObject *func = class_function_borrow(attr);
    mp_rc rc = mp_guard_type_attr(T, cls, key, attr);
    if (rc == MP_OK && func != NULL) {
        rc = func == attr ? MP_OK : mp_load_part(T, attr, MP_F_STATIC_FUNC, func);
        rc = rc != MP_OK ? rc : mp_load_const(T, func);
        rc = rc != MP_OK ? rc : mp_guard_function(T, func);
    }
    else if (rc == MP_OK && attr != mp_type_lookup_borrow(plain, key)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s of %s", name, cls->tp_name);
    }
    Py_DECREF(key);
    return rc;
}

/* The metaclass that type.__new__ chooses; NULL if there is a conflict (TypeError). */
static PyTypeObject *
class_winner_borrow(PyTypeObject *meta, PyObject *const *bases, Py_ssize_t n_bases)
{
    for (Py_ssize_t i = 0; i < n_bases; i++) {
        PyTypeObject *tp = Py_TYPE(bases[i]);
        if (PyType_IsSubtype(tp, meta)) {
            meta = tp;
        }
        else if (!PyType_IsSubtype(meta, tp)) {
            return NULL;
        }
    }
    return meta;
}

static mp_rc
class_prepare_meta(mp_trace *T, PyTypeObject *meta)
{
    static const char *const hooks[] = {"__prepare__", "__new__", "__init__", "mro"};
    PyTypeObject *base = meta;
    while ((base->tp_flags & Py_TPFLAGS_HEAPTYPE) && base->tp_base != NULL) {
        base = base->tp_base;
    }
    mp_rc rc = mp_load_const(T, (PyObject *)meta);
    if (rc == MP_OK && (base != &PyType_Type || !Py_IS_TYPE(meta, &PyType_Type))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "metaclass %s", meta->tp_name);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(hooks) && rc == MP_OK; i++) {
        rc = class_prepare_hook(T, meta, &PyType_Type, hooks[i]);
    }
    return rc;
}

/* A class is about to be made of these bases, by C code that this instruction calls. */
static mp_rc
class_prepare(mp_trace *T, mp_shadow *s, PyTypeObject *meta, PyObject *const *bases,
              Py_ssize_t n_bases)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < n_bases && rc == MP_OK; i++) {
        mp_val n;
        rc = mp_value(T, bases[i], &n);
        if (rc == MP_OK && !PyType_Check(bases[i])) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a %s as a base class",
                                mp_type_name(bases[i]));
        }
        rc = rc != MP_OK
                 ? rc
                 : mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)Py_TYPE(bases[i]), 0);
        rc = rc != MP_OK ? rc
                         : class_prepare_hook(T, (PyTypeObject *)bases[i],
                                              &PyBaseObject_Type, "__init_subclass__");
    }
    meta = rc == MP_OK ? class_winner_borrow(meta, bases, n_bases) : NULL;
    rc = meta == NULL ? rc : class_prepare_meta(T, meta);
    T->makes_classes = true;
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_CLASS;
    s->makes = &PyType_Type;
    return rc;
}

/* type.__new__ walks through __slots__. */
static mp_rc
class_read_slots(mp_trace *T, PyObject *names)
{
    PyObject *slots = mp_dict_text_borrow(names, "__slots__");
    if (slots == NULL || PyUnicode_CheckExact(slots)) {
        return MP_OK;
    }
    if (!PyTuple_CheckExact(slots) && !PyList_CheckExact(slots)
        && !PyDict_CheckExact(slots)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "__slots__ in a %s",
                              mp_type_name(slots));
    }
    return mp_read_all(T, slots);
}

/* The body of a class has run; `names` is its namespace.  C code will call __set_name__
 * of what is in it, and read __slots__. */
mp_rc
mp_class_names_end(mp_trace *T, PyObject *names)
{
    PyObject *value, *found;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    mp_rc rc = MP_OK;
    if (PyDict_Check(names) && !mp_dict_keys_are_str(names)) {
        // Each look-up in the class could run the __eq__ of such a key.
        return mp_trace_abort(T, MP_AB_HASH, "a class with a name that is no str");
    }
    rc = PyDict_Check(names) ? class_read_slots(T, names) : rc;
    while (rc == MP_OK && PyDict_Check(names)
           && mp_dict_next(names, &pos, NULL, &value, &hash)) {
        rc = mp_special(T, value, "__set_name__", &found);
        mp_node *n = mp_refgraph_find(&T->graph, value);
        bool is_new =
            n != NULL && n->kind == MP_NODE_FRESH;  // a property notes its name
        if (rc == MP_OK && found != NULL && !PyFunction_Check(found) && !is_new) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_CALL, "__set_name__ of %s",
                                mp_type_name(value));
        }
    }
    return rc;
}

/* -- Who makes classes ------------------------------------------------------------------------ */

/* __build_class__(body, name, *bases, metaclass=..., **keywords) */
mp_rc
mp_rule_build_class(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    PyObject *meta = NULL;
    mp_rc rc = MP_OK;
    Py_ssize_t nargs = c->nargs;
    for (Py_ssize_t i = 0; i < c->count - nargs && rc == MP_OK; i++) {
        rc = mp_know(T, c->args[nargs + i]);
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(c->kwnames, i),
                                             "metaclass")
            == 0) {
            meta = c->args[nargs + i];
        }
    }
    if (rc == MP_OK && meta != NULL && !PyType_Check(meta)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "metaclass of type %s",
                              mp_type_name(meta));
    }
    meta = meta == NULL ? (PyObject *)&PyType_Type : meta;
    return rc != MP_OK || nargs < 2
               ? rc
               : class_prepare(T, s, (PyTypeObject *)meta, c->args + 2, nargs - 2);
}

/* type.__init__(cls, ...) does nothing. */
mp_rc
mp_rule_type_init(mp_trace *T, mp_shadow *s, const mp_call *c)
{
    (void)s;
    return mp_is_new_class(T, c->args[0])
               ? MP_OK
               : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "type.__init__");
}

/* meta(name, bases, names, **keywords), and type.__new__(meta, ...) behind it. */
static mp_rc
class_call(mp_trace *T, mp_shadow *s, PyTypeObject *meta, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    mp_rc rc = MP_OK;
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_know(T, args[i]);
    }
    if (rc == MP_OK && (nargs < 3 || !PyTuple_CheckExact(args[1]))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a call of %s", meta->tp_name);
    }
    rc = rc != MP_OK ? rc : mp_read_all(T, args[1]);
    rc = rc != MP_OK ? rc : mp_read_all(T, args[2]);
    if (rc == MP_OK) {
        rc = class_prepare(T, s, meta, &PyTuple_GET_ITEM(args[1], 0),
                           PyTuple_GET_SIZE(args[1]));
    }
    return rc != MP_OK ? rc : mp_class_names_end(T, args[2]);
}

/* Is it type.__new__ itself? */
static bool
class_is_type_new(PyObject *callee)
{
    return PyCFunction_Check(callee)
           && PyCFunction_GET_SELF(callee) == (PyObject *)&PyType_Type
           && mp_is_new(callee);
}

/* Calls that make a class: a metaclass with more than one argument, or type.__new__
 * below it.  Clears *found for any other callee. */
mp_rc
mp_record_class_maker(mp_trace *T, mp_shadow *s, PyObject *callee,
                      PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                      bool *found)
{
    *found = true;
    if (PyType_Check(callee) && PyType_IsSubtype((PyTypeObject *)callee, &PyType_Type)
        && nargs + (kwnames != NULL) > 1) {
        return class_call(T, s, (PyTypeObject *)callee, args, nargs, kwnames);
    }
    if (class_is_type_new(callee) && nargs > 0 && PyType_Check(args[0])) {
        mp_rc rc = mp_know(T, args[0]);
        return rc != MP_OK ? rc
                           : class_call(T, s, (PyTypeObject *)args[0], args + 1,
                                        nargs - 1, kwnames);
    }
    *found = false;
    return MP_OK;
}

/* The class has been made.  It, its dict and the descriptors that type.__new__ put there
 * are objects of this recording. */
mp_rc
mp_post_class(mp_trace *T, PyObject *cls)
{
    if (mp_refgraph_find(&T->graph, cls) != NULL || !PyType_Check(cls)) {
        return mp_result(T, cls);  // the metaclass answers with something of its own
    }
    PyObject *dict = mp_type_dict_borrow((PyTypeObject *)cls), *value;
    Py_ssize_t pos = 0;
    Py_hash_t hash;
    mp_rc rc = mp_fresh(T, cls);
    rc = rc != MP_OK || dict == NULL ? rc : mp_fresh(T, dict);
    while (rc == MP_OK && dict != NULL
           && mp_dict_next(dict, &pos, NULL, &value, &hash)) {
        bool is_made = Py_IS_TYPE(value, &PyGetSetDescr_Type)
                       || Py_IS_TYPE(value, &PyMemberDescr_Type)
                       || class_function_borrow(value) != NULL;
        if (is_made && mp_refgraph_find(&T->graph, value) == NULL) {
            rc = mp_fresh(T, value);  // by type.__new__
        }
    }
    return rc;
}

/* -- Names of a class body --------------------------------------------------------------------- */

/* Is the name in the dict that the body fills?  If not, it is looked for elsewhere. */
static mp_rc
class_has_name(mp_trace *T, mp_shadow *s, PyObject *name, bool *has)
{
    PyObject *names = mp_frame_names_borrow(s->f), *value;
    mp_val n;
    bool runs;
    mp_rc rc = mp_value(T, names, &n);
    *has = false;
    if (rc == MP_OK && !PyDict_CheckExact(names)) {
        rc = mp_runs_python(T, s, names, "__getitem__", &runs);
        if (rc == MP_OK && !runs) {
            rc = mp_runs_python(T, s, names, "__missing__", &runs);
        }
        if (rc == MP_OK && (runs || !PyDict_Check(names))) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "names in a %s",
                                mp_type_name(names));
        }
        s->post = MP_POST_NONE;
    }
    rc = rc != MP_OK ? rc : mp_read_key(T, names, n.node, name, &value);
    if (rc != MP_OK || value == NULL) {
        return rc;
    }
    *has = true;
    bool is_annotations = PyDict_CheckExact(value) && mp_val_is_fresh(n)
                          && mp_refgraph_find(&T->graph, value) == NULL;
    return is_annotations ? mp_fresh(T, value) : MP_OK;  // SETUP_ANNOTATIONS made it
}

/* LOAD_NAME in a class body: *found tells whether the body's own namespace has it. */
mp_rc
mp_record_load_name(mp_trace *T, mp_shadow *s, PyObject *name, bool *found)
{
    return class_has_name(T, s, name, found);
}

/* STORE_NAME in a class body: an item of its namespace, which may be any mapping. */
mp_rc
mp_record_store_name(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *value)
{
    return mp_record_setitem(T, s, mp_frame_names_borrow(s->f), name, value);
}

/* The frame of a class body starts; its namespace becomes known. */
mp_rc
mp_class_start(mp_trace *T, mp_shadow *s)
{
    PyObject *names = mp_frame_names_borrow(s->f);
    mp_shadow *parent = T->n_stack > 1 ? &T->stack[T->n_stack - 2] : NULL;
    s->names = parent != NULL && parent->execs ? NULL : names;
    if (names == NULL) {
        return mp_trace_abort(T, MP_AB_OPCODE, "a frame without names");
    }
    if (PyDict_CheckExact(names) && mp_refgraph_find(&T->graph, names) == NULL) {
        return mp_fresh(T, names);  // type.__prepare__ made it
    }
    return mp_know(T, names);
}

/* -- Attributes of classes that existed before ---------------------------------------------------- */

/* Attributes that `type` computes: __dict__, __annotations__, __abstractmethods__.
 * Clears *done for any other name, which is then looked up as usual. */
mp_rc
mp_read_class_attr(mp_trace *T, mp_node *n, PyObject *cls, PyObject *name, bool *done)
{
    assert(PyType_Check(cls) && PyUnicode_Check(name));
    PyObject *dict = mp_type_dict_borrow((PyTypeObject *)cls), *value;
    bool is_dict = mp_name_is(name, "__dict__");
    bool is_notes = mp_name_is(name, "__annotations__");
    *done = true;
    if (mp_name_is(name, "__text_signature__")) {
        return MP_OK;  // of the type's C text, which never changes
    }
    if (dict == NULL || n->written != NULL
        || (!is_dict && !is_notes && !mp_name_is(name, "__abstractmethods__"))) {
        *done = false;
        return MP_OK;
    }
    // The class keeps this very dict for its life, and it is pinned.
    mp_rc rc = mp_load_const(T, dict);
    if (rc != MP_OK || is_dict) {
        return rc;
    }
    rc = mp_read_key(T, dict, mp_refgraph_find(&T->graph, dict), name, &value);
    // Annotations that are not there would be made; those with __get__ are called.
    *done = !is_notes || (value != NULL && PyDict_CheckExact(value));
    return rc;
}

/* The text of a class (f"{cls}"): guards its qualified name and its module. *runs: a
 * metaclass in Python makes the text; its frames are recorded. */
mp_rc
mp_read_class_text(mp_trace *T, PyObject *cls, bool *runs)
{
    assert(PyType_Check(cls));
    static const char *const hooks[] = {"__format__", "__str__", "__repr__"};
    PyHeapTypeObject *heap = (PyHeapTypeObject *)cls;
    PyObject *found = NULL;
    mp_val n;
    mp_rc rc = mp_value(T, cls, &n);
    rc = rc != MP_OK ? rc
                     : mp_test(T, MP_G_TYPE_IS, n.node, (PyObject *)Py_TYPE(cls), 0);
    *runs = false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(hooks) && rc == MP_OK; i++) {
        rc = mp_special(T, cls, hooks[i], &found);
        *runs = *runs || (found != NULL && PyFunction_Check(found));
    }
    if (rc != MP_OK || *runs || !(heap->ht_type.tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        return rc;
    }
    if (n.node->reg >= 0) {
        rc = mp_load(T, MP_G_LOAD_FIELD, n.node->reg, MP_NAME(QUALNAME),
                     MP_F_TYPE_QUALNAME, heap->ht_qualname);
    }
    PyObject *module = mp_type_lookup_borrow((PyTypeObject *)cls, MP_NAME(MODULE));
    return rc != MP_OK
               ? rc
               : mp_guard_type_attr(T, (PyTypeObject *)cls, MP_NAME(MODULE), module);
}

/* If the name of this class or function occurs in `text`, guard that name: error
 * messages of C code contain names. */
static mp_rc
guard_name_in(mp_trace *T, PyObject *text, PyObject *obj)
{
    PyObject *name = NULL;
    int field = MP_F_FUNC_QUALNAME;
    if (PyFunction_Check(obj)) {
        name = ((PyFunctionObject *)obj)->func_qualname;
    }
    else if (PyType_Check(obj)
             && PyType_HasFeature((PyTypeObject *)obj, Py_TPFLAGS_HEAPTYPE)
             && !PyType_HasFeature((PyTypeObject *)obj, Py_TPFLAGS_IMMUTABLETYPE)) {
        name = ((PyHeapTypeObject *)obj)->ht_name;
        field = MP_F_TYPE_NAME;
    }
    int found = name == NULL ? 0 : PyUnicode_Contains(text, name);
    if (found <= 0) {
        return found < 0 ? MP_ERR : MP_OK;
    }
    mp_rc rc = mp_load_const(T, obj);
    mp_node *n = mp_refgraph_find(&T->graph, obj);
    if (rc != MP_OK || n == NULL || n->reg < 0) {
        return rc;
    }
    PyObject *step = field == MP_F_TYPE_NAME ? MP_NAME(NAME) : MP_NAME(QUALNAME);
    return mp_load(T, MP_G_LOAD_FIELD, n->reg, step, field, name);
}

/* An exception that C code raised: guards the names in its message. */
mp_rc
mp_guard_message(mp_trace *T, PyObject *exc)
{
    PyObject *args = ((PyBaseExceptionObject *)exc)->args;
    mp_rc rc = MP_OK;
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(args) && rc == MP_OK; k++) {
        PyObject *text = PyTuple_GET_ITEM(args, k);
        int32_t n_nodes = PyUnicode_CheckExact(text) ? T->graph.n_nodes : 0;
        PyTypeObject *last = NULL;
        for (int32_t i = 0; i < n_nodes && rc == MP_OK; i++) {
            const mp_node *n = T->graph.nodes[i];
            if (n->kind != MP_NODE_EXTERNAL || n->released) {
                continue;
            }
            rc = guard_name_in(T, text, n->obj);
            if (rc == MP_OK && n->type != last) {
                last = n->type;
                rc = guard_name_in(T, text, (PyObject *)last);
            }
        }
    }
    return rc;
}

/* -- At the end ----------------------------------------------------------------------------------- */

/* Is it a class that this recording made, or an instance of one? */
static bool
class_is_named(mp_trace *T, PyObject *obj)
{
    return obj != NULL
           && (mp_is_new_class(T, obj) || mp_is_new_class(T, (PyObject *)Py_TYPE(obj)));
}

/* At the end: a class that the recording made must not be named by a guard or by the
 * replay, because each call makes a new one. */
mp_rc
mp_check_new_classes(mp_trace *T, const mp_replay *p)
{
    bool named = false;
    if (!T->makes_classes) {
        return MP_OK;
    }
    for (int32_t i = 0; i < T->guards->n_ops && !named; i++) {
        PyObject *obj = T->guards->ops[i].obj;
        named = class_is_named(T, obj);
        for (Py_ssize_t k = 0;
             obj != NULL && PyTuple_Check(obj) && !named && k < PyTuple_GET_SIZE(obj);
             k++) {
            named = class_is_named(T, PyTuple_GET_ITEM(obj, k));
        }
    }
    for (int32_t i = 0; i < p->n_ops && !named; i++) {
        named = class_is_named(T, p->ops[i].obj);
    }
    return named ? mp_trace_abort(T, MP_AB_OUTPUT, "a new class outlives the call")
                 : MP_OK;
}

/* May __class__ be assigned to `cls`? Not if its instances have finalizers. */
bool
mp_may_become(PyObject *cls)
{
    return cls != NULL && PyType_Check(cls)
           && ((PyTypeObject *)cls)->tp_finalize == NULL
           && ((PyTypeObject *)cls)->tp_del == NULL;
}
