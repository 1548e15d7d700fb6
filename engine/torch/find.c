/* torch/find.c - find out how the loaded torch lays out its tensors.
 *
 * The C shim is looked up in the libtorch_cpu that is loaded already.  What it does not
 * tell (the handle inside the PyObject, the words of the key set and of autograd_meta)
 * is found by comparing sample tensors with what the getters say.
 * R: a guessed pointer is only read through the kernel (probe_read), so that a wrong
 * guess cannot crash; and the shim is used only if every sample gives equal answers
 * both ways.
 *
 * Ownership: mp_torch holds its references until the process ends.  Re-entrancy:
 * runs Python code (it makes tensors); called once, when the engine starts.
 */
#include "compat/compat.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torch/tensor_state.h"

enum {
    IMPL_WORDS = 32,   // of a TensorImpl that calibration looks at
    META_BYTES = 384,  // of an AutogradMeta, likewise
};

/* -- Finding the places in the objects ------------------------------------------- */

/* Copy n bytes from an address that may be invalid: the kernel returns EFAULT where a
 * plain read would crash.  n bytes fit into an empty pipe.  This uses the system call
 * itself, because sanitizers check the arguments of the C library's write(), and this
 * reads past the end of small objects. */
static bool
probe_read(const void *from, void *to, size_t n)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    ssize_t size = (ssize_t)n;
    bool good =
        syscall(SYS_write, ends[1], from, n) == size && read(ends[0], to, n) == size;
    close(ends[0]);
    close(ends[1]);
    return good;
}

/* One tensor, as the getters and as raw memory know it. */
typedef struct {
    PyObject *tensor;      // borrowed from the list of samples
    bool plain, leaf;      // what it was made to be: see calib_source
    mp_tensor_meta *meta;  // owned; by the getters
    uint64_t words[IMPL_WORDS];
} calib_sample;

/* (tensor, kind): kind 0 has no autograd state at all, 1 is a leaf that requires grad,
 * 2 is a leaf that once did, 3 is anything else.  calib_samples uses the first five. */
static const char calib_source[] =
    "import torch\n"
    "def make():\n"
    "    e = lambda *s, d=torch.float32: torch.zeros(s, dtype=d, device='cpu')\n"
    "    c = e(2, d=torch.complex64)\n"
    "    with torch.inference_mode():\n"
    "        i = e(2, 3)\n"
    "    r = e(4, 3).requires_grad_()\n"
    "    return [\n"
    "        (e(2), 0), (c.conj(), 3), (torch._neg_view(e(2)), 3), (i, 3),\n"
    "        (c, 0), (e(3, 2, d=torch.int64), 0), (e(), 0), (e(0, 5), 0),\n"
    "        (e(1, 2, 3, 1, 2, 2), 0), (e(2, d=torch.bfloat16), 0),\n"
    "        (e(1, 2, 3, 4, 2), 0), (e(2, 1, 1, 3, 1, 2, 2).mT, 3),\n"
    "        (e(2, d=torch.bool), 0), (r, 1), (torch.nn.Parameter(e(2, 2)), 1),\n"
    "        (e(2, d=torch.float64).requires_grad_(), 1),\n"
    "        (e(3).requires_grad_().requires_grad_(False), 2),\n"
    "        (torch.nn.Parameter(e(2)).requires_grad_(False), 2),\n"
    "        (r * 2, 3), (r[1:], 3), (r.detach()[1:, ::2], 3), (r.t(), 3),\n"
    "        (e(7, 5, 3)[:, 1:], 3), (e(1).expand(5), 3),\n"
    "        (torch.nn.Parameter(e(2), requires_grad=False), 3),\n"
    "        (torch.zeros(2, 4, device='meta'), 0),\n"
    "    ]\n"
    "with torch._C.DisableTorchFunction(), torch.inference_mode(False), "
    "torch.enable_grad():\n"
    "    samples = make()\n";

/* New list of pairs. */
static PyObject *
calib_make(void)
{
    PyObject *names = PyDict_New();  // owned
    PyObject *result = NULL;         // owned
    PyObject *samples = NULL;

    if (names == NULL) {
        return NULL;
    }
    if (PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0) {
        result = PyRun_String(calib_source, Py_file_input, names, names);
    }
    if (result != NULL) {
        PyObject *name = PyUnicode_FromString("samples");
        samples = name == NULL ? NULL : PyDict_GetItemWithError(names, name);
        Py_XINCREF(samples);
        Py_XDECREF(name);
    }
    Py_XDECREF(result);
    Py_DECREF(names);
    return samples;
}

/* The one word that `fits` accepts in every sample, or -1. */
static int
calib_search(const calib_sample *s, Py_ssize_t n,
             bool (*fits)(const calib_sample *s, int word))
{
    int found = -1;
    for (int word = 0; word < IMPL_WORDS; word++) {
        Py_ssize_t i = 0;
        while (i < n && fits(&s[i], word)) {
            i++;
        }
        if (i == n) {
            if (found >= 0) {
                return -1;
            }
            found = word;
        }
    }
    return found;
}

