"""The services of one place: which exist, what each is told by its environment, where it answers."""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path

import psutil

from deploy.local.clients import OPERATOR_SCOPES, SERVICE_SCOPES, Clients
from deploy.local.place import CHECKOUT, Place
from deploy.local.processes import DidNotStart, alive, find
from deploy.local.stack import SERVICES
from services.intake.crypto import make_master_key

KEY_RECORD = "master-key-sha256"  # in secrets.json: which key the databases were written with
# What only the launcher needs: a service must not be able to create databases.
WITHHELD = ("ONEFRIEND_POSTGRES", "ONEFRIEND_STACK")


def existing() -> list[str]:
    """The services that this checkout has and that can run alone."""
    return [
        name for name in SERVICES if find_spec(f"services.{name}") and find_spec(f"services.{name}.__main__")
    ]


def url(place: Place, name: str) -> str:
    """Where a service (or the issuer) answers."""
    return f"http://127.0.0.1:{place.ports()[name]}"


def master_key(place: Place) -> Path:
    """The file of the key that wraps intake's data keys, made at the first call.

    Raises:
        DidNotStart: if the key that the databases were written with has gone. A new one would open nothing, and by its
            keyed hashes nobody who is known would be recognised: people would be approached again.
    """
    path = place.home / "keys" / "master.key"
    with place.lock("master-key"):
        recorded = place.recorded(KEY_RECORD)
        if not path.exists() and recorded is None:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            make_master_key(path)
        if not path.exists() or recorded not in {None, key_fingerprint(path)}:
            raise DidNotStart(
                f"{path} is not the master key that the databases were written with. Bring it back with "
                "`onefriend restore`, or from where you keep its copy; `onefriend reset` gives all data up."
            )
        place.record(KEY_RECORD, key_fingerprint(path))
    return path


def weights(place: Place) -> Path:
    """Where the weights of who is who are, if `onefriend identity apply` has applied others than the shipped ones."""
    return place.home / "identity" / "weights.json"


def key_fingerprint(path: Path) -> str:
    """Of the first key in the file, which stays the same when keys are added."""
    return hashlib.sha256(path.read_bytes().split()[0]).hexdigest()


def register_clients(place: Place) -> None:
    """The services and the operator as clients of the issuer: their secrets are in the place's own file."""
    clients = Clients(place)
    for name in SERVICES:
        clients.put(name, "service", SERVICE_SCOPES, place.secret(f"client/{name}"))
    clients.put("operator", "operator", OPERATOR_SCOPES, place.secret("client/operator"))


def environment(place: Place, name: str, database_url: str, broker: str) -> dict[str, str]:
    """All that a service is told. What is set in our own environment goes to it as well (ONEFRIEND_TRACE_SAMPLE, ...)."""
    ports = place.ports()
    told = {
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "ONEFRIEND_HOME": str(place.home),
        "ONEFRIEND_STATE_FOLDER": str(place.home),
        "ONEFRIEND_DATABASE_URL": database_url,
        "ONEFRIEND_KAFKA": broker,
        "ONEFRIEND_HOST": "127.0.0.1",
        "ONEFRIEND_PORT": str(ports[name]),
        "ONEFRIEND_ISSUER": "onefriend",
        "ONEFRIEND_JWKS_URL": f"{url(place, 'issuer')}/.well-known/jwks.json",
        "ONEFRIEND_TOKEN_URL": f"{url(place, 'issuer')}/token",
        "ONEFRIEND_CLIENT_ID": name,
        "ONEFRIEND_CLIENT_SECRET": place.secret(f"client/{name}"),
        "ONEFRIEND_SMTP_HOST": "127.0.0.1",
        "ONEFRIEND_SMTP_PORT": str(ports["smtp"]),
        "ONEFRIEND_DEVELOPMENT": os.environ.get("ONEFRIEND_DEVELOPMENT", "1"),
    }
    told |= {f"ONEFRIEND_{other.upper()}_URL": url(place, other) for other in SERVICES}
    if name == "dashboard":
        told["ONEFRIEND_AUTHORIZE_URL"] = f"{url(place, 'issuer')}/authorize"
    if name == "intake":
        told["ONEFRIEND_MASTER_KEY_FILE"] = str(master_key(place))
        told["ONEFRIEND_IDENTITY_WEIGHTS"] = str(weights(place))
    inherited = {key: value for key, value in os.environ.items() if key not in WITHHELD}
    return inherited | told


def running(place: Place, name: str) -> list[psutil.Process]:
    """Processes of a service of this place, also those whose supervisor was killed."""
    found = find(lambda line: line[1:3] == ["-m", f"services.{name}"])
    return [process for process in found if _home_of(process) == str(place.home) and alive(process)]


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("ONEFRIEND_HOME")
    except psutil.Error:
        return None
