/* torch/tensor_state.h - what the three tensor files share: how the loaded torch is read.
 *
 * torch/find.c fills it once, torch/tensor.c and torch/text.c only read it (torch/tensor.c also
 * notes dtypes and key sets that it meets). */
#ifndef MP_TENSOR_STATE_H
#define MP_TENSOR_STATE_H

#include "torch/tensor.h"

enum {
    N_DTYPES = 128,    // bound of torch's scalar type numbers
    N_KEY_SETS = 16,   // key sets known to be describable
    DEVICE_META = 14,  // c10::DeviceType::Meta: tensors without memory
    INLINE_DIMS = 5,   // a TensorImpl holds so many dimensions; more are on the heap
};

typedef int32_t (*shim_i64)(void *tensor, int64_t *out);
typedef int32_t (*shim_dims)(void *tensor, int64_t **out);
typedef int32_t (*shim_i32)(void *tensor, int32_t *out);
typedef int32_t (*shim_ptr)(void *tensor, const void **out);

/* The C function behind a getset descriptor, bound once. */
typedef struct {
    getter get;
    void *closure;
} mp_getter;

typedef struct {
    enum { TENSOR_OFF, TENSOR_GETTERS, TENSOR_SHIM } path;
    bool shim_good;          // calibration and self-test passed
    PyTypeObject *base;      // owned; torch._C.TensorBase
    PyTypeObject *tensor;    // owned; torch.Tensor
    PyTypeObject *param;     // owned; torch.nn.Parameter
    PyObject *strided;       // owned; torch.strided
    PyObject *key_set_of;    // owned; torch._C._dispatch_keys
    PyObject *is_coalesced;  // owned; a method of torch._C.TensorBase
    PyObject *stride;        // owned; TensorBase.stride
    PyObject *data_ptr;      // owned; TensorBase.data_ptr
    PyObject *storage_offset, *element_size, *is_view;  // owned; TensorBase's
    mp_getter requires_grad, is_leaf, grad, grad_fn, dtype, layout, device, shape,
        version;

    void *libraries[3];  // handles of libtorch_cpu, _python, _cuda; never closed
    shim_i64 get_dim;
    shim_dims get_sizes, get_strides;
    shim_i32 get_dtype, get_device_type, get_device_index;
    shim_ptr get_data;
    int handle;    // bytes from the PyObject to its at::Tensor
    int key_word;  // 8-byte words from the TensorImpl on
    int autograd_word;
    int requires_byte;  // requires_grad_ in AutogradMeta, bytes; -1 if not found
    int size_word;      // ndim, then sizes and strides; -1 if not found
    int kind_word;      // dtype, device and flags; -1 if not found

    PyObject *dtypes[N_DTYPES];     // owned; by scalar type number, NULL until seen
    uint64_t key_sets[N_KEY_SETS];  // checked by key_set_describable
    int n_key_sets;
    uint64_t conj_key, neg_key, no_inference_key;  // for texts; 0 if unknown
} mp_torch_info;

extern mp_torch_info mp_torch;

static inline void *
mp_shim_handle(PyObject *o)
{
    return (char *)o + mp_torch.handle;
}

static inline const uint64_t *
mp_shim_impl(PyObject *o)
{
    return *(const uint64_t *const *)((char *)o + mp_torch.handle);
}

/* Borrowed from the TensorImpl. */
typedef struct {
    int64_t n;
    const int64_t *sizes, *strides;
} mp_dims;

/* Only where calibration has found the words (size_word). */
static inline mp_dims
mp_shim_dims(const uint64_t *impl)
{
    const int64_t *words = (const int64_t *)impl + mp_torch.size_word;
    mp_dims dims = {words[0], words + 1, words + 1 + INLINE_DIMS};
    if (dims.n > INLINE_DIMS) {
        dims.sizes = (const int64_t *)(intptr_t)words[1];
        dims.strides = dims.sizes + dims.n;
    }
    return dims;
}

/* Zeroed, for so many dimensions; NULL with an exception. */
mp_tensor_meta *mp_tensor_meta_alloc(int64_t ndim);
/* Are all keys of str(key set) those of ordinary tensors? */
bool mp_tensor_keys_are_plain(const char *text);
/* 1 / 0 / -1 of a getter that answers with a bool. */
int mp_getter_bool(const mp_getter *g, PyObject *o);
/* Is a sparse tensor coalesced?  -1 of one that is made of rows, columns or blocks. */
int8_t mp_sparse_coalesced(PyObject *o);
/* The same metadata read in two ways; the tensor must be strided and plain. */
mp_tensor_meta *mp_tensor_meta_getters(PyObject *o);
mp_tensor_meta *mp_tensor_meta_shim(PyObject *o);
/* dtype (16 bits), device type, device index, "there is a device" (8 bits each). */
#define MP_KIND_BITS 0xffffffffffULL

/* The same tensor metadata, opened in the same way. */
bool mp_tensor_meta_equal(const mp_tensor_meta *a, const mp_tensor_meta *b);
/* Does `old` ask for all that `fresh` asks for, a block of a tensor that `old` accepted? */
bool mp_tensor_meta_covers(const mp_tensor_meta *old, const mp_tensor_meta *fresh);
/* Are these sizes and strides (of m->ndim dimensions) what m lets pass? */
bool mp_tensor_dims_fit(const mp_tensor_meta *m, const int64_t *sizes,
                        const int64_t *strides);
/* The first dimension whose size does not fit, or ndim + that whose stride does not; -1. */
int32_t mp_tensor_dims_unfit(const mp_tensor_meta *m, const int64_t *sizes,
                             const int64_t *strides);

#endif
