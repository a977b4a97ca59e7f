"""The intake service with what its routes and loops share: the keys, the doorstep, and the bell that wakes the matcher."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends

from services.intake.crypto import Keyring
from services.intake.domain import (
    CaseFileState,
    PersonState,
    evolve_case_file,
    evolve_person,
)
from services.intake.doorstep import Doorstep
from services.intake.precedence import Precedence
from services.intake.settings import Settings
from shared.runtime.service import Service, current_service
from shared.runtime.stream import Stream

PERSON: Stream[PersonState] = Stream(
    kind="person", topic="people", state=PersonState, evolve=evolve_person, group=lambda state: state.links
)
CASE_FILE: Stream[CaseFileState] = Stream(
    kind="case_file", topic="referrals", state=CaseFileState, evolve=evolve_case_file
)


@dataclass(kw_only=True)
class Intake(Service):
    """A service that has keys. The file of the master key is read when it is built: without it nothing may start."""

    master_key_file: Path
    bell: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    precedence: Precedence = field(init=False, default_factory=Precedence)
    keyring: Keyring = field(init=False)
    doorstep: Doorstep = field(init=False)

    def __post_init__(self) -> None:
        """Read the keys."""
        super().__post_init__()
        self.keyring = Keyring.read(self.master_key_file)
        self.doorstep = Doorstep(self.keyring, self.transact, self.bell.set)

    @property
    def own(self) -> Settings:
        """Intake's settings."""
        assert isinstance(self.settings, Settings)  # noqa: S101 - build() gives them
        return self.settings


def intake_of(service: Service) -> Intake:
    """Return the service as intake, for its loops."""
    assert isinstance(service, Intake)  # noqa: S101 - build() makes nothing else
    return service


async def _current(service: Annotated[Service, Depends(current_service)]) -> Intake:
    # FastAPI runs what is not async in a thread: on the path of every POST.
    return intake_of(service)


Current = Annotated[Intake, Depends(_current)]
