"""What becomes of an attempt, and of a person's answer, however it was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.consent.domain.choices import withdraw_into
from services.consent.domain.decision import Decision, Reason, Situation
from services.consent.domain.facts import Agree, Attempted, Context, Inbound, Report, Resolve, Withdraw
from services.consent.domain.standing import (
    current,
    goes_on_as,
    going_on,
    lead_of,
    no,
    standing,
    today,
)
from services.consent.domain.state import Answer, Outcome, find
from shared.contracts.consent import (
    AgreementRecorded,
    AttemptRecorded,
    PermitEnded,
    PersonReached,
    StandingLoosened,
    StandingTightened,
)
from shared.contracts.envelope import date, datetime
from shared.contracts.people import AgreementFact


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer on its way into the ledgers. `wide`: it is about everything that the person could be asked about now.

    `party`: for whom the person was spoken to, which may have come of age while the attempt was in flight. `others`: who
    was the same human when the attempt was made, and is not any more: it may have been any of them who answered.
    """

    person: str
    case: str
    agency: str
    answer: Answer
    began: Literal["agency", "person"]
    wide: bool
    not_before: date | None = None
    agreement: AgreementFact | None = None
    party: str | None = None
    others: tuple[str, ...] = ()

    def ids(self, d: Decision) -> tuple[str, ...]:
        """Return every id in whose ledger the answer belongs."""
        return d.groups((self.person, *self.others))


def report(at: Situation, command: Report, context: Context) -> Decision:  # noqa: PLR0911 - one for each way to refuse
    """Record the outcome of an attempt. `not_made` is the holder's word that nothing was begun, and only until `use_by`."""
    d = Decision(at)
    permit = d.person(command.person).permit
    if permit is None or permit.id != command.permit or not permit.redeemed:
        return d.refuse("not_live")
    if command.agency is not None and current(permit.agency, context.successors) != command.agency:
        return d.refuse("not_found")
    if permit.fence != command.fence:
        return d.refuse("fence")
    if command.outcome == "not_made":
        if permit.use_by is not None and context.now > permit.use_by:
            return d.refuse("too_late")
        # A service may be sending at this moment: it alone can say that it has not. (Intake: that it handed out nothing.)
        if permit.sender is not None and command.service not in {permit.sender, "intake"}:
            return d.refuse("not_sender")
        d.tell(command.person, PermitEnded(permit=permit.id, how="not_made"))
        return d
    attempt = Attempted(permit.case, permit.party, permit.agency, permit.channel, permit.purpose)
    return _hear(d, command, attempt, context, resolved=False)


def unheard(at: Situation, person: str, permit: str) -> datetime | None:
    """Return until when only its holder can say what became of an attempt found after a restore; None: of any other."""
    attempts = (find(a.attempts, permit) for a in at.people[person].approaches)
    return next((found.use_by for found in attempts if found), None)


def heard(at: Situation, command: Report, attempt: Attempted, context: Context) -> Decision:
    """Record the holder's own word about an attempt that was found after a restore.

    `not_made` is intake's alone: a service may be sending for the holder, and which one has been forgotten.
    """
    d = Decision(at)
    if command.outcome == "not_made":
        if command.service != "intake":
            return d.refuse("not_sender")
        d.tell(command.person, PermitEnded(permit=command.permit, how="not_made"))
        return d
    return _hear(d, command, attempt, context, resolved=True)


def late_no(at: Situation, command: Report, attempt: Attempted, context: Context) -> Decision:
    """Record a no of which the holder tells after another outcome was recorded, perhaps by the hub; or the right date.

    A no is never too late. It ends the permits that have been granted since.
    """
    d = Decision(at)
    reason = _wrong_date(command.outcome, command.not_before, context)
    if reason:
        return d.refuse(reason)
    known = any(find(a.attempts, command.permit) for a in d.person(command.person).approaches)
    # One that had been told as not made, or as found after a restore by nobody: a contact was made after all.
    at_last = None if known else context.now
    _record(d, command.person, command.permit, attempt, command.outcome, resolved=True, at=at_last)
    _follow(d, command, attempt, context)
    d.revoke(d.group(command.person), command.outcome)
    return d


