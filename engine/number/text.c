/* number/text.c - numbers as users write them: "x.shape[0] + 1 <= n".
 *
 * Ownership: every text is a new str.  Re-entrancy: strings are made; the table is not
 * changed. */
#include <string.h>

#include "number/row.h"

enum { TEXT_DEPTH = 16 };  // of what is nested deeper "..." is shown

typedef struct {
    const mp_numbers *table;
    mp_number_source source;
    const void *ctx;
} texts;

static PyObject *text_number(const texts *s, int32_t k, int depth);

/* Append and consume; NULL on either side makes *text NULL. */
static void
number_put_steal(PyObject **text, PyObject *piece)
{
    if (*text == NULL) {
        Py_XDECREF(piece);
        return;
    }
    PyUnicode_AppendAndDel(text, piece);
}

/* Does its text need parentheses where it is an operand?  What begins with a sign or an
 * operand and has no brackets of its own does. */
static bool
text_is_loose(const mp_number *k)
{
    const mp_number_row *row = &mp_number_rows[k->op];
    if (k->op == MP_N_INT || k->op == MP_N_FLOAT) {
        return k->n < 0 || k->f < 0;
    }
    return row->format != NULL && !(row->operands & REG);
}

static PyObject *
text_operand(const texts *s, int32_t k, int depth, bool enclosed)
{
    if (depth == 0) {
        return PyUnicode_FromString("...");
    }
    PyObject *text = text_number(s, k, depth - 1);
    if (text == NULL || enclosed || !text_is_loose(&s->table->ops[k])) {
        return text;
    }
    PyObject *closed = PyUnicode_FromFormat("(%U)", text);
    Py_DECREF(text);
    return closed;
}

static PyObject *
text_float(double f)
{
    PyObject *number = PyFloat_FromDouble(f);
    PyObject *text = number == NULL ? NULL : PyObject_Repr(number);
    Py_XDECREF(number);
    return text;
}

static PyObject *
text_field(const texts *s, const mp_number *k, const char *name, int depth)
{
    if (strncmp(name, "src}", 4) == 0) {
        return s->source(s->ctx, k->a);
    }
    switch (*name) {
    case 'a':
        return text_operand(s, k->a, depth, false);
    case 'b':
        return text_operand(s, k->b, depth, false);
    case 'n':
        return PyUnicode_FromFormat("%lld", (long long)k->n);
    default:
        return text_float(k->f);
    }
}

static PyObject *
text_call(const texts *s, const mp_number *k, int depth)
{
    const mp_number_row *row = &mp_number_rows[k->op];
    bool plain = strcmp(row->module, "builtins") == 0;  // mp-ok: for people
    PyObject *text = PyUnicode_FromFormat("%s%s%s(", plain ? "" : row->module,
                                          plain ? "" : ".", row->name);
    number_put_steal(&text, text_operand(s, k->a, depth, true));
    if (row->operands & B) {
        number_put_steal(&text, PyUnicode_FromString(", "));
        number_put_steal(&text, text_operand(s, k->b, depth, true));
    }
    number_put_steal(&text, PyUnicode_FromString(")"));
    return text;
}

static PyObject *
text_number(const texts *s, int32_t k, int depth)
{
    const mp_number *number = &s->table->ops[k];
    const char *format = mp_number_rows[number->op].format;
    if (format == NULL) {
        return text_call(s, number, depth);
    }
    PyObject *text = PyUnicode_FromString("");
    while (text != NULL && *format != '\0') {
        size_t len = strcspn(format, "{");
        number_put_steal(&text, PyUnicode_FromStringAndSize(format, (Py_ssize_t)len));
        format += len;
        if (*format == '{') {
            number_put_steal(&text, text_field(s, number, format + 1, depth));
            format = strchr(format, '}') + 1;
        }
    }
    return text;
}

PyObject *
mp_number_text(const mp_numbers *t, int32_t k, mp_number_source source, const void *ctx)
{
    texts s = {t, source, ctx};
    assert(k >= 0 && k < t->n);
    return text_number(&s, k, TEXT_DEPTH);
}

/* -- Values ----------------------------------------------------------------------- */

/* The sources that number k is made of, each once: marks[i] for number i. */
static void
text_mark(const mp_numbers *t, int32_t k, bool *marks)
{
    marks[k] = true;
    for (int32_t i = k; i >= 0; i--) {
        const mp_number *number = &t->ops[i];
        if (!marks[i] || mp_number_rows[number->op].operands & REG) {
            continue;
        }
        if (number->a >= 0) {
            marks[number->a] = true;
        }
        if (number->b >= 0) {
            marks[number->b] = true;
        }
    }
}

static PyObject *
text_value(const texts *s, int32_t k, mp_number_value value)
{
    PyObject *number = mp_number_object(&s->table->ops[k], value);
    PyObject *text = text_number(s, k, TEXT_DEPTH);
    PyObject *line = number == NULL || text == NULL
                         ? NULL
                         : PyUnicode_FromFormat("%U is %R", text, number);
    Py_XDECREF(text);
    Py_XDECREF(number);
    return line;
}

PyObject *
mp_number_found(const mp_numbers *t, int32_t k, const mp_number_value *values,
                mp_number_source source, const void *ctx)
{
    texts s = {t, source, ctx};
    PyObject *text = PyUnicode_FromString("");
    bool *marks = PyMem_Calloc((size_t)k + 1, sizeof *marks);
    if (marks == NULL) {
        Py_XDECREF(text);
        return PyErr_NoMemory();
    }
    text_mark(t, k, marks);
    for (int32_t i = 0; i < k && text != NULL; i++) {
        if (marks[i] && mp_number_rows[t->ops[i].op].operands & REG) {
            bool first = PyUnicode_GET_LENGTH(text) == 0;
            number_put_steal(&text, PyUnicode_FromString(first ? "" : ", "));
            number_put_steal(&text, text_value(&s, i, values[i]));
        }
    }
    PyMem_Free(marks);
    return text;
}
