"""Calls to intake and consent, on behalf of the agency that holds the permit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec

from shared.contracts.envelope import Channel
from shared.runtime.errors import Unavailable
from shared.runtime.problems import TYPES
from shared.runtime.service import Service

BEHALF = "Onefriend-On-Behalf-Of"
OK = 200


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


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the person. Personal: in memory only, never logged (hence no repr)."""

    name: str = ""
    phone: str | None = None
    email: str | None = None
    address: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say nothing."""
        return "Contact(...)"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What intake hands out, once: by which channel, until when, to whom, in which language, and the link to withdraw."""

    channel: Channel
    use_by: datetime
    contact: Contact = field(repr=False)
    withdrawal_link: str
    language: str | None = None

    def __repr__(self) -> str:
        """Say nothing personal."""
        return f"Release({self.channel}, {self.use_by})"


@dataclass(frozen=True)
class Refused:
    """Intake refused the release: the problem's last part, its status and its body, which holds nothing personal."""

    kind: str
    status: int
    body: dict[str, Any]
    retry_after: str | None = None


_RELEASE = msgspec.json.Decoder(Release)


async def release(service: Service, holder: Holder) -> Release | Refused:
    """Redeem the permit for its holder. Raises Unavailable: then it may or may not have been redeemed."""
    answer = await service.call(
        "intake",
        "POST",
        "/v1/releases",
        json={"permit": holder.permit, "fence": holder.fence},
        headers=holder.header,
    )
    if answer.status_code != OK:
        return _refused(answer)
    try:
        return _RELEASE.decode(answer.content)
    except msgspec.DecodeError:
        # From None: the error would quote the details.
        raise Unavailable("intake answered with a release that cannot be read") from None


def _refused(answer: httpx.Response) -> Refused:
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
        f"/v1/attempts/{holder.permit}/outcome",
        json={"fence": holder.fence, "outcome": outcome},
        headers=holder.header,
    )
    return answer.status_code
