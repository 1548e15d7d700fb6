/* plan/sites.c - where guards and operations came from: marks, and what people are told. */
#include "plan/sites.h"

#include "compat/compat.h"

void
mp_sites_fini(mp_sites *s)
{
    Py_CLEAR(s->codes);
    PyMem_Free(s->rows);
    PyMem_Free(s->guards.at);
    PyMem_Free(s->ops.at);
    *s = (mp_sites){.codes = NULL};
}

void
mp_sites_mark(mp_site_marks *marks, int32_t end, int32_t row)
{
    assert(end >= 0);
    int32_t begin = marks->end;
    marks->end = end;
    while (marks->n > 0 && marks->at[marks->n - 1].first >= end) {
        marks->n--;
    }
    if (end <= begin || (marks->n > 0 && marks->at[marks->n - 1].row == row)) {
        return;
    }
    if (mp_grow(&marks->at, &marks->cap, marks->n + 1, sizeof(*marks->at)) < 0) {
        mp_err_drop();
        return;
    }
    marks->at[marks->n++] = (mp_site_mark){begin, row};
}

int32_t
mp_sites_row(const mp_site_marks *marks, int32_t position)
{
    if (position < 0 || position >= marks->end) {
        return -1;
    }
    int32_t low = 0, high = marks->n;  // the last mark that does not stand behind it
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (marks->at[middle].first <= position) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low == 0 ? -1 : marks->at[low - 1].row;
}

static PyCodeObject *
sites_code_borrow(const mp_sites *s, const mp_site_row *row)
{
    return (PyCodeObject *)PyList_GET_ITEM(s->codes, row->code);
}

PyObject *
mp_sites_stack(const mp_sites *s, int32_t row)
{
    PyObject *stack = PyList_New(0);
    while (stack != NULL && row >= 0 && s->codes != NULL) {
        const mp_site_row *at = &s->rows[row];
        PyCodeObject *code = sites_code_borrow(s, at);
        PyObject *frame = Py_BuildValue("(OiO)", code->co_filename,
                                        mp_code_line(code, at->index), code->co_name);
        if (frame == NULL || PyList_Append(stack, frame) < 0) {
            Py_CLEAR(stack);
        }
        Py_XDECREF(frame);
        row = at->caller;
    }
    if (stack != NULL && PyList_Reverse(stack) < 0) {
        Py_CLEAR(stack);
    }
    return stack;
}

PyObject *
mp_sites_rows(const mp_sites *s)
{
    int32_t n = s->codes == NULL ? 0 : s->n_rows;
    PyObject *rows = PyList_New(n);
    for (int32_t i = 0; rows != NULL && i < n; i++) {
        const mp_site_row *at = &s->rows[i];
        PyCodeObject *code = sites_code_borrow(s, at);
        PyObject *row =
            Py_BuildValue("(OiOi)", code->co_filename, mp_code_line(code, at->index),
                          code->co_name, (int)at->caller);
        if (row == NULL) {
            Py_CLEAR(rows);
            break;
        }
        PyList_SET_ITEM(rows, i, row);
    }
    return rows;
}
