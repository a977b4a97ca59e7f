"""After this database came back from a copy: what can be told again is, and what cannot is asked of its agency once more.

The topics have every event, so that who is who, holds, links, cases and erasures are put back. They have no details and no
reference in clear: those were sealed in rows, and what was accepted since the copy is gone. Such a referral keeps its place
and its people; its case is held (`details_lost`), its agency told, and when it sends the same reference and version again
the people stay who they were. Erasures are carried out again, because the copy still had the keys.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import msgspec

from services.intake import domain, erasing
from services.intake.core import CASE_FILE, PERSON, intake_of
from services.intake.handlers import handlers
from services.intake.store import holds as hold_store
from services.intake.store import people as details
from shared.contracts.envelope import Envelope
from shared.contracts.people import (
    PersonChanged,
    PersonHeld,
    PersonHoldLifted,
    PersonReferred,
)
from shared.contracts.referrals import (
    CaseFileJoined,
    ReferralChanged,
    ReferralFacts,
    ReferralHeld,
    ReferralHoldLifted,
    ReferralReceived,
    ReferralRetracted,
)
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from shared.runtime.stream import Ref
from shared.runtime.work import Work

# How often a person of whom less is held than was told is looked at again.
AGAIN: Final = timedelta(minutes=1)
DAY_SECONDS: Final = 86_400
_KEEP_PLACE: Final = """
INSERT INTO referral (id, agency, reference_tag, version, status, received_at) VALUES ($1, $2, $3, $4, 'lost', $5)
ON CONFLICT DO NOTHING
"""
# The version before, so that what is sent again is its own; the people of an earlier version stay who they were.
_KEEP_PERSON: Final = """
INSERT INTO party (id, referral, version, position, contact, role, person, sealed)
SELECT $1, $2, $3, $4, $5, $6, $7, ''
WHERE NOT EXISTS (SELECT FROM party WHERE referral = $2 AND position = $4 AND contact = $5 AND person = $7)
"""
_KEEP_CASE: Final = """
INSERT INTO referral_case (referral, position, case_id, harmed, version, facts, incident) VALUES ($1, $2, $3, $4, $5, $6, '')
ON CONFLICT (referral, position) DO UPDATE SET case_id = excluded.case_id, harmed = excluded.harmed,
  version = excluded.version, facts = excluded.facts
"""
_ERASED: Final = """
SELECT DISTINCT p.person FROM party AS p JOIN stream AS s ON s.kind = 'person' AND s.key = p.person
WHERE p.key IS NOT NULL AND (s.state ->> 'erased')::boolean LIMIT 100
"""
_SEEN: Final = "SELECT true FROM referral_version WHERE referral = $1 AND version = $2"


@handlers.restore(ReferralReceived, ReferralChanged)
async def referral_put_back(work: Work, e: Envelope[ReferralReceived | ReferralChanged]) -> None:
    """A referral joined a case or changed it. If its content has gone, it keeps its place, and its agency is asked."""
    facts = e.data.facts
    await _keep_place(work, e.subject, facts)
    if not await work.fetchval(_SEEN, facts.referral, facts.version):
        # Events are recorded when everything has been put back: timers fire then.
        work.timer("details-lost", e.subject, work.now)


async def _keep_place(work: Work, case: str, facts: ReferralFacts) -> None:
    if not facts.reference_tag:
        return
    tag = bytes.fromhex(facts.reference_tag)
    await work.execute(_KEEP_PLACE, facts.referral, facts.agency, tag, facts.version, facts.received_at)
    if await work.fetchval(_SEEN, facts.referral, facts.version):
        return
    for party in facts.parties:
        people = [(party.person, False, party.role), *((p, True, "contact") for p in party.contact_persons)]
        for person, contact, role in people:
            if "." not in person:  # nobody in particular has a row without a person
                row = (new_id(), facts.referral, facts.version - 1, party.position, contact, role, person)
                await work.execute(_KEEP_PERSON, *row)
    harmed = next((party for party in facts.parties if party.role in ("harmed", "both")), None)
    if harmed is not None:
        kept = msgspec.json.encode(facts).decode()
        await work.execute(
            _KEEP_CASE, facts.referral, harmed.position, case, harmed.person, facts.version, kept
        )


@handlers.restore(CaseFileJoined)
async def joined_put_back(work: Work, e: Envelope[CaseFileJoined]) -> None:
    """A case went on as another."""
    await work.execute("UPDATE referral_case SET case_id = $2 WHERE case_id = $1", e.subject, e.data.into)


@handlers.restore(ReferralRetracted)
async def retraction_put_back(work: Work, e: Envelope[ReferralRetracted]) -> None:
    """A referral was taken back, or left this case for another one, in which it has been put back by then or will be."""
    work.timer("retracted", e.data.referral, work.now, {"case": e.subject})


@handlers.timer("retracted", locks=lambda _key, _data: ())
async def retracted(work: Work, key: str, data: dict[str, Any]) -> None:
    """If the referral is still in the case that it was retracted from, its agency took it back altogether."""
    await work.lock((CASE_FILE, data["case"]))
    known = work.state(CASE_FILE, data["case"]).referrals.get(key)
    if known is not None and not known.supports:
        await work.execute(
            """UPDATE referral SET status = 'retracted', reason = 'posted_in_error' WHERE id = $1 AND EXISTS (
                 SELECT FROM referral_case WHERE referral = $1 AND case_id = $2)""",
            key,
            data["case"],
        )


@handlers.restore(PersonHeld, ReferralHeld)
async def hold_put_back(work: Work, e: Envelope[PersonHeld | ReferralHeld]) -> None:
    """A hold began."""
    held = e.data
    person, case = (e.subject, held.case) if isinstance(held, PersonHeld) else (None, e.subject)
    referral = held.hold.partition(":")[0] if isinstance(held, PersonHeld) else held.referral
    await work.execute(
        """INSERT INTO hold (id, person, case_id, referral, reason, until, set_by, set_at)
           VALUES ($1, $2, $3, (SELECT id FROM referral WHERE id::text = $4), $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
        held.hold, person, case, referral, held.reason, held.until, msgspec.json.encode(e.actor).decode(), e.time,
    )  # fmt: skip


