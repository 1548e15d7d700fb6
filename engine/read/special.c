/* read/special.c - special methods that C code calls: which of them run code.
 *
 * The interpreter looks a special method up in the class of its operand.  One of three kinds
 * is found there:
 *   a function in Python     its frame is watched
 *   the C type's own         its slot, which the caller's row or handler describes
 *   any other callable       `__neg__ = log.pop`, a partial, an object with __call__, ...: a
 *                            call that no instruction shows
 * R: the third kind is never taken for the second.  What calls it ends the segment, unless it
 * is described as a call (mp_call_special).
 */
#include "read/read.h"

#include <structmember.h>

#include "objects/own.h"
#include "objects/rows.h"

/* -- What was found ----------------------------------------------------------------------- */

bool
mp_is_method_of_c(PyObject *found)
{
    return Py_IS_TYPE(found, &PyWrapperDescr_Type)
           || Py_IS_TYPE(found, &PyMethodDescr_Type);
}

/* object's own, put back by a class over another C type: they know identities alone.  (Texts
 * show addresses.) */
static bool
is_of_object(PyObject *name, PyObject *found)
{
    static const char *const texts[] = {"__repr__", "__str__", "__format__"};
    if (!mp_is_method_of_c(found)
        || ((PyDescrObject *)found)->d_type != &PyBaseObject_Type) {
        return false;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(texts); i++) {
        if (mp_name_is(name, texts[i])) {
            return false;
        }
    }
    return true;
}

/* Is it Python code, which is watched, or the slot of the C type behind tp? */
static bool
is_plain_special(PyTypeObject *tp, PyObject *name, PyObject *found)
{
    if (found == NULL || found == Py_None || PyFunction_Check(found)) {
        return true;
    }
    if (mp_type_lookup_borrow(mp_c_base(tp), name) == found
        || is_of_object(name, found)) {
        return true;
    }
    if (mp_is_method_of_c(found)) {  // IntEnum.__str__ is int.__repr__
        PyTypeObject *owner = ((PyDescrObject *)found)->d_type;
        return mp_is_value_type(owner) && PyType_IsSubtype(tp, owner);
    }
    // What cannot be called is a TypeError of the program's.
    return !(Py_TYPE(found)->tp_flags & Py_TPFLAGS_HEAPTYPE) && !PyCallable_Check(found)
           && Py_TYPE(found)->tp_descr_get == NULL;
}

/* The function becomes known; what is none of the three kinds is refused. */
static mp_rc
take_special(mp_trace *T, PyObject *obj, PyObject *name, PyObject *found)
{
    if (found != NULL && PyFunction_Check(found)) {
        return mp_refgraph_find(&T->graph, found) == NULL ? mp_load_const(T, found)
                                                          : MP_OK;
    }
    if (found == NULL || mp_tensor_is_any(obj)
        || is_plain_special(Py_TYPE(obj), name, found)
        || mp_is_compiled_call(obj, found)
        || mp_compiled_original_borrow(found) != NULL) {
        return MP_OK;
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "%s.%U, which is a %s",
                          Py_TYPE(obj)->tp_name, name, mp_type_name(found));
}

static mp_rc
look_up(mp_trace *T, PyObject *obj, const char *name, PyObject **found, bool any)
{
    *found = NULL;
    PyObject *key = PyUnicode_InternFromString(name);
    if (key == NULL) {
        return MP_ERR;
    }
    PyObject *attr = mp_type_lookup_borrow(Py_TYPE(obj), key);
    mp_rc rc = mp_guard_type_attr(T, Py_TYPE(obj), key, attr);
    if (rc == MP_OK && (!any || (attr != NULL && PyFunction_Check(attr)))) {
        rc = take_special(T, obj, key, attr);
    }
    Py_DECREF(key);
    *found = rc == MP_OK ? attr : NULL;
    return rc;
}

mp_rc
mp_special(mp_trace *T, PyObject *obj, const char *name, PyObject **found)
{
    return look_up(T, obj, name, found, false);
}

