/* python/instr.c - what each instruction reads and writes: mp_record_instr has a case
 * for every opcode.
 *
 * A handler runs before its instruction. It guards what the instruction is about to
 * read, journals what it is about to write, and sets in the shadow frame what may happen
 * below the instruction (`below`) and how its result is taken in (`post`). It calls no
 * code of the program: the interpreter does, right after the handler.
 *
 * What must hold:
 *
 *  1 An instruction that reads state of an external object guards it here or in what this
 *    calls; compat/opcodes.def says for each opcode which function does.
 *  2 A handler aborts before it journals: the segment can end before an instruction only if
 *    nothing of it is in the journal (record_or_break).
 *  3 Operands are borrowed from the frame.  They stay valid, because nothing here runs code
 *    that could pop them. */
#include "cfunc/cfunc.h"
#include "objects/names.h"
#include "python/python.h"
#include "read/read.h"

/* -- Handlers: names and cells -------------------------------------------------------------------- */

#define NAME(s, in)   PyTuple_GET_ITEM((s)->info->code->co_names, (in)->arg)
#define TOP(s, in, k) mp_frame_stack_borrow((s)->f, (in)->depth - (k))

/* Node of globals or builtins.  What `exec` was given as these need not be a dict, and the
 * __getitem__ of a subclass is called. */
static mp_rc
namespace_node(mp_trace *T, PyObject *dict, mp_node **n)
{
    if (!PyDict_CheckExact(dict)) {
        return mp_trace_abort(T, MP_AB_OPCODE, "globals or builtins are a %s",
                              Py_TYPE(dict)->tp_name);
    }
    mp_rc rc = mp_load_const(T, dict);
    *n = mp_refgraph_find(&T->graph, dict);
    return rc;
}

static mp_rc
globals_node(mp_trace *T, mp_shadow *s, PyObject **dict, mp_node **n)
{
    *dict = mp_frame_globals_borrow(s->f);
    return namespace_node(T, *dict, n);
}

/* LOAD_GLOBAL: the name is in the globals, or it is not (which is guarded, too) and the
 * builtins have it. If neither has it, both absences are guarded, and NameError follows. */
static mp_rc
load_global(mp_trace *T, mp_shadow *s, PyObject *name)
{
    assert(PyUnicode_Check(name));
    PyObject *dict, *value;
    mp_node *n;
    mp_rc rc = globals_node(T, s, &dict, &n);
    if (rc == MP_OK) {
        rc = mp_read_key(T, dict, n, name, &value);
    }
    if (rc != MP_OK || value != NULL) {
        mp_symbol_offer(T, value);
        return rc;
    }
    dict = mp_frame_builtins_borrow(s->f);
    rc = namespace_node(T, dict, &n);
    return rc != MP_OK ? rc : mp_read_key(T, dict, n, name, &value);
}

/* value == NULL: delete the name. */
static mp_rc
store_global(mp_trace *T, mp_shadow *s, PyObject *name, PyObject *value)
{
    assert(PyUnicode_Check(name));
    PyObject *dict, *old = NULL;
    mp_node *n;
    mp_rc rc = value != NULL ? mp_pass(T, value) : MP_OK;
    if (rc == MP_OK) {
        rc = globals_node(T, s, &dict, &n);
    }
    if (rc == MP_OK && value == NULL) {
        rc = mp_read_key(T, dict, n, name, &old);  // NameError if it is not there
        if (rc == MP_OK && old == NULL) {
            return MP_OK;
        }
    }
    return rc != MP_OK ? rc : mp_write_key(T, n, name, value == NULL);
}

/* The node of the cell in local slot i. A free variable's cell came with an external
 * function, whose closure is guarded, so the cell is external; every other cell was made
 * by the run. */
static mp_rc
cell_node(mp_trace *T, mp_shadow *s, int i, PyObject **cell, mp_node **n)
{
    assert(i >= 0 && i < s->info->code->co_nlocalsplus);
    *cell = mp_frame_local_borrow(s->f, i);
    *n = NULL;
    if (*cell == NULL || !PyCell_Check(*cell)) {
        return mp_trace_abort(T, MP_AB_UNKNOWN_VALUE, "a cell");
    }
    *n = mp_refgraph_find(&T->graph, *cell);
    if (*n != NULL) {
        return MP_OK;
    }
    mp_node *func = mp_refgraph_find(&T->graph, mp_frame_func_borrow(s->f));
    bool outer = (mp_local_kind(s->info->code, i) & CO_FAST_FREE) && func != NULL
                 && func->reg >= 0;
    mp_rc rc = outer ? mp_load_const(T, *cell) : mp_fresh(T, *cell);
    *n = mp_refgraph_find(&T->graph, *cell);
    return rc;
}

