"""What a policy asks for beside who leads: checks, holds, clocks, what is told, meetings. Every rule that applies counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from services.allocation.policy import explanation
from services.allocation.policy.context import Match, Side
from services.allocation.policy.model import Ask, ClockRule, Hold, Meeting, Told
from services.allocation.policy.proposal import Agenda, Check, Clock, OnHold, Statement
from services.allocation.policy.run import Run, typed
from services.allocation.policy.shapes import BY_NAME, COORDINATOR


def holds(run: Run) -> tuple[OnHold, ...]:
    """Why the case, or a party of it, is not approached."""
    section, found = BY_NAME["holds"], []
    for rule, match in run.all("holds", run.view):
        hold = typed(rule.effect, Hold)
        found.append(
            OnHold(
                reason=hold.reason,
                parties=_parties(match, hold.of),
                review=run.due(hold.review),
                rule=rule.id,
                sentence=rule.because,
                missing=hold.missing,
                tell=run.facts.referred_by,
            )
        )
        run.say(section, rule, hold.reason)
    return tuple(found)


def checks(run: Run) -> tuple[Check, ...]:
    """What must be answered before whose approach, in order: the nation's questions first, then the partnership's."""
    section = BY_NAME["checks"]
    found: dict[str, Check] = {}
    for rule, match in run.all("checks", run.view):
        ask = typed(rule.effect, Ask)
        before = tuple(check.id for check in found.values() if check.kind in ask.after)
        gates = _parties(match, tuple(gate for gate in ask.gates if gate in {"harmed", "responsible"}))
        due = run.due(ask.due)
        asked: dict[str, None] = {}
        for agency, about in _asked(run, ask, match):
            asked[agency] = None
            current = run.agencies.current(agency)
            check_id = f"{rule.id}:{current}"
            earlier = found.get(check_id)
            found[check_id] = Check(
                id=check_id,
                kind=ask.check,
                of=current,
                about=tuple(dict.fromkeys((*(earlier.about if earlier is not None else ()), *about))),
                gates=gates,
                delivery="delivery" in ask.gates,
                closing="closing" in ask.gates,
                question=ask.question,
                rule=rule.id,
                due=due,
                remind=_reminder(run, ask),
                within=str(ask.due),
                remind_within=str(ask.remind or ""),
                after=before,
            )
        run.say(section, rule, f"{ask.check.replace('_', ' ')}, asked of {_names(run, asked)}")
    return tuple(found.values())


def clocks(run: Run) -> tuple[Clock, ...]:
    """What must be done by when; of two clocks of one name the earlier counts. Dates that nobody knows run no clock."""
    found: dict[str, Clock] = {}
    for rule, _ in run.all("clocks", run.view):
        clock = typed(rule.effect, ClockRule)
        due = run.due(clock.due)
        other = found.get(clock.clock)
        if due is not None and (other is None or due < other.due):
            found[clock.clock] = Clock(name=clock.clock, due=due, duty=clock.duty, rule=rule.id)
    return tuple(sorted(found.values(), key=lambda clock: clock.due))


def told(run: Run) -> tuple[Statement, ...]:
    """What parties and the referrer are told."""
    section = BY_NAME["told"]
    found = []
    for rule, match in run.all("told", run.view):
        tell = typed(rule.effect, Told)
        run.say(section, rule, f"{explanation.listed(tell.to, 'and')} hear: {tell.say.rstrip('.')}")
        parties = _parties(match, tuple(role for role in tell.to if role != "referrer"))
        found.append(Statement(say=tell.say, rule=rule.id, parties=parties, referrer="referrer" in tell.to))
    return tuple(found)


def agenda(run: Run) -> tuple[Agenda, ...]:
    """The meetings that the case is put to."""
    found = []
    for rule, _ in run.all("meeting", run.view):
        meeting = typed(rule.effect, Meeting)
        found.append(Agenda(meeting=meeting.meeting, every=meeting.every, why=meeting.why, rule=rule.id))
        run.say(BY_NAME["meeting"], rule, meeting.meeting)
    return tuple(found)


def _parties(match: Match, roles: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the parties in these roles to whom the rule applies."""
    sides: list[Side] = []
    if "harmed" in roles:
        sides.extend(match.harmed)
    if "responsible" in roles:
        sides.extend(match.responsible)
    return tuple(dict.fromkeys(side.party.id for side in sides if side.party is not None))


def _asked(run: Run, ask: Ask, match: Match) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each agency that is asked, with the parties that it is asked about; at least the co-ordinator."""
    for candidates in ask.asks:
        if ask.about != "responsible":
            about = _parties(match, ("harmed",)) if ask.about == "harmed" else ()
            yield _first(run, candidates, match), about
            continue
        # Co-defendants may be supervised by different agencies: each is asked about its own.
        for side in match.responsible:
            about = (side.party.id,) if side.party is not None else ()
            yield _first(run, candidates, Match(match.harmed, (side,))), about


def _first(run: Run, candidates: tuple[str, ...], match: Match) -> str:
    for ref in candidates:
        agency = run.agency(ref, match, run.view, partners_only=False)
        if agency is not None and (
            agency in run.partnership.partners or run.agencies.find(agency) is not None
        ):
            return agency
    return run.found[COORDINATOR]


def _reminder(run: Run, ask: Ask) -> datetime | None:
    """When the asked are reminded: as the policy says, else a day before it is due."""
    if ask.remind is not None:
        return run.due(ask.remind)
    due = run.due(ask.due)
    return due - timedelta(days=1) if due is not None else None


def _names(run: Run, agencies: dict[str, None]) -> str:
    return explanation.listed(map(run.name, agencies), "and")
