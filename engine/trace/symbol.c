/* trace/symbol.c - see trace/symbol.h, and docs/internals/numbers.md for the whole
 * picture.
 *
 * The life of a symbol: `mp_symbol_load` finds that a loaded value comes from a place
 * that may change, and lets its number wait.  When the instruction has answered,
 * `mp_symbol_take` gives the number a box if it is the answer; the others are pinned.
 * `mp_symbol_compute` and `mp_symbol_decide` make numbers of numbers.  `mp_pin` and its
 * kin end it.
 *
 * Invariants
 *   (1) A number has at most one box, so equal addresses mean equal numbers.
 *   (2) `n_open` counts the rows with a value that are not pinned; while it is 0,
 *       `mp_symbol_find` answers without a look-up.
 *   (3) A pinned number keeps its box: the object is a constant from then on.
 * Ownership: a row owns its value; the node owns the box.
 * Re-entrancy: only exact ints, floats and bools are computed, so no code of the program
 * runs. */
#include "trace/symbol.h"

#include "compat/compat.h"
#include "trace/trace.h"

void
mp_symbols_fini(mp_symbols *all)
{
    for (int32_t i = 0; i < all->cap; i++) {
        Py_XDECREF(all->all[i].value);
    }
    for (int i = 0; i < all->n_waiting; i++) {
        Py_DECREF(all->waiting[i].value);
    }
    PyMem_Free(all->all);
    PyMem_Free(all->waiting);
    *all = (mp_symbols){NULL};
}

/* -- What is a symbol ---------------------------------------------------------------- */

bool
mp_is_number(PyObject *obj)
{
    return PyLong_CheckExact(obj) || PyFloat_CheckExact(obj) || PyBool_Check(obj);
}

mp_node *
mp_symbol_find(const mp_trace *T, PyObject *obj)
{
    if (T->symbols.n_open == 0
        || !(PyLong_CheckExact(obj) || PyFloat_CheckExact(obj))) {
        return NULL;
    }
    mp_node *n = mp_refgraph_at(&T->graph, obj);
    return n != NULL && n->kind == MP_NODE_SYMBOL && !T->symbols.all[n->number].pinned
               ? n
               : NULL;
}

PyObject *
mp_symbol_value_borrow(const mp_trace *T, PyObject *obj)
{
    PyObject *late = mp_late_value_borrow(T, obj);
    if (late != NULL) {
        return late;
    }
    bool any =
        T->symbols.cap > 0 && (PyLong_CheckExact(obj) || PyFloat_CheckExact(obj));
    const mp_node *n = any ? mp_refgraph_at(&T->graph, obj) : NULL;
    return n != NULL && n->kind == MP_NODE_SYMBOL ? T->symbols.all[n->number].value
                                                  : NULL;
}

PyObject *
mp_symbol_number_value_borrow(const mp_trace *T, int32_t number)
{
    return number < T->symbols.cap ? T->symbols.all[number].value : NULL;
}

bool
mp_symbol_number_is_pinned(const mp_trace *T, int32_t number)
{
    return number < T->symbols.cap && T->symbols.all[number].pinned;
}

