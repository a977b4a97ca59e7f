"""Where referrals arrive: validated, sealed and stored durably before the answer; who the people are is worked out after.

Concurrent POSTs share a transaction: whatever waits is stored by one statement, and the wait for more comes after a batch,
never before it, so that a lone referral waits for nobody.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from services.intake import documents
from services.intake.crypto import Keyring
from services.intake.documents import BadDocument
from services.intake.facts import warnings
from services.intake.referral import Referral
from services.intake.remedies import Fault
from services.intake.store.arrivals import Arrival, PartyRow, Stored, arrive
from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.telemetry import counter, current_traceparent
from shared.runtime.work import Work

BATCH: Final = 500
LINGER: Final = 0.010
AT_A_TURN: Final = 4
MOST_WAITING: Final = 5_000
_REMEMBERED: Final = 5_000
_TODAY: Final = "SELECT (clock_timestamp() + shift)::date FROM clock"
_TODAY_SECONDS: Final = 30
_WORDING: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")

RECEIVED = counter("referrals_received", "referrals stored, by what they were: new, changed, seen, refused")

Transact = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Fresh:
    """A referral that this process has just stored: the matcher need not decrypt and read it again."""

    referral: Referral
    parties: tuple[PartyRow, ...]
    version_key: bytes


class Doorstep:
    """Takes referrals in. One for each process."""

    def __init__(self, keyring: Keyring, transact: Transact, wake: Callable[[], None]) -> None:
        """`transact` runs a function in a unit of work; `wake` tells the matcher that there is something to do."""
        self.keyring = keyring
        self._transact = transact
        self._wake = wake
        self._waiting: list[tuple[Arrival, Referral, asyncio.Future[Stored]]] = []
        self._serving: asyncio.Task[None] | None = None
        self._today: tuple[date, float] | None = None
        self._asking = asyncio.Lock()
        self._turns = asyncio.Semaphore(AT_A_TURN)
        self._fresh: OrderedDict[tuple[str, int], Fresh] = OrderedDict()

    def take_fresh(self, referral: str, version: int) -> Fresh | None:
        """Hand over a referral just stored, once."""
        return self._fresh.pop((referral, version), None)

    async def post(self, agency: str, raw: bytes, *, lax: bool = False, register: bool = False) -> Stored:
        """Store one posted referral durably and say what became of it.

        Only the import of a `register` may say who leads already.

        Raises BadDocument, or Unavailable when the database does not answer or too much waits. `lax` converts text to
        numbers, dates and truth values: CSV knows only text.
        """
        today = await self._day()
        # A few at a time, then whoever else waits: a release passes by here some twenty times, and would wait for every
        # referral of a flood each time. In the order in which they came.
        async with self._turns:
            arrival, referral = self.prepare(agency, raw, today, lax=lax)
            await asyncio.sleep(0)
        if refused := list(_refused(referral, register=register)):
            raise BadDocument(refused)
        return await self._submit(arrival, referral)

    def prepare(self, agency: str, raw: bytes, today: date, *, lax: bool = False) -> tuple[Arrival, Referral]:
        """Validate and seal. Raises BadDocument."""
        referral, sent = documents.read(Referral, raw, lax=lax)
        content = self.keyring.tag("content", msgspec.json.encode(sent, order="sorted"))
        tag = self.keyring.tag("reference", f"{agency}\n{referral.reference}")
        return self._seal(agency, tag, content, sent, referral, today), referral

    def _seal(
        self, agency: str, tag: bytes, content: bytes, sent: dict[str, Any], referral: Referral, today: date
    ) -> Arrival:
        people = [self._seal_party(n, entry, referral) for n, entry in enumerate(sent.pop("parties"))]
        text = sent.pop("notes", None)
        owner = version_owner(agency, tag, referral.version)
        key, wrapped = self.keyring.new_key(owner)
        notes_key = notes = None
        if text is not None:
            sealer, notes_key = self.keyring.new_key(owner + "/notes")
            notes = sealer.seal(msgspec.json.encode(text), owner + "/notes")
        found = [
            {"field": fault.path, "problem": fault.what, "remedy": fault.remedy}
            for fault in warnings(referral, today)
        ]
        return Arrival(
            id=new_id(),
            agency=agency,
            reference_tag=tag,
            version=referral.version,
            content_tag=content,
            key=wrapped,
            sealed=key.seal(msgspec.json.encode(sent), owner),
            notes_key=notes_key,
            notes=notes,
            warnings=msgspec.json.encode(found).decode(),
            trace=current_traceparent(),
            parties=tuple(row for rows in people for row in rows),
        )

    def _seal_party(self, position: int, sent: dict[str, Any], referral: Referral) -> list[PartyRow]:
        """Seal a party, and apart from it its contact person: each can be erased without the other."""
        contact = sent.pop("contact_person", None)
        rows = [self._row(position, sent, referral.parties[position].role, contact=False)]
        if contact is not None:
            rows.append(self._row(position, contact, "contact", contact=True))
        return rows

    def _row(self, position: int, sent: dict[str, Any], role: str, *, contact: bool) -> PartyRow:
        party = new_id()
        key, wrapped = self.keyring.new_key(party_owner(party))
        return PartyRow(
            party, position, contact, role, wrapped, key.seal(msgspec.json.encode(sent), party_owner(party))
        )

    # --- sharing a transaction

    async def _submit(self, arrival: Arrival, referral: Referral) -> Stored:
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many referrals are waiting to be stored; send them again in a moment")
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrival, referral, future))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            await self._store(batch)
            await asyncio.sleep(LINGER)

    async def _store(self, batch: list[tuple[Arrival, Referral, asyncio.Future[Stored]]]) -> None:
        try:
            answers = await self._transact(arrive, [arrival for arrival, _, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, each sender must be told about its own referral
            if len(batch) > 1 and not isinstance(error, Unavailable):
                # One of them spoils it for the others: alone, only that one fails.
                for one in batch:
                    await self._store([one])
                return
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        known = ("new", "changed", "seen")
        counts = Counter(stored.outcome if stored.outcome in known else "refused" for stored in answers)
        for outcome, count in counts.items():
            RECEIVED.add(count, {"outcome": outcome})
        for (arrival, referral, future), stored in zip(batch, answers, strict=True):
            if stored.outcome in ("new", "changed"):
                self._remember(arrival, referral, stored)
            if not future.done():
                future.set_result(stored)
        self._wake()

    def _remember(self, arrival: Arrival, referral: Referral, stored: Stored) -> None:
        self._fresh[stored.id, stored.version] = Fresh(referral, arrival.parties, arrival.key)
        while len(self._fresh) > _REMEMBERED:
            self._fresh.popitem(last=False)

    async def _day(self) -> date:
        """Return today by the database's clock, as of half a minute ago at most: only warnings depend on it."""
        # One asks, the others wait in their order: lines of a batch are stored in the order in which they came.
        async with self._asking:
            now = time.monotonic()
            if self._today is None or now - self._today[1] > _TODAY_SECONDS:
                self._today = (await self._transact(_read_day), now)
            return self._today[0]


