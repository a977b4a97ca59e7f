"""What notifications is made of."""

from __future__ import annotations

from services.notifications.api import router
from services.notifications.handlers import handlers
from services.notifications.messages.post import settle_abandoned, tell_outcomes
from services.notifications.settings import Settings
from services.notifications.store import LANE, MESSAGE
from services.notifications.webhooks.loops import send_due, take_entries
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        name="notifications",
        settings=settings,
        streams=[LANE, MESSAGE],
        consumes=["cases", "consent", "agencies", "referrals"],
        handlers=handlers,
        routers=[router],
        loops=[take_entries, send_due, tell_outcomes, settle_abandoned],
    )