mp_rc
mp_know_cell(mp_trace *T, mp_shadow *s, int i)
{
    assert(i >= 0 && i < s->info->code->co_nlocalsplus);
    PyObject *cell;
    mp_node *n;
    return cell_node(T, s, i, &cell, &n);
}

/* LOAD_DEREF: guard what an external cell holds, or that it is empty, unless the run has
 * set it. */
mp_rc
mp_read_cell(mp_trace *T, mp_shadow *s, int i)
{
    PyObject *cell;
    mp_node *n;
    mp_rc rc = cell_node(T, s, i, &cell, &n);
    if (rc != MP_OK || n->reg < 0 || n->rewritten) {
        return rc;
    }
    if (PyCell_GET(cell) == NULL) {
        return mp_test(T, MP_G_CELL_EMPTY, n, NULL, 0);
    }
    rc = mp_load(T, MP_G_LOAD_CELL, n->reg, NULL, 0, PyCell_GET(cell));
    mp_symbol_offer(T, PyCell_GET(cell));
    return rc;
}

/* value == NULL: empty the cell. */
static mp_rc
store_deref(mp_trace *T, mp_shadow *s, int i, PyObject *value)
{
    PyObject *cell;
    mp_node *n;
    mp_rc rc = value != NULL ? mp_pass(T, value) : mp_read_cell(T, s, i);
    if (rc == MP_OK) {
        rc = cell_node(T, s, i, &cell, &n);
    }
    if (rc == MP_OK && value == NULL && PyCell_GET(cell) == NULL) {
        return MP_OK;  // NameError
    }
    return rc == MP_OK && n->reg >= 0 ? mp_write_cell(T, n) : rc;
}

/* From 3.14 on slices are constants, and stand in tuples that are. */
static mp_rc
know_slices(mp_trace *T, PyObject *value)
{
    mp_rc rc = PySlice_Check(value) ? mp_fresh(T, value) : MP_OK;
    Py_ssize_t n = PyTuple_CheckExact(value) ? PyTuple_GET_SIZE(value) : 0;
    for (Py_ssize_t i = 0; i < n && rc == MP_OK; i++) {
        rc = know_slices(T, PyTuple_GET_ITEM(value, i));
    }
    return rc;
}

static mp_rc
load_const(mp_trace *T, PyObject *value)
{
    mp_rc rc = mp_fresh(T, value);
    rc = rc != MP_OK ? rc : know_slices(T, value);
    mp_node *n = rc == MP_OK ? mp_refgraph_find(&T->graph, value) : NULL;
    if (n != NULL && (PyTuple_CheckExact(value) || PySlice_Check(value))) {
        n->of_code = true;  // others may hold it, too: a module shares its constants
    }
    return rc;
}

/* Calls of a new function take its defaults as they are, and `__annotations__` makes a dict of
 * its tuple: they may come from outside, where a break stands before the function is made. */
static mp_rc
read_parts(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    static const int parts[] = {4, 2, 1};  // annotations, defaults by name, defaults
    int at = 2 + ((in->arg & 8) != 0);
    mp_rc rc = MP_OK;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts) && rc == MP_OK; i++) {
        if (in->arg & parts[i]) {
            rc = mp_read_all(T, TOP(s, in, at++));
        }
    }
    return rc;
}

/* A new function takes its module's name and the builtins from the globals. */
static mp_rc
make_function(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *const names[] = {MP_NAME(NAME), MP_NAME(BUILTINS)};
    PyObject *dict, *value;
    mp_node *n;
    mp_rc rc = read_parts(T, s, in);
    rc = rc != MP_OK ? rc : globals_node(T, s, &dict, &n);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && rc == MP_OK; i++) {
        rc = mp_read_key(T, dict, n, names[i], &value);
    }
    return rc;
}

/* -- Handlers: class bodies ---------------------------------------------------------------------- */

/* In the body of a class or of exec: the namespace first, then the globals and builtins. */
static mp_rc
load_name(mp_trace *T, mp_shadow *s, PyObject *name)
{
    assert(PyUnicode_Check(name));
    bool found;
    mp_rc rc = mp_record_load_name(T, s, name, &found);
    return rc != MP_OK || found ? rc : load_global(T, s, name);
}

/* In the body of a class inside a function: the namespace first, then the cell. */
static mp_rc
load_name_or_deref(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    bool found;
    PyObject *name = PyTuple_GET_ITEM(s->info->code->co_localsplusnames, in->arg);
    mp_rc rc = mp_record_load_name(T, s, name, &found);
    return rc != MP_OK || found ? rc : mp_read_cell(T, s, in->arg);
}

/* The instruction makes `__annotations__` if the namespace lacks it. In a namespace of
 * another type than dict that would call its __setitem__. */