static bool
calib_is_key_set(const calib_sample *s, int word)
{
    return s->words[word] == s->meta->key_set;
}

/* autograd_meta: NULL in plain tensors, never NULL where grad is required. */
static bool
calib_is_autograd(const calib_sample *s, int word)
{
    uint64_t value = s->words[word];
    return s->plain ? value == 0 : !s->meta->requires_grad || value != 0;
}

/* ndim, then room for sizes and for strides, or in place of both a pointer to them. */
static bool
calib_is_size(const calib_sample *s, int word)
{
    int32_t n = s->meta->ndim;
    size_t bytes = (size_t)n * sizeof(int64_t);
    const uint64_t *at = s->words + word;
    int64_t heap[64];

    if (word + 1 + 2 * INLINE_DIMS > IMPL_WORDS || at[0] != (uint64_t)n || n > 32) {
        return false;
    }
    if (n > INLINE_DIMS) {
        return probe_read((const void *)(uintptr_t)at[1], heap, 2 * bytes)
               && memcmp(heap, s->meta->dims, 2 * bytes) == 0;
    }
    return memcmp(at + 1, s->meta->dims, bytes) == 0
           && memcmp(at + 1 + INLINE_DIMS, s->meta->dims + n, bytes) == 0;
}

/* dtype number, then an optional device. */
static bool
calib_is_kind(const calib_sample *s, int word)
{
    uint64_t device = (s->words[word] & MP_KIND_BITS) >> 16;
    return device
           == ((uint64_t)(uint8_t)s->meta->device_type
               | (uint64_t)(uint8_t)s->meta->device_index << 8 | (uint64_t)1 << 16);
}

/* Different dtypes have different numbers, and only they. */
static bool
calib_kind_tells(const calib_sample *s, Py_ssize_t n, int word)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        for (Py_ssize_t j = 0; j < i; j++) {
            bool same = (uint16_t)s[i].words[word] == (uint16_t)s[j].words[word];
            if (same != (s[i].meta->dtype == s[j].meta->dtype)) {
                return false;
            }
        }
    }
    return true;
}

/* requires_grad_ inside AutogradMeta: 1 in leaves that require grad, 0 in leaves that
 * once did and in results of operations. */
static int
calib_find_byte(const calib_sample *s, Py_ssize_t n)
{
    uint8_t differs[META_BYTES] = {0}, meta[META_BYTES];
    int found = -1;

    for (Py_ssize_t i = 0; i < n; i++) {
        const void *at = (const void *)(uintptr_t)s[i].words[mp_torch.autograd_word];
        if (at == NULL) {
            continue;
        }
        if (!probe_read(at, meta, sizeof meta)) {
            return -1;
        }
        for (int b = 0; b < META_BYTES; b++) {
            differs[b] |= meta[b] != (s[i].leaf && s[i].meta->requires_grad);
        }
    }
    for (int b = 0; b < META_BYTES; b++) {
        if (!differs[b]) {
            if (found >= 0) {
                return -1;
            }
            found = b;
        }
    }
    return found;
}

/* Read every sample's TensorImpl behind the word at `handle`. */
static bool
calib_read(calib_sample *s, Py_ssize_t n, int handle)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        const void *impl = *(void *const *)((char *)s[i].tensor + handle);
        if ((uintptr_t)impl % sizeof(void *) != 0
            || !probe_read(impl, s[i].words, sizeof s[i].words)) {
            return false;
        }
    }
    return true;
}

/* What only makes checks faster. */
static void
calib_extras(const calib_sample *s, Py_ssize_t n)
{
    mp_torch.requires_byte = calib_find_byte(s, n);
    mp_torch.size_word = calib_search(s, n, calib_is_size);
    mp_torch.kind_word = calib_search(s, n, calib_is_kind);
    if (mp_torch.kind_word >= 0 && !calib_kind_tells(s, n, mp_torch.kind_word)) {
        mp_torch.kind_word = -1;
    }
}

/* THPVariable begins with the object head; its at::Tensor follows, in older versions
 * behind the flag of a MaybeOwned. */
static bool
calib_places(calib_sample *s, Py_ssize_t n)
{
    for (int handle = 16; handle <= 24; handle += 8) {
        if (mp_torch.base->tp_basicsize < handle + 8 || !calib_read(s, n, handle)) {
            continue;
        }
        mp_torch.handle = handle;
        mp_torch.key_word = calib_search(s, n, calib_is_key_set);
        mp_torch.autograd_word = calib_search(s, n, calib_is_autograd);
        if (mp_torch.key_word >= 0 && mp_torch.autograd_word >= 0) {
            calib_extras(s, n);
            return true;
        }
    }
    return false;
}

