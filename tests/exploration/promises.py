"""The promise, checked at each state and each step. What is read are states and the witness, never the rules' own answers.

*Known to be one human*: linked at intake when the step happens. N9 is checked in explore.py: whatever still can be tried is
tried, and then everybody must agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tests.exploration.consent import ASKING, GAP_DAYS, name
from tests.exploration.steps import Engine
from tests.exploration.world import CASES, RECORDS, Clock, Consent, Holder, Witness, World
from tests.support.promise import Promise

Broken = tuple[Promise, str]
GAP = timedelta(days=GAP_DAYS - 1)
NO = {"declined", "withdrew"}


def counts(holder: Holder, clock: Clock) -> bool:
    """Say whether a contact was made, or can still be made, under a permit that was handed out."""
    if holder.sends:
        return True
    return bool(holder.handed and holder.said is None and holder.use_by and clock.now < holder.use_by)


# --- steps


def of_step(e: Engine, before: World, after: World) -> Iterator[Broken]:
    """Yield what a step breaks."""
    if before.witness is not after.witness:
        for n, (old, new) in enumerate(zip(before.witness.holders, after.witness.holders, strict=True)):
            if new is None or new is old:
                continue
            if old is None:
                yield from _granted(e, before, n, new)
            elif new.handed > old.handed:
                yield from _handed(e, before, n, new)
            elif new.sends > old.sends:
                yield from _contacted(after, n, new)
    if before.consent is not after.consent:
        yield from _ledgers(before, after)
        if (
            before.witness.passed != after.witness.passed
            and after.consent.succeeded == before.consent.succeeded
        ):
            yield from _handed_over(before, after)


def _granted(e: Engine, w: World, permit: int, holder: Holder) -> Iterator[Broken]:
    c = w.consent
    group = (0, 1) if _linked(c) else (holder.record,)
    if not c.people[holder.record].known:
        yield Promise.N8, f"{name(permit)} was granted for somebody of whom intake had told nothing"
    if any(c.parked[r] or c.got[r] != c.applied[r] for r in group):
        yield Promise.N8, f"{name(permit)} was granted while an event of the person was parked or waiting"


def _handed(e: Engine, w: World, permit: int, new: Holder) -> Iterator[Broken]:
    if new.handed > 1:
        yield Promise.N3, f"the details for {name(permit)} were handed out twice"
    group = w.intake.group(new.record)
    earlier = [
        (n, q)
        for n, q in enumerate(w.witness.holders)
        if q and n != permit and q.record in group and counts(q, w.clock)
    ]
    yield from _second_approach(e, w, new, earlier)
    for n, q in earlier:
        if not _outcome_known(w.consent, q.record, n):
            yield Promise.N5, f"details were handed out while what became of {name(n)} was not known"
    if any(one and not set(group).isdisjoint(one.bound) for one in w.intake.withdrawals):
        yield Promise.N2, "details were handed out after intake had stored the withdrawal"
    live = w.consent.people[new.record].permit
    if live is None or live.id != name(permit) or not live.redeemed:
        yield (
            Promise.N8,
            f"details were handed out for {name(permit)}, which consent did not hold to be in flight",
        )


def _second_approach(e: Engine, w: World, new: Holder, earlier: list[tuple[int, Holder]]) -> Iterator[Broken]:
    goes_on = len(earlier) < e.attempts and all(
        w.witness.may_follow(q.agency, new.agency) for _, q in earlier
    )
    separate = e.incidents[0] != e.incidents[1] and all(
        q.record != new.record and q.use_by and w.clock.now - q.use_by >= GAP for _, q in earlier
    )
    if separate:
        return  # a separate incident, after the gap: what was said about the other one does not forbid to ask
    for n, q in earlier:
        if q.said in NO:
            yield Promise.N1, f"agency {new.agency} approaches a person who has answered no under {name(n)}"
    if not goes_on:
        who = ", ".join(sorted({q.agency for _, q in earlier}))
        yield Promise.N1, f"agency {new.agency} approaches a person whom {who} had approached"


def _outcome_known(c: Consent, record: int, permit: int) -> bool:
    attempts = {t.id: t.outcome for ledger in c.people for a in ledger.approaches for t in a.attempts}
    return attempts.get(name(permit)) not in {None, "unknown"}


def _contacted(w: World, permit: int, holder: Holder) -> Iterator[Broken]:
    if holder.sends > 1:
        yield Promise.N5, f"a second contact was made under {name(permit)}"
    for answer in w.witness.answers:
        if answer is not None and holder.record in answer.bound and permit not in answer.named:
            told = "in_flight, naming another permit" if answer.named else "clean"
            yield (
                Promise.N2,
                f"a contact began under {name(permit)} after the withdrawal was answered: {told}",
            )


def _ledgers(before: World, after: World) -> Iterator[Broken]:
    """A link or an unlink takes nothing from what either ledger says of itself, and no older decision undoes a newer one."""
    for r, (old, new) in enumerate(zip(before.consent.people, after.consent.people, strict=True)):
        if old is new or old.links == new.links:
            continue
        numbers = {link.id: link.number for link in old.links}
        if any(link.number <= numbers.get(link.id, 0) for link in new.links):
            yield Promise.N6, f"an older decision about a link was applied to {RECORDS[r]} after a newer one"
        if old.closed and not new.closed:
            yield Promise.N6, f"a link decision opened {RECORDS[r]} again"
        closed = {p.id for p in new.parts if p.closed}
        if any(p.closed and p.id not in closed for p in old.parts):
            yield Promise.N6, f"a link decision opened a case of {RECORDS[r]} again"
        if set(old.holds) - set(new.holds):
            yield Promise.N6, f"a link decision lifted a hold of {RECORDS[r]}"
        if old.permit and old.permit.redeemed and old.permit != new.permit:
            yield Promise.N6, f"a link decision freed a redeemed permit of {RECORDS[r]}"
        was = {t.id for a in old.approaches for t in a.attempts}
        if was - {t.id for a in new.approaches for t in a.attempts}:
            yield Promise.N6, f"a link decision forgot an attempt of {RECORDS[r]}"


def _handed_over(before: World, after: World) -> Iterator[Broken]:
    """Whoever has handed a lead over has nothing left in its hands."""
    for n, holder in enumerate(before.witness.holders):
        if holder is None or not holder.handed or holder.taken or not counts(holder, before.clock):
            continue
        old, new = (w.consent.people[holder.record].lead for w in (before, after))
        if old is not None and new is not None and old.agency != new.agency:
            yield Promise.N7, f"the lead was handed over while {name(n)} could still be used"


# --- states


def _linked(c: Consent) -> bool:
    return any(link.holds for link in c.people[0].links)


def of_consent(e: Engine, c: Consent) -> Iterator[Broken]:
    """Yield what a state of consent's breaks by itself: N6, N7."""
    groups = [(0, 1)] if _linked(c) else [(0,), (1,)]
    for group in groups:
        leads = {_current(c, lead.agency) for r in group if (lead := c.people[r].lead)}
        if len(leads) > 1:
            yield Promise.N7, f"one human has two leads: {', '.join(sorted(leads))}"
        live = [(r, c.people[r].permit) for r in group if c.people[r].permit]
        for r, permit in live:
            if permit.redeemed:
                continue
            yield from _still_allowed(c, group, r, permit, leads, len(live))


