/* python/operator.c - operators, comparisons and formatting.
 *
 * A tensor operand makes an operation of the graph.  A class written in Python runs its
 * special method as a frame, which is watched.  Everything else is C code that may look at
 * all that its operands hold, so that is guarded first.
 */
#include "python/python.h"

#include <string.h>

#include "graph/graph.h"
#include "guard/field.h"
#include "objects/names.h"
#include "objects/operators.h"
#include "objects/rows.h"
#include "read/read.h"

/* -- Comparison and operators ---------------------------------------------------------------- */

mp_rc
mp_record_is(mp_trace *T, PyObject *a, PyObject *b)
{
    mp_val na, nb;
    mp_rc rc = mp_apply_refuse_is(T, a, b);
    bool told = (mp_is_constant(a) || mp_is_constant(b))
                && Py_TYPE(a) != Py_TYPE(b);  // `n is None`: types decide
    if (told && rc == MP_OK) {
        rc = mp_pass(T, a);
        return rc != MP_OK ? rc : mp_pass(T, b);
    }
    rc = rc != MP_OK ? rc : mp_value(T, a, &na);
    if (rc == MP_OK) {
        rc = mp_value(T, b, &nb);
    }
    if (rc == MP_OK && mp_val_is_tensor(na) && mp_val_is_tensor(nb) && a != b) {
        rc = mp_refuse_unsure(T, na.node);
        rc = rc != MP_OK ? rc : mp_refuse_unsure(T, nb.node);
    }
    if (rc != MP_OK || mp_val_is_constant(na) || mp_val_is_constant(nb)
        || na.node == nb.node) {
        return rc;  // types and values that are guarded decide
    }
    if (na.node->reg < 0 || nb.node->reg < 0 || (na.node->pinned && nb.node->pinned)) {
        return MP_OK;
    }
    return mp_refgraph_test(&T->graph, MP_G_NOT_SAME, na.node->reg, nb.node->reg, NULL,
                            0)
                   < 0
               ? MP_ERR
               : MP_OK;
}

/* Operands of a C-level operator: everything that it may look at is guarded. */
static mp_rc
read_operand(mp_trace *T, PyObject *o, mp_node *n, bool looks)
{
    bool has_tensor = false;
    if (n == NULL || n->kind == MP_NODE_FRESH || mp_is_identity(o) || mp_is_sized(o)) {
        mp_rc rc = mp_read_deep(T, o, &has_tensor);
        if (rc == MP_OK && has_tensor && looks) {
            return mp_trace_abort(T, MP_AB_HOST_READ, "a %s of tensors is looked at",
                                  mp_type_name(o));
        }
        return rc;
    }
    mp_rc rc = mp_read_c_object(T, o, n);
    if (rc != MP_OK || n->pinned || mp_is_array(o)) {
        return rc;
    }
    if (Py_TYPE(o)->tp_flags & Py_TPFLAGS_HEAPTYPE
        && !(Py_TYPE(o)->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)) {
        return mp_prepare_instance(T, o);  // a class in Python: frames, or identity
    }
    return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "operator on a %s", mp_type_name(o));
}

static bool
is_boxed(mp_val v)
{
    return v.kind == MP_VAL_SYMBOL || v.kind == MP_VAL_LATE;
}

/* What the operands are.  A symbol or late value beside a tensor is an argument of an operation;
 * beside anything else it is pinned. */
static mp_rc
know_operands(mp_trace *T, PyObject *a, PyObject *b, mp_val *na, mp_val *nb)
{
    mp_rc rc = mp_value_late(T, a, na);
    rc = rc != MP_OK ? rc : mp_value_late(T, b, nb);
    if (rc == MP_OK && is_boxed(*na) && !mp_val_is_tensor(*nb)) {
        rc = mp_value(T, a, na);
    }
    if (rc == MP_OK && is_boxed(*nb) && !mp_val_is_tensor(*na)) {
        rc = mp_value(T, b, nb);
    }
    return rc;
}

static const char *const compare_names[] = {"lt", "le", "eq", "ne", "gt", "ge"};