static mp_rc
setup_annotations(mp_trace *T, mp_shadow *s)
{
    bool found;
    mp_rc rc = mp_record_load_name(T, s, MP_NAME(ANNOTATIONS), &found);
    if (rc == MP_OK && !found && !PyDict_CheckExact(mp_frame_names_borrow(s->f))) {
        return mp_trace_abort(T, MP_AB_OPCODE, "annotations in a dict of another type");
    }
    return rc;
}

/* A `class` statement calls whatever the builtins have as __build_class__. */
static mp_rc
load_build_class(mp_trace *T, mp_shadow *s)
{
    PyObject *dict = mp_frame_builtins_borrow(s->f), *value;
    mp_node *n;
    mp_rc rc = namespace_node(T, dict, &n);
    return rc != MP_OK ? rc : mp_read_key(T, dict, n, MP_NAME(BUILD_CLASS), &value);
}

/* -- Handlers: super() -------------------------------------------------------------------- */

/* LOAD_SUPER_ATTR of 3.12: `super().name` without making a super object. `super` must be
 * the builtin. */
static mp_rc
do_super_attr(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *callee = TOP(s, in, 3), *after = TOP(s, in, 2), *obj = TOP(s, in, 1);
    if (callee != (PyObject *)&PySuper_Type || !PyType_Check(after)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a replaced super");
    }
    PyTypeObject *obj_type = Py_TYPE(obj);
    if (PyType_Check(obj)
        && PyType_IsSubtype((PyTypeObject *)obj, (PyTypeObject *)after)) {
        obj_type = (PyTypeObject *)obj;
    }
    mp_rc rc =
        mp_record_super_attr(T, s, (PyTypeObject *)after, obj, obj_type, NAME(s, in));
    if (in->flag & 1) {
        s->post = MP_POST_PAIR;
    }
    return rc;
}

/* -- Handlers: the rest --------------------------------------------------------------------------------- */

/* BINARY_SLICE and STORE_SLICE: `x[a:b]` without making a slice object; recorded with
 * one. */
static mp_rc
do_slice(mp_trace *T, mp_shadow *s, const mp_instr *in, bool store)
{
    PyObject *slice = PySlice_New(TOP(s, in, 2), TOP(s, in, 1), NULL);
    if (slice == NULL) {
        return MP_ERR;
    }
    PyObject *container = TOP(s, in, 3);
    mp_rc rc = store ? mp_record_setitem(T, s, container, slice, TOP(s, in, 4))
                     : mp_record_getitem(T, s, container, slice);
    Py_DECREF(slice);
    return rc;
}

/* `{**mapping}`, `f(**mapping)`: for a dict, and for a read-only view of a dict. C code
 * calls methods of any other mapping (keys, __getitem__), which no instruction shows. */
static mp_rc
do_merge(mp_trace *T, mp_shadow *s, PyObject *mapping)
{
    PyObject *dict = mapping;
    mp_rc rc = mp_unwrap_proxy(T, &dict);
    if (rc == MP_OK
        && !(dict == mapping ? PyDict_Check(dict) : PyDict_CheckExact(dict))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "** of a %s",
                              mp_type_name(mapping));
    }
    s->post = MP_POST_NONE;
    rc = rc != MP_OK ? rc : mp_prepare_merge(T, dict);
    return rc != MP_OK ? rc : mp_read_all(T, dict);
}

/* `[*iterable]`: C code goes through all of it. */
static mp_rc
do_extend(mp_trace *T, mp_shadow *s, PyObject *iterable)
{
    mp_rc rc = mp_record_iter(T, s, iterable);
    s->post = MP_POST_NONE;
    return rc;
}

/* The keys of a new dict (step 2: key, value, ...) or the items of a new set: they are
 * hashed, and compared if hashes collide. */
static mp_rc
note_keys(mp_trace *T, mp_shadow *s, const mp_instr *in, int step)
{
    mp_rc rc = MP_OK;
    for (int k = in->arg * step; k > 0 && rc == MP_OK; k -= step) {
        rc = mp_prepare_key(T, s, TOP(s, in, k));
    }
    return rc;
}

/* `for x in iterable`. An external iterator that guards can look into is its own
 * iterator; it is advanced by FOR_ITER. */
static mp_rc
do_get_iter(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *iterable = TOP(s, in, 1);
    PyObject *item;
    mp_node *n = mp_refgraph_find(&T->graph, iterable);
    if (n != NULL && n->reg >= 0 && mp_iterator_peek(iterable, 0, &item) >= 0) {
        s->post = MP_POST_RESULT;  // its own iterator
        return MP_OK;
    }
    mp_rc rc = mp_record_iter(T, s, iterable);
    return rc != MP_OK                    ? rc
           : PyTuple_CheckExact(iterable) ? mp_number_box_items(T, s, in->depth - 1)
                                          : mp_box_in_place(T, iterable);
}

