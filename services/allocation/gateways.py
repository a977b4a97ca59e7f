"""What is asked of consent by call, because it is in force only when consent has said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem
from shared.runtime.service import Service

Kind = Literal["pause", "close", "reassign"]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Consent has it in force. `in_flight`: permits redeemed before, whose attempts may still be made."""

    in_flight: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Consent says no, with a code: `in_flight`, `reached`, `attempted`, `no_agreement`, `no_lead`, `same_lead`."""

    reason: str


async def restrict(
    service: Service,
    case: str,
    kind: Kind,
    restriction: str,
    reason: str,
    *,
    until: datetime | None = None,
    person: str | None = None,
) -> Acknowledged | Refused:
    """Put a restriction in force. The same `restriction` again is the same one.

    Raises Unavailable if consent does not answer: it is not in force then.
    """
    body: dict[str, Any] = {"kind": kind, "restriction": restriction, "reason": reason}
    if until is not None:
        body["until"] = until.isoformat()
    if person is not None:
        body["person"] = person
    return await _ask(service, f"/v1/cases/{case}/restrictions", body)


async def hand_over(
    service: Service, person: str, target: str, worker: str | None, reason: str
) -> Acknowledged | Refused:
    """Move a person's lead. Raises Unavailable if consent does not answer."""
    body: dict[str, Any] = {"target": target, "reason": reason}
    if worker is not None:
        body["worker"] = worker
    return await _ask(service, f"/v1/people/{person}/handovers", body)


async def _ask(service: Service, path: str, body: Mapping[str, Any]) -> Acknowledged | Refused:
    # A new key each time: what was refused a minute ago must not be refused again from memory. Done twice does no harm:
    # a pause is known by its id, a lead that is gone is gone, and one that moved is there.
    key = {"Idempotency-Key": f'"{new_id()}"'}
    answer = await service.call("consent", "POST", path, json=body, headers=key)
    if answer.is_success:
        return Acknowledged(tuple(answer.json().get("in_flight") or ()))
    found = answer.json()
    if answer.status_code == 409:  # noqa: PLR2004 - HTTP
        return Refused(
            str(found.get("reason") or str(found.get("type", "")).rpartition("/")[2]).replace("-", "_")
        )
    # Any other answer is a fault of ours or of the installation: nothing is in force, and nobody may think that it is.
    raise Unavailable(f"consent answered {answer.status_code} to {path.rpartition('/')[2]}")


def not_in_force(detail: str, headers: Mapping[str, str]) -> Problem:
    """Return the 503 for a restriction that is recorded and not yet acknowledged."""
    return Problem(
        503,
        "not-in-force",
        "Recorded, and not yet in force.",
        detail=f"{detail} Ask again to learn when it is; until then tell whoever might contact the person yourself.",
        headers={"Retry-After": "5", **headers},
    )