static mp_rc
record_special_pair(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b,
                    const char *left, const char *right)
{
    bool runs;
    mp_rc rc = mp_runs_python(T, s, a, left, &runs);
    if (rc == MP_OK && Py_TYPE(a) != Py_TYPE(b)) {
        rc = mp_guard_mro(T, Py_TYPE(b));  // that of a subclass goes first
    }
    return rc != MP_OK ? rc : mp_runs_python(T, s, b, right, &runs);
}

/* a op b for the six comparisons.  Special methods of both classes may run, the
 * reflected one too; C code compares containers item by item, and identity before
 * equality. */
mp_rc
mp_record_compare(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op)
{
    static const int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
    mp_val na, nb;
    char left[8], right[8];
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    bool done;
    mp_rc rc = mp_number_compare(T, s, a, b, op, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = know_operands(T, a, b, &na, &nb);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(na) || mp_val_is_tensor(nb)) {
        PyObject *args[2] = {a, b};
        bool constant = (op == Py_EQ || op == Py_NE) && (a == Py_None || b == Py_None);
        return mp_op_begin(T, s, mp_operator_borrow(compare_names[op]), args, 2, NULL,
                           constant ? MP_TORCH_EITHER : MP_TORCH_CALL);
    }
    s->post = MP_POST_RESULT;
    if (op != Py_EQ && op != Py_NE) {
        rc = mp_refuse_fresh_id(T, a);
        rc = rc != MP_OK ? rc : mp_refuse_fresh_id(T, b);
    }
    if (rc != MP_OK || (mp_val_is_constant(na) && mp_val_is_constant(nb))) {
        return rc;
    }
    snprintf(left, sizeof(left), "__%s__", compare_names[op]);
    snprintf(right, sizeof(right), "__%s__", compare_names[swapped[op]]);
    rc = record_special_pair(T, s, a, b, left, right);
    if (rc == MP_OK && op == Py_NE) {  // object.__ne__ asks __eq__
        rc = record_special_pair(T, s, a, b, "__eq__", "__eq__");
    }
    if (rc == MP_OK) {
        rc = read_operand(T, a, na.node, true);
    }
    if (rc == MP_OK) {
        rc = read_operand(T, b, nb.node, true);
    }
    s->looks = mp_is_sized(a) || mp_is_sized(b);
    if (rc == MP_OK && (op == Py_EQ || op == Py_NE)) {
        rc = mp_record_is(T, a, b);
    }
    s->below = MP_BELOW_WATCH;  // of items in containers
    return rc;
}

static const char *const binary_names[] = {
    "add", "and_", "floordiv", "lshift", "matmul",  "mul", "mod",
    "or_", "pow",  "rshift",   "sub",    "truediv", "xor",
};

/* What the operators in place do to a set (read/set.c); 0: TypeError. */
static const char set_letters[] = {0, '&', 0, 0, 0, 0, 0, '|', 0, 0, '\\', 0, '^'};
enum { BINARY_ADD = 0, BINARY_MOD = 6 };

/* xs + ys, xs * 2: the items of the list or tuple xs are passed on, not looked at. */
static bool
joins_items(PyObject *xs, PyObject *other, int op)
{
    enum { ADD = 0, MULTIPLY = 5 };  // in binary_names
    bool is_sequence = PyList_CheckExact(xs) || PyTuple_CheckExact(xs)
                       || (PyTuple_Check(xs) && mp_is_constant(xs));  // torch.Size
    return is_sequence
           && ((op == ADD
                && (Py_IS_TYPE(other, Py_TYPE(xs))
                    || (PyTuple_Check(xs) && PyTuple_Check(other)
                        && (PyTuple_CheckExact(other) || mp_is_constant(other)))))
               || (op == MULTIPLY && PyLong_CheckExact(other)));
}

/* A binary instruction. */
typedef struct {
    PyObject *a, *b;
    mp_val na, nb;
    int base;  // BINARY_*
    bool inplace;
} binary;

/* What the special method, or the function of `operator`, is called: with this before the
 * stem of the operator, and that behind it. */
static const char *
binary_name(char *name, size_t size, const char *before, int base, const char *behind)
{
    const char *stem = binary_names[base];
    size_t len = strlen(stem);
    snprintf(name, size, "%s%.*s%s", before,
             (int)(stem[len - 1] == '_' ? len - 1 : len), stem, behind);
    return name;
}

