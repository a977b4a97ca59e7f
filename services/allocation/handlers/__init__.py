"""What comes in: events of intake and consent, and timers. Each: load, decide, carry the case on."""

from services.allocation.handlers import of_consent, of_referrals, of_restores, of_time
from services.allocation.handlers.carry import AGENCY, CASE
from shared.runtime.handlers import Handlers

handlers = Handlers()
for part in (of_referrals.handlers, of_consent.handlers, of_time.handlers):
    handlers.events |= part.events
    handlers.timers |= part.timers
handlers.restored |= of_restores.handlers.restored

__all__ = ["AGENCY", "CASE", "handlers"]