/* An error of the shim only means that it is not used. */
static int
calib_shim_failed(void)
{
    if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        return -1;
    }
    mp_err_drop();
    return 0;
}

/* All ways must agree on every sample.  1 / 0 / -1. */
static int
calib_self_test(const calib_sample *s, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        mp_tensor_meta *fast = mp_tensor_meta_shim(s[i].tensor);
        if (fast == NULL) {
            return calib_shim_failed();
        }
        mp_torch.path = TENSOR_SHIM;
        bool same = mp_tensor_meta_equal(s[i].meta, fast)
                    && mp_tensor_meta_check(s[i].tensor, s[i].meta)
                    && mp_tensor_meta_check(s[i].tensor, fast);
        mp_torch.path = TENSOR_OFF;
        mp_tensor_meta_free(fast);
        if (!same) {
            return 0;
        }
    }
    return 1;
}

static int
calib_load(calib_sample *s, PyObject *pair)
{
    long kind;
    if (!PyArg_ParseTuple(pair, "Ol", &s->tensor, &kind)) {
        return -1;
    }
    s->plain = kind == 0;
    s->leaf = kind == 1;
    s->meta = mp_tensor_meta_getters(s->tensor);
    return s->meta == NULL ? -1 : 0;
}

static int
calib_samples(calib_sample *s, PyObject *pairs, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        if (calib_load(&s[i], PyList_GET_ITEM(pairs, i)) < 0) {
            return -1;
        }
    }
    uint64_t plain = s[0].meta->key_set;
    mp_torch.conj_key = s[1].meta->key_set & ~s[4].meta->key_set;
    mp_torch.neg_key = s[2].meta->key_set & ~plain;
    mp_torch.no_inference_key = plain & ~s[3].meta->key_set;
    return mp_torch.shim_good && calib_places(s, n) ? calib_self_test(s, n) : 0;
}

/* 1: the shim may be used.  0: it may not.  -1: an exception. */
static int
calib_run(void)
{
    PyObject *pairs = calib_make();
    if (pairs == NULL || !PyList_Check(pairs)) {
        Py_XDECREF(pairs);
        return -1;
    }
    Py_ssize_t n = PyList_GET_SIZE(pairs);
    calib_sample *s = PyMem_Calloc((size_t)n, sizeof *s);
    int good = -1;
    if (s == NULL) {
        PyErr_NoMemory();
    }
    else {
        good = calib_samples(s, pairs, n);
        for (Py_ssize_t i = 0; i < n; i++) {
            mp_tensor_meta_free(s[i].meta);
        }
    }
    PyMem_Free(s);
    Py_DECREF(pairs);
    return good;
}

/* -- Start ----------------------------------------------------------------------- */

/* Whatever its directory and version suffix, the library that is loaded already. */
static int
library_visit(struct dl_phdr_info *info, size_t size, void *unused)
{
    static const char *const names[] = {"libtorch_cpu.so", "libtorch_python.so",
                                        "libtorch_cuda.so"};
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *base = slash == NULL ? info->dlpi_name : slash + 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncmp(base, names[i], strlen(names[i])) == 0) {  // mp-ok: files
            mp_torch.libraries[i] = dlopen(info->dlpi_name, RTLD_NOLOAD | RTLD_LAZY);
        }
    }
    return 0;
}

void *
mp_torch_symbol(const char *name)
{
    void *found = NULL;
    if (mp_torch.libraries[0] == NULL) {
        dl_iterate_phdr(library_visit, NULL);
    }
    for (int i = 0; i < 3 && found == NULL; i++) {
        if (mp_torch.libraries[i] != NULL) {
            found = dlsym(mp_torch.libraries[i], name);
        }
    }
    return found;
}

/* ISO C has no conversion from dlsym's result to a function. */
#define SHIM_FIND(field, name)                                                         \
    do {                                                                               \
        void *found_ = mp_torch_symbol(name);                                          \
        memcpy(&mp_torch.field, &found_, sizeof found_);                               \
        complete = complete && found_ != NULL;                                         \
    } while (0)

static void
shim_find(void)
{
    bool complete = true;
    SHIM_FIND(get_dim, "aoti_torch_get_dim");
    SHIM_FIND(get_sizes, "aoti_torch_get_sizes");
    SHIM_FIND(get_strides, "aoti_torch_get_strides");
    SHIM_FIND(get_dtype, "aoti_torch_get_dtype");
    SHIM_FIND(get_device_type, "aoti_torch_get_device_type");
    SHIM_FIND(get_device_index, "aoti_torch_get_device_index");
    const char *data = "torch_get_const_data_ptr";  // from 2.10 on
    SHIM_FIND(get_data, mp_torch_symbol(data) ? data : "aoti_torch_get_data_ptr");
    mp_torch.shim_good = complete;
}

