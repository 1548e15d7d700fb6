/* trace/compiling.c - the answer of torch.compiler.is_compiling() in a recording.
 *
 * Torch's flag is never written: the real call returns False, as in eager mode.  If the
 * answer is to be True, it replaces the result on the stack (run/frame.c). */
#include "trace/trace.h"

#include <string.h>

static mp_knob knob = MP_COMPILING_AUTO;

void
mp_compiling_set(mp_knob value)
{
    knob = value;
}

mp_knob
mp_compiling_knob(void)
{
    return knob;
}

static bool flow;

void
mp_flow_set(bool on)
{
    flow = on;
}

bool
mp_flow(void)
{
    return flow;
}

mp_compiling
mp_compiling_plain(void)
{
    return (mp_compiling){.tells =
                              knob == MP_COMPILING_TRUE ? MP_TELL_ALL : MP_TELL_FALSE};
}

/* Torch's own modules compute other numbers if the answer is True, or raise.  (A module
 * of the program with such a name gets the answer of eager mode.) */
static bool
is_of_torch(mp_frame *f)
{
    PyObject *name = mp_dict_text_borrow(mp_frame_globals_borrow(f), "__name__");
    const char *text =
        name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    mp_err_drop();  // a module without a usable name is the program's
    return text != NULL && strncmp(text, "torch", 5) == 0  // mp-ok: a module's
           && (text[5] == '.' || text[5] == '\0');
}

mp_rc
mp_record_compiling(mp_trace *T, mp_shadow *s)
{
    mp_compiling *c = T->compiling;
    bool own = is_of_torch(s->f);
    bool told = c->tells == MP_TELL_ALL || (c->tells == MP_TELL_PROGRAM && !own);
    c->asked = c->asked || !own;
    s->below = MP_BELOW_SKIP;
    s->post = told ? MP_POST_COMPILING : MP_POST_CONST;
    return MP_OK;
}
