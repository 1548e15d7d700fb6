/* read/array.c - numpy: calls, and arrays that the run makes.
 *
 * An array that the run made is *determined*: pure functions made it of constants and of
 * other such arrays, so its bytes follow from what is guarded, and whatever is read from it
 * is a constant of the run.  R: no memory of a tensor gets into one, nor anything else that
 * no guard sees: time, files, random numbers.
 */
#include "read/read.h"

#include <string.h>

#include "objects/operators.h"

/* -- Functions ------------------------------------------------------------------------- */

static bool
is_listed(const char *name, const char *const *list)
{
    while (*list != NULL && strcmp(name, *list) != 0) {  // mp-ok: attributes
        list++;
    }
    return *list != NULL;
}

mp_rc
mp_numpy_check_method(mp_trace *T, PyObject *callee, const char *name)
{
    return mp_marks_of(callee) & MP_MARK_PURE
               ? MP_OK
               : mp_trace_abort(T, MP_AB_SIDE_EFFECT, "numpy.ndarray.%s", name);
}

/* np.frompyfunc(f, 1, 1) has one loop, over objects; numpy's own have others. */
static bool
calls_python(PyObject *ufunc)
{
    PyObject *types = PyObject_GetAttrString(ufunc, "types");
    bool found = types == NULL || !PyList_Check(types) || PyList_GET_SIZE(types) == 1;
    mp_err_drop();  // without its types it may do anything
    Py_XDECREF(types);
    return found;
}

/* May this function or type of numpy be recorded? Those that are listed as pure
 * (objects/numpy.def) and types of numbers. */
static mp_rc
check_function(mp_trace *T, PyObject *callee)
{
    mp_rc rc = mp_load_const(T, callee);  // a type alone does not tell which one it is
    if (rc != MP_OK) {
        return rc;
    }
    if (PyType_Check(callee)) {
        return mp_is_known(callee, MP_K_ARRAY_DATETIME)
                       || (mp_marks_of(callee) & MP_MARK_RANDOM)
                   ? mp_trace_abort(T, MP_AB_SIDE_EFFECT, "%s",
                                    ((PyTypeObject *)callee)->tp_name)
                   : MP_OK;
    }
    if (mp_type_is(callee, MP_K_ARRAY_UFUNC) && calls_python(callee)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_CALL, "a ufunc of Python's");
    }
    if (mp_marks_of(callee) & MP_MARK_PURE) {
        return MP_OK;
    }
    PyObject *name = PyObject_GetAttrString(callee, "__name__");
    mp_err_drop();  // numpy's own functions have one
    rc = mp_trace_abort(T, MP_AB_SIDE_EFFECT, "numpy.%V", name, "?");
    Py_XDECREF(name);
    return rc;
}

bool
mp_is_numpy_callable(PyObject *callee)
{
    if (mp_type_is(callee, MP_K_ARRAY_UFUNC)
        || mp_type_is(callee, MP_K_ARRAY_DISPATCHER)) {
        return true;
    }
    if (PyType_Check(callee)) {
        return ((mp_marks_of(callee) & MP_MARK_RANDOM)
                || mp_is_numpy_type((PyTypeObject *)callee))
               && !mp_is_known(callee, MP_K_ARRAY);
    }
    return PyCFunction_Check(callee) && (mp_marks_of(callee) & MP_MARK_NUMPY) != 0;
}

