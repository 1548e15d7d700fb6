/* read/boxes.c - boxes of symbols in containers from outside (trace/symbol.h).
 *
 * `for n in xs`, `xs[1:]`, `sum(xs)`, `xs[0] += 1`: C code hands out the items of a container that
 * existed before the run, so numbers among them that are not pinned must be recognised there.
 *
 * What must hold: other code finds equal numbers of the same type, and when the segment ends the
 * very objects that were there (run/unbox.c). */
#include "objects/types.h"
#include "read/read.h"

/* The deque's own C code, whatever a subclass overrides. */
static mp_rc
put_in_deque(PyObject *deque, Py_ssize_t i, PyObject *box)
{
    PySequenceMethods *as = ((PyTypeObject *)mp_known[MP_K_DEQUE])->tp_as_sequence;
    return as->sq_ass_item(deque, i, box) < 0 ? MP_ERR : MP_OK;
}

static mp_rc
box_deque_in_place(mp_trace *T, int32_t reg, PyObject *obj)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < Py_SIZE(obj) && rc == MP_OK; i++) {
        PyObject *item = mp_deque_item(obj, i), *box = NULL;
        rc = item == NULL ? MP_ERR : mp_symbol_take_item(T, reg, i, NULL, item, &box);
        rc = box == NULL ? rc : put_in_deque(obj, i, box);
        Py_XDECREF(box);
        Py_XDECREF(item);
    }
    return rc;
}

/* A list or tuple. */
static mp_rc
box_items_in_place(mp_trace *T, int32_t reg, PyObject *obj)
{
    PyObject **items = PySequence_Fast_ITEMS(obj);
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < Py_SIZE(obj) && rc == MP_OK; i++) {
        PyObject *box;
        rc = mp_symbol_take_item(T, reg, i, NULL, items[i], &box);
        if (box != NULL) {
            Py_SETREF(items[i], box);  // (a number, whose death runs nothing)
        }
    }
    return rc;
}

static mp_rc
box_values_in_place(mp_trace *T, int32_t reg, PyObject *dict)
{
    PyObject *key, *value, *box;
    Py_ssize_t pos = 0;
    mp_rc rc = MP_OK;
    while (rc == MP_OK && PyDict_Next(dict, &pos, &key, &value)) {
        rc = mp_symbol_take_item(T, reg, -1, key, value, &box);
        if (rc == MP_OK && box != NULL && PyDict_SetItem(dict, key, box) < 0) {
            rc = MP_ERR;  // (of a key that is there, which is found by its address)
        }
        Py_XDECREF(box);
    }
    return rc;
}

/* C code is about to hand out what a list, tuple, dict or deque from outside holds, or the run to
 * change it.  Items that became symbols are replaced by their boxes in the container itself, so
 * that whoever goes through it finds them; they leave it when the segment ends (run/unbox.c).
 * R: the caller has read all of it (mp_read_all), and what runs next does not look at items. */
mp_rc
mp_box_in_place(mp_trace *T, PyObject *obj)
{
    bool listed = PyList_CheckExact(obj) || PyTuple_CheckExact(obj);
    bool deque = mp_type_is(obj, MP_K_DEQUE);
    mp_node *n =
        T->symbols.n_waiting == 0 || !(listed || deque || PyDict_CheckExact(obj))
            ? NULL
            : mp_refgraph_find(&T->graph, obj);
    if (n == NULL || n->kind != MP_NODE_EXTERNAL || n->reg < 0) {
        return MP_OK;
    }
    int before = T->symbols.n_waiting;
    mp_rc rc = listed  ? box_items_in_place(T, n->reg, obj)
               : deque ? box_deque_in_place(T, n->reg, obj)
                       : box_values_in_place(T, n->reg, obj);
    if (T->symbols.n_waiting < before) {
        n->boxed = T->symbols.are_outside = true;
    }
    return rc;
}

/* The program's own numbers stand in the list again. */
void
mp_unbox_list(mp_trace *T, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        PyObject *value = mp_symbol_value_borrow(T, item);
        if (value != NULL) {
            PyList_SET_ITEM(list, i, Py_NewRef(value));
            Py_DECREF(item);  // (its node has it, too)
        }
    }
}

/* C code is about to hide what a list holds, and may call the program meanwhile (list.sort): if the
 * segment ends there, nobody would find the boxes.  So they leave the list before, and their
 * numbers are pinned. */
mp_rc
mp_unbox_in_place(mp_trace *T, PyObject *list)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && rc == MP_OK; i++) {
        rc = mp_pin(T, PyList_GET_ITEM(list, i));
    }
    if (rc == MP_OK) {
        mp_unbox_list(T, list);
    }
    return rc;
}
