/* torch/tensor.h - tensor metadata at C speed, without linking to torch.
 *
 * Until mp_tensor_init succeeds every object is "no tensor", so the engine and its tests
 * run on a CPython that has no torch. */
#ifndef MP_TENSOR_H
#define MP_TENSOR_H

#include "engine.h"

/* What a graph is specialised on.  Heap block, freed with mp_tensor_meta_free. */
typedef struct {
    PyTypeObject *type;   // owned; exact Python type
    PyObject *dtype;      // owned; singleton
    PyObject *layout;     // owned; singleton
    int32_t device_type;  // as the AOTInductor shim numbers them
    int32_t device_index;
    uint64_t key_set;  // raw dispatch key set; conj, neg, inference, sparse, ...
    uint64_t kind;     // dtype and device as torch packs them; 0: not known
    bool requires_grad;
    int8_t coalesced;  // of a sparse tensor: is it?  -1 if that has no meaning
    int32_t ndim;
    bool opened;     // some are, or a stride is free
    uint64_t open;   // bit d: the size of dimension d may be another one, from 2 on
    uint64_t small;  // of these: 0 and 1 too
    int64_t dims[];  // sizes[ndim], strides[ndim], then links[ndim] (MP_STRIDE_...)
} mp_tensor_meta;

/* What the stride of a dimension must be where sizes are open: the recorded one; anything;
 * else, for a link j: size j * stride j. */
enum { MP_STRIDE_FIXED = -1, MP_STRIDE_FREE = -2 };
enum { MP_TENSOR_SEEN = 11 };   // words
enum { MP_TENSOR_LINKS = 64 };  // of more dimensions none is open

/* Find the C shim in the loaded torch, calibrate, self-test; falls back to getters (same
 * answers, slower) when the test fails.  torch must be imported.  0, or -1 with exception. */
int mp_tensor_init(void);
const char *mp_tensor_path(void);  // "shim", "getters" or "off": for `magpy env`
bool mp_tensor_use_shim(bool on);  // for tests: switch the path; is it the shim now?
/* A symbol of the loaded libtorch (or of what it links to); NULL if there is none. */
void *mp_torch_symbol(const char *name);

/* Exactly torch.Tensor or torch.nn.Parameter (what graphs can take as they are). */
bool mp_tensor_is(PyObject *o);
bool mp_tensor_is_any(PyObject *o);  // any subclass too

/* Tensors that sizes and strides alone do not describe (torch/odd.c). */
typedef enum {
    MP_ODD_NOT,        // an ordinary one
    MP_ODD_REFUSED,    // no graph takes it
    MP_ODD_DENSE,      // of a subclass, but nothing else is special
    MP_ODD_WRAPPER,    // of a subclass that is made of tensors (__tensor_flatten__)
    MP_ODD_NESTED,     // its sizes depend on data; a wrapper, or of torch.Tensor itself
    MP_ODD_SPARSE,     // of torch.Tensor itself
    MP_ODD_QUANTIZED,  // of torch.Tensor itself
} mp_odd;
mp_odd mp_tensor_odd(PyObject *o);
/* What a graph that takes it is specialised on; NULL with an exception. */
mp_tensor_meta *mp_tensor_meta_odd(PyObject *o, mp_odd kind);
/* Until the end no __torch_function__ is asked. */
int mp_calm_begin(void);
void mp_calm_end(int before);
/* As the program has it, until mp_calm_end(). */
int mp_calm_pause(void);

/* NULL with an exception set if o cannot be described (nested, sparse strides, ...). */
mp_tensor_meta *mp_tensor_meta_new(PyObject *o);
void mp_tensor_meta_free(mp_tensor_meta *m);
/* Open sizes (bit d: dimension d); of these, those in `small` may be 0 and 1.  Strides that
 * are products of what is open, as the tensor lies now, follow it; those in `strides` are
 * free.  Dimensions from 64 on stay as they are. */
void mp_tensor_meta_open(mp_tensor_meta *m, uint64_t sizes, uint64_t small,
                         uint64_t strides);
