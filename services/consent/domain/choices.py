"""The person's own choices: to take part no longer, and to take part after all."""

from __future__ import annotations

from services.consent.domain.decision import Decision, Situation, circle
from services.consent.domain.facts import Reopen, Withdraw
from services.consent.domain.standing import goes_on_as, going_on, own_no
from services.consent.domain.state import Permit
from shared.contracts.consent import ConsentWithdrawn, StandingReopened, StandingTightened


def withdraw(at: Situation, command: Withdraw) -> Decision:
    """Put a withdrawal in force: always, at once, on every ledger of the human. Told: `clean`, or what is in flight."""
    d = Decision(at)
    withdraw_into(d, command)
    return d


def withdraw_into(d: Decision, command: Withdraw) -> None:
    """Do it as a part of another decision."""
    bound = d.groups(command.people)
    cases = going_on(d, bound, command.cases)
    everything = not command.cases
    around = d.groups({key for one in bound for key in circle(d.person(one))})
    touched = sorted({*bound, *around})
    in_flight = tuple(
        permit.id
        for key in touched
        if (permit := d.person(key).permit) and permit.redeemed and _concerns(permit, key, bound, cases)
    )
    in_flight += tuple(permit for permit in command.unaccounted if permit not in in_flight)
    for key in bound:
        event = ConsentWithdrawn(
            scope="everything" if everything else "case",
            by=command.by,
            via=command.via,
            withdrawal=command.withdrawal,
            cases=cases,
            in_flight=in_flight,
        )
        d.tell(key, event)
        _close_for_whom_it_speaks(d, key, cases)
    for key in touched:
        permit = d.person(key).permit
        if permit is not None and _concerns(permit, key, bound, cases):
            d.revoke((key,), "withdrawn")


def _concerns(permit: Permit, key: str, bound: tuple[str, ...], cases: tuple[str, ...]) -> bool:
    """Say whether a permit could still lead to a contact that this withdrawal forbids. An approach covers all open cases."""
    if key not in bound and permit.party not in bound:
        return False
    return not cases or permit.case in cases or permit.purpose == "approach"


def _close_for_whom_it_speaks(d: Decision, key: str, cases: tuple[str, ...]) -> None:
    for part in d.person(key).parts:
        if part.over or (cases and part.id not in cases):
            continue
        for member in d.groups(part.speaks_for):
            d.tell(
                member, StandingTightened(level="case", standing="closed", reason="withdrawn", case=part.id)
            )


def reopen(at: Situation, command: Reopen) -> Decision:
    """The person asks to take part after all, or an entry was made in error: on every ledger of the human."""
    d = Decision(at)
    ids = d.group(command.person)
    if any(d.person(key).closed == "erased" for key in ids):
        return d.refuse("erased")
    closed = [key for key in ids if d.person(key).closed or any(p.closed for p in d.person(key).parts)]
    if not closed:
        return d.refuse("not_live")
    # Told of every id: the cases of one that is only linked with who said no were closed by that "no" too.
    cases = _asked_for(d, ids, command)
    for key in ids:
        d.tell(key, StandingReopened(cases=cases, evidence=command.evidence, reason=command.reason))
    return d


def _asked_for(d: Decision, ids: tuple[str, ...], command: Reopen) -> tuple[str, ...]:
    """Return the cases that are meant: a no by an old name binds in whatever became of it, a yes in the last alone."""
    return tuple(sorted({*command.cases, *(goes_on_as(d, ids, case) for case in command.cases)}))


def still_closed(d: Decision, command: Reopen) -> list[tuple[str, str]]:
    """Return the (id, case) pairs that stay closed after a reopening: of those spoken to for this human, or spoken for."""
    ids = d.group(command.person)
    wanted = _asked_for(d, ids, command)
    found = set()
    for key in ids:
        for part in d.person(key).parts:
            if part.over or (wanted and part.id not in wanted):
                continue
            others = d.groups((*part.contact_persons, *part.speaks_for))
            found |= {(other, part.id) for other in others if own_no(d.person(other), part.id)}
    return sorted(found)
