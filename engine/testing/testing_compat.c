/* testing_compat.c - watching, decoding and private layouts, as lists and tuples.
 *
 * `watch` logs every callback of one watched call; `check_depths` compares the static stack
 * depths with what really is on the stack.  A callback that fails itself (no memory) says
 * so through sys.unraisablehook: it must not disturb the watched call.
 */
#include "compat/compat.h"

#include <string.h>

extern PyMethodDef mp_testing_compat_methods[];

/* -- watch ------------------------------------------------------------------------- */

typedef struct {
    PyObject *log;        // borrowed from the caller's arguments
    PyObject *want;       // borrowed; called with the code of a frame; None: all frames
    PyObject *on_instr;   // borrowed; called with each index; None: not
    const char *stop_in;  // "enter", "instr", "leave" or ""
    Py_ssize_t stop_at;   // that many callbacks of the kind come before the stop
} watch_log;

/* Append a tuple; stop the watch if its turn has come. */
static void
watch_log_add(watch_log *l, const char *kind, PyObject *row_steal)
{
    if (row_steal == NULL || PyList_Append(l->log, row_steal) < 0) {
        PyErr_WriteUnraisable(NULL);
    }
    Py_XDECREF(row_steal);
    if (strcmp(kind, l->stop_in) == 0 && --l->stop_at < 0) {
        mp_watch_stop();
    }
}

static bool
watch_log_wants(watch_log *l, PyCodeObject *code)
{
    if (l->want == Py_None) {
        return true;
    }
    mp_watch_pause();
    PyObject *answer = PyObject_CallOneArg(l->want, (PyObject *)code);
    mp_watch_unpause();
    int yes = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    if (yes < 0) {
        PyErr_WriteUnraisable(l->want);
    }
    return yes > 0;
}

static bool
watch_log_enter(void *ctx, mp_frame *f, bool fresh)
{
    watch_log *l = ctx;
    PyObject *exc = mp_err_take();  // owned
    PyCodeObject *code = mp_frame_code_borrow(f);
    mp_frame *caller = mp_frame_previous(f);
    PyObject *from = caller ? (PyObject *)mp_frame_code_borrow(caller) : Py_None;

    PyObject *row = Py_BuildValue("sOOOOi", "enter", code, fresh ? Py_True : Py_False,
                                  mp_frame_func_borrow(f), from, mp_frame_lasti(f));
    watch_log_add(l, "enter", row);
    bool wanted = watch_log_wants(l, code);
    mp_err_restore_steal(exc);
    return wanted;
}

static void
watch_log_instr(void *ctx, mp_frame *f, const mp_code_info *info, int index)
{
    watch_log *l = ctx;
    const mp_instr *in = &info->at[index];
    PyObject *top = NULL;  // borrowed from the frame

    if (in->depth > 0) {
        top = mp_frame_stack_borrow(f, in->depth - 1);
    }
    if (top != NULL && !PyLong_CheckExact(top)) {
        top = (PyObject *)Py_TYPE(top);  // the log must not keep objects alive
    }
    watch_log_add(l, "instr",
                  Py_BuildValue("sOisiiiiO", "instr", info->code, index,
                                mp_op_name(in->op), in->arg, in->flag, in->depth,
                                mp_frame_line(f), top != NULL ? top : Py_None));
    if (l->on_instr != Py_None) {
        PyObject *done = PyObject_CallFunction(l->on_instr, "i", index);
        if (done == NULL) {
            PyErr_WriteUnraisable(l->on_instr);
        }
        Py_XDECREF(done);
    }
}

static void
watch_log_leave(void *ctx, mp_frame *f, bool watched, PyObject *result)
{
    PyObject *exc = mp_err_take();  // owned
    PyObject *what = exc;           // borrowed

    if (result != NULL) {
        what = result;
    }
    watch_log_add(ctx, "leave",
                  Py_BuildValue("sOOO", "leave", watched ? Py_True : Py_False,
                                result != NULL ? Py_True : Py_False, what));
    mp_err_restore_steal(exc);
}

static void
watch_log_lost(void *ctx, const char *why, int depth)
{
    PyObject *exc = mp_err_take();  // owned

    watch_log_add(ctx, "lost", Py_BuildValue("ss", "lost", why));
    mp_err_restore_steal(exc);
}

static const mp_watch_ops watch_log_ops = {
    .enter = watch_log_enter,
    .instr = watch_log_instr,
    .leave = watch_log_leave,
    .lost = watch_log_lost,
};

