"""Models that have not seen the people that they are measured on: trained without two folds of people at a time."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from benchmarks.identity.data import Labelled
from benchmarks.identity.stream import Folds
from benchmarks.identity.weights import estimate
from services.intake.matching.model import build, load
from services.intake.matching.record import Record

FOLDS = 4


def numbered(labelled: Sequence[Labelled]) -> list[int]:
    """Each record's person as a number."""
    numbers = {person: number for number, person in enumerate(sorted({one.person for one in labelled}))}
    return [numbers[one.person] for one in labelled]


def cross_fitted(labelled: Sequence[Labelled], step: Callable[[], None] = lambda: None) -> Folds:
    """Ten models for four folds: `models[i, j]` is trained on the people of neither i nor j."""
    people = numbered(labelled)
    records: dict[int, list[Record]] = defaultdict(list)
    for one, person in zip(labelled, people, strict=True):
        records[person].append(one.record)
    models = {}
    for i in range(FOLDS):
        for j in range(i, FOLDS):
            others = {
                str(person): of_one for person, of_one in records.items() if person % FOLDS not in (i, j)
            }
            raw = estimate(others, version=f"without {i} and {j}")
            raw["thresholds"] = {"join": load().join_at, "hold": load().hold_at}
            models[i, j] = build(raw)
            step()
    return Folds([person % FOLDS for person in people], models)