static inline bool
mp_tensor_meta_is_open(const mp_tensor_meta *m, int32_t dim)
{
    return dim < 64 && (m->open >> dim & 1);
}
/* MP_STRIDE_FIXED, MP_STRIDE_FREE or the dimension that it follows. */
static inline int32_t
mp_tensor_meta_link(const mp_tensor_meta *m, int32_t dim)
{
    return (int32_t)m->dims[2 * m->ndim + dim];
}
/* Bits of the strides that would not be as at recording, nor follow from the dimensions
 * further in, if these sizes were open, too. */
uint64_t mp_tensor_strides_unfit(const mp_tensor_meta *m, uint64_t open,
                                 const int64_t *sizes, const int64_t *strides);
/* Is it contiguous, and each tensor that matches? */
bool mp_tensor_meta_stays_contiguous(const mp_tensor_meta *m);
/* Does o match?  1 / 0, never raises, runs no Python code, allocates no GC object. */
int mp_tensor_meta_check(PyObject *o, const mp_tensor_meta *m);
/* What a tensor was when it matched.  It is no owner: as_seen reads `o` again, so the caller
 * knows that an object lives there. */
typedef struct {
    PyObject *o;
    PyTypeObject *type;
    const void *impl;
    uint64_t key_set, kind, autograd;
    uint64_t dims[MP_TENSOR_SEEN];  // rank, sizes, strides
} mp_tensor_seen;

/* A tensor that matches m.  False: what it is made of cannot be told by its words alone. */
bool mp_tensor_see(PyObject *o, const mp_tensor_meta *m, mp_tensor_seen *seen);
/* Then it matches still, whichever tensor stands there now. */
bool mp_tensor_as_seen(const mp_tensor_seen *seen);
/* Equal for tensors that as_seen would take for each other, mostly different for others.  o is
 * mp_tensor_is. */
uint64_t mp_tensor_hash(PyObject *o);
/* Does it match but for sizes and strides, of as many dims?  Then dims[2 * ndim] has its
 * own.  Otherwise as mp_tensor_meta_check, but it takes a while. */
int mp_tensor_meta_same_but_dims(PyObject *o, const mp_tensor_meta *m, int64_t *dims);
/* "f32[2, 3] cpu requires_grad" plus strides if not contiguous: new str. */
PyObject *mp_tensor_meta_text(const mp_tensor_meta *m);
/* The first difference between o and m, for recompile messages: new str. */
PyObject *mp_tensor_meta_diff(PyObject *o, const mp_tensor_meta *m);

/* One size, one stride, the storage offset: 1, or 0 if o is no tensor that has it.  Never
 * raise, run no Python code. */
int mp_tensor_size(PyObject *o, int64_t dim, int64_t *out);
int mp_tensor_stride(PyObject *o, int64_t dim, int64_t *out);
int mp_tensor_offset(PyObject *o, int64_t *out);

/* Has o no grad_fn?  1 / 0; -1: a view whose grad_fn is out of date.  Never raises, runs
 * no Python code. */
int mp_tensor_is_leaf(PyObject *o);
/* t.grad of a leaf, a tensor or None; NULL without an exception: of anything else.  The tensor
 * keeps it, with the object that stands for it in Python. */
PyObject *mp_tensor_grad_borrow(PyObject *o);
/* In-place counter; -1 if the tensor keeps none (inference tensors). Never raises. */
int64_t mp_tensor_version(PyObject *o);
/* [*lo, *hi): bytes of storage that o can touch, and 1; 0 if it has no memory (meta). */
int mp_tensor_extent(PyObject *o, uintptr_t *lo, uintptr_t *hi);
/* Where its storage begins; all views of a tensor have the same one.  One that is no view
 * and has no memory (meta, sparse, no elements) stands for itself; false for a view of
 * that kind.  Never raises. */
bool mp_tensor_storage(PyObject *o, uintptr_t *start);
/* Does it require grad?  On doubt: no.  Never raises. */
bool mp_tensor_requires_grad(PyObject *o);

#endif