async def _read_day(work: Work) -> date:
    day: date = await work.fetchval(_TODAY)
    return day


def _refused(referral: Referral, *, register: bool) -> Iterator[Fault]:
    """Yield what may not arrive. What is stored already is read without these rules."""
    if referral.register_lead is not None and not register:
        yield Fault(
            "register_lead",
            "only an import of a register may say who leads",
            "leave it out: a policy decides",
        )
    agreements = {f"parties[{n}].agreement": party.agreement for n, party in enumerate(referral.parties)}
    for path, agreement in {"agreement": referral.agreement, **agreements}.items():
        # Everybody is told which wording it was: a text that somebody typed may name the person.
        if agreement is not None and not _WORDING.fullmatch(agreement.wording):
            yield Fault(
                f"{path}.wording",
                "not the name of a wording",
                "send its version, at most 40 letters, digits, dots, hyphens or underscores; the words belong into evidence",
            )


def version_owner(agency: str, reference_tag: bytes, version: int) -> str:
    """Return what the key of a referral's version is bound to."""
    return f"version:{agency}:{reference_tag.hex()}:{version}"


def party_owner(party: str) -> str:
    """Return what the key of one human of one version is bound to."""
    return f"party:{party}"


__all__ = ["Doorstep", "Fresh", "party_owner", "version_owner"]
