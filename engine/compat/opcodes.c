/* opcodes.c - raw opcode numbers of each version to canonical instructions.
 *
 * One table per version; a number without a row is MP_OP_UNKNOWN, which is 0.  Only
 * de-specialised and de-instrumented code is looked up here.
 */
#include "compat/private.h"

#if MP_CAN_WATCH

#include <opcode.h>

// clang-format off
#define SAME(name) [name] = MP_OP_##name
static const uint8_t opcode_map[256] = {
    SAME(BINARY_OP), SAME(BUILD_LIST), SAME(BUILD_MAP), SAME(BUILD_SET), SAME(BUILD_SLICE), SAME(BUILD_STRING), SAME(BUILD_TUPLE), SAME(CALL),
    SAME(CALL_FUNCTION_EX), SAME(CHECK_EG_MATCH), SAME(CHECK_EXC_MATCH), SAME(COMPARE_OP),
    SAME(CONTAINS_OP), SAME(COPY), SAME(COPY_FREE_VARS), SAME(DELETE_ATTR),
    SAME(DELETE_DEREF), SAME(DELETE_FAST), SAME(DELETE_GLOBAL), SAME(DELETE_NAME),
    SAME(DELETE_SUBSCR), SAME(DICT_MERGE), SAME(DICT_UPDATE), SAME(END_ASYNC_FOR),
    SAME(FOR_ITER), SAME(GET_AITER), SAME(GET_ANEXT),
    SAME(GET_AWAITABLE), SAME(GET_ITER), SAME(GET_LEN), SAME(GET_YIELD_FROM_ITER),
    SAME(IMPORT_FROM), SAME(IMPORT_NAME), SAME(IS_OP), SAME(JUMP_BACKWARD),
    SAME(JUMP_FORWARD), SAME(LIST_APPEND), SAME(LIST_EXTEND),
    SAME(LOAD_ATTR), SAME(LOAD_BUILD_CLASS), SAME(LOAD_CONST), SAME(LOAD_DEREF), SAME(LOAD_FAST), SAME(LOAD_GLOBAL), SAME(LOAD_NAME),
    SAME(MAKE_CELL), SAME(MAKE_FUNCTION), SAME(MAP_ADD), SAME(MATCH_CLASS), SAME(MATCH_KEYS),
    SAME(MATCH_MAPPING), SAME(MATCH_SEQUENCE), SAME(NOP), SAME(POP_EXCEPT), SAME(POP_TOP),
    SAME(PUSH_EXC_INFO), SAME(PUSH_NULL), SAME(RAISE_VARARGS), SAME(RERAISE), SAME(RESUME),
    SAME(RETURN_GENERATOR), SAME(RETURN_VALUE), SAME(SEND), SAME(SETUP_ANNOTATIONS),
    SAME(SET_ADD), SAME(SET_UPDATE), SAME(STORE_ATTR), SAME(STORE_DEREF), SAME(STORE_FAST),
    SAME(STORE_GLOBAL), SAME(STORE_NAME), SAME(STORE_SUBSCR), SAME(SWAP), SAME(UNARY_INVERT),
    SAME(UNARY_NEGATIVE), SAME(UNARY_NOT), SAME(UNPACK_EX), SAME(UNPACK_SEQUENCE),
    SAME(WITH_EXCEPT_START), SAME(YIELD_VALUE),
#if PY_VERSION_HEX < 0x030e0000
    SAME(BEFORE_ASYNC_WITH), SAME(BEFORE_WITH), SAME(BINARY_SUBSCR), SAME(BUILD_CONST_KEY_MAP),
    SAME(LOAD_ASSERTION_ERROR),
#else
    SAME(BUILD_INTERPOLATION), SAME(BUILD_TEMPLATE), SAME(LOAD_COMMON_CONSTANT),
    SAME(LOAD_SMALL_INT), SAME(LOAD_SPECIAL),
    [LOAD_FAST_BORROW] = MP_OP_LOAD_FAST,
    [LOAD_FAST_BORROW_LOAD_FAST_BORROW] = MP_OP_LOAD_FAST_LOAD_FAST,
    [NOT_TAKEN] = MP_OP_NOP,
    [POP_ITER] = MP_OP_POP_TOP,
#endif
#if PY_VERSION_HEX < 0x030d0000
    SAME(FORMAT_VALUE), SAME(KW_NAMES), SAME(LOAD_CLOSURE),
#else
    SAME(TO_BOOL), SAME(SET_FUNCTION_ATTRIBUTE), SAME(LOAD_FAST_LOAD_FAST),
    SAME(STORE_FAST_LOAD_FAST), SAME(STORE_FAST_STORE_FAST),
    [CALL_KW] = MP_OP_CALL,
    [FORMAT_SIMPLE] = MP_OP_FORMAT_VALUE,
    [FORMAT_WITH_SPEC] = MP_OP_FORMAT_VALUE,
    [CONVERT_VALUE] = MP_OP_FORMAT_VALUE,
#endif
#if PY_VERSION_HEX < 0x030c0000
    SAME(ASYNC_GEN_WRAP), SAME(IMPORT_STAR), SAME(JUMP_IF_FALSE_OR_POP),
    SAME(JUMP_IF_TRUE_OR_POP), SAME(LIST_TO_TUPLE), SAME(LOAD_CLASSDEREF),
    SAME(LOAD_METHOD), SAME(PRECALL), SAME(PREP_RERAISE_STAR), SAME(PRINT_EXPR),
    SAME(UNARY_POSITIVE),
    [JUMP_BACKWARD_NO_INTERRUPT] = MP_OP_JUMP_BACKWARD,
    [POP_JUMP_FORWARD_IF_TRUE] = MP_OP_POP_JUMP_IF_TRUE,
    [POP_JUMP_FORWARD_IF_FALSE] = MP_OP_POP_JUMP_IF_FALSE,
    [POP_JUMP_FORWARD_IF_NONE] = MP_OP_POP_JUMP_IF_NONE,
    [POP_JUMP_FORWARD_IF_NOT_NONE] = MP_OP_POP_JUMP_IF_NOT_NONE,
    [POP_JUMP_BACKWARD_IF_TRUE] = MP_OP_POP_JUMP_IF_TRUE,
    [POP_JUMP_BACKWARD_IF_FALSE] = MP_OP_POP_JUMP_IF_FALSE,
    [POP_JUMP_BACKWARD_IF_NONE] = MP_OP_POP_JUMP_IF_NONE,
    [POP_JUMP_BACKWARD_IF_NOT_NONE] = MP_OP_POP_JUMP_IF_NOT_NONE,
#else
    SAME(BINARY_SLICE), SAME(CALL_INTRINSIC_1), SAME(CALL_INTRINSIC_2), SAME(CLEANUP_THROW),
    SAME(END_FOR), SAME(END_SEND), SAME(INTERPRETER_EXIT), SAME(LOAD_FAST_AND_CLEAR),
    SAME(LOAD_FAST_CHECK), SAME(LOAD_FROM_DICT_OR_DEREF), SAME(LOAD_FROM_DICT_OR_GLOBALS),
    SAME(LOAD_LOCALS), SAME(LOAD_SUPER_ATTR), SAME(STORE_SLICE),
    SAME(POP_JUMP_IF_TRUE), SAME(POP_JUMP_IF_FALSE), SAME(POP_JUMP_IF_NONE),
    SAME(POP_JUMP_IF_NOT_NONE),
    [JUMP_BACKWARD_NO_INTERRUPT] = MP_OP_JUMP_BACKWARD,
#if PY_VERSION_HEX < 0x030e0000
    SAME(RETURN_CONST),
#endif
#endif
};
#undef SAME
// clang-format on