def resolve(at: Situation, command: Resolve, context: Context) -> Decision:
    """Record what a person at the hub found out about an attempt that was unknown or overdue, or lift what was unsafe."""
    d = Decision(at)
    state = d.person(command.person)
    if command.lifted:
        if find(state.holds, "unsafe") is None:
            return d.refuse("not_live")
        for key in d.groups((command.person, *_others(d, command))):
            d.tell(key, StandingLoosened(level="person", standing="open", reason="safe_again"))
        return d
    live = state.permit
    waits = command.permit in state.unresolved or (
        live is not None and live.id == command.permit and live.overdue
    )
    if not waits:
        return d.refuse("not_live")
    use_by = unheard(at, command.person, command.permit)
    if use_by is not None and context.now <= use_by:
        # As of an attempt that was never forgotten: it is not overdue before it can be made no more.
        return d.refuse("too_early", not_before=use_by)
    # Nobody but the holder can know, in time, that nothing was begun: later it counts as a contact.
    reason: Reason | None = (
        "too_late"
        if command.outcome == "not_made"
        else _wrong_date(command.outcome, command.not_before, context)
    )
    if reason or command.outcome == "unknown":
        return d.refuse(reason or "unresolved")
    _record(d, command.person, command.permit, command.attempt, command.outcome, resolved=True)
    _follow(d, command, command.attempt, context)
    return d


def _hear(d: Decision, command: Report, attempt: Attempted, context: Context, *, resolved: bool) -> Decision:
    reason = _wrong_date(command.outcome, command.not_before, context)
    if reason:
        return d.refuse(reason)
    _record(d, command.person, command.permit, attempt, command.outcome, resolved=resolved)
    _follow(d, command, attempt, context)
    return d


def _wrong_date(outcome: Outcome, day: date | None, context: Context) -> Reason | None:
    if outcome == "not_now" and (day is None or day <= today(context.now)):
        return "needs_date"
    return None


def _record(
    d: Decision,
    person: str,
    permit: str,
    attempt: Attempted,
    outcome: Outcome,
    *,
    resolved: bool,
    at: datetime | None = None,
) -> None:
    approach = next((a.id for a in d.person(person).approaches if find(a.attempts, permit)), None)
    event = AttemptRecorded(
        permit=permit,
        case=attempt.case,
        agency=attempt.agency,
        channel=attempt.channel,
        outcome=outcome,
        approach=approach,
        purpose=attempt.purpose,
        resolved=resolved,
        at=at,
    )
    d.tell(person, event)


def _others(d: Decision, command: Report | Resolve) -> tuple[str, ...]:
    """Return who was the same human when this attempt was made, and is not any more."""
    shared = find(d.person(command.person).shared, command.permit)
    return shared.others if shared else ()


def _follow(d: Decision, command: Report | Resolve, attempt: Attempted, context: Context) -> None:
    outcome, wide = command.outcome, attempt.purpose == "approach"
    others = _others(d, command)
    if outcome == "unsafe":
        ids = d.groups((command.person, *others))
        for key in ids:
            d.tell(key, StandingTightened(level="person", standing="on_hold", reason="unsafe"))
        d.revoke(ids, "unsafe")
        return
    if outcome not in {"agreed", "not_now", "declined", "withdrew"}:
        return
    answer: Answer = "declined" if outcome == "withdrew" else outcome
    given = _Answered(
        command.person,
        attempt.case,
        attempt.agency,
        answer,
        "agency",
        wide,
        command.not_before,
        command.agreement,
        attempt.party,
        others,
    )
    if outcome != "withdrew":
        take_in(d, given, context)
        return
    _reached(d, given, context)
    everything = isinstance(command, Report) and command.everything
    cases = () if everything else tuple(sorted({case for _, case in concerned(d, given)}))
    withdrawal = Withdraw(command.permit, (command.person, *others), cases, "person", attempt.agency)
    withdraw_into(d, withdrawal)
    theirs = d.group(attempt.party)
    for case in going_on(d, theirs, (attempt.case,)):
        for key in set(theirs).difference(d.group(command.person)):
            # Said for somebody who has come of age since the attempt began: it holds until they ask for something else.
            part = find(d.person(key).parts, case)
            if part is not None and part.closed is None:
                d.tell(key, StandingTightened(level="case", standing="closed", reason="withdrawn", case=case))


def take_in(d: Decision, given: _Answered, context: Context) -> None:
    """Record that a person was reached, and what follows from the answer."""
    _reached(d, given, context)
    if given.answer == "agreed":
        fact = given.agreement or AgreementFact(
            scope=("be_informed", "be_contacted"), agencies=(given.agency,), on=today(context.now)
        )
        case = goes_on_as(d, d.group(given.person), given.case)
        d.tell(given.person, AgreementRecorded(case=case, agreement=fact, recorded_by=given.agency))
    elif given.answer == "not_now":
        d.tell(
            given.person,
            StandingTightened(
                level="person", standing="on_hold", reason="not_now", not_before=given.not_before
            ),
        )
        d.revoke(given.ids(d), "not_now")
    else:
        for key, case in concerned(d, given):
            d.tell(key, StandingTightened(level="case", standing="closed", reason="declined", case=case))
        d.revoke(given.ids(d), "declined")


