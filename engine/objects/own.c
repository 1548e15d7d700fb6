/* objects/own.c - the engine's own callables, as the recorder has to know them.
 *
 * CallSlot is the descriptor below `__call__` of compiled modules.  On an instance it answers what lies in a slot: the CompiledFunction, at the cost of a C
 * member.  On the class it answers a Python function, which is what FX and TorchDynamo look
 * for there and trace in its place. */
#include "objects/own.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD        // mp-ok: a type of our own
    PyObject *member;    // owned; member descriptor of the slot
    PyObject *function;  // owned; Python function
} call_slot_object;

static PyTypeObject *call_slot_type;  // owned; NULL until mp_call_slot_init

static PyObject *
call_slot_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *member, *function;  // borrowed
    static const char *const names[] = {"member", "function", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!:CallSlot", (char **)names,
                                     &PyMemberDescr_Type, &member, &PyFunction_Type,
                                     &function)) {
        return NULL;
    }
    call_slot_object *op = (call_slot_object *)type->tp_alloc(type, 0);
    if (op != NULL) {
        op->member = Py_NewRef(member);
        op->function = Py_NewRef(function);
    }
    return (PyObject *)op;
}

static int
call_slot_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((call_slot_object *)self)->member);
    Py_VISIT(((call_slot_object *)self)->function);
    return 0;
}

static int
call_slot_clear(PyObject *self)
{
    Py_CLEAR(((call_slot_object *)self)->member);
    Py_CLEAR(((call_slot_object *)self)->function);
    return 0;
}

static void
call_slot_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)call_slot_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
call_slot_get(PyObject *self, PyObject *obj, PyObject *type)
{
    const call_slot_object *op = (call_slot_object *)self;
    PyObject *found = obj == NULL || obj == Py_None ? op->function : op->member;
    if (found == NULL) {  // after tp_clear
        PyErr_SetString(PyExc_AttributeError, "__call__");
        return NULL;
    }
    return found == op->function ? Py_NewRef(found)
                                 : Py_TYPE(found)->tp_descr_get(found, obj, type);
}

static PyType_Slot call_slot_slots[] = {
    {Py_tp_new, (void *)call_slot_new},
    {Py_tp_dealloc, (void *)call_slot_dealloc},
    {Py_tp_traverse, (void *)call_slot_traverse},
    {Py_tp_clear, (void *)call_slot_clear},
    {Py_tp_descr_get, (void *)call_slot_get},
    {0, NULL},
};

static PyType_Spec call_slot_spec = {
    .name = "magpy._engine.CallSlot",
    .basicsize = sizeof(call_slot_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_slot_slots,
};

int
mp_call_slot_init(PyObject *module)
{
    if (call_slot_type == NULL) {
        call_slot_type = (PyTypeObject *)PyType_FromSpec(&call_slot_spec);
        if (call_slot_type == NULL) {
            return -1;
        }
    }
    return PyModule_AddType(module, call_slot_type);
}

PyObject *
mp_call_slot_member_borrow(PyObject *o)
{
    return Py_IS_TYPE(o, call_slot_type) ? ((call_slot_object *)o)->member : NULL;
}

/* -- Compiled functions ------------------------------------------------------------------ */

static PyTypeObject *own_compiled;  // borrowed: lives for the process
static PyObject *(*own_original)(PyObject *);

void
mp_own_register(PyTypeObject *compiled, PyObject *(*original_borrow)(PyObject *))
{
    own_compiled = compiled;
    own_original = original_borrow;
}

PyObject *
mp_compiled_original_borrow(PyObject *o)
{
    return own_compiled != NULL && Py_IS_TYPE(o, own_compiled) ? own_original(o) : NULL;
}