int
mp_op_of_raw(int raw)
{
    assert(raw >= 0 && raw < 256);
    return opcode_map[raw];
}

int
mp_opcode_is_prefix(int raw)
{
    return raw == EXTENDED_ARG;
}

int
mp_opcode_is_cache(int raw)
{
    return raw == CACHE;
}

/* 1 forwards, -1 backwards, 0 no jump. */
static int
opcode_jump_sign(int raw)
{
    switch (raw) {
    case FOR_ITER:
    case SEND:
    case JUMP_FORWARD:
#if PY_VERSION_HEX < 0x030c0000
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
#else
    case POP_JUMP_IF_TRUE:
    case POP_JUMP_IF_FALSE:
    case POP_JUMP_IF_NONE:
    case POP_JUMP_IF_NOT_NONE:
#endif
        return 1;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
#if PY_VERSION_HEX < 0x030c0000
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
#endif
        return -1;
    default:
        return 0;
    }
}

/* Take apart arguments that carry more than one thing. */
static void
opcode_split_arg(int raw, mp_instr *out)
{
    switch (raw) {
    case LOAD_GLOBAL:
        out->flag = out->arg & 1;
        out->arg >>= 1;
        break;
#if PY_VERSION_HEX >= 0x030c0000
    case LOAD_ATTR:
        out->op = out->arg & 1 ? MP_OP_LOAD_METHOD : MP_OP_LOAD_ATTR;
        out->arg >>= 1;
        break;
    case LOAD_SUPER_ATTR:
        out->flag = out->arg & 3;
        out->arg >>= 2;
        break;
#endif
#if PY_VERSION_HEX >= 0x030d0000
    case COMPARE_OP:
        out->flag = out->arg >> 4 & 1;
        out->arg >>= 5;
        break;
    case CALL_KW:
        out->flag = 1;
        break;
    case FORMAT_SIMPLE:
        out->arg = 0;
        break;
    case FORMAT_WITH_SPEC:
        out->arg = 4;  // as FORMAT_VALUE has it; CONVERT_VALUE has the same conversions
        break;
#if PY_VERSION_HEX >= 0x030e0000
    case BINARY_OP:
        out->op = out->arg == NB_SUBSCR ? MP_OP_BINARY_SUBSCR : MP_OP_BINARY_OP;
        break;
    case CALL_FUNCTION_EX:
        out->arg = 1;  // there is always a place for the dict
        break;
    case LOAD_FAST_BORROW_LOAD_FAST_BORROW:
#endif
    case LOAD_FAST_LOAD_FAST:
    case STORE_FAST_LOAD_FAST:
    case STORE_FAST_STORE_FAST:
        out->flag = out->arg & 15;
        out->arg >>= 4;
        break;
#elif PY_VERSION_HEX >= 0x030c0000
    case COMPARE_OP:
        out->arg >>= 4;
        break;
#endif
    default:
        break;
    }
}

