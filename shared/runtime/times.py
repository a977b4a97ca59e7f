"""Days and moments as clients send them, within what a case can be of: once for all services."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime

EARLIEST: Final = 1900
LATEST: Final = 2200
"""Years. Beyond, PostgreSQL's times end for one offset or the other, and nothing is looked at again then."""

D = TypeVar("D", date, datetime)


def _in_reach(at: D) -> D:
    if not EARLIEST <= at.year < LATEST:
        message = f"not between {EARLIEST} and {LATEST} Remedy: Look at its year."
        raise ValueError(message)
    return at


Time = Annotated[AwareDatetime, AfterValidator(_in_reach)]
Day = Annotated[date, AfterValidator(_in_reach)]