def _current(c: Consent, agency: str) -> str:
    return "Z" if c.succeeded and agency == "X" else agency


def _still_allowed(
    c: Consent, group: tuple[int, ...], record: int, permit: object, leads: set[str], live: int
) -> Iterator[Broken]:
    agency, case = permit.agency, CASES[RECORDS[record]]  # type: ignore[attr-defined]
    if live > 1:
        yield Promise.N6, f"{permit.id} is granted beside another permit for the same human"  # type: ignore[attr-defined]
    if _current(c, agency) not in leads:
        yield Promise.N7, f"agency {agency} has a permit, and does not lead"
    for r in group:
        ledger = c.people[r]
        part = next((p for p in ledger.parts if p.id == case), None)
        if ledger.closed or (part and part.closed):
            yield (
                Promise.N6,
                f"a permit is granted for {RECORDS[record]} although the ledger of {RECORDS[r]} says no",
            )
        if ledger.holds:
            yield Promise.N6, f"a permit is granted for {RECORDS[record]} although {RECORDS[r]} is on hold"
        if ledger.unresolved:
            yield Promise.N5, "a permit is granted while an attempt is not resolved"


def may_i(e: Engine, c: Consent, clock: Clock) -> Iterator[Broken]:
    """`May I contact` is answered yes to the lead only, about somebody known, nothing parked, nobody having said no."""
    for r in (0, 1):
        group = (0, 1) if _linked(c) else (r,)
        for agency in ASKING:
            if not e.deciding.may(c, agency, r, clock.now):
                continue
            leads = {_current(c, lead.agency) for m in group if (lead := c.people[m].lead)}
            if agency not in leads:
                yield Promise.N7, f"agency {agency} may contact {RECORDS[r]}, and does not lead"
            if not c.people[r].known or any(c.parked[m] or c.got[m] != c.applied[m] for m in group):
                yield (
                    Promise.N8,
                    f"agency {agency} may contact {RECORDS[r]}, about whom not everything is known",
                )
            if any(c.people[m].closed or c.people[m].holds for m in group):
                yield Promise.N6, f"agency {agency} may contact {RECORDS[r]}, whose ledgers say no"


