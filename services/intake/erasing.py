"""Everything that is held about a person: exported for them, or erased by destroying the keys that sealed it.

A person is every id that is linked with theirs. What remains after an erasure are ids, facts without details, and keyed
hashes of narrow composites: a later referral that meets one is held for a human, so that nobody is approached anew because
they asked to be forgotten.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.intake import domain, matching
from services.intake.core import PERSON, Intake
from services.intake.doorstep import version_owner
from services.intake.facts import comparable
from services.intake.recognising.load import blocking_tags
from services.intake.store import matching as candidates
from services.intake.store import people as store
from services.intake.store import reviews, withdrawals
from services.intake.suppressions import suppression_texts
from shared.runtime.errors import Conflict
from shared.runtime.problems import not_found
from shared.runtime.work import Work


async def erase(work: Work, service: Intake, person: str, reason: str) -> list[str]:
    """Destroy the keys of a person; return the ids that are erased. Raises Problem 404."""
    group = await _group(work, person)
    tags, keys = await _hashes(work, service, group)
    # The matcher's own locks, before anything else: a referral that is being matched now either joins before, and is erased
    # too, or meets the suppression.
    await candidates.lock_tags(work, keys | tags)
    await work.lock(*((PERSON, one) for one in group))
    if set(await store.group_of(work, group)) != set(group):
        raise Conflict("linked or unlinked while being erased")
    if await _hashes(work, service, group) != (tags, keys):
        # A referral joined between the look and the lock. What it says of them is destroyed too, so it must be kept too.
        raise Conflict("more was said of a person while being erased")
    await withdrawals.suppress(work, tags, f"erasure:{person}", "erased")
    await _destroy(work, group)
    # Nothing of theirs can be compared any more, and nobody approaches them: there is nothing to decide.
    await reviews.ask_no_more(work, group)
    for one in group:
        work.record(PERSON, one, *domain.erase(work.state(PERSON, one), reason))
        work.cancel_timer("eighteenth", one)
    service.keyring.forget()
    return group


async def erase_again(work: Work, service: Intake, person: str) -> None:
    """Destroy what a restored database has of somebody who had been erased. Everybody knows already: nothing is told."""
    tags, keys = await _hashes(work, service, [person])
    await candidates.lock_tags(work, keys | tags)
    await work.lock((PERSON, person))
    await withdrawals.suppress(work, tags, f"erasure:{person}", "erased")
    await _destroy(work, [person])
    work.cancel_timer("eighteenth", person)
    service.keyring.forget()


async def _hashes(work: Work, service: Intake, group: list[str]) -> tuple[set[bytes], set[bytes]]:
    """Return the suppression's and the blocking keys' hashes of everything that was ever said of a person.

    Also of what was retracted, replaced by a later version or corrected: somebody may have been approached by it.
    """
    records = [
        matching.normalise(comparable(human, one.agency))
        for one, human in await store.ever_said_of(work, service.keyring, group)
    ]
    tags = {
        service.keyring.tag("suppression", text) for record in records for text in suppression_texts(record)
    }
    return tags, {tag for record in records for tag in blocking_tags(service.keyring, record).values()}


async def _destroy(work: Work, group: list[str]) -> None:
    """Destroy what opens, and what could be guessed at: wrapped keys, records, blocking keys."""
    rows = await work.fetch(
        """UPDATE party SET key = NULL, sealed = ''::bytea, record = NULL, record_tag = NULL, safety = NULL,
             decided = NULL
           WHERE person = ANY($1::text[]) RETURNING referral, role""",
        group,
    )
    every = sorted({row["referral"] for row in rows})
    harmed = sorted({row["referral"] for row in rows if row["role"] in ("harmed", "both")})
    # Free text may name anybody. What is left of a referral is about the harmed party, and goes with them.
    await work.execute(
        "UPDATE referral_version SET notes_key = NULL, notes = NULL WHERE referral = ANY($1::uuid[])", every
    )
    await work.execute(
        "UPDATE referral_version SET key = NULL, sealed = ''::bytea WHERE referral = ANY($1::uuid[])", harmed
    )
    for statement in (
        "DELETE FROM blocking_key WHERE person = ANY($1::text[])",
        "DELETE FROM contact_point WHERE person = ANY($1::text[])",
        "DELETE FROM contact_claim WHERE person = ANY($1::text[])",
        "UPDATE person_detail SET key = NULL, sealed = ''::bytea, safety = NULL WHERE person = ANY($1::text[])",
        # Also of one that waits for a person to say whom it means, where nobody else can be meant.
        """UPDATE withdrawal SET key = NULL, sealed = NULL WHERE person = ANY($1::text[]) OR (person IS NULL
             AND id IN (SELECT withdrawal FROM withdrawal_candidate WHERE person = ANY($1::text[]))
             AND id NOT IN (SELECT withdrawal FROM withdrawal_candidate WHERE person <> ALL($1::text[])))""",
        "DELETE FROM second_person WHERE person = ANY($1::text[]) AND done_at IS NULL",
    ):
        await work.execute(statement, group)


# -------------------------------------------------------------------------------------------------------------- export


async def export(work: Work, service: Intake, person: str) -> dict[str, Any]:
    """Return everything that is held about a person, as it was sent. Raises Problem 404."""
    group = await _group(work, person)
    held = await store.ever_held(work, service.keyring, group)
    corrected = await store.corrections(work, service.keyring, group)
    return {
        "person": person,
        "ids": group,
        "as_sent": [
            {
                "referral": one.referral,
                "agency": one.agency,
                "role": one.role,
                "person": one.person,
                "sent": one.sent,
            }
            for one in held
        ],
        "referrals": await _referrals(work, service, sorted({one.referral for one in held})),
        "corrections": {one: correction.fields for one, correction in corrected.items()},
        **{name: await _plain(work, query, group) for name, query in _PLAIN.items()},
    }


_PLAIN: Final = {
    "holds": "SELECT id, reason, until, set_at, lifted_at, lift_reason FROM hold WHERE person = ANY($1::text[])",
    "withdrawals": """SELECT id, state, scope, case_id, by_whom, agency, recorded_at, in_force_at FROM withdrawal
                      WHERE person = ANY($1::text[])""",
    "releases": """SELECT permit, agency, worker, case_id, state, handed_out_at FROM release
                   WHERE person = ANY($1::text[])""",
    "read_by": "SELECT at, agency, worker, what FROM read_log WHERE person = ANY($1::text[]) ORDER BY id",
}


async def _referrals(work: Work, service: Intake, referrals: list[str]) -> list[dict[str, Any]]:
    found = []
    rows = await work.fetch(
        """SELECT r.id::text AS id, r.agency, r.reference_tag, v.version, v.key, v.sealed, v.notes_key, v.notes,
                  v.received_at
           FROM referral AS r JOIN referral_version AS v ON v.referral = r.id
           WHERE r.id = ANY($1::uuid[]) ORDER BY v.received_at""",
        referrals,
    )
    for row in rows:
        owner = version_owner(row["agency"], row["reference_tag"], row["version"])
        sent = notes = None
        if row["key"] is not None:
            sent = msgspec.json.decode(service.keyring.unwrap(row["key"], owner).open(row["sealed"], owner))
        if row["notes_key"] is not None:
            of = owner + "/notes"
            notes = msgspec.json.decode(service.keyring.unwrap(row["notes_key"], of).open(row["notes"], of))
        found.append(
            {
                "referral": row["id"], "agency": row["agency"], "version": row["version"],
                "received_at": row["received_at"].isoformat(), "sent": sent, "notes": notes,
            }
        )  # fmt: skip
    return found


async def _plain(work: Work, query: str, group: list[str]) -> list[dict[str, Any]]:
    return [{key: _text(value) for key, value in dict(row).items()} for row in await work.fetch(query, group)]


def _text(value: object) -> object:
    return value if value is None or isinstance(value, str | int | bool) else str(value)


async def _group(work: Work, person: str) -> list[str]:
    if not await work.fetchval("SELECT true FROM stream WHERE kind = 'person' AND key = $1", person):
        raise not_found("person")
    return await store.group_of(work, [person])
