"""What agencies are called: their names, from the registry that allocation keeps. People know no agency by its id."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from services.dashboard.gateways import Allocation, Refused
from shared.runtime.errors import Unavailable

log = logging.getLogger(__name__)
_FRESH_SECONDS: Final = 300.0
_AGAIN_SECONDS: Final = 30.0  # after allocation did not answer
_PATIENCE_SECONDS: Final = 1.0  # a page does not wait longer for a name


@dataclass
class Agencies:
    """The names of one process. Without allocation an agency is called by its id: a page is more than its names."""

    allocation: Allocation
    _names: dict[str, str] = field(default_factory=dict)
    _due: float = 0.0
    _asking: asyncio.Task[None] | None = None

    def name(self, agency: str) -> str:
        """Return what an agency is called."""
        return self._names.get(agency, agency)

    async def look(self, token: str) -> None:
        """Read the names anew, now and then; whoever comes meanwhile has those from before."""
        if time.monotonic() > self._due and self._asking is None:
            self._asking = asyncio.create_task(self._read(token))
        if self._asking is not None and not self._names:
            await asyncio.wait([self._asking], timeout=_PATIENCE_SECONDS)

    async def _read(self, token: str) -> None:
        try:
            self._names = await self.allocation.agencies(token)
            self._due = time.monotonic() + _FRESH_SECONDS
        except (Refused, Unavailable) as error:
            self._due = time.monotonic() + _AGAIN_SECONDS
            log.warning("agencies have no names now", extra={"error": type(error).__name__})
        finally:
            self._asking = None
