"""From arrivals to figures: approached twice, taken for somebody else, held; with intervals that resample people."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.identity.stream import NOBODY, Arrival

HELD = (0.0, 0.01, 0.02, 0.05, 0.10)
_TIMES = 500  # bootstrap samples
TOGETHER = tuple(
    f"{name} {part}" for name in ("pairwise", "B-cubed") for part in ("precision", "recall", "F1")
)
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """Per 10,000 people or a share, with the interval in which 95 of 100 samples of people lie."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:,.0f} ({self.low:,.0f} to {self.high:,.0f})"


@dataclass(frozen=True)
class Curve:
    """What one way of matching does at one threshold for joining."""

    name: str
    join_at: float
    twice: dict[float, Figure]
    wrong: Figure
    held_by_rule: float


def join_at(arrivals: Sequence[Arrival], wrong_per_10_000: float, *, rule: bool = False) -> float:
    """The lowest score at which no more people than that are taken for somebody else."""
    streams, people = _extent(arrivals)
    allowed = wrong_per_10_000 / 1e4 * streams * people
    wrong = sorted(
        (a.score for a in arrivals if not a.right and not a.stopped and not (rule and a.alone)), reverse=True
    )
    index = int(allowed)
    return wrong[index] + 1e-9 if index < len(wrong) else -98.0


def curve(
    name: str,
    arrivals: Sequence[Arrival],
    threshold: float,
    *,
    rule: bool = False,
    among: Collection[tuple[int, int]] | None = None,
    seed: int = 3,
) -> Curve:
    """Approached twice at each share held, and taken for somebody else. `rule`: names and a birth date alone never join.

    `among`: of these only (stream, person), who is approached twice; what is held is held of all.
    """
    streams, people = _extent(arrivals)
    score = np.array([a.score for a in arrivals])
    person = np.array([a.person for a in arrivals])
    right = np.array([a.right for a in arrivals])
    second = np.array([a.second for a in arrivals])
    stopped = np.array([a.stopped or (rule and a.alone) for a in arrivals])
    joined = (score >= threshold) & ~stopped
    waiting = np.where(joined, -np.inf, score)
    order = np.argsort(-waiting, kind="stable")
    numbers = {one: index for index, one in enumerate(sorted(set(person.tolist())))}
    index = np.array([numbers[one] for one in person.tolist()])
    samples = _samples(people, seed)
    counted = np.array([among is None or (a.stream, a.person) in among for a in arrivals])
    each = np.float64(1 / streams if among is None else people / len(among))
    twice = {}
    for share in HELD:
        held = np.zeros(len(arrivals), bool)
        held[order[: round(share * len(arrivals))]] = True
        held &= ~joined & (score > NOBODY)
        missed = second & counted & ~(joined & right) & ~held
        twice[share] = _figure(np.bincount(index[missed], minlength=people) * each, samples)
    wrong = _figure(np.bincount(index[joined & ~right], minlength=people) / streams, samples)
    return Curve(name, threshold, twice, wrong, float((stopped & (score >= threshold)).mean()))


def as_shipped(arrivals: Sequence[Arrival], join: float, hold: float) -> dict[str, float]:
    """Shares of referrals held (for a reviewer, asked of the agency), and both errors per 10,000 people, with all rules."""
    streams, people = _extent(arrivals)
    joined = [a for a in arrivals if a.score >= join and not a.stopped and not a.alone]
    # With no more than a name a record is held whoever it is; else down to the lower threshold.
    doubtful = [a for a in arrivals if a.score >= hold or (a.alone and a.asked)]
    held = [a for a in doubtful if a.score < join or a.stopped or a.alone]
    answered = {id(a) for a in held} | {id(a) for a in joined if a.right}
    return {
        "held for a reviewer": sum(not a.asked for a in held) / len(arrivals),
        "asked of the agency": sum(a.asked for a in held) / len(arrivals),
        "approached twice": sum(a.second and id(a) not in answered for a in arrivals)
        / streams
        / people
        * 1e4,
        "taken for somebody else": sum(not a.right for a in joined) / streams / people * 1e4,
    }


def recall_at_precision(scored: Iterable[tuple[float, bool]], true_pairs: int, precision: float) -> float:
    """The greatest share of true pairs found at a threshold where that share of the pairs found is true."""
    right = wrong = 0
    best = 0.0
    for _, same in sorted(scored, reverse=True):
        right += same
        wrong += not same
        if right >= precision * (right + wrong):
            best = right / true_pairs
    return best


def clustering(groups: Sequence[int], people: Sequence[int]) -> dict[str, Figure]:
    """Pairwise and B-cubed precision, recall and F1 of groups against people, as shares of one.

    A group numbered as the records are many, or beyond, is that of an invented person, who has one record in it more. Pairs
    and records are those of the labelled people; each is put down to its person, and the intervals are over people.
    """
    together = Counter(zip(groups, people, strict=True))
    invented = [group for group in set(groups) if group >= len(groups)]
    of_group, of_person = Counter(groups), Counter(people)
    of_group.update(invented)
    sums = np.zeros((6, len(of_person)))
    column = {person: number for number, person in enumerate(sorted(of_person))}
    beyond = len(groups)
    for (group, person), count in together.items():
        # Half of a pair to each of its records; all of it to the labelled one where the other is invented.
        joined = count * (of_group[group] - 1 + (group >= beyond)) / 2
        sums[:, column[person]] += (
            count * (count - 1) / 2,
            joined,
            0.0,
            count * count / of_group[group],
            count,
            count * count / of_person[person],
        )
    sums[2] = [of_person[person] * (of_person[person] - 1) / 2 for person in column]
    weights = _samples(len(column), 3)
    everybody, sampled = sums.sum(axis=1), sums @ weights.T
    return {
        name: Figure(float(value), *_interval(values))
        for name, value, values in zip(TOGETHER, _shares(everybody), _shares(sampled), strict=True)
    }


def _shares(sums: Floats) -> list[Floats]:
    right, joined, true, precise, records, found = sums
    shares: list[Floats] = []
    for precision, recall in (
        (_part(right, joined, 1.0), _part(right, true, 1.0)),
        (precise / records, found / records),
    ):
        shares += [precision, recall, _part(2 * precision * recall, precision + recall, 0.0)]
    return shares


def _part(some: Floats, every: Floats, of_none: float) -> Floats:
    """The share; `of_none` where there are none at all (a sample of people of whom nobody was joined)."""
    return np.divide(some, every, out=np.full_like(every, of_none), where=every > 0)


def _extent(arrivals: Sequence[Arrival]) -> tuple[int, int]:
    return 1 + max(a.stream for a in arrivals), len({a.person for a in arrivals})


def _samples(people: int, seed: int) -> Counts:
    """How often each person is drawn in each sample: (_TIMES, people)."""
    return np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=_TIMES)


def _interval(values: Floats) -> tuple[float, float]:
    ordered = np.sort(values)
    return float(ordered[int(0.025 * _TIMES)]), float(ordered[int(0.975 * _TIMES)])


def _figure(per_person: Floats, samples: Counts) -> Figure:
    low, high = _interval(samples @ per_person / len(per_person) * 1e4)
    return Figure(float(per_person.mean() * 1e4), low, high)