static int
getter_find(const char *name, mp_getter *out)
{
    PyObject *descr = PyObject_GetAttrString((PyObject *)mp_torch.base, name);
    if (descr == NULL) {
        return -1;
    }
    int rc = 0;
    if (Py_IS_TYPE(descr, &PyGetSetDescr_Type)) {
        PyGetSetDef *def = ((PyGetSetDescrObject *)descr)->d_getset;
        out->get = def->get;  // lives as long as the static type
        out->closure = def->closure;
    }
    else {
        PyErr_Format(PyExc_RuntimeError, "torch: Tensor.%s is not a C attribute", name);
        rc = -1;
    }
    Py_DECREF(descr);
    return rc;
}

static int
getters_find(void)
{
    static const struct {
        const char *name;
        mp_getter *out;
    } wanted[] = {
        {"requires_grad", &mp_torch.requires_grad},
        {"is_leaf", &mp_torch.is_leaf},
        {"grad", &mp_torch.grad},
        {"grad_fn", &mp_torch.grad_fn},
        {"dtype", &mp_torch.dtype},
        {"layout", &mp_torch.layout},
        {"device", &mp_torch.device},
        {"shape", &mp_torch.shape},
        {"_version", &mp_torch.version},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (getter_find(wanted[i].name, wanted[i].out) < 0) {
            return -1;
        }
    }
    return 0;
}

/* torch.a.b: new reference. */
static PyObject *
torch_attr(PyObject *torch, const char *first, const char *second)
{
    PyObject *outer = PyObject_GetAttrString(torch, first);
    if (outer == NULL || second == NULL) {
        return outer;
    }
    PyObject *inner = PyObject_GetAttrString(outer, second);
    Py_DECREF(outer);
    return inner;
}

static PyTypeObject *
torch_type(PyObject *torch, const char *first, const char *second)
{
    PyObject *type = torch_attr(torch, first, second);
    if (type != NULL && !PyType_Check(type)) {
        PyErr_Format(PyExc_RuntimeError, "torch.%s is not a class", first);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/* The objects of torch that the engine needs, by name, once. -1: exception. */
static int
objects_find(PyObject *torch)
{
    mp_torch.base = torch_type(torch, "_C", "TensorBase");
    mp_torch.tensor = mp_torch.base == NULL ? NULL : torch_type(torch, "Tensor", NULL);
    if (mp_torch.tensor != NULL) {
        mp_torch.param = torch_type(torch, "nn", "Parameter");
    }
    if (mp_torch.param == NULL) {
        return -1;
    }
    PyObject *base = (PyObject *)mp_torch.base;
    mp_torch.strided = torch_attr(torch, "strided", NULL);
    mp_torch.key_set_of = torch_attr(torch, "_C", "_dispatch_keys");
    mp_torch.is_coalesced = PyObject_GetAttrString(base, "is_coalesced");
    mp_torch.stride = PyObject_GetAttrString(base, "stride");
    mp_torch.data_ptr = PyObject_GetAttrString(base, "data_ptr");
    mp_torch.storage_offset = PyObject_GetAttrString(base, "storage_offset");
    mp_torch.element_size = PyObject_GetAttrString(base, "element_size");
    mp_torch.is_view = PyObject_GetAttrString(base, "_is_view");
    return mp_torch.strided != NULL && mp_torch.key_set_of != NULL
                   && mp_torch.stride != NULL && mp_torch.data_ptr != NULL
                   && mp_torch.storage_offset != NULL && mp_torch.element_size != NULL
                   && mp_torch.is_view != NULL && mp_torch.is_coalesced != NULL
               ? 0
               : -1;
}

int
mp_tensor_init(void)
{
    if (mp_torch.path != TENSOR_OFF) {
        return 0;
    }
    PyObject *torch = PyImport_ImportModule("torch");
    if (torch == NULL) {
        return -1;
    }
    int rc = objects_find(torch);
    Py_DECREF(torch);
    if (rc < 0 || getters_find() < 0) {
        return -1;
    }
    shim_find();
    int good = calib_run();
    if (good < 0) {
        return -1;
    }
    mp_torch.shim_good = mp_torch.shim_good && good;
    mp_torch.path = mp_torch.shim_good ? TENSOR_SHIM : TENSOR_GETTERS;
    return 0;
}

bool
mp_tensor_use_shim(bool on)
{
    if (mp_torch.path != TENSOR_OFF) {
        mp_torch.path = on && mp_torch.shim_good ? TENSOR_SHIM : TENSOR_GETTERS;
    }
    return mp_torch.path == TENSOR_SHIM;
}

const char *
mp_tensor_path(void)
{
    static const char *const names[] = {"off", "getters", "shim"};
    return names[mp_torch.path];
}
