/* torch/odd.c - tensors that sizes and strides alone do not describe: sparse, quantised and
 * nested ones, and instances of subclasses.
 *
 * Graphs take them as they are (graph/odd.c).  R: nothing here runs Python code, though a
 * getter of torch asks the __torch_function__ of a subclass, if it may: what is asked of a
 * subclass is asked with that switched off (mp_calm_begin), and what a subclass may compute
 * itself (sizes, layout, device) is not asked at all.  The words of the C++ object tell.
 */
#include "compat/compat.h"

#include <string.h>

#include "torch/tensor_state.h"

/* at::impl::PythonTorchFunctionTLS: 0 is enabled, 1: not for subclasses, 2: not at all. */
static int8_t (*get_disabled)(void);
static void (*set_disabled)(int8_t);
static bool looked;
static _Thread_local int outside = -1;  // of the outermost calm part; -1: there is none

static bool
can_be_calm(void)
{
    if (!looked) {
        looked = true;
        void *get = mp_torch_symbol(
            "_ZN2at4impl22PythonTorchFunctionTLS18get_disabled_stateEv");
        void *set = mp_torch_symbol("_ZN2at4impl22PythonTorchFunctionTLS18set_disabled_"
                                    "stateENS0_26TorchFunctionDisabledStateE");
        if (get != NULL && set != NULL) {
            memcpy(&get_disabled, &get, sizeof get);
            memcpy(&set_disabled, &set, sizeof set);
        }
    }
    return get_disabled != NULL;
}

int
mp_calm_begin(void)
{
    if (!can_be_calm()) {
        return -1;
    }
    int before = get_disabled();
    set_disabled(2);
    outside = outside < 0 ? before : outside;
    return before;
}

void
mp_calm_end(int before)
{
    if (before >= 0) {
        set_disabled((int8_t)before);
        outside = before == outside ? -1 : outside;
    }
}

int
mp_calm_pause(void)
{
    int before = outside < 0 ? -1 : get_disabled();
    if (before >= 0) {
        set_disabled((int8_t)outside);
    }
    return before;
}

/* -- Kinds ------------------------------------------------------------------------- */

enum { N_ODD_SETS = 32 };

static struct {
    uint64_t key_set;
    mp_odd kind;
} odd_sets[N_ODD_SETS];
static int n_odd_sets;

/* What the keys that are not plain say: "Python, Dense" of a wrapper, "SparseCsrCPU". */
static mp_odd
kind_of_keys(const char *text)
{
    static const struct {
        const char *word;
        mp_odd kind;
    } words[] = {
        {"FuncTorch", MP_ODD_REFUSED},   {"Functionalize", MP_ODD_REFUSED},
        {"Batched", MP_ODD_REFUSED},     {"Mkldnn", MP_ODD_REFUSED},
        {"ZeroTensor", MP_ODD_REFUSED},  {"NestedTensor", MP_ODD_NESTED},
        {"Python", MP_ODD_WRAPPER},      {"Sparse", MP_ODD_SPARSE},
        {"Quantized", MP_ODD_QUANTIZED},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(words); i++) {
        if (strstr(text, words[i].word) != NULL) {  // mp-ok: dispatch keys
            return words[i].kind;
        }
    }
    return MP_ODD_REFUSED;
}

static mp_odd
kind_of_set(PyObject *o)
{
    uint64_t key_set = mp_shim_impl(o)[mp_torch.key_word];
    for (int i = 0; i < n_odd_sets; i++) {
        if (odd_sets[i].key_set == key_set) {
            return odd_sets[i].kind;
        }
    }
    PyObject *saved = mp_err_take();
    int before = mp_calm_begin();
    PyObject *keys = PyObject_CallOneArg(mp_torch.key_set_of, o);
    mp_calm_end(before);
    PyObject *text = keys == NULL ? NULL : PyObject_Str(keys);
    const char *chars = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    mp_odd kind = chars == NULL                     ? MP_ODD_REFUSED
                  : mp_tensor_keys_are_plain(chars) ? MP_ODD_DENSE
                                                    : kind_of_keys(chars);
    if (chars != NULL && n_odd_sets < N_ODD_SETS) {
        odd_sets[n_odd_sets].key_set = key_set;
        odd_sets[n_odd_sets++].kind = kind;
    }
    mp_err_drop();  // what cannot be asked is refused
    Py_XDECREF(text);
    Py_XDECREF(keys);
    mp_err_restore_steal(saved);
    return kind;
}

