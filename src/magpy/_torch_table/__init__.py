"""Which torch callables the recorder knows, and what it may assume of each.

`build()` answers with a dict from the callable itself (a builtin, a Python function, a
method or getset descriptor) to its flags.  What has no row is handled like any other
code: a Python function is watched, a C function is opaque and ends the recording.  So a
missing row costs speed, a wrong row costs correctness: in doubt leave it out.

flags      the flags, which are the engine's
names      lists of names: the place to add one
rows       the table: a row for each name that torch has, and for public builtins
kinds      classes of tensors and constants, modules whose frames need no watching
operators  flags of operator objects, by their schemas
script     flags of scripted functions, by their code

tests/unit/test_torch_table.py compares the rows with what torch says of its operators.
"""

from __future__ import annotations

from magpy._torch_table.flags import OpFlag
from magpy._torch_table.kinds import (
    constant_types,
    legacy_constructors,
    skip_module_prefixes,
    tensor_makers,
    tensor_types,
)
from magpy._torch_table.operators import op_flags, op_object_types
from magpy._torch_table.rows import aliases, build, sets_state, wrappers

__all__ = [
    "OpFlag",
    "aliases",
    "build",
    "constant_types",
    "legacy_constructors",
    "op_flags",
    "op_object_types",
    "sets_state",
    "skip_module_prefixes",
    "tensor_makers",
    "tensor_types",
    "wrappers",
]
