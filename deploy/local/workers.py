"""People who sign in at the dashboard: which agency they work for, and in which role.

A password is made here, 120 random bits, shown once and kept only as its SHA-256: there is nothing to guess. At scale the
partnership's own identity provider knows its people, with a second factor; it needs none of this.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from deploy.local.clients import OPERATOR_SCOPES, Kind, Unknown
from deploy.local.place import Place, write_private

Role = Literal["co-ordinator", "operator"]
ROLES: tuple[str, ...] = get_args(Role)
SCOPES: dict[str, tuple[str, ...]] = {
    "co-ordinator": ("hub", "referrals.read", "cases.read", "cases.write"),
    "operator": OPERATOR_SCOPES,
}
KINDS: dict[str, Kind] = {"co-ordinator": "agency", "operator": "operator"}
# Whom a new place knows, so that there is somebody to sign in as; their passwords are made when they are asked for.
EXAMPLES: tuple[tuple[str, str, Role], ...] = (
    ("anna.hill", "herts-rj-coordinator", "co-ordinator"),
    ("ben.osei", "herts-rj-coordinator", "co-ordinator"),
    ("olive.grant", "operator", "operator"),
)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One person. `password_sha256` is empty until a password has been made."""

    id: str
    agency: str
    role: Role
    password_sha256: str = ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the role may do."""
        return SCOPES[self.role]


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


class Workers:
    """The list in one place. A running issuer sees every change at its next request."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path: Path = place.home / "issuer" / "workers.json"

    def all(self) -> dict[str, Worker]:
        """Every worker by id."""
        rows = json.loads(self.path.read_text()) if self.path.exists() else []
        return {row["id"]: Worker(**row) for row in rows}

    def authenticate(self, worker_id: str, password: str) -> Worker | None:
        """The worker whose password this is, None for every other answer."""
        worker = self.all().get(worker_id)
        expected = worker.password_sha256 if worker else ""
        matches = hmac.compare_digest(expected or _digest(""), _digest(password)) and bool(expected)
        return worker if matches else None

    def put(self, worker_id: str, agency: str, role: Role) -> None:
        """Add a worker, or change what one may do. A password that was made stays."""
        known = self.all().get(worker_id)
        digest = known.password_sha256 if known else ""
        self._save(Worker(id=worker_id, agency=agency, role=role, password_sha256=digest))

    def new_password(self, worker_id: str) -> str:
        """Make another password, which nobody can read again; the old one ends now.

        Raises:
            Unknown: if there is no such worker.
        """
        password = secrets.token_urlsafe(15)
        self._save(Worker(**asdict(self.get(worker_id)) | {"password_sha256": _digest(password)}))
        return password

    def get(self, worker_id: str) -> Worker:
        """The worker.

        Raises:
            Unknown: if there is no such worker.
        """
        worker = self.all().get(worker_id)
        if worker is None:
            raise Unknown(f"no worker {worker_id}; there are: {', '.join(sorted(self.all())) or 'none'}")
        return worker

    def remove(self, worker_id: str) -> None:
        """Nobody signs in under this name any more; who has signed in is out within five minutes.

        Raises:
            Unknown: if there is no such worker.
        """
        self.get(worker_id)
        self._write({name: each for name, each in self.all().items() if name != worker_id})

    def ensure_examples(self) -> None:
        """The people of EXAMPLES, in a place that has nobody yet."""
        if not self.path.exists():
            for worker_id, agency, role in EXAMPLES:
                self.put(worker_id, agency, role)

    def _save(self, worker: Worker) -> None:
        self._write(self.all() | {worker.id: worker})

    def _write(self, workers: dict[str, Worker]) -> None:
        self.path.parent.mkdir(exist_ok=True, mode=0o700)
        with self.place.lock("workers"):
            write_private(self.path, json.dumps([asdict(each) for each in workers.values()], indent=2))