mp_rc
mp_numpy_call(mp_trace *T, mp_shadow *s, PyObject *callee, PyObject *const *args,
              Py_ssize_t count)
{
    bool has_tensor = false;
    mp_rc state = mp_array_guard_state(T);
    if (state != MP_OK) {
        return state;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        mp_val n;
        mp_rc rc = mp_value(T, args[i], &n);
        if (rc == MP_OK
            && mp_val_is_tensor(n)) {  // of a constant one, it may take the memory
            rc = mp_trace_abort(T, MP_AB_HOST_READ, "numpy on a tensor");
        }
        if (rc == MP_OK) {
            rc = mp_read_deep(T, args[i], &has_tensor);
        }
        rc = rc != MP_OK ? rc : mp_refuse_lazy(T, args[i]);
        if (rc == MP_OK && mp_val_has_source(n) && !mp_is_identity(args[i])
            && !mp_is_array(args[i]) && !mp_is_dtype(args[i]) && !PyList_Check(args[i])
            && !PyTuple_Check(args[i])) {
            rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "numpy on a %s",
                                mp_type_name(args[i]));
        }
        if (rc != MP_OK) {
            return rc;
        }
    }
    if (has_tensor) {
        return mp_trace_abort(T, MP_AB_HOST_READ, "numpy on a tensor");
    }
    s->below = MP_BELOW_SKIP;
    s->post = MP_POST_NUMPY;
    mp_rc rc = check_function(T, callee);
    return rc == MP_OK && (mp_marks_of(callee) & MP_MARK_KEEPS_ARRAY)
               ? mp_array_expose_all(T, args, count)
               : rc;
}

/* A date may have been made of "now". */
static bool
tells_time(PyObject *o)
{
    if (!mp_is_array(o)) {
        return mp_type_is(o, MP_K_ARRAY_DATETIME);
    }
    PyObject *dtype = PyObject_GetAttrString(o, "dtype");
    PyObject *kind = dtype == NULL ? NULL : PyObject_GetAttrString(dtype, "kind");
    bool is_date = kind == NULL || !PyUnicode_Check(kind) || mp_name_is(kind, "M")
                   || mp_name_is(kind, "V");  // (a record may hold one)
    mp_err_drop();  // an array without a dtype could be anything
    Py_XDECREF(kind);
    Py_XDECREF(dtype);
    return is_date;
}

mp_rc
mp_numpy_result(mp_trace *T, PyObject *result)
{
    if (tells_time(result)) {
        return mp_trace_abort(T, MP_AB_SIDE_EFFECT, "a date of numpy may be today's");
    }
    mp_rc rc = mp_result(T, result);
    bool nests = PyTuple_CheckExact(result) || PyList_CheckExact(result);
    if (rc != MP_OK || !nests || Py_EnterRecursiveCall(" while recording")) {
        mp_err_drop();  // (nested too deeply: what is in there is not known)
        return rc;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(result) && rc == MP_OK; i++) {
        rc = mp_numpy_result(T, PySequence_Fast_GET_ITEM(result, i));
    }
    Py_LeaveRecursiveCall();
    return rc;
}

/* -- Tensors over the memory of arrays --------------------------------------------------- */

static mp_rc
keep_array(PyObject **list, PyObject *a)
{
    assert(a != NULL);
    if (*list == NULL && (*list = PyList_New(0)) == NULL) {
        return MP_ERR;
    }
    return PyList_Append(*list, a) < 0 ? MP_ERR : MP_OK;
}

mp_rc
mp_array_expose(mp_trace *T, PyObject *a)
{
    T->exposes = true;
    mp_rc rc = keep_array(&T->exposed, a);
    return rc != MP_OK ? rc : keep_array(&T->holders, Py_None);
}

/* Iterators that hold nothing but the array: keeping one keeps nothing else alive. */
mp_rc
mp_array_expose_end(mp_trace *T, PyObject *made)
{
    assert(T->exposes && T->holders != NULL);
    Py_ssize_t last = PyList_GET_SIZE(T->holders) - 1;
    T->exposes = false;
    return !Py_IS_TYPE(made, &PySeqIter_Type) && !mp_type_is(made, MP_K_ARRAY_FLATITER)
               ? MP_OK
           : PyList_SetItem(T->holders, last, Py_NewRef(made)) < 0 ? MP_ERR
                                                                   : MP_OK;
}