static PyObject *
testing_watch(PyObject *module, PyObject *args)
{
    PyObject *callable, *tuple;
    watch_log l = {.want = Py_None, .on_instr = Py_None, .stop_in = ""};

    if (!PyArg_ParseTuple(args, "OO!O!|OOsn:watch", &callable, &PyTuple_Type, &tuple,
                          &PyList_Type, &l.log, &l.want, &l.on_instr, &l.stop_in,
                          &l.stop_at)) {
        return NULL;
    }
    return mp_watch_call(&watch_log_ops, &l, callable,
                         ((PyTupleObject *)tuple)->ob_item,
                         (size_t)PyTuple_GET_SIZE(tuple), NULL);
}

static PyObject *
testing_watch_available(PyObject *module, PyObject *unused)
{
    const char *why;

    if (mp_watch_available(&why)) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromString(why);
}

/* -- check_depths ------------------------------------------------------------------ */

/* What the last instruction must have left, for frames that go straight on. */
typedef struct {
    mp_frame *f;  // address only
    int next, depth;
    PyObject *top;  // address only; compared while the frame still holds it
    long events, saved, tops;
    PyObject *bad;  // owned list of tuples
} depth_check;

static void
depth_check_fail(depth_check *c, const mp_code_info *info, int index, int real)
{
    PyObject *row =
        Py_BuildValue("Oisii", info->code, index, mp_op_name(info->at[index].op),
                      info->at[index].depth, real);

    if (row == NULL || PyList_Append(c->bad, row) < 0) {
        PyErr_WriteUnraisable(NULL);
    }
    Py_XDECREF(row);
}

static bool
depth_check_enter(void *ctx, mp_frame *f, bool fresh)
{
    depth_check *c = ctx;
    c->f = NULL;
    return true;
}

static void
depth_check_leave(void *ctx, mp_frame *f, bool watched, PyObject *result)
{
    depth_check *c = ctx;
    c->f = NULL;
}

static void
depth_check_instr(void *ctx, mp_frame *f, const mp_code_info *info, int index)
{
    depth_check *c = ctx;
    const mp_instr *in = &info->at[index];
    int saved = mp_frame_depth_saved(f);

    c->events++;
    c->saved += saved >= 0;
    if (in->depth < 0 || (saved >= 0 && saved != in->depth)) {
        depth_check_fail(c, info, index, saved);
    }
    if (c->f == f && c->next == index && in->depth > 0) {
        c->tops++;
        if (c->depth != in->depth
            || mp_frame_stack_borrow(f, in->depth - 1) != c->top) {
            depth_check_fail(c, info, index, c->depth);
        }
    }
    c->f = NULL;
    if (in->op == MP_OP_LOAD_FAST) {
        c->top = mp_frame_local_borrow(f, in->arg);
        c->f = f;
    }
    else if (in->op == MP_OP_LOAD_CONST) {
        c->top = PyTuple_GET_ITEM(info->code->co_consts, in->arg);
        c->f = f;
    }
    c->next = in->next;
    c->depth = in->depth + 1;
}

static const mp_watch_ops depth_check_ops = {
    .enter = depth_check_enter,
    .instr = depth_check_instr,
    .leave = depth_check_leave,
};

static PyObject *
testing_check_depths(PyObject *module, PyObject *callable)
{
    depth_check c = {.bad = PyList_New(0)};
    PyObject *out = NULL;

    if (c.bad == NULL) {
        return NULL;
    }
    PyObject *result = mp_watch_call(&depth_check_ops, &c, callable, NULL, 0, NULL);
    if (result != NULL) {
        out = Py_BuildValue("lllO", c.events, c.saved, c.tops, c.bad);
        Py_DECREF(result);
    }
    Py_DECREF(c.bad);
    return out;
}

/* -- Decoding and layouts ---------------------------------------------------------- */

static PyObject *
testing_decode(PyObject *module, PyObject *code)
{
    const mp_code_info *info;

    if (!PyCode_Check(code)) {
        PyErr_SetString(PyExc_TypeError, "a code object is needed");
        return NULL;
    }
    info = mp_code_info_get((PyCodeObject *)code);
    PyObject *list = info != NULL ? PyList_New(info->count) : NULL;
    for (int i = 0; list != NULL && i < info->count; i++) {
        const mp_instr *in = &info->at[i];
        PyObject *row = Py_BuildValue("siiiiiO", mp_op_name(in->op), in->arg, in->flag,
                                      in->depth, in->next, in->target,
                                      info->is_handler[i] ? Py_True : Py_False);
        if (row == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, row);
    }
    return list;
}

static PyObject *
testing_local_kinds(PyObject *module, PyObject *code)
{
    if (!PyCode_Check(code)) {
        PyErr_SetString(PyExc_TypeError, "a code object is needed");
        return NULL;
    }
    int n = ((PyCodeObject *)code)->co_nlocalsplus;
    PyObject *list = PyList_New(n);
    for (int i = 0; list != NULL && i < n; i++) {
        PyObject *kind = PyLong_FromLong(mp_local_kind((PyCodeObject *)code, i));
        if (kind == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, i, kind);
    }
    return list;
}