/* The row of a number of the table, which may be new. */
static mp_symbol *
symbol_row(mp_trace *T, int32_t number)
{
    mp_symbols *s = &T->symbols;
    assert(number >= 0 && number < T->guards->numbers.n);
    if (number >= s->cap) {
        int32_t cap = Py_MAX(number + 1, s->cap ? s->cap * 2 : 32);
        mp_symbol *all = PyMem_Realloc(s->all, (size_t)cap * sizeof(*all));
        if (all == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        for (int32_t i = s->cap; i < cap; i++) {
            all[i] = (mp_symbol){NULL, NULL, false};
        }
        s->all = all;
        s->cap = cap;
    }
    return &s->all[number];
}

/* The number of a symbol or constant: MP_NUMBER_NONE if it has none, -1 with MemoryError. */
static int32_t
number_of(mp_trace *T, PyObject *obj)
{
    const mp_node *n = mp_symbol_find(T, obj);
    if (n != NULL) {
        return n->number;
    }
    return PyBool_Check(obj)
               ? mp_guards_number(T->guards, MP_N_INT, -1, -1, obj == Py_True, 0.0)
               : mp_guards_number_const(T->guards, obj);
}

/* The number has a value in this run: it counts as a symbol. */
static void
symbol_open(mp_trace *T, mp_symbol *row, PyObject *value)
{
    assert(row->value == NULL);
    PyObject *plain = mp_symbol_value_borrow(T, value);  // `+n` answers with n
    row->value = Py_NewRef(plain == NULL ? value : plain);
    T->symbols.n_open++;
}

mp_rc
mp_symbol_make(mp_trace *T, int32_t number, PyObject *value, PyObject **box)
{
    mp_symbol *row = symbol_row(T, number);
    *box = NULL;
    if (row == NULL) {
        return MP_ERR;
    }
    if (row->value == NULL) {
        symbol_open(T, row, value);
    }
    if (row->pinned) {
        return MP_OK;
    }
    if (row->box == NULL) {
        PyObject *made = mp_number_box(value);
        if (made == NULL || mp_refgraph_add_symbol(&T->graph, made, number) == NULL) {
            Py_XDECREF(made);
            return MP_ERR;
        }
        row->box = made;  // the node has a reference of its own
        Py_DECREF(made);
    }
    *box = Py_NewRef(row->box);
    return MP_OK;
}

/* -- Loads ------------------------------------------------------------------------------ */

/* The value may become a symbol: mp_symbol_take or a pin decides. */
static mp_rc
symbol_wait(mp_trace *T, int32_t number, PyObject *value)
{
    mp_symbols *s = &T->symbols;
    if (s->n_waiting == s->cap_waiting) {
        int cap = s->cap_waiting ? s->cap_waiting * 2 : 8;
        mp_waiting *waiting = PyMem_Realloc(s->waiting, (size_t)cap * sizeof(*waiting));
        if (waiting == NULL) {
            PyErr_NoMemory();
            return MP_ERR;
        }
        s->waiting = waiting;
        s->cap_waiting = cap;
    }
    s->waiting[s->n_waiting++] = (mp_waiting){number, Py_NewRef(value), false};
    s->waits_in = T->n_stack;
    return MP_OK;
}

mp_rc
mp_symbol_load(mp_trace *T, int32_t reg, PyObject *value, bool *taken)
{
    bool is_float = PyFloat_CheckExact(value);
    *taken = false;
    if (!is_float && !PyLong_CheckExact(value)) {
        return MP_OK;
    }
    if (mp_is_dynamic_place(T, reg, MP_PART_VALUE, 0, value, 0) == MP_STATIC
        || !mp_number_has_box(value)) {
        return MP_OK;
    }
    int32_t number = mp_guards_number(T->guards, MP_N_VALUE, reg, -1, is_float, 0.0);
    mp_symbol *row = number < 0 ? NULL : symbol_row(T, number);
    if (row == NULL) {
        return number == MP_NUMBER_NONE ? MP_OK : MP_ERR;
    }
    if (row->value == NULL) {
        symbol_open(T, row, value);
    }
    *taken = true;
    return row->pinned ? MP_OK : symbol_wait(T, number, value);
}

void
mp_symbol_offer(mp_trace *T, PyObject *value)
{
    mp_symbols *s = &T->symbols;
    if (s->n_waiting > 0 && s->waiting[s->n_waiting - 1].value == value) {
        s->waiting[s->n_waiting - 1].offered = true;
    }
}

/* From here on the number is a constant, as a guard says: EQUALS of a loaded value, HOLDS
 * of any other.  The operands of a result stay symbols. */
mp_rc
mp_pin_number(mp_trace *T, int32_t number)
{
    mp_symbol *row = &T->symbols.all[number];
    const mp_number *k = &T->guards->numbers.ops[number];
    if (row->pinned) {
        return MP_OK;
    }
    row->pinned = true;
    T->symbols.n_open--;
    if (mp_note_pin(T, number) != MP_OK) {
        return MP_ERR;
    }
    if (k->op == MP_N_VALUE) {
        return mp_refgraph_test(&T->graph, MP_G_EQUALS, k->a, -1, row->value, 0) < 0
                   ? MP_ERR
                   : MP_OK;
    }
    mp_number_op same = k->is_float ? MP_N_SAME : MP_N_EQ;
    int32_t constant = mp_guards_number_const(T->guards, row->value);
    int32_t test =
        constant < 0 ? -1 : mp_guards_number(T->guards, same, number, constant, 0, 0.0);
    return test < 0 || mp_guards_hold(T->guards, test) < 0 ? MP_ERR : MP_OK;
}

/* Pin those that wait; only_loose: those that nobody has offered. */
static mp_rc
pin_waiting(mp_trace *T, bool only_loose)
{
    mp_symbols *s = &T->symbols;
    mp_rc rc = MP_OK;
    int kept = 0;
    for (int i = 0; i < s->n_waiting; i++) {
        mp_waiting *w = &s->waiting[i];
        if (only_loose && w->offered) {
            s->waiting[kept++] = *w;
            continue;
        }
        rc = rc != MP_OK ? rc : mp_pin_number(T, w->number);
        Py_DECREF(w->value);
    }
    s->n_waiting = kept;
    return rc;
}

mp_rc
mp_symbols_settle(mp_trace *T)
{
    return T->symbols.n_waiting == 0 ? MP_OK : pin_waiting(T, true);
}

mp_rc
mp_symbols_give_up(mp_trace *T)
{
    return T->symbols.n_waiting == 0 ? MP_OK : pin_waiting(T, false);
}

mp_rc
mp_symbol_take(mp_trace *T, PyObject *answer, PyObject **box)
{
    mp_symbols *s = &T->symbols;
    *box = NULL;
    int last = s->n_waiting - 1;
    mp_rc rc = MP_OK;
    if (last >= 0 && s->waiting[last].offered && s->waiting[last].value == answer
        && s->waits_in == T->n_stack) {
        rc = mp_symbol_make(T, s->waiting[last].number, answer, box);
        Py_DECREF(s->waiting[last].value);
        s->n_waiting--;
    }
    mp_rc pinned = mp_symbols_give_up(T);
    if (rc != MP_OK || pinned != MP_OK) {
        Py_CLEAR(*box);
    }
    return rc != MP_OK ? rc : pinned;
}

/* The number has a box; it may have been loaded more than once. */
static void
wait_no_more(mp_symbols *s, int32_t number)
{
    int kept = 0;
    for (int i = 0; i < s->n_waiting; i++) {
        if (s->waiting[i].number == number) {
            Py_DECREF(s->waiting[i].value);
        }
        else {
            s->waiting[kept++] = s->waiting[i];
        }
    }
    s->n_waiting = kept;
}

mp_rc
mp_symbol_take_item(mp_trace *T, int32_t reg, Py_ssize_t index, PyObject *key,
                    PyObject *item, PyObject **box)
{
    mp_symbols *s = &T->symbols;
    *box = NULL;
    for (int i = 0; i < s->n_waiting; i++) {
        mp_waiting w = s->waiting[i];
        int32_t from = T->guards->numbers.ops[w.number].a;
        const mp_guard *load = &T->guards->ops[T->guards->def[from]];
        if (load->a == reg && w.value == item
            && (key != NULL
                    ? load->kind == MP_G_LOAD_KEY && load->obj == key
                    : (load->kind == MP_G_LOAD_ITEM || load->kind == MP_G_LOAD_DEQUE)
                          && load->n == index)) {
            mp_rc rc = mp_symbol_make(T, w.number, w.value, box);
            wait_no_more(s, w.number);
            return rc;
        }
    }
    return MP_OK;
}

/* Adds the number and notes its value, without a box: one is made when the program reads
 * it. */
static mp_rc
open_source(mp_trace *T, mp_number_op op, int32_t reg, int32_t dim, int64_t now)
{
    int32_t number = mp_guards_number(T->guards, op, reg, -1, dim, 0.0);
    mp_symbol *row = number < 0 ? NULL : symbol_row(T, number);
    PyObject *value = row == NULL ? NULL : PyLong_FromLongLong(now);
    if (value == NULL) {
        return MP_ERR;
    }
    if (row->value == NULL) {
        symbol_open(T, row, value);
    }
    Py_DECREF(value);
    return MP_OK;
}

mp_rc
mp_symbols_of_tensor(mp_trace *T, int32_t reg, const mp_tensor_meta *m)
{
    mp_rc rc = MP_OK;
    for (int32_t d = 0; d < m->ndim && rc == MP_OK; d++) {
        if (mp_tensor_meta_is_open(m, d)) {
            rc = open_source(T, MP_N_SIZE, reg, d, m->dims[d]);
        }
        if (rc == MP_OK && mp_tensor_meta_link(m, d) == MP_STRIDE_FREE) {
            rc = open_source(T, MP_N_STRIDE, reg, d, m->dims[m->ndim + d]);
        }
    }
    return rc;
}

mp_rc
mp_symbol_length(mp_trace *T, int32_t reg, PyObject *obj, int64_t at_entry, int64_t now,
                 int32_t *number)
{
    *number = -1;
    if (mp_is_dynamic_place(T, reg, MP_PART_LENGTH, 0, obj, at_entry) == MP_STATIC) {
        return MP_OK;
    }
    mp_rc rc = open_source(T, MP_N_LENGTH, reg, -1, at_entry);
    int32_t k =
        rc != MP_OK ? -1 : mp_guards_number(T->guards, MP_N_LENGTH, reg, -1, -1, 0.0);
    if (k >= 0 && now != at_entry) {
        int32_t more =
            mp_guards_number(T->guards, MP_N_INT, -1, -1, now - at_entry, 0.0);
        k = more < 0 ? -1 : mp_guards_number(T->guards, MP_N_ADD, k, more, 0, 0.0);
    }
    *number = k;
    return k < 0 ? MP_ERR : MP_OK;
}

/* -- What is computed with them ------------------------------------------------------- */

/* op of two constants, as a check computes it: 1, or 0 if it cannot be had, or -1. */
static int
compute_apart(mp_number_op op, PyObject *a, PyObject *b, int64_t n, mp_number *how,
              mp_number_value *value)
{
    mp_numbers t = {NULL};
    mp_number_value values[3];
    PyObject *of[2] = {a, b};
    int32_t at[2] = {-1, -1};
    for (int i = 0; i < 2 && of[i] != NULL; i++) {
        at[i] = PyBool_Check(of[i])
                    ? mp_numbers_add(&t, MP_N_INT, -1, -1, of[i] == Py_True, 0.0)
                    : mp_numbers_add_const(&t, of[i]);
        if (at[i] < 0) {
            mp_numbers_fini(&t);
            return at[i] == MP_NUMBER_NONE ? 0 : -1;
        }
    }
    int32_t k = mp_numbers_add(&t, op, at[0], at[1], n, 0.0);
    bool had = k >= 0 && mp_numbers_eval(&t, 0, k + 1, NULL, values) == k + 1;
    if (had) {
        *how = t.ops[k];
        *value = values[k];
    }
    mp_numbers_fini(&t);
    return k == -1 ? -1 : had;
}

PyObject *
mp_symbol_number_now(mp_trace *T, int32_t number)
{
    const mp_number k = T->guards->numbers.ops[number];
    PyObject *known = mp_symbol_number_value_borrow(T, number);
    if (known != NULL) {
        return Py_NewRef(known);
    }
    if (k.op == MP_N_INT || k.op == MP_N_FLOAT) {
        return k.op == MP_N_INT ? PyLong_FromLongLong(k.n) : PyFloat_FromDouble(k.f);
    }
    if (mp_number_is_source(k.op)) {
        return NULL;
    }
    bool two = mp_number_has_b(k.op);
    PyObject *a = mp_symbol_number_now(T, k.a), *value = NULL;
    PyObject *b = a != NULL && two ? mp_symbol_number_now(T, k.b) : NULL;
    mp_number how;
    mp_number_value got;
    if (a != NULL && (b != NULL || !two)
        && compute_apart((mp_number_op)k.op, a, b, k.n, &how, &got) == 1) {
        value = mp_number_object(&how, got);
    }
    Py_XDECREF(a);
    Py_XDECREF(b);
    return value;
}

mp_rc
mp_symbol_compute(mp_trace *T, mp_number_op op, PyObject *a, PyObject *b, int64_t n,
                  int32_t *number, PyObject **value)
{
    mp_number how;
    mp_number_value got;
    *number = -1;
    *value = NULL;
    if (mp_late_find(T, a) != NULL || (b != NULL && mp_late_find(T, b) != NULL)) {
        return mp_late_refuse(T, mp_late_find(T, a) != NULL ? a : b);
    }
    int had = compute_apart(op, a, b, n, &how, &got);
    if (had <= 0) {
        return had < 0 ? MP_ERR : MP_OK;
    }
    int32_t ka = number_of(T, a);
    int32_t kb = b == NULL || ka < 0 ? -1 : number_of(T, b);
    if (ka < 0 || (b != NULL && kb < 0)) {
        return ka == -1 || (b != NULL && kb == -1) ? MP_ERR : MP_OK;
    }
    int32_t k = mp_guards_number(T->guards, op, ka, kb, n, 0.0);
    if (k < 0) {
        return k == MP_NUMBER_NONE ? MP_OK : MP_ERR;
    }
    *value = mp_number_object(&how, got);
    *number = *value == NULL ? -1 : k;
    return *value == NULL ? MP_ERR : MP_OK;
}

mp_rc
mp_symbol_decide(mp_trace *T, mp_number_op op, PyObject *a, PyObject *b, bool *known)
{
    PyObject *value;
    int32_t number;
    assert(mp_number_is_truth(op));
    mp_rc rc = mp_symbol_compute(T, op, a, b, 0, &number, &value);
    *known = rc == MP_OK && number >= 0;
    if (!*known) {
        return rc;
    }
    if (PyLong_AsLong(value) == 0) {
        number = mp_guards_number(T->guards, MP_N_NOT, number, -1, 0, 0.0);
    }
    Py_DECREF(value);
    return number < 0 || mp_guards_hold(T->guards, number) < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_symbol_truth(mp_trace *T, PyObject *obj)
{
    bool known;
    PyObject *zero = PyLong_FromLong(0);
    mp_rc rc = zero == NULL ? MP_ERR : mp_symbol_decide(T, MP_N_NE, obj, zero, &known);
    Py_XDECREF(zero);
    return rc != MP_OK || known ? rc : mp_pin(T, obj);
}

/* -- Pins ------------------------------------------------------------------------------ */

/* May the program hold a box of a symbol that is not pinned, or of a late value? */
static bool
has_boxes(const mp_trace *T)
{
    return T->symbols.n_open > 0 || T->lates.n > 0;
}

bool
mp_holds_symbols(const mp_trace *T, PyObject *obj)
{
    bool found = false;
    if (!has_boxes(T) || !PyTuple_Check(obj) || !mp_is_constant(obj)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(obj) && !found; i++) {
        PyObject *item = PyTuple_GET_ITEM(obj, i);
        found = mp_symbol_find(T, item) != NULL || mp_late_find(T, item) != NULL;
    }
    return found;
}

mp_rc
mp_pin(mp_trace *T, PyObject *obj)
{
    if (mp_late_find(T, obj) != NULL) {
        return mp_late_refuse(T, obj);
    }
    const mp_node *n = mp_symbol_find(T, obj);
    mp_rc rc = n == NULL ? MP_OK : mp_pin_number(T, n->number);
    bool holds = n == NULL && mp_holds_symbols(T, obj);
    for (Py_ssize_t i = 0; holds && rc == MP_OK && i < PyTuple_GET_SIZE(obj); i++) {
        rc = mp_pin(T, PyTuple_GET_ITEM(obj, i));
    }
    return rc;
}

mp_rc
mp_pin_everything(mp_trace *T)
{
    mp_rc rc = mp_symbols_give_up(T);
    // Sources come before what is computed of them, which is then known as well.
    for (int32_t i = 0; i < T->symbols.cap && T->symbols.n_open > 0; i++) {
        mp_symbol *row = &T->symbols.all[i];
        if (row->value == NULL || row->pinned || rc != MP_OK) {
            continue;
        }
        if (mp_number_is_source(T->guards->numbers.ops[i].op)) {
            rc = mp_pin_number(T, i);
        }
        else {
            row->pinned = true;
            T->symbols.n_open--;
        }
    }
    return rc;
}

/* A walk through what C code may reach: objects of the run, and, if it has written to
 * others, all: no other holds a box.  A list of layers reaches its model whole, so what
 * was seen is a hash table, and as chains may be long, what is to be walked is a list: the
 * limit is for heaps that no program hands to C code. */
enum { MAX_REACHED = 1 << 17, FIRST_SLOTS = 1 << 8 };

typedef struct {
    mp_trace *T;
    mp_rc rc;
    uint32_t n_slots, n_seen, n_walked;
    PyObject **seen;   // owned hash table of n_slots, a power of two; NULL: free
    PyObject **order;  // owned; the n_seen as they were met: n_walked have been walked
} reach;

/* Could a symbol's box be inside obj? Objects from outside hold none unless the
 * recording has written to one, or has put some there. */
static bool
may_hold_boxes(const mp_trace *T, PyObject *obj)
{
    if (!PyObject_IS_GC(obj) || mp_tensor_is_any(obj) || PyType_Check(obj)
        || PyModule_Check(obj) || PyCode_Check(obj)) {
        return false;
    }
    const mp_node *n = mp_refgraph_at(&T->graph, obj);
    return n == NULL || n->kind == MP_NODE_FRESH || T->n_writes > 0
           || T->symbols.are_outside;
}

static bool
reach_note(reach *r, PyObject *obj)
{
    uint32_t i = mp_hash(obj) & (r->n_slots - 1);
    while (r->seen[i] != NULL && r->seen[i] != obj) {
        i = (i + 1) & (r->n_slots - 1);
    }
    bool is_new = r->seen[i] == NULL;
    r->seen[i] = obj;
    return is_new;
}

/* Room for one more; at most half of the slots are used.  0, or -1 (exception). */
static int
reach_grow(reach *r)
{
    if (r->n_seen * 2 < r->n_slots) {
        return 0;
    }
    uint32_t n = r->n_slots == 0 ? FIRST_SLOTS : r->n_slots * 2;
    PyObject **seen = PyMem_Calloc(n, sizeof(*seen));
    PyObject **order = PyMem_Realloc(r->order, n / 2 * sizeof(*order));
    r->order = order != NULL ? order : r->order;
    if (seen == NULL || order == NULL) {
        PyMem_Free(seen);
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(r->seen);
    r->seen = seen;
    r->n_slots = n;
    for (uint32_t i = 0; i < r->n_seen; i++) {
        reach_note(r, r->order[i]);
    }
    return 0;
}

/* A `visitproc`: pins numbers and notes containers, to walk on.  Not 0: stop. */
static int
reach_visit(PyObject *obj, void *ctx)
{
    reach *r = ctx;
    if (mp_is_number(obj) || PyComplex_CheckExact(obj) || PyUnicode_CheckExact(obj)) {
        r->rc = mp_pin(r->T, obj);
        return r->rc != MP_OK || !has_boxes(r->T);
    }
    if (!may_hold_boxes(r->T, obj)) {
        return 0;
    }
    if (PyGen_CheckExact(obj)) {
        return 0;  // its frame is watched, what it yields is pinned (mp_look_at_answer)
    }
    if (reach_grow(r) < 0) {
        r->rc = MP_ERR;
        return 1;
    }
    if (!reach_note(r, obj)) {
        return 0;
    }
    r->order[r->n_seen++] = obj;
    if (r->n_seen == MAX_REACHED) {
        r->rc =
            r->T->lates.n > 0 ? mp_late_refuse(r->T, NULL) : mp_pin_everything(r->T);
        return 1;
    }
    return 0;
}

/* A function reaches its module, but C code does not look there for numbers. */
static int
reach_function(PyFunctionObject *f, reach *r)
{
    PyObject *parts[] = {f->func_defaults, f->func_kwdefaults, f->func_closure,
                         f->func_dict};
    int stop = 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts) && stop == 0; i++) {
        stop = parts[i] == NULL ? 0 : reach_visit(parts[i], r);
    }
    return stop;
}

/* What has been met is walked, which meets more.  Not 0: stop. */
static int
reach_walk(reach *r)
{
    int stop = 0;
    while (stop == 0 && r->n_walked < r->n_seen) {
        PyObject *obj = r->order[r->n_walked++];
        stop = PyFunction_Check(obj) ? reach_function((PyFunctionObject *)obj, r)
                                     : Py_TYPE(obj)->tp_traverse(obj, reach_visit, r);
    }
    return stop;
}

mp_rc
mp_pin_deep(mp_trace *T, PyObject *obj)
{
    return mp_pin_deep_all(T, &obj, 1);
}

mp_rc
mp_pin_deep_all(mp_trace *T, PyObject *const *objs, Py_ssize_t count)
{
    if (!has_boxes(T)) {
        return MP_OK;
    }
    reach r = {.T = T, .rc = MP_OK};
    int stop = 0;
    for (Py_ssize_t i = 0; i < count && stop == 0; i++) {
        stop = reach_visit(objs[i], &r);
    }
    if (stop == 0) {
        reach_walk(&r);
    }
    PyMem_Free(r.seen);
    PyMem_Free(r.order);
    return r.rc;
}