/* Forget the arrays whose iterators the program has dropped. */
static mp_rc
drop_exposed(mp_trace *T)
{
    assert((T->exposed == NULL) == (T->holders == NULL));
    for (Py_ssize_t i = T->exposed == NULL ? 0 : PyList_GET_SIZE(T->exposed);
         i-- > 0;) {
        PyObject *holder = PyList_GET_ITEM(T->holders, i);
        if (holder != Py_None && Py_REFCNT(holder) == 1
            && (PyList_SetSlice(T->exposed, i, i + 1, NULL) < 0
                || PyList_SetSlice(T->holders, i, i + 1, NULL) < 0)) {
            return MP_ERR;
        }
    }
    return MP_OK;
}

static mp_rc
know_dtype(mp_trace *T, PyObject *a)
{
    PyObject *dtype = PyObject_GetAttrString(a, "dtype");
    mp_rc rc = dtype == NULL        ? MP_ERR
               : mp_is_dtype(dtype) ? mp_load_const(T, dtype)
                                    : MP_OK;
    Py_XDECREF(dtype);
    return rc;
}

mp_rc
mp_array_attr(mp_trace *T, PyObject *a, mp_node *n, PyObject *name)
{
    static const char *const plain[] = {"shape",  "ndim", "size",    "dtype",
                                        "T",      "mT",   "strides", "itemsize",
                                        "nbytes", "real", "imag",    NULL};
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        return MP_ERR;
    }
    if (is_listed(text, plain)) {
        mp_rc rc = mp_array_read(T, a, n);
        return rc == MP_OK && mp_name_is(name, "dtype") ? know_dtype(T, a) : rc;
    }
    if (n->reg >= 0 || mp_array_overlaps(T->known, a)) {
        // The base of a view may be an array that the recorder has not seen.
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "attribute %U of %s", name,
                              mp_type_name(a));
    }
    return mp_name_is(name, "base") || mp_name_is(name, "flags")
               ? MP_OK
               : mp_array_expose(T, a);  // flat, data, ctypes
}

mp_rc
mp_array_expose_all(mp_trace *T, PyObject *const *args, Py_ssize_t count)
{
    mp_rc rc = MP_OK;
    for (Py_ssize_t i = 0; i < count && rc == MP_OK; i++) {
        rc = mp_is_array(args[i]) ? mp_array_expose(T, args[i]) : MP_OK;
    }
    return rc;
}

mp_array_use
mp_op_array_use(PyObject *callee, PyObject *const *args, Py_ssize_t nargs)
{
    if (callee == mp_operator_borrow("getitem")
        || callee == mp_operator_borrow("setitem")) {
        return MP_ARRAY_INDEX;
    }
    if (PyType_Check(callee)) {  // torch.FloatTensor(a); of a number it would be a size
        bool items = nargs == 1 && mp_is_array(args[0]) && PyObject_Size(args[0]) >= 0;
        mp_err_drop();
        return items ? MP_ARRAY_SHARED : MP_ARRAY_REFUSED;
    }
    uint32_t marks = mp_marks_of(callee);
    return marks & MP_MARK_COPIES_ARRAY  ? MP_ARRAY_COPIED
           : marks & MP_MARK_KEEPS_ARRAY ? MP_ARRAY_SHARED
                                         : MP_ARRAY_REFUSED;
}

/* x[mask] as x[where it is true]: compilers know the shape of that. */
static mp_rc
mask_leaf(mp_trace *T, PyObject *mask, int ndim, PyObject **leaf)
{
    if (ndim != 1) {
        return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a mask of %d dimensions", ndim);
    }
    PyObject *places = PyObject_CallMethod(mask, "nonzero", NULL);
    *leaf = places == NULL ? NULL : PySequence_GetItem(places, 0);
    Py_XDECREF(places);
    return *leaf == NULL ? MP_ERR : MP_OK;
}

