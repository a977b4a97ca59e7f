"""The life of a permit: granted, redeemed once, ended by its outcome; or expired, given back, revoked before that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, timedelta

from services.consent.domain import approach
from services.consent.domain.contact import asked, is_related, limits_of, objection
from services.consent.domain.decision import Decision, Situation
from services.consent.domain.facts import Ask, Context, Redeem, Released
from services.consent.domain.standing import LONDON, current, lead_of
from services.consent.domain.state import Channel, Hours, Permit, PersonState, find
from shared.contracts.consent import (
    AttemptOverdue,
    AttemptRecorded,
    PermitEnded,
    PermitGranted,
    PermitRedeemed,
    PermitRefused,
)
from shared.contracts.envelope import datetime

# How long a permit waits to be redeemed.
PERMIT_LIFE = timedelta(minutes=15)
# How long after its redemption a contact may begin. A worker who has to travel, or a letter that has to be printed, needs
# longer than a call.
USE_WITHIN: dict[Channel, timedelta] = {
    "phone": timedelta(minutes=30),
    "video": timedelta(minutes=30),
    "text": timedelta(minutes=15),
    "email": timedelta(minutes=15),
    "visit": timedelta(hours=8),
    "letter": timedelta(hours=24),
}
# A conversation is a lease of a day: many calls, one permit.
LEASE = timedelta(days=1)
# How long after intake was asked for them details can be used at the most, where nobody says more: redeemed a little later,
# by another clock.
LONGEST = max(*USE_WITHIN.values(), LEASE) + timedelta(hours=1)


def grant(at: Situation, ask: Ask, permit: str, context: Context) -> Decision:
    """Grant a permit, or refuse and keep the refusal in the ledger. Of people who are none of the asker's: not found."""
    d = Decision(at)
    assert ask.channel is not None  # noqa: S101 - a permit is for one channel
    refusal = objection(d, ask, context)
    if refusal is not None:
        if d.person(ask.spoken_to) != PersonState():
            refused = PermitRefused(
                agency=ask.agency, case=ask.case, reason=refusal.reason, purpose=ask.purpose,
                second_approach=refusal.second_approach,
            )  # fmt: skip
            d.tell(ask.spoken_to, refused)
        if not is_related(d, ask.agency, (*d.group(ask.spoken_to), *d.group(ask.party)), context):
            return d.refuse("not_found")
        d.refusal = refusal
        return d
    for key in d.group(ask.spoken_to):
        _lapse(d, key)
    fence = 1 + max(d.person(key).fence for key in d.group(ask.spoken_to))
    d.tell(
        ask.spoken_to,
        PermitGranted(
            permit=permit,
            fence=fence,
            case=ask.case,
            party=ask.party,
            agency=ask.agency,
            purpose=ask.purpose,
            channel=ask.channel,
            expires=context.now + PERMIT_LIFE,
            worker=ask.worker,
        ),
    )
    return d


def _lapse(d: Decision, key: str) -> None:
    permit = d.person(key).permit
    if permit is not None and not permit.redeemed:
        d.tell(key, PermitEnded(permit=permit.id, how="expired"))


def question(permit: Permit, spoken_to: str) -> Ask:
    """Return the question that a permit answered."""
    return Ask(
        permit.case, permit.party, spoken_to, permit.agency, permit.worker, permit.purpose, permit.channel
    )


def redeem(at: Situation, command: Redeem, context: Context) -> Decision:  # noqa: PLR0911 - one for each way to refuse
    """Redeem a permit: once, in time, with its fence, if intake's latest word is known here and contact is still allowed."""
    d = Decision(at)
    permit = d.person(command.person).permit
    if permit is None or permit.id != command.permit:
        return d.refuse("not_live")
    if permit.fence != command.fence:
        return d.refuse("fence")
    if permit.redeemed:
        return d.refuse("already_redeemed")
    if context.now >= permit.expires:
        return d.refuse("expired")
    if command.behind:
        return d.refuse("behind")
    if not _is_theirs(d, permit, command, context):
        return d.refuse("not_named_worker")
    ask = question(permit, command.person)
    # Succession between grant and redemption: the holder is now the successor.
    ask = replace(ask, agency=current(ask.agency, context.successors))
    refusal = objection(d, ask, context, redeeming=permit.id)
    if refusal is not None:
        d.refusal = refusal
        return d
    limits = limits_of(d, ask)
    belongs_to: str | None = None
    incidents: tuple[str, ...] = ()
    if permit.purpose == "approach":
        belongs_to, incidents = approach.begins(d, asked(d, ask, context, limits), permit.id)
    own = (d.person(key).safety.hours for key in d.group(command.person))
    use_by = _use_by(permit, context.now, (limits.hours, *(hours for hours in own if hours)))
    due = max(use_by, context.now + timedelta(hours=limits.outcome_due_hours))
    if permit.purpose == "conversation":
        due = use_by + timedelta(hours=limits.outcome_due_hours)
    redeemed = PermitRedeemed(
        permit=permit.id,
        use_by=use_by,
        outcome_due=due,
        at=context.now,
        approach=belongs_to,
        incidents=incidents,
        sender=command.sender,
    )
    d.tell(command.person, redeemed)
    return d