/* A tensor operand makes it an operation of the graph, in place only if `a` is the tensor;
 * mp_op_end then finds out what it has written (graph/writes.c). */
static mp_rc
binary_of_tensors(mp_trace *T, mp_shadow *s, const binary *op)
{
    PyObject *args[2] = {op->a, op->b};
    char name[24];
    bool inplace =
        op->inplace && mp_val_is_tensor(op->na);  // 0 += t makes a new tensor
    if (op->inplace && !inplace && op->na.kind == MP_VAL_NODE) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a %s changed by a tensor",
                              mp_type_name(op->a));
    }
    PyObject *f =
        mp_operator_borrow(inplace ? binary_name(name, sizeof(name), "i", op->base, "")
                                   : binary_names[op->base]);
    return mp_op_begin(T, s, f, args, 2, NULL, MP_TORCH_CALL);
}

/* Special methods in Python are watched. */
static mp_rc
binary_methods(mp_trace *T, mp_shadow *s, const binary *op)
{
    char left[24], right[24], name[24];
    bool runs;
    mp_rc rc = record_special_pair(
        T, s, op->a, op->b, binary_name(left, sizeof(left), "__", op->base, "__"),
        binary_name(right, sizeof(right), "__r", op->base, "__"));
    if (rc == MP_OK && op->inplace) {
        rc = mp_runs_python(
            T, s, op->a, binary_name(name, sizeof(name), "__i", op->base, "__"), &runs);
    }
    return rc;
}

/* C code computes it: what it may look at is guarded, and an external builtin container on
 * the left of an in-place operator has new content. */
static mp_rc
binary_in_c(mp_trace *T, mp_shadow *s, const binary *op)
{
    PyObject *a = op->a, *b = op->b;
    mp_rc rc = MP_OK;
    bool is_text = PyUnicode_Check(a) || PyBytes_Check(a);  // "%s" % (x, y)
    bool writes = op->inplace && mp_val_has_source(op->na);
    bool alters = writes && PySet_Check(a);
    if (writes && op->base == BINARY_ADD && PyList_CheckExact(a)
        && mp_extends_by_items(a, b)) {
        s->below = MP_BELOW_WATCH;
        return mp_write_extend(T, op->na.node, b);
    }
    if (!alters) {
        rc = joins_items(a, b, op->base) ? mp_read_all(T, a)
                                         : read_operand(T, a, op->na.node, false);
    }
    if (rc == MP_OK) {
        rc = joins_items(b, a, op->base) ? mp_read_all(T, b)
                                         : read_operand(T, b, op->nb.node, is_text);
    }
    if (rc == MP_OK && is_text && op->base == BINARY_MOD) {
        rc = mp_look_at_text(T, b);
    }
    if (rc == MP_OK && writes && mp_is_array(a)) {
        return mp_trace_abort(T, MP_AB_MUTATION, "an external %s", mp_type_name(a));
    }
    if (rc == MP_OK && alters && PyAnySet_Check(b)) {
        char letter = set_letters[op->base];
        return letter == 0 ? MP_OK : mp_write_set(T, op->na.node, letter, b);
    }
    s->below = MP_BELOW_WATCH;  // of what `list += iterable` iterates over
    if (rc == MP_OK && writes
        && (PyList_Check(a) || PyDict_Check(a) || mp_is_deque(a)
            || PyByteArray_CheckExact(a))) {
        rc = mp_write_content(T, op->na.node);
    }
    return rc;
}

/* a op b, or a op= b (op >= 13, as in the instruction's argument). */
mp_rc
mp_record_binary(mp_trace *T, mp_shadow *s, PyObject *a, PyObject *b, int op)
{
    binary what = {.a = a, .b = b, .base = op % 13, .inplace = op >= 13};
    if (mp_container_types() < 0) {
        return MP_ERR;
    }
    bool done;
    mp_rc rc = mp_number_binary(T, s, a, b, op, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = know_operands(T, a, b, &what.na, &what.nb);
    rc = rc != MP_OK ? rc : mp_refuse_fresh_id(T, a);
    rc = rc != MP_OK ? rc : mp_refuse_fresh_id(T, b);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(what.na) || mp_val_is_tensor(what.nb)) {
        return binary_of_tensors(T, s, &what);
    }
    s->post = MP_POST_RESULT;
    if (mp_val_is_constant(what.na) && mp_val_is_constant(what.nb)) {
        return MP_OK;
    }
    rc = binary_methods(T, s, &what);
    return rc != MP_OK ? rc : binary_in_c(T, s, &what);
}

