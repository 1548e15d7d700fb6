/* torch/modes.c - torch-function modes of the program.
 *
 * Torch calls the __torch_function__ of a mode for each of its functions, getters included.  Only
 * the mode behind torch.device and torch.set_default_device may be on while a call is recorded or
 * hits: it is library code, and adds nothing but a device to the calls of factories, which it adds
 * to those of the graph as well.
 * R: the recorder asks nothing of torch while it is on (mp_calm_begin, in mp_callback_begin).
 */
#include "torch/modes.h"

#include <string.h>

#include "compat/compat.h"
#include "torch/tensor.h"

static int64_t (*stack_len)(void);  // at::impl::PythonTorchFunctionTLS
static PyObject *ask_len, *ask_at, *pop, *mode_class, *device_class;  // owned, for good

static PyObject *
find(const char *module, const char *name)
{
    PyObject *key = PyUnicode_FromString(module);
    PyObject *m = key == NULL ? NULL : PyImport_GetModule(key);
    PyObject *found = m == NULL ? NULL : PyObject_GetAttrString(m, name);
    Py_XDECREF(m);
    Py_XDECREF(key);
    mp_err_drop();  // what this torch lacks equals nothing
    return found;
}

void
mp_modes_init(void)
{
    void *address = mp_torch_symbol("_ZN2at4impl22PythonTorchFunctionTLS9stack_lenEv");
    memcpy(&stack_len, &address, sizeof stack_len);
    Py_XSETREF(ask_len, find("torch._C", "_len_torch_function_stack"));
    Py_XSETREF(ask_at, find("torch._C", "_get_function_stack_at"));
    Py_XSETREF(pop, find("torch._C", "_pop_torch_function_stack"));
    Py_XSETREF(device_class, find("torch._C", "device"));
}

/* How many modes are on; -1: it cannot be told.  Without torch there are none. */
static int64_t
modes_count(void)
{
    if (stack_len != NULL) {
        return stack_len();
    }
    if (ask_len == NULL) {
        return 0;
    }
    PyObject *answer = PyObject_CallNoArgs(ask_len);
    int64_t count = answer == NULL ? -1 : PyLong_AsLongLong(answer);
    Py_XDECREF(answer);
    mp_err_drop();  // -1 says so
    return count;
}

/* The device that torch's own mode stands for: new.  NULL: another mode, or an exception. */
static PyObject *
device_of(int64_t at)
{
    if (mode_class == NULL) {  // torch loads it when the first such mode begins
        mode_class = find("torch.utils._device", "DeviceContext");
    }
    PyObject *index = ask_at == NULL ? NULL : PyLong_FromLongLong(at);
    PyObject *mode = index == NULL ? NULL : PyObject_CallOneArg(ask_at, index);
    bool is_own = mode != NULL && (PyObject *)Py_TYPE(mode) == mode_class;
    PyObject *dict = is_own ? mp_instance_dict_borrow(mode) : NULL;
    PyObject *device = dict == NULL ? NULL : mp_dict_text_borrow(dict, "device");
    device = device != NULL && (PyObject *)Py_TYPE(device) == device_class
                 ? Py_NewRef(device)
                 : NULL;
    Py_XDECREF(mode);
    Py_XDECREF(index);
    return device;
}

bool
mp_modes_on(void)
{
    PyObject *saved = mp_err_take();
    bool on = modes_count() != 0;
    mp_err_restore_steal(saved);
    return on;
}

int64_t
mp_modes_now(void)
{
    if (stack_len != NULL && stack_len() == 0) {
        return MP_MODES_NONE;
    }
    PyObject *saved = mp_err_take();
    int64_t count = modes_count(), number = count < 0 ? MP_MODES_OTHER : MP_MODES_NONE;
    for (int64_t i = 0; i < count && number != MP_MODES_OTHER; i++) {
        PyObject *device = device_of(i);
        Py_hash_t hash = device == NULL ? -1 : PyObject_Hash(device);  // type and index
        uint64_t mixed = mp_hash_mix((uint64_t)number, (uint64_t)hash);
        number = hash == -1 ? MP_MODES_OTHER : (int64_t)(mixed >> 1 | 1);
        Py_XDECREF(device);
    }
    mp_err_drop();  // what cannot be asked is another mode
    mp_err_restore_steal(saved);
    return number;
}

PyObject *
mp_modes_devices(void)
{
    int64_t count = modes_count();
    PyObject *devices = PyTuple_New(count < 0 ? 0 : (Py_ssize_t)count);
    for (Py_ssize_t i = 0; i < count && devices != NULL; i++) {
        PyObject *device = device_of(i);
        mp_err_drop();  // None: another mode
        PyTuple_SET_ITEM(devices, i, device == NULL ? Py_NewRef(Py_None) : device);
    }
    return devices;
}

int
mp_modes_restore(PyObject *devices)
{
    assert(PyTuple_CheckExact(devices));
    Py_ssize_t wanted = PyTuple_GET_SIZE(devices);
    int64_t count = modes_count();
    int rc = 0;
    for (; count > wanted && rc == 0; count--) {
        PyObject *mode = PyObject_CallNoArgs(pop);
        rc = mode == NULL ? -1 : 0;
        Py_XDECREF(mode);
    }
    for (; count >= 0 && count < wanted && rc == 0; count++) {
        PyObject *device = PyTuple_GET_ITEM(devices, count);
        PyObject *done = PyObject_CallMethod(device, "__enter__", NULL);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    return rc;
}