/* The graph gets a copy, and makes a tensor with memory of its own at each hit.
 * R: that has the strides of one that shares the array's memory only if it is dense. */
mp_rc
mp_array_leaf(mp_trace *T, PyObject *a, PyObject **leaf)
{
    assert(T->op.array_use != MP_ARRAY_REFUSED);
    Py_buffer view;
    if (!mp_array_view(a, &view)) {
        return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s of this dtype",
                              mp_type_name(a));
    }
    if (T->op.array_use == MP_ARRAY_INDEX
        && strcmp(view.format, "?") == 0) {  // mp-ok: no name
        mp_rc rc = mask_leaf(T, a, view.ndim, leaf);
        PyBuffer_Release(&view);
        return rc;
    }
    mp_rc rc = drop_exposed(T);
    bool shares = T->op.array_use == MP_ARRAY_SHARED;
    PyObject *root = shares ? mp_array_root(a) : NULL;
    if (rc == MP_OK && view.len > MP_ARRAY_LIMIT) {
        rc = mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a large %s", mp_type_name(a));
    }
    else if (rc == MP_OK && shares && (root == NULL || !mp_array_is_dense(&view))) {
        rc = mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s that is part of something else",
                            mp_type_name(a));
    }
    else if (rc == MP_OK && shares && mp_array_overlaps(T->known, a)) {
        rc = mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s over external memory",
                            mp_type_name(a));
    }
    else if (rc == MP_OK && shares && mp_array_overlaps(T->exposed, a)) {
        rc = mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s that an iterator may hold",
                            mp_type_name(a));
    }
    rc = rc != MP_OK || !shares ? rc : keep_array(&T->op.arrays, a);
    if (rc == MP_OK && (*leaf = mp_array_freeze(a, &view)) == NULL) {
        rc = MP_ERR;
    }
    PyBuffer_Release(&view);
    Py_XDECREF(root);
    return rc;
}

mp_rc
mp_array_lend(mp_trace *T, PyObject *result)
{
    uintptr_t lo, hi, tensor_lo, tensor_hi;
    mp_rc rc = MP_OK;
    if (T->op.arrays == NULL || !mp_tensor_is(result)
        || mp_tensor_extent(result, &tensor_lo, &tensor_hi) <= 0) {
        return MP_OK;  // (without items there is nothing to share)
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(T->op.arrays) && rc == MP_OK; i++) {
        Py_buffer view;
        PyObject *a = PyList_GET_ITEM(T->op.arrays, i);
        if (!mp_array_view(a, &view)) {
            return mp_trace_abort(T, MP_AB_OP_ARGUMENT, "a %s", mp_type_name(a));
        }
        mp_array_extent(&view, &lo, &hi);
        PyBuffer_Release(&view);
        if (lo < tensor_hi && tensor_lo < hi) {
            T->lent_at = T->lent == NULL ? T->graph.at : T->lent_at;
            rc = keep_array(&T->lent, a);
        }
    }
    return rc;
}

/* -- External arrays --------------------------------------------------------------------- */

/* Has the run written to a tensor that may share memory with it? */
static bool
may_be_written(mp_trace *T, PyObject *a)
{
    uintptr_t lo = 0, hi = 0, tensor_lo, tensor_hi;
    bool found = T->wrote_input && !mp_array_span(a, &lo, &hi);
    for (int i = 0; i < T->n_inputs && !found; i++) {
        mp_node *n = T->inputs[i];
        found = n->changed
                && (!mp_node_is_alive(n)
                    || (mp_tensor_extent(n->obj, &tensor_lo, &tensor_hi) > 0
                        && lo < tensor_hi && tensor_lo < hi));
    }
    return found;
}

/* R: the guard compares the content at entry.  So the array must still have that content
 * when it is read, and when the run has ended.  (Content that is changed and restored in
 * between is restored in a hit, too: what writes to arrays follows from guarded state.) */