/* op a; name: the function in `operator`. */
mp_rc
mp_record_unary(mp_trace *T, mp_shadow *s, PyObject *a, const char *name)
{
    mp_val n;
    bool runs;
    char special[24];
    bool done;
    mp_rc rc = mp_number_unary(T, s, a, name, &done);
    if (rc != MP_OK || done) {
        return rc;
    }
    rc = mp_value(T, a, &n);
    rc = rc != MP_OK ? rc : mp_refuse_fresh_id(T, a);
    if (rc != MP_OK) {
        return rc;
    }
    if (mp_val_is_tensor(n)) {
        return mp_op_begin(T, s, mp_operator_borrow(name), &a, 1, NULL, MP_TORCH_CALL);
    }
    s->post = MP_POST_RESULT;
    if (mp_val_is_constant(n)) {
        return MP_OK;
    }
    snprintf(special, sizeof(special), "__%s__", name);
    rc = mp_runs_python(T, s, a, special, &runs);
    return rc != MP_OK || runs ? rc : read_operand(T, a, n.node, false);
}

/* object.__repr__ prints an address, C types print state that is not guarded. */
static bool
text_is_opaque(mp_trace *T, PyObject *obj, bool nested)
{
    mp_node *n = mp_is_constant(obj) ? NULL : mp_refgraph_find(&T->graph, obj);
    PyTypeObject *tp = Py_TYPE(obj);
    PyObject *format = mp_type_lookup_borrow(tp, MP_NAME(FORMAT));
    PyTypeObject *in_c = mp_c_base(tp);  // the part that the class does not override
    bool in_python = tp != in_c
                     && (tp->tp_repr != in_c->tp_repr
                         || (!nested
                             && (tp->tp_str != in_c->tp_str
                                 || (format != NULL && PyFunction_Check(format)))));
    if (n == NULL || n->kind == MP_NODE_TENSOR || in_python || n->pinned) {
        return false;
    }
    return n->kind == MP_NODE_EXTERNAL || tp->tp_repr == PyBaseObject_Type.tp_repr
           || PyFunction_Check(obj) || mp_is_array(obj);  // (as print options say)
}

static mp_rc look_at_text(mp_trace *T, PyObject *obj, bool nested);

/* A partial or a method that the run made shows the objects that it holds. */
static mp_rc
look_at_parts(mp_trace *T, PyObject *obj)
{
    static const int fields[] = {MP_F_PARTIAL_FUNC, MP_F_PARTIAL_ARGS, MP_F_PARTIAL_KW,
                                 MP_F_METHOD_FUNC, MP_F_METHOD_SELF};
    bool has_tensor = false;
    mp_rc rc = MP_OK;
    for (size_t i = 0; rc == MP_OK && i < Py_ARRAY_LENGTH(fields); i++) {
        PyObject *part = mp_guard_field_borrow(obj, fields[i]);
        bool holds = part != NULL && (PyTuple_Check(part) || PyDict_Check(part));
        rc = part == NULL || !holds ? MP_OK : mp_fresh(T, part);
        rc = rc != MP_OK || part == NULL ? rc : mp_read_deep(T, part, &has_tensor);
        rc = rc != MP_OK || part == NULL ? rc : look_at_text(T, part, true);
    }
    return rc == MP_OK && has_tensor
               ? mp_trace_abort(T, MP_AB_HOST_READ, "the text of a tensor")
               : rc;
}

/* Everything that repr(obj) shows: contents of containers, the parts of partials and
 * methods. nested: inside a container, where repr() is asked, not str(). */