def _is_theirs(d: Decision, permit: Permit, command: Redeem, context: Context) -> bool:
    """Whoever presents the permit is whom it names, or the person's one friend, or the friend's deputy.

    A token that names no worker is the agency's own system, which hands the details to whom the permit names. After a
    succession the predecessor's workers bind nobody.
    """
    lead = lead_of(d, d.group(command.person))
    named = lead.worker if lead else None
    theirs = {permit.worker, named, context.deputies.get(named or "")}
    inherited = current(permit.agency, context.successors) != permit.agency
    return command.worker is None or inherited or command.worker in theirs


def _use_by(permit: Permit, now: datetime, hours: Iterable[Hours]) -> datetime:
    """Return when a contact may begin at the latest: never after the safe hours in which the permit was redeemed."""
    if permit.purpose == "conversation":
        return now + LEASE
    latest = now + USE_WITHIN[permit.channel]
    if permit.channel == "letter":
        return latest
    day = now.astimezone(LONDON).date()
    return min(latest, *(datetime.combine(day, h.until, LONDON).astimezone(UTC) for h in hours))


def expire(at: Situation, person: str, permit: str, context: Context) -> Decision:
    """End a permit that was not redeemed in time. A redeemed one is left alone, whatever the clock says."""
    d = Decision(at)
    live = d.person(person).permit
    if live is not None and live.id == permit and not live.redeemed and context.now >= live.expires:
        d.tell(person, PermitEnded(permit=permit, how="expired"))
    return d


def give_back(at: Situation, person: str, permit: str, agency: str, context: Context) -> Decision:
    """The holder gives back a permit that it has not redeemed."""
    d = Decision(at)
    live = d.person(person).permit
    if live is None or live.id != permit:
        return d.refuse("not_live")
    if current(live.agency, context.successors) != agency:
        return d.refuse("not_found")
    if live.redeemed:
        return d.refuse("already_redeemed")
    d.tell(person, PermitEnded(permit=permit, how="returned"))
    return d


def overdue(at: Situation, person: str, permit: str, context: Context) -> Decision:
    """Tell that an outcome is missing: a person at the hub has to find out. The permit stays: nobody else may contact."""
    d = Decision(at)
    live = d.person(person).permit
    if live is None or live.id != permit or not live.redeemed or live.overdue:
        return d
    if live.outcome_due is not None and context.now >= live.outcome_due:
        d.tell(person, AttemptOverdue(permit=permit, agency=live.agency, case=live.case))
    return d


def find_released(at: Situation, release: Released, context: Context) -> Decision:
    """After a restore: intake handed out details under a permit that is not known here. Somebody may have used them.

    Or may yet: until `use_by` nobody but the holder can say how it ended.
    """
    d = Decision(at)
    if any(find(a.attempts, release.permit) for a in d.person(release.person).approaches):
        return d
    found = AttemptRecorded(
        permit=release.permit,
        case=release.case,
        agency=release.agency,
        channel=release.channel,
        outcome="unknown",
        approach=release.permit,
        at=min(release.at, context.now),
        use_by=release.use_by or release.at + LONGEST,
        fence=release.fence,
    )
    d.tell(release.person, found)
    return d


def forget_unredeemed(at: Situation, person: str) -> Decision:
    """After a restore no permit that was not redeemed is trusted."""
    d = Decision(at)
    d.revoke((person,), "restored")
    return d
