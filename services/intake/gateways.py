"""Consent, as intake asks it: permits, redemption, outcomes, withdrawals. Never called inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from services.intake.core import Intake
from shared.contracts.envelope import Channel, Purpose
from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.peers import Reply

T = TypeVar("T")
BEHALF = "onefriend-on-behalf-of"


class PermitFact(msgspec.Struct, frozen=True):
    """A permit as consent has it before redemption."""

    person: str
    party: str
    case: str
    agency: str
    state: str = ""
    channel: Channel | None = None


class Redeemed(msgspec.Struct, frozen=True):
    """A permit that consent has just redeemed."""

    permit: str
    person: str
    party: str
    case: str
    agency: str
    purpose: Purpose
    channel: Channel
    use_by: datetime
    outcome_due: datetime
    worker: str | None = None


class Withdrawn(msgspec.Struct, frozen=True):
    """Consent's answer to a withdrawal: the permits that had already been redeemed (none: clean)."""

    in_flight: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why consent refuses: the last part of the problem's type, with hyphens, and its sentence."""

    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """Calls to consent. Each raises Unavailable if consent does not answer, or answers what cannot be understood."""

    service: Intake

    async def permit(self, permit: str) -> PermitFact | None:
        """Return what a permit is for, None if there is no such one."""
        answer = await self.service.call("consent", "GET", f"/v1/permits/{quote(permit, safe='')}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return _decode(answer, PermitFact)

    async def redeem(
        self, permit: str, fence: int, seen: dict[str, int], worker: str | None, sender: str | None
    ) -> Redeemed | Refusal:
        """Redeem a permit. Consent redeems it once: of several releases at most one is answered with Redeemed.

        If the first answer is lost on the way, it is asked for once more, with the same sequences under the same key. The
        key is new for each release, so that nobody else gets that answer. `worker`: who presents the permit, where the token
        names one. `sender`: the service that asked for the holder.
        """
        path = f"/v1/permits/{quote(permit, safe='')}/redemption"
        arguments: dict[str, Any] = {
            "json": {"fence": fence, "seen": seen, "worker": worker, "sender": sender},
            "headers": {"Idempotency-Key": f'"{new_id()}"'},
        }
        try:
            answer = await self.service.call("consent", "POST", path, **arguments)
        except Unavailable as error:
            if error.nothing_done:
                raise
            answer = await self._again(path, arguments)
        if answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return _refusal(answer)
        return _decode(answer, Redeemed)

    async def _again(self, path: str, arguments: dict[str, Any]) -> Reply:
        try:
            return await self.service.call("consent", "POST", path, **arguments)
        except Unavailable as error:
            # Whatever this one says: what became of the first is not known.
            raise Unavailable(str(error)) from error

    async def not_made(self, permit: str, fence: int) -> bool:
        """Tell that nothing was handed out for a redeemed permit. Returns whether consent has taken it in."""
        path = f"/v1/attempts/{quote(permit, safe='')}/outcome"
        answer = await self.service.call("consent", "PUT", path, json={"fence": fence, "outcome": "not_made"})
        # A 404 or 409 will not change by asking again: another outcome stands, or the hub has resolved it.
        return answer.is_success or answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

    async def withdraw(self, person: str, key: str, body: dict[str, Any], via: str) -> Withdrawn:
        """Withdraw a person, by the agency `via`. The same key again is the same withdrawal."""
        path = f"/v1/people/{quote(person, safe='')}/withdrawals"
        headers = {"Idempotency-Key": f'"{key}"', BEHALF: via}
        answer = await self.service.call("consent", "POST", path, json=body, headers=headers)
        return _decode(answer, Withdrawn)


def _refusal(answer: Reply) -> Refusal:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    said = problem if isinstance(problem, dict) else {}
    kind = str(said.get("type", "refused")).rpartition("/")[2].replace("_", "-")
    return Refusal(
        "not-found" if answer.status_code == HTTPStatus.NOT_FOUND else kind, str(said.get("title", ""))
    )


def _decode(answer: Reply, kind: type[T]) -> T:
    if not answer.is_success:
        raise Unavailable(f"consent answered {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable("consent's answer cannot be understood") from error