void
mp_opcode_decode(int raw, int oparg, int next, mp_instr *out)
{
    int sign = opcode_jump_sign(raw);

    out->op = opcode_map[raw];
    out->arg = oparg;
    out->flag = 0;
    out->next = next;
    out->target = sign == 0 ? -1 : next + sign * oparg;
    opcode_split_arg(raw, out);
}

/* The compiler's own table, with its conventions turned into what the evaluator does:
 * the compiler counts a call as PRECALL plus CALL on 3.11, and a SEND that ends as if it
 * had dropped its operand; a started generator finds the value sent to it on its stack. */
int
mp_opcode_effect(int raw, int oparg, bool jump)
{
    switch (raw) {
    case RETURN_GENERATOR:
        return 1;
#if PY_VERSION_HEX < 0x030c0000
    case PRECALL:
        return 0;
    case CALL:
        return -(oparg + 1);
#else
    case SEND:
        return 0;
    case END_SEND:
        return -1;
#endif
    default:
        return PyCompile_OpcodeStackEffectWithJump(raw, oparg, jump);
    }
}

bool
mp_opcode_falls_through(int op)
{
    switch (op) {
    case MP_OP_RETURN_VALUE:
    case MP_OP_RETURN_CONST:
    case MP_OP_RAISE_VARARGS:
    case MP_OP_RERAISE:
    case MP_OP_JUMP_FORWARD:
    case MP_OP_JUMP_BACKWARD:
    case MP_OP_INTERPRETER_EXIT:
        return false;
    default:
        return true;
    }
}

#else

int
mp_op_of_raw(int raw)
{
    return MP_OP_UNKNOWN;
}

#endif

const char *
mp_op_name(int op)
{
    static const char *const names[MP_OP_COUNT] = {
#define OP(name, reads) #name,
#include "compat/opcodes.def"
#undef OP
    };

    return op >= 0 && op < MP_OP_COUNT ? names[op] : "CACHE";
}

const char *
mp_op_reads(int op)
{
    static const char *const texts[MP_OP_COUNT] = {
#define OP(name, reads) reads,
#include "compat/opcodes.def"
#undef OP
    };

    return texts[op];
}
