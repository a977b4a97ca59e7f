"""The composition root: what allocation is made of."""

from services.allocation.api import routers
from services.allocation.handlers import AGENCY, CASE, handlers
from services.allocation.settings import Settings
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        name="allocation",
        settings=settings,
        streams=[CASE, AGENCY],
        consumes=["referrals", "consent"],
        handlers=handlers,
        routers=routers,
    )
