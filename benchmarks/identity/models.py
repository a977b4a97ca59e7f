"""Models that have not seen the people that they are measured on: trained without two folds of people at a time."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.identity.data import Labelled
from benchmarks.identity.stream import Folds
from benchmarks.identity.weights import estimate
from services.intake.matching.model import build, load
from services.intake.matching.record import Record

FOLDS = 4
KEPT = Path(".onefriend/identity-models")
_MATCHING = Path(__file__).parents[2] / "services" / "intake" / "matching"


def names(labelled: Sequence[Labelled]) -> list[str]:
    """What the source calls each of these numbers."""
    return sorted({one.person for one in labelled})


def numbered(labelled: Sequence[Labelled]) -> list[int]:
    """Each record's person as a number."""
    numbers = {person: number for number, person in enumerate(names(labelled))}
    return [numbers[one.person] for one in labelled]


def cross_fitted(labelled: Sequence[Labelled], step: Callable[[], None] = lambda: None) -> Folds:
    """Ten models for four folds: `models[i, j]` is trained on the people of neither i nor j; kept on disk."""
    people = numbered(labelled)
    records: dict[int, list[Record]] = defaultdict(list)
    for one, person in zip(labelled, people, strict=True):
        records[person].append(one.record)
    folder = KEPT / _fingerprint(labelled)
    folder.mkdir(parents=True, exist_ok=True)
    models = {}
    for i in range(FOLDS):
        for j in range(i, FOLDS):
            others = {
                str(person): of_one for person, of_one in records.items() if person % FOLDS not in (i, j)
            }
            raw = _kept(folder / f"{i}{j}.json", others)
            raw["thresholds"] = {"join": load().join_at, "hold": load().hold_at}
            models[i, j] = build(raw)
            step()
    return Folds([person % FOLDS for person in people], models)


def _kept(path: Path, people: dict[str, list[Record]]) -> dict[str, Any]:
    if path.exists():
        return dict(json.loads(path.read_text("utf-8")))
    raw = estimate(people, version=f"without {path.stem}")
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(raw), encoding="utf-8")
    draft.replace(path)  # whole or not at all: a run that is stopped goes on where it was
    return raw


def _fingerprint(labelled: Sequence[Labelled]) -> str:
    """Of all that a model follows from: the people, how they are compared, how weights are counted."""
    digest = hashlib.sha256()
    for one in labelled:
        digest.update(f"{one.person} {one.record}".encode())
    for path in (*sorted(_MATCHING.glob("*.py")), Path(__file__).with_name("weights.py")):
        if path.name not in {"score.py", "rules.py", "incident.py", "blocking.py"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
