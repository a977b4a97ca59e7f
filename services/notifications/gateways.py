"""Calls to intake and consent, on behalf of the agency that holds the permit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from shared.contracts.envelope import Channel, Purpose
from shared.runtime.errors import Unavailable
from shared.runtime.peers import Reply
from shared.runtime.problems import TYPES
from shared.runtime.service import Service

BEHALF = "Onefriend-On-Behalf-Of"


@dataclass(frozen=True)
class Holder:
    """Who holds the permit."""

    permit: str
    fence: int
    agency: str
    worker: str | None = None

    @property
    def header(self) -> dict[str, str]:
        """The header that tells a service for whom we call."""
        return {BEHALF: f"{self.agency}/{self.worker}" if self.worker else self.agency}


class PermitFact(msgspec.Struct, frozen=True, kw_only=True):
    """A permit as consent has it before redemption."""

    person: str
    case: str
    agency: str
    purpose: Purpose
    channel: Channel | None = None


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a person: it lives in memory only, and shows nothing of itself in logs and errors."""

    def __repr__(self) -> str:
        """Say what it is, and nothing of it."""
        return f"{type(self).__name__}(...)"


class Name(Personal, frozen=True, kw_only=True):
    """A name, in parts or whole."""

    title: str | None = None
    forenames: str | None = None
    surname: str | None = None
    full: str | None = None

    def __str__(self) -> str:
        """Return it as it is written above an address."""
        return self.full or " ".join(part for part in (self.title, self.forenames, self.surname) if part)


class Address(Personal, frozen=True, kw_only=True):
    """Where letters go."""

    lines: tuple[str, ...] = ()
    postcode: str | None = None
    kind: str = "home"


class SafeContact(Personal, frozen=True, kw_only=True):
    """What is to be observed."""

    language: str | None = None
    accessible_format: str | None = None


class Release(Personal, frozen=True, kw_only=True):
    """What intake hands out, once: by which channel, until when, and the details that are safe for it, the newest first.

    `whose`: of each number and address, whose it is: `own`, `work`, or somebody else's.
    """

    channel: Channel
    use_by: datetime
    name: Name | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    whose: dict[str, str] = {}
    safe_contact: SafeContact = SafeContact()


@dataclass(frozen=True)
class Refused:
    """A refusal for the holder: the problem's last part, its status and its body, which holds nothing personal."""

    kind: str
    status: int
    body: dict[str, Any]
    retry_after: str | None = None


class _Link(msgspec.Struct, frozen=True):
    url: str


T = TypeVar("T")


def _decode(answer: Reply, shape: type[T]) -> T:
    """Return an answer's body. Raises Unavailable; never with the body, which may be personal."""
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.DecodeError:
        raise Unavailable("another service gave an answer that cannot be read") from None


async def permit(service: Service, permit_id: str) -> PermitFact | None:
    """Return what a permit is for, None if there is no such permit. Raises Unavailable."""
    answer = await service.call("consent", "GET", f"/v1/permits/{quote(permit_id, safe='')}")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    return _decode(answer, PermitFact)


async def withdrawal_link(service: Service, fact: PermitFact) -> str:
    """Return the signed link by which the person withdraws. Raises Unavailable."""
    path = f"/v1/people/{quote(fact.person, safe='')}/withdrawal-link"
    answer = await service.call("intake", "POST", path, params={"case": fact.case})
    return _decode(answer, _Link).url


async def release(service: Service, holder: Holder) -> Release | Refused:
    """Redeem the permit for its holder. Raises Unavailable: then it may or may not have been redeemed."""
    answer = await service.call(
        "intake",
        "POST",
        "/v1/releases",
        json={"permit": holder.permit, "fence": holder.fence},
        headers=holder.header,
    )
    if answer.status_code != HTTPStatus.OK:
        return _refused(answer)
    return _decode(answer, Release)


def _refused(answer: Reply) -> Refused:
    try:
        body = answer.json()
        kind = str(body.get("type", "")).removeprefix(TYPES) or "refused"
    except (ValueError, AttributeError):
        body, kind = {}, "refused"
    return Refused(kind, answer.status_code, body, answer.headers.get("retry-after"))


async def tell_outcome(service: Service, holder: Holder, outcome: str) -> int:
    """Tell consent what became of the attempt; return its status. Raises Unavailable."""
    answer = await service.call(
        "consent",
        "PUT",
        f"/v1/attempts/{quote(holder.permit, safe='')}/outcome",
        json={"fence": holder.fence, "outcome": outcome},
        headers=holder.header,
    )
    return answer.status_code