mp_rc
mp_array_read(mp_trace *T, PyObject *a, mp_node *n)
{
    assert(n != NULL && mp_is_array(a));
    Py_buffer view;
    if (n == NULL || n->reg < 0) {
        return MP_OK;
    }
    int first = mp_refgraph_first(&T->graph, MP_G_ARRAY, n, 0);
    if (first <= 0) {
        return first < 0 ? MP_ERR : MP_OK;
    }
    if (!mp_array_view(a, &view)) {
        return mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "the content of a %s",
                              mp_type_name(a));
    }
    PyObject *root = mp_array_root(a), *frozen = NULL;
    mp_rc rc = MP_OK;
    if (view.len > MP_ARRAY_GUARDED || !mp_array_is_dense(&view)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a large %s, or one with gaps",
                            mp_type_name(a));
    }
    else if (root == NULL || may_be_written(T, a)) {
        rc = mp_trace_abort(T, MP_AB_OPAQUE_TYPE, "a %s over the memory of a tensor",
                            mp_type_name(a));
    }
    else if ((frozen = mp_array_freeze(a, &view)) == NULL
             || mp_test(T, MP_G_ARRAY, n, frozen, 0) != MP_OK
             || keep_array(&T->known, a) != MP_OK
             || keep_array(&T->frozen, frozen) != MP_OK) {
        rc = MP_ERR;
    }
    T->known_at = T->known_at.code < 0 ? T->graph.at : T->known_at;
    PyBuffer_Release(&view);
    Py_XDECREF(root);
    Py_XDECREF(frozen);
    return rc;
}

mp_rc
mp_array_check_known(mp_trace *T)
{
    assert((T->known == NULL) == (T->frozen == NULL));
    for (Py_ssize_t i = 0; T->known != NULL && i < PyList_GET_SIZE(T->known); i++) {
        PyObject *a = PyList_GET_ITEM(T->known, i);
        if (!mp_array_same(a, PyList_GET_ITEM(T->frozen, i)) || may_be_written(T, a)) {
            mp_blame(T, T->known_at);
            return mp_trace_abort(T, MP_AB_MUTATION, "an external %s", mp_type_name(a));
        }
    }
    return MP_OK;
}

/* -- Arrays that outlive the run ------------------------------------------------------------ */

/* Does a copy have the same strides, for dimensions of one item, too? */
static bool
copies_alike(PyObject *a)
{
    PyObject *copy = mp_array_copy(a);
    bool alike = copy != NULL && mp_array_same(a, copy);
    mp_err_drop();  // no memory for a copy: no recipe
    Py_XDECREF(copy);
    return alike;
}

/* One that owns its memory is copied; any other is made again over a copy of the array that
 * does, which all views share.  *root: new, NULL if a owns its memory. */
mp_rc
mp_array_check_output(mp_trace *T, PyObject *a, PyObject **root)
{
    Py_buffer view;
    const char *what = NULL;
    *root = mp_array_root(a);
    if (*root == NULL || !mp_array_view(a, &view)) {
        Py_CLEAR(*root);
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s of this dtype or memory",
                              mp_type_name(a));
    }
    mp_node *n = mp_refgraph_find(&T->graph, *root);
    if (*root == a) {
        what = view.len > MP_ARRAY_LIMIT ? "that is large"
               : view.readonly           ? "that is read-only"
               : !copies_alike(a)        ? "of this layout"
                                         : NULL;
        Py_CLEAR(*root);
    }
    else if (n == NULL && mp_array_overlaps(T->known, *root)) {
        what = "over external memory";
    }
    PyBuffer_Release(&view);
    if (what != NULL) {
        Py_CLEAR(*root);
        return mp_trace_abort(T, MP_AB_OUTPUT, "a new %s %s", mp_type_name(a), what);
    }
    return *root == NULL || n != NULL ? MP_OK : mp_fresh(T, *root);
}