/* Has the run changed the container that the iterator goes through? Then the next item
 * is not the one that a guard would find at entry. */
static bool
is_sequence_written(mp_trace *T, PyObject *iterator)
{
    PyObject *sequence = mp_iterator_sequence_borrow(iterator);
    mp_node *n = sequence == NULL ? NULL : mp_refgraph_find(&T->graph, sequence);
    return n != NULL
           && (n->kind != MP_NODE_EXTERNAL || n->written != NULL || n->rewritten
               || n->appended);
}

/* An external iterator, of a C type that mp_iterator_peek knows, gives its next item:
 * LOAD_NEXT loads the item after those that the run has taken already (n->taken), and
 * the effect ADVANCE takes it on a hit. item == NULL: there is no further item, which
 * ITEMS_LEFT guards. */
static mp_rc
advance_external(mp_trace *T, mp_node *n, PyObject *item)
{
    assert(n->reg >= 0);
    mp_rc rc = MP_OK;
    if (item != NULL) {
        rc = mp_load(T, MP_G_LOAD_NEXT, n->reg, NULL, n->taken, item);
        mp_symbol_offer(T, item);
    }
    else if (mp_refgraph_test(&T->graph, MP_G_ITEMS_LEFT, n->reg, -1, NULL, n->taken)
             < 0) {
        rc = MP_ERR;
    }
    rc = rc != MP_OK ? rc : mp_write_advance(T, n);
    n->taken += rc == MP_OK && item != NULL;
    return rc;
}

/* FOR_ITER, SEND to a generator: an iterator in Python, or a generator that the run
 * made, runs its own frames, which are watched. Other external iterators abort, because
 * a hit could not advance them. */
static mp_rc
do_for_iter(mp_trace *T, mp_shadow *s, PyObject *iterator)
{
    mp_val n;
    mp_rc rc = mp_value(T, iterator, &n);
    if (rc != MP_OK) {
        return rc;
    }
    s->below = MP_BELOW_WATCH;
    s->post = MP_POST_RESULT;
    s->passes = PyGen_CheckExact(iterator);
    s->through_c = !s->passes;
    if (!mp_val_has_source(n)) {
        PyObject *ignored;
        rc = mp_look_before_next(T, iterator);
        return rc != MP_OK ? rc : mp_special(T, iterator, "__next__", &ignored);
    }
    PyObject *next, *item;
    int more = mp_iterator_peek(iterator, 0, &item);
    if (more >= 0 && !is_sequence_written(T, iterator)) {
        return advance_external(T, n.node, more > 0 ? item : NULL);
    }
    rc = mp_special(T, iterator, "__next__", &next);
    if (rc == MP_OK && (next == NULL || !PyFunction_Check(next))) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "an external %s is advanced",
                              mp_type_name(iterator));
    }
    return rc;
}

static mp_rc
do_build_string(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *parts[64];
    bool done = false;
    mp_rc rc = MP_OK;
    if (T->lates.n > 0 && in->arg <= (int)Py_ARRAY_LENGTH(parts)) {
        for (int i = 0; i < in->arg; i++) {
            parts[i] = TOP(s, in, in->arg - i);
        }
        rc = mp_late_build_string(T, s, parts, in->arg, &done);
    }
    for (int i = 0; i < in->arg && rc == MP_OK && !done; i++) {
        rc = mp_know(T, TOP(s, in, in->arg - i));  // (not for a late text)
    }
    s->post = done ? s->post : MP_POST_FRESH;
    return rc;
}

static mp_rc
do_format(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    bool has_spec = in->arg & 4, done;
    PyObject *value = TOP(s, in, has_spec ? 2 : 1);
    PyObject *spec = has_spec ? TOP(s, in, 1) : NULL;
    mp_rc rc = mp_late_format(T, s, value, spec, in->arg & 3, &done);
    PyObject *plain =
        done && PyBool_Check(value) ? mp_late_value_borrow(T, value) : NULL;
    if (rc == MP_OK && plain != NULL) {
        mp_frame_stack_set_steal(s->f, in->depth - (has_spec ? 2 : 1),
                                 Py_NewRef(plain));
    }
    return rc != MP_OK || done ? rc : mp_record_format(T, s, value);
}

/* A box has an address of its own: the instruction sees what the program would have. */
static void
take_from_box(mp_trace *T, mp_shadow *s, int slot)
{
    PyObject *value = mp_symbol_value_borrow(T, mp_frame_stack_borrow(s->f, slot));
    if (value != NULL) {
        mp_frame_stack_set_steal(s->f, slot, Py_NewRef(value));
    }
}

/* What C code gets from the frame it looks at: that is no late value. */
static mp_rc
do_hand_out(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    const mp_shadow *caller = T->n_stack > 1 ? s - 1 : NULL;
    if (T->lates.n == 0 || caller == NULL || caller->passes) {
        return MP_OK;
    }
    return mp_pin_deep(T, TOP(s, in, 1));
}

