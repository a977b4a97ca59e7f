"""HTTP: agencies ask and report, people choose, intake and allocation call, hubs look and put right."""

from services.consent.api import choices, hub, internal, permits

routers = [permits.router, choices.router, internal.router, hub.router]

__all__ = ["routers"]
