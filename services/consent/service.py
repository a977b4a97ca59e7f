"""The composition root: what consent is made of."""

from services.consent import api
from services.consent.gateways import close_the_door, listen, open_again
from services.consent.handlers import CASE, PERSON, handlers
from services.consent.rehearsal import rehearse
from services.consent.settings import Settings
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        name="consent",
        settings=settings,
        streams=[PERSON, CASE],
        consumes=["people", "cases", "agencies"],
        handlers=handlers,
        routers=api.routers,
        loops=[listen, open_again],
        restored=close_the_door,
        rehearsal=rehearse,
    )