def of_witness(w: Witness, c: Consent) -> Iterator[Broken]:
    """What was acknowledged stands: withdrawals answered, outcomes recorded. A permit was redeemed once."""
    for answer in w.answers:
        for r in answer.bound if answer else ():
            if not c.people[r].closed:
                yield Promise.N4, f"the withdrawal of {RECORDS[r]} was answered, and is not in force"
    attempts = {t.id: t.outcome for ledger in c.people for a in ledger.approaches for t in a.attempts}
    for n, holder in enumerate(w.holders):
        if holder is not None:
            yield from _recorded(c, n, holder, attempts)


def _recorded(c: Consent, n: int, holder: Holder, attempts: dict[str, str | None]) -> Iterator[Broken]:
    if holder.redeemed > 1:
        yield Promise.N3, f"{name(n)} was redeemed twice"
    if holder.said != "not_made":
        if holder.said and attempts.get(name(n)) != holder.said:
            yield Promise.N4, f"the outcome of {name(n)}, {holder.said}, was recorded and is gone"
        if holder.sends and name(n) not in attempts:
            yield Promise.N4, f"a contact was made under {name(n)}, and consent knows of no attempt"
        for r in holder.binds:
            if not _says_no(c, r):
                yield (
                    Promise.N6,
                    f"the no that was given under {name(n)} is not in the ledger of {RECORDS[r]}",
                )


def _says_no(c: Consent, record: int) -> bool:
    ledger = c.people[record]
    return bool(ledger.closed) or any(p.closed for p in ledger.parts if p.id == CASES[RECORDS[record]])


def of_rest(w: World) -> Iterator[Broken]:
    """When nothing is left to try, everybody agrees: N9."""
    i, c = w.intake, w.consent
    for r, key in enumerate(RECORDS):
        if c.applied[r] != len(i.log[r]) or c.parked[r]:
            yield Promise.N9, f"not everything about {key} has been applied"
        if {h.id for h in c.people[r].holds} != set(i.people[r].holds):
            yield Promise.N9, f"intake and consent do not agree about the holds of {key}"
        if i.people[r].erased and c.people[r].closed is None:
            yield Promise.N9, f"{key} is erased at intake only"
        stored = i.withdrawals[r]
        if stored and not stored.answered:
            yield Promise.N9, f"the withdrawal of {key} stays unanswered"
        permit = c.people[r].permit
        if permit is not None:
            yield Promise.N9, f"{permit.id} stays open"
        if c.people[r].unresolved:
            yield Promise.N9, f"an attempt at {key} stays unresolved"
    if i.linked() != _linked(c):
        yield Promise.N9, "intake and consent do not agree whether the records are linked"
    leads = {lead.agency for ledger in c.people if (lead := ledger.lead)}
    if _linked(c) and len({_current(c, a) for a in leads}) > 1:
        yield Promise.N9, "two agencies lead one human in the end"