static mp_rc
do_is(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *a = TOP(s, in, 2), *b = TOP(s, in, 1);
    mp_rc rc = mp_record_is(T, a, b);
    rc = rc != MP_OK ? rc : mp_constants_is(T, s, a, b);
    if (rc == MP_OK) {
        take_from_box(T, s, in->depth - 2);
        take_from_box(T, s, in->depth - 1);
    }
    return rc;
}

static mp_rc
do_set_update(mp_trace *T, mp_shadow *s, PyObject *iterable)
{
    mp_rc rc = do_extend(T, s, iterable);
    s->hashes = true;
    return rc != MP_OK ? rc : mp_note_items(T, &iterable, 1);
}

/* LIST_APPEND, SET_ADD, MAP_ADD: a comprehension or display under construction. The run
 * made the container, so there is nothing to journal; but after a break it is a value of
 * the entry row, hence external. */
static mp_rc
do_add(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    int values = in->op == MP_OP_MAP_ADD ? 2 : 1;
    mp_node *n = mp_refgraph_find(&T->graph, TOP(s, in, values + in->arg));
    mp_rc rc = MP_OK;
    if (in->op != MP_OP_LIST_APPEND) {
        s->below = MP_BELOW_WATCH;
        rc = mp_note_identity(T, TOP(s, in, values));
    }
    if (rc != MP_OK || n == NULL || n->reg < 0) {
        return rc;
    }
    return in->op == MP_OP_LIST_APPEND ? mp_write_append(T, n) : mp_write_content(T, n);
}

/* LIST_EXTEND, SET_UPDATE, DICT_UPDATE, DICT_MERGE: the same with all items of an
 * iterable or mapping. */
static mp_rc
do_add_all(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    PyObject *more = TOP(s, in, 1);
    mp_rc rc = in->op == MP_OP_LIST_EXTEND  ? do_extend(T, s, more)
               : in->op == MP_OP_SET_UPDATE ? do_set_update(T, s, more)
                                            : do_merge(T, s, more);
    if (rc == MP_OK && in->op != MP_OP_SET_UPDATE) {
        rc = mp_number_box_items(T, s, in->depth - 1);
    }
    mp_node *n = mp_refgraph_find(&T->graph, TOP(s, in, 1 + in->arg));
    return rc != MP_OK || n == NULL || n->reg < 0 ? rc : mp_write_content(T, n);
}

static mp_rc
do_known(mp_trace *T, PyObject *value)
{
    return mp_pass(T, value);  // (no symbol is None)
}

/* CALL_INTRINSIC_1 of 3.12; the numbers are CPython's. */
static mp_rc
do_intrinsic(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    enum { STOPITERATION_ERROR = 3, UNARY_POSITIVE = 5, LIST_TO_TUPLE = 6 };
    switch (in->arg) {
    case STOPITERATION_ERROR:
        s->post = MP_POST_FRESH;
        return MP_OK;
    case LIST_TO_TUPLE:
        s->post = MP_POST_FRESH;
        return mp_read_all(T, TOP(s, in, 1));
    case UNARY_POSITIVE:
        return mp_record_unary(T, s, TOP(s, in, 1), "pos");
    default:
        return mp_trace_abort(T, MP_AB_OPCODE, "intrinsic %d", in->arg);
    }
}

/* An exception that a handler gets, or `__exit__`: the run made it, and its traceback.
 * Its class is constant; its text may depend on what was read to make it, and is
 * guarded. */
mp_rc
mp_do_exception(mp_trace *T, PyObject *exc)
{
    mp_rc rc = mp_fresh(T, exc);
    if (rc != MP_OK || !PyExceptionInstance_Check(exc)) {
        return rc;
    }
    PyObject *traceback = PyException_GetTraceback(exc);
    rc = traceback == NULL ? MP_OK : mp_fresh(T, traceback);
    Py_XDECREF(traceback);
    rc = rc != MP_OK ? rc : mp_guard_message(T, exc);
    rc = rc != MP_OK ? rc : mp_load_const(T, (PyObject *)Py_TYPE(exc));
    return rc != MP_OK ? rc : mp_guard_mro(T, Py_TYPE(exc));
}

/* PUSH_EXC_INFO: a handler begins. The handled exception has the one that the caller was
 * handling as its context, so that there is none, or that one, is guarded. */
static mp_rc
do_handler(mp_trace *T, PyObject *exc)
{
    mp_rc rc = mp_read_handled(T);
    return rc != MP_OK ? rc : mp_do_exception(T, exc);
}

/* RAISE_VARARGS. A class is called to make the exception. Raising an external exception
 * adds a traceback to it, which no effect repeats. */
