"""States are frozen: a change is a copy. States are folded for every event, so the copy has to be cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # For the type checker it is the standard one, with every field's name and type checked.
    from dataclasses import replace
else:

    def replace(item: object, /, **changes: object) -> object:
        """Return a copy of a frozen dataclass (one without slots) with some fields changed.

        The standard one takes six times as long: it goes through `__init__`.
        """
        new = object.__new__(type(item))
        new.__dict__.update(item.__dict__, **changes)
        return new


__all__ = ["replace"]
