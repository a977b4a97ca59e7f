"""Details of a person, corrected by an agency that has to do with them."""

from __future__ import annotations

from typing import Any

import msgspec

from services.intake import domain
from services.intake.core import PERSON, Intake
from services.intake.recognising.tell import local_day
from services.intake.referral import Address, Email, Language, Name, Part, Phone, SafeContact
from services.intake.safe_contact import contact_points, safety_said, shared_with
from services.intake.store import people as store
from shared.contracts.people import PersonChanged, Safety
from shared.runtime.auth import Caller
from shared.runtime.http import check_version
from shared.runtime.problems import not_found
from shared.runtime.work import Work


class Corrected(Part):
    """Fields that replace what referrals said; what is left out stays as it was said, in safe_contact too.

    A number, e-mail address or home that a referral said is not safe stays so, unless the correction itself says `safe`.
    """

    name: Name | None = None
    addresses: tuple[Address, ...] | None = None
    phones: tuple[Phone, ...] | None = None
    emails: tuple[Email, ...] | None = None
    safe_contact: SafeContact | None = None
    language: Language | None = None


async def seen_by(work: Work, caller: Caller, person: str) -> list[str]:
    """Return every id of a person whom the caller may know of. Raises Problem 404."""
    known = await work.fetchval("SELECT true FROM stream WHERE kind = 'person' AND key = $1", person)
    group = await store.group_of(work, [person]) if known else []
    if not group or not (
        caller.may("hub") or caller.may("operator") or await store.is_related(work, caller.agency, group)
    ):
        raise not_found("person")
    return group


async def correct(
    work: Work, service: Intake, caller: Caller, person: str, body: Corrected, version: int
) -> int:
    """Replace details of a person; everybody is told how they may be contacted now. Returns the new version."""
    group = await seen_by(work, caller, person)
    await work.lock((PERSON, person))
    check_version(version, work.version(PERSON, person))
    if work.state(PERSON, person).erased:
        raise not_found("person")
    before = (await store.corrections(work, service.keyring, [person])).get(person)
    fields = _with(before.fields if before else {}, body)
    # What is corrected is the human's: what was said of them under another id is replaced too.
    every = await store.held_about(work, service.keyring, group)
    last = max((one.party for one in every), default=None)
    correction = store.Correction(fields, last or "")
    held = [one for one in every if one.person == person]
    humans = [correction.over(one.party, one.human) for one in held]
    responsible = await store.responsible_beside(work, service.keyring, person)
    barred = [
        shared_with(human, responsible.get(one.party, ())) for one, human in zip(held, humans, strict=True)
    ]
    today = local_day(work.now)
    said = [safety_said(human, of, today) for human, of in zip(humans, barred, strict=True)]
    safety = domain.merge_safety(said)
    await _save(work, service, person, fields, safety, last)
    points = {point for human in humans for point in contact_points(human).texts()}
    tags = [service.keyring.tag("contact-point", point) for point in sorted(points)]
    await work.execute(
        "INSERT INTO contact_point (tag, person) SELECT tag, $2 FROM unnest($1::bytea[]) AS tag ON CONFLICT DO NOTHING",
        tags,
        person,
    )
    # Always said, even if nothing differs for the others: the version that the next correction must name moves with it.
    work.record(PERSON, person, PersonChanged(safety=safety))
    return work.version(PERSON, person)


def _with(before: dict[str, Any], body: Corrected) -> dict[str, Any]:
    """Return everything that was corrected. What was not said is not kept as said: it is no correction."""
    said = msgspec.json.decode(body.model_dump_json(exclude_unset=True))
    fields = before | {name: value for name, value in said.items() if value is not None}
    if "safe_contact" in before and "safe_contact" in fields:
        fields["safe_contact"] = before["safe_contact"] | fields["safe_contact"]
    return fields


async def _save(
    work: Work, service: Intake, person: str, fields: dict[str, Any], safety: Safety, last: str | None
) -> None:
    owner = store.detail_owner(person)
    key, wrapped = service.keyring.new_key(owner)
    await work.execute(
        """INSERT INTO person_detail (person, key, sealed, safety, after_party, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (person) DO UPDATE SET key = excluded.key, sealed = excluded.sealed, safety = excluded.safety,
             after_party = excluded.after_party, changed_at = excluded.changed_at""",
        person,
        wrapped,
        key.seal(msgspec.json.encode(fields), owner),
        msgspec.json.encode(safety).decode(),
        last,
        work.now,
    )