mp_rc
mp_special_any(mp_trace *T, PyObject *obj, const char *name, PyObject **found)
{
    return look_up(T, obj, name, found, true);
}

/* -- Instances that C code gets ------------------------------------------------------------- */

static PyObject *
special_names_borrow(void)
{
    static const char *const texts[] = {
#define SPECIAL(name) #name,
#include "read/specials.def"
#undef SPECIAL
    };
    static PyObject *names;  // tuple, for the process
    if (names != NULL) {
        return names;
    }
    PyObject *made = PyTuple_New((Py_ssize_t)Py_ARRAY_LENGTH(texts));
    for (size_t i = 0; made != NULL && i < Py_ARRAY_LENGTH(texts); i++) {
        PyObject *name = PyUnicode_InternFromString(texts[i]);
        if (name == NULL) {
            Py_CLEAR(made);
            break;
        }
        PyTuple_SET_ITEM(made, (Py_ssize_t)i, name);
    }
    return names = made;
}

/* One guard for all names: a class that C code gets has dozens of them. */
static mp_rc
guard_specials(mp_trace *T, PyTypeObject *tp, PyObject *names)
{
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    PyObject *found = PyTuple_New(count);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        PyObject *attr = mp_type_lookup_borrow(tp, PyTuple_GET_ITEM(names, i));
        PyTuple_SET_ITEM(found, i, Py_NewRef(attr ? attr : mp_guard_absent()));
    }
    PyObject *row =
        found == NULL ? NULL : PyTuple_Pack(3, (PyObject *)tp, names, found);
    int rc = row == NULL
                 ? -1
                 : mp_guards_test(T->guards, MP_G_TYPE_SPECIALS, -1, -1, row, 0, NULL);
    Py_XDECREF(row);
    Py_XDECREF(found);
    return rc < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_prepare_instance(mp_trace *T, PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    PyObject *names = special_names_borrow();
    if (names == NULL) {
        return MP_ERR;
    }
    if (!(tp->tp_flags & Py_TPFLAGS_HEAPTYPE)
        || (tp->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)
        || (mp_is_identity(obj) && !PyType_Check(obj))  // (metaclasses have methods)
        || mp_tensor_is_any(obj)) {
        return MP_OK;
    }
    // Once per class: the guards that this emits hold the class, so its address is its own.
    // (None holds a class that the run made.)
    bool is_new = mp_is_new_class(T, (PyObject *)tp);
    int first = is_new ? 1 : mp_refgraph_first(&T->graph, MP_G_TYPE_SPECIALS, tp, 0);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    mp_node *cls = mp_refgraph_find(&T->graph, (PyObject *)tp);
    bool one_by_one = is_new || (cls != NULL && cls->written != NULL);
    mp_rc rc = one_by_one ? MP_OK : guard_specials(T, tp, names);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names) && rc == MP_OK; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject *attr = mp_type_lookup_borrow(tp, name);
        rc = one_by_one ? mp_guard_type_attr(T, tp, name, attr) : MP_OK;
        rc = rc != MP_OK ? rc : take_special(T, obj, name, attr);
    }
    return rc;
}

/* -- Compiled modules -------------------------------------------------------------------- */

/* What the slot `descr` of obj holds, or NULL. */
PyObject *
mp_call_slot_borrow(PyObject *obj, PyObject *descr)
{
    descr = mp_call_slot_member_borrow(descr);
    if (descr == NULL) {
        return NULL;
    }
    PyMemberDef *m = ((PyMemberDescrObject *)descr)->d_member;
    return m->type == T_OBJECT_EX && mp_descr_fits(descr, obj)
               ? *(PyObject **)((char *)obj + m->offset)
               : NULL;
}

/* A compiled module keeps its compiled function in a slot. */
bool
mp_is_compiled_call(PyObject *obj, PyObject *call)
{
    PyObject *slot = mp_call_slot_borrow(obj, call);
    return slot != NULL && mp_compiled_original_borrow(slot) != NULL;
}
