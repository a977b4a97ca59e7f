"""States are frozen: a change is a copy. States are folded for every event, so the copy has to be cheap."""

from __future__ import annotations

import msgspec
from msgspec import field
from msgspec.structs import replace

__all__ = ["State", "field", "replace"]


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a key, or a part of that.

    What is as it begins is not written down: most of a state is, and the database keeps, compares and logs every byte.
    """