/* What a look-up of the name in the class finds, or NULL. */
static PyObject *
class_has_borrow(PyTypeObject *type, const char *name)
{
    PyObject *text = PyUnicode_InternFromString(name);
    PyObject *found = text == NULL ? NULL : mp_type_lookup_borrow(type, text);
    Py_XDECREF(text);
    mp_err_drop();  // a name is a text, and hashes
    return found;
}

/* A subclass: either all that torch does with it is what it does with any tensor, or it is
 * by its own word made of tensors and of constants (__tensor_flatten__). */
static mp_odd
kind_of_class(PyTypeObject *type, mp_odd kind)
{
    bool dispatches = class_has_borrow(type, "__torch_dispatch__")
                      != class_has_borrow(mp_torch.tensor, "__torch_dispatch__");
    bool flat = class_has_borrow(type, "__tensor_flatten__") != NULL
                && class_has_borrow(type, "__tensor_unflatten__") != NULL;
    if (class_has_borrow(type, "materialize") != NULL) {
        return MP_ODD_REFUSED;  // nothing in it yet, and then of another class
    }
    if (dispatches) {
        bool wraps = flat && (kind == MP_ODD_WRAPPER || kind == MP_ODD_NESTED);
        return wraps ? kind : MP_ODD_REFUSED;
    }
    return kind == MP_ODD_DENSE ? kind : MP_ODD_REFUSED;
}

mp_odd
mp_tensor_odd(PyObject *o)
{
    if (mp_torch.path != TENSOR_SHIM || mp_torch.size_word < 0 || mp_torch.kind_word < 0
        || !mp_tensor_is_any(o)) {
        return mp_tensor_is(o) ? MP_ODD_NOT : MP_ODD_REFUSED;
    }
    mp_odd kind = kind_of_set(o);
    if (mp_tensor_is(o)) {
        return kind == MP_ODD_DENSE     ? MP_ODD_NOT
               : kind == MP_ODD_WRAPPER ? MP_ODD_REFUSED
                                        : kind;
    }
    return can_be_calm() ? kind_of_class(Py_TYPE(o), kind) : MP_ODD_REFUSED;
}

/* -- Guards ------------------------------------------------------------------------ */

mp_tensor_meta *
mp_tensor_meta_odd(PyObject *o, mp_odd kind)
{
    assert(kind > MP_ODD_REFUSED);
    const uint64_t *impl = mp_shim_impl(o);
    mp_dims dims = mp_shim_dims(impl);
    mp_tensor_meta *m = mp_tensor_meta_alloc(dims.n);
    if (m == NULL) {
        return NULL;
    }
    m->type = (PyTypeObject *)Py_NewRef(Py_TYPE(o));
    m->key_set = impl[mp_torch.key_word];
    m->kind = impl[mp_torch.kind_word] & MP_KIND_BITS;
    m->device_index = -1;
    memcpy(m->dims, dims.sizes, (size_t)dims.n * sizeof(int64_t));
    memcpy(m->dims + dims.n, dims.strides, (size_t)dims.n * sizeof(int64_t));
    int before = mp_calm_begin();
    m->layout = kind == MP_ODD_SPARSE ? mp_torch.layout.get(o, mp_torch.layout.closure)
                                      : Py_NewRef(mp_torch.strided);
    m->dtype = m->layout == NULL ? NULL : mp_torch.dtype.get(o, mp_torch.dtype.closure);
    int grad = m->dtype == NULL || m->layout == NULL
                   ? -1
                   : mp_getter_bool(&mp_torch.requires_grad, o);
    mp_calm_end(before);
    m->requires_grad = grad == 1;
    if (grad < 0 || m->kind == 0) {
        if (grad >= 0) {
            PyErr_SetString(PyExc_RuntimeError, "a tensor without dtype and device");
        }
        mp_tensor_meta_free(m);
        return NULL;
    }
    m->coalesced = kind == MP_ODD_SPARSE ? mp_sparse_coalesced(o) : -1;
    uint64_t all = ~(uint64_t)0;
    if (kind == MP_ODD_NESTED) {
        mp_tensor_meta_open(m, all, all, all);  // what is asked of them breaks
    }
    else if (kind == MP_ODD_SPARSE) {
        mp_tensor_meta_open(m, 0, 0, all);
    }
    return m;
}
