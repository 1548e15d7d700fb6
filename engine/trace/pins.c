/* trace/pins.c - where a recording needed the value of a number that could have been a symbol.
 *
 * For people: a mark of the user that cannot be kept is told with the line that pinned the
 * size, and so is a number that was dynamic and is a constant after all. */
#include "trace/trace.h"

enum { PINS_MAX = 64 };

static int
pins_note(mp_trace *T, int32_t source)
{
    for (int32_t i = 0; i < T->n_pins; i++) {
        if (T->pins[i].number == source) {
            return 0;
        }
    }
    if (T->pins == NULL && (T->pins = PyMem_New(mp_pin_note, PINS_MAX)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    T->pins[T->n_pins++] = (mp_pin_note){source, T->graph.at};
    return 0;
}

/* The sources that the number is computed from: operands stand before what they make. */
mp_rc
mp_note_pin(mp_trace *T, int32_t number)
{
    const mp_numbers *numbers = &T->guards->numbers;
    assert(number >= 0 && number < numbers->n);
    bool *needed = T->n_pins == PINS_MAX ? NULL : PyMem_Calloc((size_t)number + 1, 1);
    if (needed == NULL) {
        return MP_OK;  // there are enough, or no memory to tell of more
    }
    int rc = 0;
    needed[number] = true;
    for (int32_t k = number; k >= 0 && rc == 0 && T->n_pins < PINS_MAX; k--) {
        const mp_number *one = &numbers->ops[k];
        if (!needed[k]) {
            continue;
        }
        if (mp_number_is_source(one->op)) {
            rc = pins_note(T, k);
            continue;
        }
        if (one->a >= 0) {
            needed[one->a] = true;
        }
        if (mp_number_has_b(one->op) && one->b >= 0) {
            needed[one->b] = true;
        }
    }
    PyMem_Free(needed);
    return rc < 0 ? MP_ERR : MP_OK;
}

/* Has the user marked this size as dynamic? */
static bool
pins_is_wanted(const mp_trace *T, const mp_number *source)
{
    for (int32_t i = 0; source->op == MP_N_SIZE && i < T->graph.n_nodes; i++) {
        const mp_node *n = T->graph.nodes[i];
        if (n->reg == source->a && n->kind == MP_NODE_TENSOR) {
            return mp_node_is_alive(n) && mp_dynamic_is_wanted(n->obj, source->n);
        }
    }
    return false;
}

/* (place, file, line, was it marked?) */
static PyObject *
pins_row(mp_trace *T, const mp_pin_note *pin)
{
    PyObject *file = Py_None;
    int line = -1;
    if (pin->at.code >= 0 && pin->at.index >= 0
        && pin->at.code < PyList_GET_SIZE(T->codes)) {
        PyCodeObject *code = (PyCodeObject *)PyList_GET_ITEM(T->codes, pin->at.code);
        file = code->co_filename;
        line = mp_code_line(code, pin->at.index);
    }
    PyObject *place = mp_guards_given(T->guards, ~pin->number);
    const mp_number *source = &T->guards->numbers.ops[pin->number];
    return place == NULL
               ? NULL
               : Py_BuildValue("(NOiO)", place, file, line,
                               pins_is_wanted(T, source) ? Py_True : Py_False);
}

PyObject *
mp_pins_rows(mp_trace *T)
{
    PyObject *rows = PyList_New(0);
    for (int32_t i = 0; rows != NULL && i < T->n_pins; i++) {
        PyObject *row = pins_row(T, &T->pins[i]);
        if (row == NULL || PyList_Append(rows, row) < 0) {
            Py_CLEAR(rows);
        }
        Py_XDECREF(row);
    }
    return rows;
}