static mp_rc
look_at_text(mp_trace *T, PyObject *obj, bool nested)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    mp_rc rc = MP_OK;
    if (PyType_Check(obj)) {
        return mp_read_class_text(T, obj, &(bool){false});
    }
    if (!mp_is_sized(obj)) {
        return text_is_opaque(T, obj, nested)
                   ? mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "text of a %s",
                                    mp_type_name(obj))
               : mp_type_is(obj, MP_K_PARTIAL) || PyMethod_Check(obj)
                   ? look_at_parts(T, obj)
                   : MP_OK;
    }
    if (mp_is_default_dict(obj)) {  // it shows its factory
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "text of a %s", mp_type_name(obj));
    }
    if (Py_EnterRecursiveCall(" while recording")) {
        mp_err_drop();  // a container that holds itself, or is nested too deeply
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a container nested too deeply");
    }
    Py_hash_t hash;
    while (rc == MP_OK && PyAnySet_Check(obj) && mp_set_next(obj, &pos, &key, &hash)) {
        rc = look_at_text(T, key, true);
    }
    Py_ssize_t size = mp_is_deque(obj) ? Py_SIZE(obj) : 0;
    for (Py_ssize_t i = 0; rc == MP_OK && i < size; i++) {
        PyObject *item = mp_deque_item(obj, i);
        rc = item == NULL ? MP_ERR : look_at_text(T, item, true);
        Py_XDECREF(item);
    }
    for (Py_ssize_t i = 0; rc == MP_OK && (PyList_Check(obj) || PyTuple_Check(obj))
                           && i < PySequence_Fast_GET_SIZE(obj);
         i++) {
        rc = look_at_text(T, PySequence_Fast_GET_ITEM(obj, i), true);
    }
    while (rc == MP_OK && PyDict_Check(obj) && PyDict_Next(obj, &pos, &key, &value)) {
        rc = look_at_text(T, key, true);
        rc = rc != MP_OK ? rc : look_at_text(T, value, true);
    }
    Py_LeaveRecursiveCall();
    return rc;
}

/* str(obj) or format(obj) is about to be taken by C code.  Aborts if the text would show
 * an address, or state of a C object that no guard covers. */
mp_rc
mp_look_at_text(mp_trace *T, PyObject *obj)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0;
         rc == MP_OK && PyTuple_CheckExact(obj) && i < PyTuple_GET_SIZE(obj); i++) {
        rc = look_at_text(T, PyTuple_GET_ITEM(obj, i), false);  // "%s" % (x, y)
    }
    return rc != MP_OK || PyTuple_CheckExact(obj) ? rc : look_at_text(T, obj, false);
}

/* Does the format string look up attributes of its arguments ("{0.name}")? Yes on doubt. */
bool
mp_format_takes_attrs(PyObject *text)
{
    bool in_name = false;  // between `{` and the `:` or `!` of a field
    bool known = PyUnicode_Check(text) && mp_str_is_ready(text);
    if (!known && PyUnicode_Check(text)) {
        return true;
    }
    for (Py_ssize_t i = 0; known && i < PyUnicode_GET_LENGTH(text); i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(text, i);
        if (in_name && c == '.') {
            return true;
        }
        in_name = c == '{' || (in_name && c != ':' && c != '!' && c != '}');
    }
    return false;
}

/* A text is made of value (f-string, str(), format()): methods in Python are watched,
 * everything else that the text shows is guarded. */
mp_rc
mp_record_format(mp_trace *T, mp_shadow *s, PyObject *value)
{
    mp_val n;
    bool runs = false, any = false, has_tensor = false;
    static const char *const names[] = {"__format__", "__str__", "__repr__"};
    mp_rc rc = mp_value(T, value, &n);
    s->post = MP_POST_RESULT;
    s->below = mp_is_dtype(value) ? MP_BELOW_SKIP : s->below;  // Python code of numpy
    if (rc == MP_OK && PyType_Check(value)) {
        rc = mp_read_class_text(T, value, &runs);
        s->below = runs ? MP_BELOW_WATCH : s->below;
        return rc;
    }
    if (rc != MP_OK || mp_val_is_constant(n)) {
        return rc != MP_OK ? rc : mp_refuse_fresh_id(T, value);
    }
    rc = mp_read_deep(T, value, &has_tensor);
    if (rc == MP_OK && has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "formatting a tensor");
    }
    for (int i = 0; i < 3 && rc == MP_OK; i++) {
        rc = mp_runs_python(T, s, value, names[i], &runs);
        any = any || runs;
    }
    s->post = MP_POST_RESULT;
    return rc != MP_OK || any ? rc : mp_look_at_text(T, value);
}