static mp_rc
do_raise(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    mp_rc rc = MP_OK;
    for (int i = in->arg; i > 0 && rc == MP_OK; i--) {
        PyObject *exc = TOP(s, in, i);
        mp_node *n = mp_refgraph_find(&T->graph, exc);
        if (PyExceptionClass_Check(exc)) {
            rc = mp_prepare_class(T, (PyTypeObject *)exc,
                                  &(bool){false});  // (it is called)
        }
        else if (i == in->arg && n != NULL && n->reg >= 0
                 && PyExceptionInstance_Check(exc)) {
            rc = mp_trace_abort(T, MP_AB_MUTATION, "an external %s is raised",
                                mp_type_name(exc));
        }
    }
    return rc;
}

/* LOAD_METHOD: the look-up of LOAD_ATTR, but the result is a pair (method, self), or
 * (NULL, attribute). */
static mp_rc
do_unpack(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    mp_rc rc = mp_record_unpack(T, s, TOP(s, in, 1));
    return rc != MP_OK ? rc : mp_number_box_items(T, s, in->depth - 1);
}

static mp_rc
do_method(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    bool done;
    mp_rc rc = mp_number_method(T, s, TOP(s, in, 1), NAME(s, in), &done);
    rc = rc != MP_OK || done ? rc : mp_record_getattr(T, s, TOP(s, in, 1), NAME(s, in));
    if (s->post == MP_POST_RESULT) {
        s->post = MP_POST_PAIR;
    }
    return rc;
}

