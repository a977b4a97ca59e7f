"""Who may ask the issuer for tokens: agencies, services and operators, their scopes, and the hash of each one's secret.

A secret is 256 random bits, shown once and kept only as its SHA-256: there is nothing to guess, so nothing to slow down.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from deploy.local.place import Place, write_private

Kind = Literal["agency", "service", "operator"]

# What an agency's own systems may do; a hub's co-ordinators decide besides.
AGENCY_SCOPES = (
    "referrals.write",
    "referrals.read",
    "people.write",
    "withdrawals.write",
    "contact",
    "cases.read",
    "cases.write",
    "subscribe",
)
HUB_SCOPES = (*AGENCY_SCOPES, "hub")
OPERATOR_SCOPES = ("operator", "hub", "commissioner", "referrals.read", "cases.read")
SERVICE_SCOPES = ("internal",)


@dataclass(frozen=True, kw_only=True)
class Client:
    """One client of the issuer. `id` is also the agency (or the service) that its tokens name."""

    id: str
    kind: Kind
    scopes: tuple[str, ...]
    secret_sha256: str
    revoked: bool = False


class Unknown(Exception):
    """There is no such client; the message names those with a like name."""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _rather(client_id: str, known: list[str]) -> str:
    """What to do about a name that is none."""
    if not known:
        return " yet: run `onefriend up`"
    like = get_close_matches(client_id, known)
    return f"; do you mean {', '.join(like)}?" if like else "; see `onefriend agency list`, and operator"


class Clients:
    """The list in one place. A running issuer sees every change at its next request."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path: Path = place.home / "issuer" / "clients.json"
        self._read_at = -1
        self._known: dict[str, Client] = {}

    def all(self) -> dict[str, Client]:
        """Every client by id, revoked ones too."""
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if changed != self._read_at:
            rows = json.loads(self.path.read_text())
            self._known = {row["id"]: Client(**row | {"scopes": tuple(row["scopes"])}) for row in rows}
            self._read_at = changed
        return self._known

    def get(self, client_id: str) -> Client:
        """The client that may ask for tokens.

        Raises:
            Unknown: also for one whose access was revoked.
        """
        client = self.all().get(client_id)
        if client is None or client.revoked:
            known = [each.id for each in self.all().values() if not each.revoked]
            raise Unknown(f"nobody called {client_id} has access{_rather(client_id, known)}")
        return client

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client whose secret this is, None for every other answer."""
        client = self.all().get(client_id)
        expected = client.secret_sha256 if client else _digest("")
        matches = hmac.compare_digest(expected, _digest(secret))
        return client if client and matches and not client.revoked else None

    def put(self, client_id: str, kind: Kind, scopes: Iterable[str], secret: str | None = None) -> str:
        """Add a client, or give one that exists another secret and these scopes.

        Returns:
            the secret: the given one, or a new one, which nobody can read again.
        """
        chosen = secret or secrets.token_urlsafe(32)
        client = Client(id=client_id, kind=kind, scopes=tuple(scopes), secret_sha256=_digest(chosen))
        self._save(client)
        return chosen

    def revoke(self, client_id: str) -> None:
        """No more tokens for it; the ones that it has end within five minutes.

        Raises:
            Unknown: if there is no such client.
        """
        self._save(Client(**asdict(self.get(client_id)) | {"revoked": True}))

    def _save(self, client: Client) -> None:
        self.path.parent.mkdir(exist_ok=True, mode=0o700)
        with self.place.lock("clients"):
            self._read_at = -1
            known = self.all() | {client.id: client}
            write_private(self.path, json.dumps([asdict(each) for each in known.values()], indent=2))
            self._read_at = -1
