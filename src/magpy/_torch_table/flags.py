"""What the recorder may assume of a torch callable: `mp_torch_flags` of the engine."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from magpy import _engine

if TYPE_CHECKING:

    class _Members(enum.EnumMeta):
        def __getattr__(cls, name: str) -> OpFlag: ...

    class OpFlag(enum.IntFlag, metaclass=_Members):
        """Names and numbers of engine/objects/op_flags.def, which says what each means."""

else:
    OpFlag = enum.IntFlag("OpFlag", _engine.op_flags(), module=__name__)
