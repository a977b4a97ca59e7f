"""What may happen next: one function for each kind of step. None: it cannot happen in this world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.intake.domain.safety import CHANNELS
from shared.contracts.people import PersonReferred, Safety
from tests.exploration.consent import SUCCESSOR, Deciding
from tests.exploration.rules import Rules
from tests.exploration.world import (
    CASES,
    RECORDS,
    Answer,
    Consent,
    Holder,
    Intake,
    Row,
    Try,
    Withdrawn,
    Witness,
    World,
    put,
)

RESTRICTIVE = {"PersonLinked", "PersonHeld", "PersonErased"}
SAFE = Safety(channels=CHANNELS)


@dataclass(frozen=True)
class Engine:
    """The rules that are explored, and the bounds."""

    rules: Rules
    deciding: Deciding
    incidents: tuple[str, str]
    links: int = 2
    ticks: int = 2
    attempts: int = 2


@dataclass(frozen=True)
class Step:
    """One thing that may happen.

    `reads`: the parts of a world that it depends on (k time, i intake, r rows, c consent, w witness).
    """

    says: str
    reads: str
    run: Callable[[Engine, World], World | None]


# --- intake


def refer(e: Engine, w: World, record: int) -> World | None:
    """A referral names a record."""
    key = RECORDS[record]
    if any(type(event).__name__ == "PersonReferred" for event in w.intake.log[record]):
        return None
    event = PersonReferred(
        case=CASES[key], incident=e.incidents[record], referral=f"referral-{key}", referrer="X", role="harmed", safety=SAFE
    )  # fmt: skip
    return _tell(e, w, record, [event])


def _tell(e: Engine, w: World, record: int, events: list[Any]) -> World | None:
    if not events:
        return None
    i, evolve = w.intake, e.rules.intake["people"].evolve_person
    person = i.people[record]
    for event in events:
        person = evolve(person, event)
    log = put(i.log, record, (*i.log[record], *events))
    return w._replace(intake=i._replace(people=put(i.people, record, person), log=log))


def _known(w: World) -> bool:
    return all(log for log in w.intake.log)


def link(e: Engine, w: World) -> World | None:
    """Intake finds that both records are one human."""
    people = e.rules.intake["people"]
    a, b = w.intake.people
    if not _known(w) or a.erased or b.erased or a.links or a.decided.get("b", 0) >= e.links:
        return None
    after = _tell(e, w, 0, people.link(a, "a", "b", "matched"))
    return after and _tell(e, after, 1, people.link(b, "b", "a", "matched"))


def unlink(e: Engine, w: World) -> World | None:
    """A person finds that they are two after all."""
    people = e.rules.intake["people"]
    a, b = w.intake.people
    if a.decided.get("b", 0) >= e.links:
        return None
    after = _tell(e, w, 0, people.unlink(a, "b", "two"))
    return after and _tell(e, after, 1, people.unlink(b, "a", "two"))


def hold(e: Engine, w: World, record: int) -> World | None:
    """Intake doubts who a record is."""
    told = sum(type(event).__name__ == "PersonHeld" for event in w.intake.log[record])
    if not w.intake.log[record] or told:
        return None
    return _tell(
        e, w, record, e.rules.intake["people"].hold_person(w.intake.people[record], "h", "identity_doubt")
    )


def lift(e: Engine, w: World, record: int) -> World | None:
    """The doubt is over."""
    return _tell(e, w, record, e.rules.intake["people"].lift_person(w.intake.people[record], "h", "settled"))


def erase(e: Engine, w: World, record: int) -> World | None:
    """What is held of a record is destroyed."""
    return (
        _tell(e, w, record, e.rules.intake["people"].erase(w.intake.people[record], "asked"))
        if w.intake.log[record]
        else None
    )


def withdraw(e: Engine, w: World, record: int) -> World | None:
    """The person withdraws through any agency: stored, for everybody whom intake knows to be this human."""
    i = w.intake
    if i.withdrawals[record] or not i.log[record]:
        return None
    stored = Withdrawn(i.group(record), answered=False)
    return w._replace(intake=i._replace(withdrawals=put(i.withdrawals, record, stored)))


def put_in_force(e: Engine, w: World, record: int) -> World | None:
    """Consent answers the withdrawal."""
    stored = w.intake.withdrawals[record]
    if stored is None or stored.answered:
        return None
    after, in_flight = e.deciding.withdraw(w.consent, record, stored.bound)
    told = Answer(stored.bound, in_flight)
    withdrawals = put(w.intake.withdrawals, record, stored._replace(answered=True))
    return w._replace(
        consent=after,
        intake=w.intake._replace(withdrawals=withdrawals),
        witness=w.witness._replace(answers=put(w.witness.answers, record, told)),
    )


# --- consent hears


def apply(e: Engine, w: World, record: int) -> World | None:
    """The next event about a record is applied."""
    c, n = w.consent, w.consent.applied[record]
    if c.parked[record] or n >= len(w.intake.log[record]):
        return None
    after = e.deciding.take_in(c, record, w.intake.log[record][n])
    got = put(c.got, record, max(c.got[record], n + 1))
    return w._replace(consent=after._replace(applied=put(c.applied, record, n + 1), got=got))


def park(e: Engine, w: World, record: int) -> World | None:
    """The next event about a record cannot be handled."""
    c, n = w.consent, w.consent.got[record]
    if c.parked[record] or c.applied[record] != n or n >= len(w.intake.log[record]):
        return None
    if type(w.intake.log[record][n]).__name__ in RESTRICTIVE:
        return None
    return w._replace(consent=c._replace(parked=put(c.parked, record, True), got=put(c.got, record, n + 1)))


def arrive(e: Engine, w: World, record: int) -> World | None:
    """An event arrives behind a parked one: it waits, but what restricts is applied at once."""
    c, n = w.consent, w.consent.got[record]
    if not c.parked[record] or n >= len(w.intake.log[record]):
        return None
    event = w.intake.log[record][n]
    after = e.deciding.take_in(c, record, event) if type(event).__name__ in RESTRICTIVE else c
    return w._replace(consent=after._replace(got=put(c.got, record, n + 1)))


def redrive(e: Engine, w: World, record: int) -> World | None:
    """An operator repairs a parked key."""
    c = w.consent
    return w._replace(consent=c._replace(parked=put(c.parked, record, False))) if c.parked[record] else None


def claim(e: Engine, w: World, record: int, agency: str) -> World | None:
    """Allocation claims a record for an agency."""
    if not w.intake.log[record]:
        return None
    after = e.deciding.claim(w.consent, record, agency)
    return w._replace(consent=after) if after != w.consent else None


# --- permits


def grant(e: Engine, w: World, agency: str, record: int) -> World | None:
    """An agency asks for a permit and gets it."""
    holders = w.witness.holders
    if None not in holders:
        return None
    permit = holders.index(None)
    after = e.deciding.grant(w.consent, permit, agency, record, w.clock.now)
    if after is None:
        return None
    return _held(w._replace(consent=after), permit, Holder(record, agency))


def _held(w: World, permit: int, holder: Holder) -> World:
    return w._replace(witness=w.witness._replace(holders=put(w.witness.holders, permit, holder)))


def expire(e: Engine, w: World, permit: int) -> World | None:
    """The timer of a permit fires."""
    holder = w.witness.holders[permit]
    if holder is None:
        return None
    after = e.deciding.expire(w.consent, permit, holder.record, w.clock.now)
    return w._replace(consent=after) if after != w.consent else None


def overdue(e: Engine, w: World, permit: int) -> World | None:
    """The timer of an outcome fires."""
    holder = w.witness.holders[permit]
    if holder is None or not holder.redeemed:
        return None
    after = e.deciding.overdue(w.consent, permit, holder.record, w.clock.now)
    return w._replace(consent=after) if after != w.consent else None


def _row(w: World, permit: int, row: Row) -> World:
    return w._replace(rows=put(w.rows, permit, row))


def _objection(e: Engine, w: World, record: int) -> bool:
    i, rules = w.intake, e.rules.intake["releases"]
    group = i.group(record)
    people = {RECORDS[r]: i.people[r] for r in group}
    withdrawn = _withdrawn(i, group)
    return rules.objection(people, CASES[RECORDS[record]], withdrawn=withdrawn) is not None or rules.unsafe(
        i.people[record], "phone"
    )


def _withdrawn(i: Intake, group: tuple[int, ...]) -> bool:
    return any(one and not set(group).isdisjoint(one.bound) for one in i.withdrawals)


def note(e: Engine, w: World, permit: int) -> World | None:
    """Release, first step: intake checks what it knows, writes the row, notes the sequences. Also a second click."""
    holder, row = w.witness.holders[permit], w.rows[permit]
    if holder is None:
        return None
    # The conditional write of the row: at most one try gets it.
    if row.state is not None and row.state not in e.rules.intake["releases"].BEFORE["asked"]:
        return None
    if _objection(e, w, holder.record):
        return None
    seen = tuple((r, len(w.intake.log[r])) for r in w.intake.group(holder.record))
    trying = Try(seen, again=row.state is not None)
    return _row(w, permit, Row("asked", told=row.told, since=w.clock.ticks, trying=trying))


def redeem(e: Engine, w: World, permit: int, *, lost: bool) -> World | None:
    """Release, second step: consent redeems, or refuses. Lost: intake is killed meanwhile, and hears nothing."""
    holder, row = w.witness.holders[permit], w.rows[permit]
    if holder is None or row.trying is None or row.trying.use_by is not None or (lost and row.trying.dead):
        return None
    answer = e.deciding.redeem(w.consent, permit, holder.record, row.trying, w.clock.now)
    dead = lost or row.trying.dead
    if isinstance(answer, str):
        if dead:
            return _row(w, permit, row._replace(trying=None))
        becomes = e.rules.intake["releases"].after_refusal(answer, again=row.trying.again)
        return _row(w, permit, _refused(e, row, becomes))
    after, use_by = answer
    trying = None if dead else row.trying._replace(use_by=use_by)
    after_row = _row(w._replace(consent=after), permit, row._replace(trying=trying))
    return _held(after_row, permit, holder._replace(redeemed=holder.redeemed + 1))


def _refused(e: Engine, row: Row, becomes: str) -> Row:
    after = row._replace(trying=None)
    before = e.rules.intake["releases"].BEFORE
    if becomes == "refused" and row.state in before["refused"]:
        return after._replace(state="refused")
    if becomes in {"given_up", "taken_back"} and row.state in before["given_up"]:
        return after._replace(state="given_up", told=becomes == "given_up")
    return after


def die(e: Engine, w: World, permit: int) -> World | None:
    """Intake is killed after the first step; its call to consent is still on the way."""
    row = w.rows[permit]
    if row.trying is None or row.trying.dead:
        return None
    if row.trying.use_by is not None:
        return _row(w, permit, row._replace(trying=None))
    return _row(w, permit, row._replace(trying=row.trying._replace(dead=True)))


def hand_out(e: Engine, w: World, permit: int) -> World | None:
    """Release, third step: intake looks again, and hands out or gives up."""
    holder, row, rules = w.witness.holders[permit], w.rows[permit], e.rules.intake["releases"]
    if holder is None or row.trying is None or row.trying.use_by is None:
        return None
    seen = {RECORDS[r]: sequence for r, sequence in row.trying.seen}
    now = {RECORDS[r]: len(w.intake.log[r]) for r, _ in row.trying.seen}
    people = {r for one, _ in row.trying.seen for r in w.intake.group(one)}
    moved = rules.moved(
        seen, now, [RECORDS[r] for r in people],
        withdrawn=_withdrawn(w.intake, tuple(r for r, _ in row.trying.seen)),
        late=w.clock.now >= row.trying.use_by,
    )  # fmt: skip
    over = row._replace(trying=None)
    if moved:
        gone = over._replace(state="given_up", told=False) if row.state in rules.BEFORE["given_up"] else over
        return _row(w, permit, gone)
    if row.state not in rules.BEFORE["handed_out"]:
        return _row(w, permit, over)
    handed = holder._replace(handed=holder.handed + 1, use_by=row.trying.use_by, taken=False)
    return _held(_row(w, permit, over._replace(state="handed_out")), permit, handed)


def give_up(e: Engine, w: World, permit: int) -> World | None:
    """A release was begun long ago, and nobody has ended it."""
    row = w.rows[permit]
    if row.state != "asked" or row.since >= w.clock.ticks:
        return None
    return _row(w, permit, row._replace(state="given_up", told=False))


def tell_not_made(e: Engine, w: World, permit: int) -> World | None:
    """Intake tells consent that nothing was handed out."""
    holder, row = w.witness.holders[permit], w.rows[permit]
    if holder is None or row.state != "given_up" or row.told:
        return None
    c = w.consent
    after = e.deciding.report(c, permit, holder.record, holder.agency, "not_made", w.clock.now, "intake")
    return _row(w._replace(consent=after or c), permit, row._replace(told=True))


# --- the holder


def contact(e: Engine, w: World, permit: int) -> World | None:
    """The holder has the details, looks at `use_by`, and rings: once."""
    holder = w.witness.holders[permit]
    if holder is None or holder.use_by is None or holder.taken or holder.said or w.clock.now >= holder.use_by:
        return None
    return _held(w, permit, holder._replace(sends=holder.sends + 1, taken=True))


def report(e: Engine, w: World, permit: int, outcome: str) -> World | None:
    """The holder records what became of it; `not_made` only if it has not rung."""
    holder = w.witness.holders[permit]
    if holder is None or not holder.handed or holder.said or (outcome == "not_made") == bool(holder.sends):
        return None
    c = w.consent
    after = e.deciding.report(c, permit, holder.record, _now(c, holder.agency), outcome, w.clock.now, None)
    if after is None:
        return None
    binds = e.deciding.group(c, holder.record) if outcome in {"declined", "withdrew"} else ()
    return _held(w._replace(consent=after), permit, holder._replace(said=outcome, taken=True, binds=binds))


def _now(c: Consent, agency: str) -> str:
    return SUCCESSOR if c.succeeded and agency == "X" else agency


def resolve(e: Engine, w: World, permit: int) -> World | None:
    """A person at the hub finds out that nobody answered."""
    holder = w.witness.holders[permit]
    if holder is None:
        return None
    c = w.consent
    after = e.deciding.resolve(c, permit, holder.record, holder.agency, w.clock.now)
    if after is None:
        return None
    said = "no_answer" if holder.said == "unknown" else holder.said
    return _held(w._replace(consent=after), permit, holder._replace(said=said))


# --- leads


def hand_over(e: Engine, w: World, record: int, target: str) -> World | None:
    """Allocation asks for a lead to move."""
    source = e.deciding.lead(w.consent, record)
    after = e.deciding.hand_over(w.consent, record, target, w.clock.now)
    if after is None or source is None or len(w.witness.passed) > 1:
        return None
    return w._replace(consent=after, witness=_passed(w.witness, source, target))


def _passed(witness: Witness, source: str, target: str) -> Witness:
    return witness._replace(passed=witness.passed | {(source, target)})


def succeed(e: Engine, w: World) -> World | None:
    """Agency X is succeeded by agency Z."""
    if w.consent.succeeded:
        return None
    return w._replace(consent=w.consent._replace(succeeded=True), witness=_passed(w.witness, "X", SUCCESSOR))


def write_succession(e: Engine, w: World, record: int) -> World | None:
    """The succession is written down for one person."""
    if not w.consent.succeeded:
        return None
    after = e.deciding.succeed(w.consent, record, w.clock.now)
    return w._replace(consent=after) if after != w.consent else None


def reassign(e: Engine, w: World, record: int) -> World | None:
    """Allocation takes a lead back, to claim the person for another agency."""
    after = e.deciding.reassign(w.consent, record)
    return w._replace(consent=after) if after else None


# --- time


def pass_time(e: Engine, w: World, minutes: int) -> World | None:
    """Time passes."""
    if w.clock.ticks >= e.ticks:
        return None
    clock = w.clock._replace(ticks=w.clock.ticks + 1, minutes=w.clock.minutes + minutes)
    return w._replace(clock=clock)