mp_rc
mp_record_instr(mp_trace *T, mp_shadow *s, const mp_instr *in)
{
    assert(T->state == MP_TRACE_RECORDING || T->state == MP_TRACE_ABORTED);
    assert(in->op >= 0 && in->depth >= 0);
    T->exposes = false;
    switch ((mp_op)in->op) {
    // moves between slots, jumps that look at nothing, frame book-keeping
    case MP_OP_NOP:
    case MP_OP_POP_TOP:
    case MP_OP_PUSH_NULL:
    case MP_OP_COPY:
    case MP_OP_SWAP:
    case MP_OP_JUMP_FORWARD:
    case MP_OP_JUMP_BACKWARD:
    case MP_OP_RESUME:
    case MP_OP_RERAISE:
    case MP_OP_MAKE_CELL:
    case MP_OP_COPY_FREE_VARS:
    case MP_OP_RETURN_CONST:
    case MP_OP_END_FOR:
    case MP_OP_END_SEND:
    case MP_OP_RETURN_GENERATOR:
    case MP_OP_CLEANUP_THROW:
    case MP_OP_LOAD_SMALL_INT:
        return MP_OK;
    case MP_OP_RETURN_VALUE:
    case MP_OP_YIELD_VALUE:
        return do_hand_out(T, s, in);
    case MP_OP_CHECK_EXC_MATCH:
        return mp_record_except(T, TOP(s, in, 1));
    case MP_OP_LOAD_FAST:
    case MP_OP_LOAD_FAST_CHECK:
    case MP_OP_LOAD_FAST_AND_CLEAR:
        return mp_segment_load_local(T, s, in->arg);
    case MP_OP_STORE_FAST:
    case MP_OP_DELETE_FAST:
        return mp_segment_store_local(T, s, in->arg);
    case MP_OP_LOAD_FAST_LOAD_FAST:
    case MP_OP_STORE_FAST_LOAD_FAST:
    case MP_OP_STORE_FAST_STORE_FAST:
        return mp_do_two_locals(T, s, in);
    case MP_OP_LIST_APPEND:
    case MP_OP_SET_ADD:
    case MP_OP_MAP_ADD:
        return do_add(T, s, in);
    case MP_OP_RAISE_VARARGS:
        return in->arg > 0 ? do_raise(T, s, in) : mp_read_handled(T);
    case MP_OP_WITH_EXCEPT_START:
        return mp_do_with_except(T, s, in);
    case MP_OP_KW_NAMES:
        s->kwnames = PyTuple_GET_ITEM(s->info->code->co_consts, in->arg);
        s->names_at = s->pending;
        return MP_OK;
    case MP_OP_LOAD_CONST:
        return load_const(T, PyTuple_GET_ITEM(s->info->code->co_consts, in->arg));
    case MP_OP_POP_EXCEPT:
        s->handling--;
        return MP_OK;
    case MP_OP_PUSH_EXC_INFO:
        if (s->handling++ == 0) {
            s->raised = T->raised;
        }
        return TOP(s, in, 1) == NULL ? MP_OK : do_handler(T, TOP(s, in, 1));
    case MP_OP_LOAD_ASSERTION_ERROR:
        return mp_load_const(T, PyExc_AssertionError);
    case MP_OP_LOAD_COMMON_CONSTANT:
        return mp_load_const(T, mp_common_constant_borrow(in->arg));
    case MP_OP_BUILD_SET:
    case MP_OP_BUILD_MAP:
        s->below = MP_BELOW_WATCH;
        s->post = MP_POST_FRESH;
        return note_keys(T, s, in, in->op == MP_OP_BUILD_MAP ? 2 : 1);
    case MP_OP_BUILD_CONST_KEY_MAP:
        s->below = MP_BELOW_WATCH;
        s->post = MP_POST_FRESH;
        return MP_OK;
    case MP_OP_BUILD_TUPLE:
    case MP_OP_BUILD_LIST:
    case MP_OP_BUILD_SLICE:
        s->post = MP_POST_FRESH;
        return MP_OK;
    case MP_OP_LIST_TO_TUPLE:
        s->post = MP_POST_FRESH;
        return mp_read_all(T, TOP(s, in, 1));
    case MP_OP_MAKE_FUNCTION:
        s->post = MP_POST_FRESH;
        return make_function(T, s, in);
    case MP_OP_SET_FUNCTION_ATTRIBUTE:
        return in->arg == 8 ? MP_OK : mp_read_all(T, TOP(s, in, 2));  // 8: the closure
    case MP_OP_LOAD_GLOBAL:
        return load_global(T, s, NAME(s, in));
    case MP_OP_STORE_GLOBAL:
        return store_global(T, s, NAME(s, in), TOP(s, in, 1));
    case MP_OP_DELETE_GLOBAL:
        return store_global(T, s, NAME(s, in), NULL);
    case MP_OP_LOAD_DEREF:
        return mp_read_cell(T, s, in->arg);
    case MP_OP_LOAD_CLASSDEREF:
    case MP_OP_LOAD_FROM_DICT_OR_DEREF:
        return load_name_or_deref(T, s, in);
    case MP_OP_LOAD_NAME:
        return load_name(T, s, NAME(s, in));
    case MP_OP_STORE_NAME:
        return mp_record_store_name(T, s, NAME(s, in), TOP(s, in, 1));
    case MP_OP_DELETE_NAME:
        return mp_record_store_name(T, s, NAME(s, in), NULL);
    case MP_OP_LOAD_LOCALS:
        return MP_OK;
    case MP_OP_SETUP_ANNOTATIONS:
        return setup_annotations(T, s);
    case MP_OP_LOAD_BUILD_CLASS:
        return load_build_class(T, s);
    case MP_OP_STORE_DEREF:
        return store_deref(T, s, in->arg, TOP(s, in, 1));
    case MP_OP_DELETE_DEREF:
        return store_deref(T, s, in->arg, NULL);
    case MP_OP_LOAD_CLOSURE: {
        PyObject *cell;
        mp_node *n;
        return cell_node(T, s, in->arg, &cell, &n);
    }
    case MP_OP_LOAD_ATTR:
        return mp_record_getattr(T, s, TOP(s, in, 1), NAME(s, in));
    case MP_OP_IMPORT_FROM:
        return mp_record_import_from(T, s, TOP(s, in, 1), NAME(s, in));
    case MP_OP_LOAD_METHOD:
        return do_method(T, s, in);
    case MP_OP_LOAD_SUPER_ATTR:
        return do_super_attr(T, s, in);
    case MP_OP_STORE_ATTR:
        return mp_record_setattr(T, s, TOP(s, in, 1), NAME(s, in), TOP(s, in, 2));
    case MP_OP_DELETE_ATTR:
        return mp_record_setattr(T, s, TOP(s, in, 1), NAME(s, in), NULL);
    case MP_OP_BINARY_SUBSCR:
        return mp_record_getitem(T, s, TOP(s, in, 2), TOP(s, in, 1));
    case MP_OP_STORE_SUBSCR:
        return mp_record_setitem(T, s, TOP(s, in, 2), TOP(s, in, 1), TOP(s, in, 3));
    case MP_OP_DELETE_SUBSCR:
        return mp_record_setitem(T, s, TOP(s, in, 2), TOP(s, in, 1), NULL);
    case MP_OP_BINARY_SLICE:
        return do_slice(T, s, in, false);
    case MP_OP_STORE_SLICE:
        return do_slice(T, s, in, true);
    case MP_OP_COMPARE_OP:
        return mp_do_compare(T, s, in);
    case MP_OP_IS_OP:
        return do_is(T, s, in);
    case MP_OP_CONTAINS_OP:
        return mp_record_contains(T, s, TOP(s, in, 1), TOP(s, in, 2));
    case MP_OP_BINARY_OP:
        return mp_record_binary(T, s, TOP(s, in, 2), TOP(s, in, 1), in->arg);
    case MP_OP_UNARY_POSITIVE:
        return mp_record_unary(T, s, TOP(s, in, 1), "pos");
    case MP_OP_UNARY_NEGATIVE:
        return mp_record_unary(T, s, TOP(s, in, 1), "neg");
    case MP_OP_UNARY_INVERT:
        return mp_record_unary(T, s, TOP(s, in, 1), "invert");
    case MP_OP_UNARY_NOT: {
        bool done;
        mp_rc rc = mp_late_unary(T, s, TOP(s, in, 1), "not_", &done);
        return rc != MP_OK || done ? rc : mp_read_truth(T, TOP(s, in, 1), s);
    }
    case MP_OP_TO_BOOL:
        return mp_do_to_bool(T, s, in);
    case MP_OP_POP_JUMP_IF_TRUE:
    case MP_OP_POP_JUMP_IF_FALSE:
        return mp_do_jump(T, s, TOP(s, in, 1));
    case MP_OP_JUMP_IF_TRUE_OR_POP:
    case MP_OP_JUMP_IF_FALSE_OR_POP:
        return mp_read_truth(T, TOP(s, in, 1), s);
    case MP_OP_POP_JUMP_IF_NONE:
    case MP_OP_POP_JUMP_IF_NOT_NONE:
        return do_known(T, TOP(s, in, 1));
    case MP_OP_GET_ITER:
    case MP_OP_GET_YIELD_FROM_ITER:
        return do_get_iter(T, s, in);
    case MP_OP_FOR_ITER:
        return do_for_iter(T, s, TOP(s, in, 1));
    case MP_OP_SEND:
        return TOP(s, in, 1) == Py_None || PyGen_CheckExact(TOP(s, in, 2))
                   ? do_for_iter(T, s, TOP(s, in, 2))
                   : mp_trace_abort(T, MP_AB_OPAQUE_CALL, "send() of a %s",
                                    mp_type_name(TOP(s, in, 2)));
    case MP_OP_UNPACK_SEQUENCE:
    case MP_OP_UNPACK_EX:
        return do_unpack(T, s, in);
    case MP_OP_LIST_EXTEND:
    case MP_OP_SET_UPDATE:
    case MP_OP_DICT_UPDATE:
    case MP_OP_DICT_MERGE:
        return do_add_all(T, s, in);
    case MP_OP_BUILD_STRING:
        return do_build_string(T, s, in);
    case MP_OP_FORMAT_VALUE:
        return do_format(T, s, in);
    case MP_OP_PRECALL:
        return mp_do_precall(T, s, in);
    case MP_OP_CALL:
        return mp_do_call(T, s, in);
    case MP_OP_CALL_FUNCTION_EX:
        return mp_do_call_ex(T, s, in);
    case MP_OP_CALL_INTRINSIC_1:
        return do_intrinsic(T, s, in);
    case MP_OP_BEFORE_WITH:
        return mp_do_before_with(T, s, TOP(s, in, 1));
    case MP_OP_LOAD_SPECIAL:
        return mp_do_load_special(T, s, in);
    case MP_OP_IMPORT_NAME:
        return mp_record_import(T, s, NAME(s, in), TOP(s, in, 2), TOP(s, in, 1));
    case MP_OP_GET_LEN:
        return mp_record_get_len(T, s, TOP(s, in, 1));
    case MP_OP_MATCH_MAPPING:
    case MP_OP_MATCH_SEQUENCE:
        s->post = MP_POST_RESULT;
        return mp_record_match_kind(T, TOP(s, in, 1));
    case MP_OP_MATCH_KEYS:
        return mp_record_match_keys(T, s, TOP(s, in, 2));
    case MP_OP_MATCH_CLASS:
        return mp_record_match_class(T, s, TOP(s, in, 3), TOP(s, in, 2), TOP(s, in, 1),
                                     in->arg);
    // statements that only modules and coroutines have, and exception groups
    case MP_OP_UNKNOWN:
    case MP_OP_BEFORE_ASYNC_WITH:
    case MP_OP_CHECK_EG_MATCH:
    case MP_OP_END_ASYNC_FOR:
    case MP_OP_GET_AITER:
    case MP_OP_GET_ANEXT:
    case MP_OP_GET_AWAITABLE:
    case MP_OP_ASYNC_GEN_WRAP:
    case MP_OP_IMPORT_STAR:
    case MP_OP_PREP_RERAISE_STAR:
    case MP_OP_PRINT_EXPR:
    case MP_OP_CALL_INTRINSIC_2:
    case MP_OP_INTERPRETER_EXIT:
    case MP_OP_LOAD_FROM_DICT_OR_GLOBALS:
    case MP_OP_BUILD_INTERPOLATION:
    case MP_OP_BUILD_TEMPLATE:
    case MP_OP_COUNT:
        break;
    }
    return mp_trace_abort(T, MP_AB_OPCODE, "%s", mp_op_name(in->op));
}
