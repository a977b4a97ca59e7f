"""Which routes, handlers and timers the four services declare: what work never passes is named by it."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

from services.intake.crypto import make_master_key
from shared.runtime.service import Service
from tests.support.fleet import SERVICES


def declared() -> dict[str, set[str]]:
    """Return, for each service, one point of each: `before_answer:` a route, `before_commit:` an event type or a timer."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: _points(_built(name, Path(folder))) for name in SERVICES}


def _built(name: str, folder: Path) -> Service:
    """Return a service that is never started: nothing is connected to."""
    key = folder / "master.key"
    if not key.exists():
        make_master_key(key)
    settings = importlib.import_module(f"services.{name}.settings").Settings(
        database_url="postgresql://nobody@127.0.0.1/nothing",
        kafka="127.0.0.1:1",
        development=True,
        master_key_file=str(key),
        state_folder=str(folder),
        secrets_key_file=str(folder / "secrets.key"),
    )
    service: Service = importlib.import_module(f"services.{name}.service").build(settings)
    return service


def _points(service: Service) -> set[str]:
    paths = service.application().openapi()["paths"]
    return {
        *(f"before_answer:{path}" for path in paths),
        *(f"before_commit:{name}" for name in service.handlers.events),
        *(f"before_commit:timer {name}" for name in service.handlers.timers),
    }