@handlers.restore(PersonHoldLifted, ReferralHoldLifted)
async def lift_put_back(work: Work, e: Envelope[PersonHoldLifted | ReferralHoldLifted]) -> None:
    """A hold was lifted."""
    lifted = e.data
    await work.execute(
        """UPDATE hold SET lifted_at = $2, lifted_by = $3, lift_reason = $4, version = version + 1
           WHERE id = $1 AND lifted_at IS NULL""",
        lifted.hold,
        e.time,
        msgspec.json.encode(e.actor).decode(),
        lifted.reason,
    )


@handlers.restore(PersonReferred)
async def person_put_back(work: Work, e: Envelope[PersonReferred]) -> None:
    """Somebody speaks for others; and what is known of their safe contact has to fit what was told."""
    for party in e.data.speaks_for:
        await work.execute("INSERT INTO speaks_for VALUES ($1, $2) ON CONFLICT DO NOTHING", e.subject, party)
    work.timer("safety-lost", e.subject, work.now)


@handlers.restore(PersonChanged)
async def change_put_back(work: Work, e: Envelope) -> None:
    """Details were corrected."""
    work.timer("safety-lost", e.subject, work.now)


async def erase_again(service: Service) -> None:
    """Before anything else: the copy still had the keys of people who have been erased since. Destroy them again."""
    intake = intake_of(service)
    while True:
        rows = await intake.pool.fetch(_ERASED)
        for row in rows:
            await intake.transact(erasing.erase_again, intake, row["person"])
        if not rows:
            return


async def keep_erased(service: Service) -> None:
    """At every start, and once a day: nobody who was erased has anything here that opens.

    A process may have been killed after the journal was complete again and before it had erased again: the next one finds
    nothing missing, and would not look.
    """
    while True:
        await erase_again(service)
        await asyncio.sleep(DAY_SECONDS)


# ------------------------------------------------------------------------------------ when everything has been put back


def _case(key: str, _: dict[str, Any]) -> list[Ref]:
    return [(CASE_FILE, key)]


def _person(key: str, _: dict[str, Any]) -> list[Ref]:
    return [(PERSON, key)]


@handlers.timer("details-lost", locks=_case)
async def details_lost(work: Work, key: str, _: dict[str, Any]) -> None:
    """Hold a case of which a referral's content has gone, and ask its agency to send that again."""
    state = work.state(CASE_FILE, key)
    for referral, known in state.referrals.items():
        if not known.supports or await work.fetchval(_SEEN, referral, known.version):
            continue
        hold = domain.lost_hold(referral, key)
        events = domain.hold_referral(state, referral, hold, domain.LOST, missing=("parties",))
        if events:
            work.record(CASE_FILE, key, *events)
            row = hold_store.HoldRow(hold, None, key, referral, domain.LOST, None, work.now, 1, None)
            await hold_store.insert(work, row)


@handlers.timer("safety-lost", locks=_person)
async def safety_lost(work: Work, key: str, _: dict[str, Any]) -> None:
    """Hold a person of whom something else was told than is held here, until it fits again.

    A correction may have gone, and a number that was found unsafe be back.
    """
    state, hold = work.state(PERSON, key), f"{key}:lost"
    fits = state.erased or await details.safety_of(work, key) == state.safety
    if fits:
        events = domain.lift_person(state, hold, "answered")
        await hold_store.lift(work, hold, "answered")
    else:
        events = domain.hold_person(state, hold, domain.LOST)
        work.timer("safety-lost", key, work.now + AGAIN)
        if events:
            row = hold_store.HoldRow(hold, key, None, None, domain.LOST, None, work.now, 1, None)
            await hold_store.insert(work, row)
    work.record(PERSON, key, *events)
