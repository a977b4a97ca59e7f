"""What notifications sends to an agency by itself, webhooks and e-mails: paused when its access is revoked."""

from deploy.local.asking import ask
from deploy.local.clients import Clients
from deploy.local.place import Place

REASON = "revoked"  # as notifications shows it to the agency


def pause_of(agency_id: str) -> int:
    """Pause all of an agency's subscriptions; return how many were not paused yet.

    Raises:
        DidNotStart: if nothing runs, or notifications does not do it.
    """
    paused: int = ask("notifications", "POST", f"/v1/agencies/{agency_id}/revocation").json()["paused"]
    return paused


def pause_revoked(place: Place) -> int:
    """The same for every agency whose credentials are revoked: it may have been done while nothing ran."""
    return sum(pause_of(client.id) for client in Clients(place).all().values() if client.revoked)


def paused_of(agency_id: str) -> int:
    """How many of an agency's subscriptions are paused since it was revoked. It has access again.

    Raises:
        DidNotStart: as above.
    """
    found = ask("notifications", "GET", "/v1/subscriptions", who=agency_id).json()["subscriptions"]
    return sum(row["reason"] == REASON for row in found)