static PyObject *
testing_instance_dict(PyObject *module, PyObject *o)
{
    PyObject *dict = mp_instance_dict_borrow(o);

    if (dict == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(dict != NULL ? dict : Py_None);
}

static PyObject *
testing_canonical(PyObject *module, PyObject *number)
{
    long raw = PyLong_AsLong(number);

    if (raw < 0 || raw > 255) {
        PyErr_SetString(PyExc_ValueError, "no opcode");
        return NULL;
    }
    return PyUnicode_FromString(mp_op_name(mp_op_of_raw((int)raw)));
}

static PyObject *
testing_dict_version(PyObject *module, PyObject *args)
{
    PyObject *dict;

    if (!PyArg_ParseTuple(args, "O!:dict_version", &PyDict_Type, &dict)) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(mp_dict_version(dict));
}

static PyObject *
testing_swap_held(PyObject *module, PyObject *args)
{
    PyObject *holder, *from, *to;

    if (!PyArg_ParseTuple(args, "OOO:swap_held", &holder, &from, &to)) {
        return NULL;
    }
    mp_swap_held(holder, from, to);
    Py_RETURN_NONE;
}

static PyObject *
testing_dict_keys_are_str(PyObject *module, PyObject *args)
{
    PyObject *dict;

    if (!PyArg_ParseTuple(args, "O!:dict_keys_are_str", &PyDict_Type, &dict)) {
        return NULL;
    }
    return PyBool_FromLong(mp_dict_keys_are_str(dict));
}

static PyObject *
testing_dict_find(PyObject *module, PyObject *args)
{
    PyObject *dict, *key;

    if (!PyArg_ParseTuple(args, "O!O:dict_find", &PyDict_Type, &dict, &key)) {
        return NULL;
    }
    Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1) {
        return NULL;
    }
    PyObject *value = mp_dict_find_borrow(dict, key, hash);
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
testing_type_lookup(PyObject *module, PyObject *args)
{
    PyTypeObject *type;
    PyObject *name;

    if (!PyArg_ParseTuple(args, "O!U:type_lookup", &PyType_Type, &type, &name)) {
        return NULL;
    }
    PyObject *found = mp_type_lookup_borrow(type, name);
    return Py_BuildValue("OI", found != NULL ? found : Py_None, mp_type_version(type));
}

/* Raise what callable raises, after taking it out of the thread and putting it back. */
static PyObject *
testing_reraise(PyObject *module, PyObject *callable)
{
    PyObject *result = PyObject_CallNoArgs(callable);

    if (result == NULL) {
        mp_err_restore_steal(mp_err_take());
    }
    return result;
}

PyMethodDef mp_testing_compat_methods[] = {
    {"watch", testing_watch, METH_VARARGS,
     PyDoc_STR("watch(callable, args, log, want=None, on_instr=None, stop_in='', "
               "stop_at=0): call it, append what the watcher is told to log")},
    {"watch_available", testing_watch_available, METH_NOARGS,
     PyDoc_STR("watch_available() -> None, or the text why not")},
    {"check_depths", testing_check_depths, METH_O,
     PyDoc_STR("check_depths(callable) -> (events, saved, tops, mismatches)")},
    {"decode", testing_decode, METH_O,
     PyDoc_STR("decode(code) -> [(op, arg, flag, depth, next, target, is_handler)]")},
    {"local_kinds", testing_local_kinds, METH_O,
     PyDoc_STR("local_kinds(code) -> [int]")},
    {"instance_dict", testing_instance_dict, METH_O, PyDoc_STR("dict or None")},
    {"canonical", testing_canonical, METH_O,
     PyDoc_STR("canonical(opcode) -> name of the instruction")},
    {"dict_version", testing_dict_version, METH_VARARGS,
     PyDoc_STR("version of a dict")},
    {"swap_held", testing_swap_held, METH_VARARGS,
     PyDoc_STR("swap_held(holder, from, to): exchange what it holds")},
    {"dict_keys_are_str", testing_dict_keys_are_str, METH_VARARGS,
     PyDoc_STR("are all keys of a dict exact str?")},
    {"dict_find", testing_dict_find, METH_VARARGS,
     PyDoc_STR("dict_find(dict, key) -> value or None")},
    {"type_lookup", testing_type_lookup, METH_VARARGS,
     PyDoc_STR("type_lookup(type, name) -> (value or None, version)")},
    {"reraise", testing_reraise, METH_O,
     PyDoc_STR("reraise(callable): its exception, taken and restored")},
    {NULL, NULL, 0, NULL},
};