def _reached(d: Decision, given: _Answered, context: Context) -> None:
    # What is said under one id while it is linked was said by the human: every ledger has it, and keeps it when unlinked.
    for key in given.ids(d):
        event = PersonReached(
            answer=given.answer,
            case=goes_on_as(d, d.group(key), given.case),
            began=given.began,
            not_before=given.not_before if given.answer == "not_now" else None,
            agency=given.agency,
            at=context.now,
            wide=given.wide,
        )
        d.tell(key, event)


def concerned(d: Decision, given: _Answered) -> list[tuple[str, str]]:
    """Return the (id, case) pairs that a no closes: the human's own open parts, and those of whom it speaks for.

    An approach is about all of them; a conversation is about its own case. Each case is closed in the ledger of every id, so
    that an unlink takes the no from none of them.
    """
    pairs: set[tuple[str, str]] = set()
    for ids in {d.group(key) for key in (given.person, *given.others)}:
        pairs |= _concerned(d, given, ids)
    return sorted(pairs)


def _concerned(d: Decision, given: _Answered, ids: tuple[str, ...]) -> set[tuple[str, str]]:
    named = going_on(d, ids, (given.case,))
    cases = set(named)
    spoken_for: set[tuple[str, str]] = set()
    if given.party is not None and given.party not in ids:
        spoken_for |= {(member, case) for member in d.group(given.party) for case in named}
    for key in ids:
        for part in d.person(key).parts:
            if part.over or part.closed or (part.id not in named and not given.wide):
                continue
            cases.add(part.id)
            spoken_for |= {(member, part.id) for party in part.speaks_for for member in d.group(party)}
    return {(key, case) for key in ids for case in cases} | spoken_for


def inbound(at: Situation, command: Inbound, context: Context) -> Decision:
    """Record that the person came of its own accord, and its answer. No permit is needed to be rung.

    A closed door is opened again by a reopening only, which asks for evidence.
    """
    d = Decision(at)
    ids = d.group(command.person)
    if command.answer == "agreed" and _closed_to(d, ids, goes_on_as(d, ids, command.case)):
        return d.refuse("closed")
    if _wrong_date("not_now" if command.answer == "not_now" else "agreed", command.not_before, context):
        return d.refuse("needs_date")
    given = _Answered(
        command.person, command.case, command.agency, command.answer, "person", wide=False,
        not_before=command.not_before, agreement=command.agreement,
    )  # fmt: skip
    take_in(d, given, context)
    # Whoever was about to ring need not.
    d.revoke(ids, "inbound")
    return d


def _closed_to(d: Decision, ids: tuple[str, ...], case: str) -> bool:
    """Say whether a no stands against a case: the human's own, or that of everybody for whom it is only spoken to."""
    parts = [part for key in ids if (part := find(d.person(key).parts, case))]
    parties = {party for part in parts if part.role == "contact" for party in part.speaks_for}
    silenced = bool(parties) and all(no(d, d.group(party), case) for party in parties)
    return silenced or no(d, ids, case) is not None


def agree(at: Situation, command: Agree, context: Context, *, hub: bool) -> Decision:
    """Record an agreement. By the lead, or by the hub."""
    d = Decision(at)
    ids = d.group(command.person)
    lead = lead_of(d, ids)
    if not hub and (lead is None or current(lead.agency, context.successors) != command.agency):
        return d.refuse("not_lead")
    case = goes_on_as(d, ids, command.case) if command.case else None
    if no(d, ids, case or ""):
        return d.refuse("closed")
    d.tell(
        command.person,
        AgreementRecorded(case=case, agreement=command.fact, recorded_by=command.agency),
    )
    return d


def date_came(at: Situation, person: str, context: Context) -> Decision:
    """The date that the person gave has come: tell that the lead may call back."""
    d = Decision(at)
    day = d.person(person).not_before
    if day is not None and today(context.now) >= day:
        level, _ = standing(d, d.group(person), "")
        if level == "open":
            d.tell(person, StandingLoosened(level="person", standing="open", reason="date_came"))
    return d
