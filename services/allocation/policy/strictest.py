"""What two rules ask for together: the stricter of each field. So no partnership can ask for less than the nation does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from services.allocation.policy.model import Effect, LimitRule, Team, Word, Worker
from shared.contracts.cases import Limits
from shared.contracts.envelope import Channel, Hours

Scales = Mapping[str, tuple[str, ...]]


def team(scales: Scales, own: Team, national: Team) -> Team:
    """The stricter team."""
    return Team(
        facilitators=max(own.facilitators or 1, national.facilitators or 1),
        different_agencies=bool(own.different_agencies or national.different_agencies),
        one_from_each=own.one_from_each or national.one_from_each,
        training=_higher(scales["training"], own.training, national.training),
        experience=_higher(scales["experience"], own.experience, national.experience),
        supervision=_higher(scales["supervision"], own.supervision, national.supervision),
        specialism=_union(own.specialism, national.specialism),
        neutral_to=_union(own.neutral_to, national.neutral_to),
        travel_km=min((km for km in (own.travel_km, national.travel_km) if km is not None), default=None),
    )


def worker(scales: Scales, own: Worker, national: Worker) -> Worker:
    """The narrower choice of named workers."""
    roles = own.roles or national.roles
    return Worker(
        roles=tuple(role for role in roles if not national.roles or role in national.roles),
        training=_higher(scales["training"], own.training, national.training),
        neutral_to=_union(own.neutral_to, national.neutral_to),
        work_hours=own.work_hours if own.work_hours is not None else national.work_hours,
    )


def word(scale: tuple[str, ...], own: Word, national: Word) -> Word:
    """The more demanding word of a scale."""
    return max(own, national, key=lambda effect: scale.index(effect.word))


def limits(own: LimitRule, national: LimitRule) -> LimitRule:
    """Fewer attempts, longer gaps, shorter hours, fewer channels, an earlier outcome."""
    return LimitRule(
        attempts=_least(own.attempts, national.attempts),
        gap_days=_most(own.gap_days, national.gap_days),
        approach_gap_days=_most(own.approach_gap_days, national.approach_gap_days),
        hours=_shared_hours(own.hours, national.hours),
        channels=_both(own.channels, national.channels),
        outcome_due_hours=_least(own.outcome_due_hours, national.outcome_due_hours),
        sessions=own.sessions if own.sessions is not None else national.sessions,
    )


@lru_cache(maxsize=1024)
def contract_limits(rule: LimitRule) -> Limits:
    """The limits as events carry them; what no rule says is the contract's default."""
    given = {
        name: getattr(rule, name) for name in Limits.__struct_fields__ if getattr(rule, name) is not None
    }
    return Limits(**given)


def strictest(section: str, scales: Scales, own: Effect, national: Effect) -> Effect:
    """The two rules' effects as one, by section."""
    if isinstance(own, Team) and isinstance(national, Team):
        return team(scales, own, national)
    if isinstance(own, Worker) and isinstance(national, Worker):
        return worker(scales, own, national)
    if isinstance(own, Word) and isinstance(national, Word):
        return word(scales[section], own, national)
    if isinstance(own, LimitRule) and isinstance(national, LimitRule):
        return limits(own, national)
    raise TypeError(f"{section} has no stricter of two")


def _higher(scale: tuple[str, ...], *words: str | None) -> str:
    given = [item for item in words if item is not None]
    return max(given, key=scale.index) if given else scale[0]


def _union(*lists: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for items in lists for item in items))


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _most(*numbers: int | None) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _both(
    own: tuple[Channel, ...] | None, national: tuple[Channel, ...] | None
) -> tuple[Channel, ...] | None:
    if own is None or national is None:
        return own if national is None else national
    return tuple(item for item in own if item in national)


def _shared_hours(own: Hours | None, national: Hours | None) -> Hours | None:
    if own is None or national is None:
        return own if national is None else national
    days = tuple(day for day in own.days if day in national.days)
    return Hours(days=days, start=max(own.start, national.start), until=min(own.until, national.until))
