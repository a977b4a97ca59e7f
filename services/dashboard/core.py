"""The dashboard service with what its pages share: sessions, the board of changes, whom they call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, FastAPI

from services.dashboard.agencies import Agencies
from services.dashboard.board import Board
from services.dashboard.gateways import Allocation, Intake, Notifications
from services.dashboard.sessions import Sessions
from services.dashboard.settings import Settings
from shared.runtime.service import Service, current_service


@dataclass(kw_only=True)
class Dashboard(Service):
    """A service whose routes answer with pages."""

    board: Board
    sessions: Sessions = field(init=False)
    intake: Intake = field(init=False)
    notifications: Notifications = field(init=False)
    allocation: Allocation = field(init=False)
    agencies: Agencies = field(init=False)

    def __post_init__(self) -> None:
        """Make the sessions and the gateways."""
        super().__post_init__()
        self.sessions = Sessions(self.own, self.http)
        self.intake = Intake(self.own.intake_url, self.http)
        self.notifications = Notifications(self.own.notifications_url, self.http)
        self.allocation = Allocation(self.own.allocation_url, self.http)
        self.agencies = Agencies(self.allocation)

    @property
    def own(self) -> Settings:
        """The dashboard's settings."""
        assert isinstance(self.settings, Settings)  # noqa: S101 - build() gives them
        return self.settings

    def application(self) -> FastAPI:
        """Return the HTTP application: errors are pages too."""
        from services.dashboard.api.errors import answer_with_pages  # noqa: PLC0415 - the pages name this module

        app = super().application()
        answer_with_pages(app)
        return app


async def _current(service: Annotated[Service, Depends(current_service)]) -> Dashboard:
    assert isinstance(service, Dashboard)  # noqa: S101 - build() makes nothing else
    return service


Current = Annotated[Dashboard, Depends(_current)]
