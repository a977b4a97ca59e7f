"""The dashboard, put together."""

from __future__ import annotations

from services.dashboard import api
from services.dashboard.board import Board
from services.dashboard.core import Dashboard
from services.dashboard.handlers import handlers_for
from services.dashboard.settings import Settings


def build(settings: Settings) -> Dashboard:
    """Return the service."""
    board = Board()
    return Dashboard(
        name="dashboard",
        settings=settings,
        streams=[],
        consumes=["people", "referrals"],
        handlers=handlers_for(board),
        routers=api.routers,
        board=board,
    )
