"""`make train-identity`: the weights that intake is shipped with, from labelled people, by Splink.

The levels are those of `services.intake.matching.evidence`; Splink sees each as a number that our own code computes
(a DuckDB function), so that what is trained is what the service runs. Splink estimates m from the labels and u from
random pairs, prints nothing of the people, and draws the waterfall chart of some pairs. Then the thresholds: they are not
weights but choices, and stand in this file with what they cost.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from splink import DuckDBAPI, Linker, SettingsCreator

from benchmarks.identity import data
from benchmarks.identity.weights import (
    AMONG_NAMESAKES,
    HOUSEHOLD,
    STATED,
    Tally,
    beside,
    careful,
    estimate,
    pooled,
    tallies,
    weight,
)
from services.intake.matching.evidence import compare
from services.intake.matching.levels import ABSENT, LEVELS
from services.intake.matching.model import build
from services.intake.matching.record import Record

WEIGHTS = Path(__file__).parents[2] / "services" / "intake" / "matching" / "data" / "weights.json"
VERSION = "2026-11-22.9"
# Chosen on the benchmark's curve of setting (a), where each score comes from a model that had not seen either person.
THRESHOLDS = {"join": 6.5, "hold": 1.0}
TRAINED = [field for field in LEVELS if field not in {"household", *STATED, *AMONG_NAMESAKES}]
PAIRS = 600_000  # of strangers
PER_PERSON = 6  # records: a person with twenty must not outweigh ten with three


def main() -> None:
    """Train, compare with the direct count, write the weights and the chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chart", type=Path, default=Path(".onefriend/identity-waterfall.html"))
    args = parser.parse_args()
    people: dict[str, list[Record]] = defaultdict(list)
    for one in data.historical():
        people[one.person].append(one.record)
    raw = estimate(people, version=VERSION)
    raw["thresholds"] = THRESHOLDS
    _, strangers, _ = tallies(people, raw)
    trained, linker = splink_estimate(people, raw, strangers)
    print(f"{'field':16}{'level':28}{'m':>9}{'u':>10}{'bits':>8}{'counted':>9}")
    for field, levels in trained.items():
        for level, (m, u, bits) in levels.items():
            print(f"{field:16}{level:28}{m:9.4f}{u:10.6f}{bits:8.2f}{raw['bits'][field][level]:9.2f}")
            raw["bits"][field][level] = round(bits, 2)
    raw["bits"]["household"] = HOUSEHOLD
    careful(raw["bits"])
    WEIGHTS.write_text(json.dumps(raw, indent=0) + "\n", encoding="utf-8")
    waterfall(linker, args.chart)
    print(f"Written: {WEIGHTS} ({VERSION}) and the waterfall chart {args.chart}")


Trained = dict[str, dict[str, tuple[float, float, float]]]


def splink_estimate(
    people: dict[str, list[Record]], raw: dict[str, Any], strangers: Tally
) -> tuple[Trained, Any]:
    """m, u and the weight in bits of every level, by Splink's supervised estimators; and its linker.

    u is estimated on one record of each person: Splink takes random pairs for strangers, and among all the records one
    pair in three thousand is not.
    """
    rng = random.Random(2)
    several = _linker(people, raw, rng, PER_PERSON)
    several.training.estimate_m_from_label_column("person")
    single = _linker(people, raw, rng, 1)
    single.training.estimate_u_using_random_sampling(max_pairs=PAIRS, seed=1, min_count_per_level=None)
    found: dict[str, dict[str, list[float]]] = {field: defaultdict(lambda: [0.0, 0.0]) for field in TRAINED}
    for place, (kind, linker) in enumerate((("m", several), ("u", single))):
        for comparison in linker.misc.save_model_to_json()["comparisons"]:
            for level in comparison["comparison_levels"]:
                share = level.get(f"{kind}_probability")
                found[comparison["output_column_name"]][level["label_for_charts"]][place] = share or 0.0
    least = (
        0.5 / len(people),
        0.5 / PAIRS,
    )  # a level that the sample did not have: as rare as half a person, half a pair
    trained = {}
    for field in TRAINED:
        shares = {
            level: [max(pair) for pair in zip(found[field][level], least, strict=True)]
            for level in LEVELS[field]
        }
        known = pooled(field, {level: m for level, (m, _) in shares.items()})
        by_chance = {
            level: u / sum(shares[one][1] for one in beside(field, level)) for level, (_, u) in shares.items()
        }
        trained[field] = {
            level: (m, u, weight(field, level, known[level], strangers, by_chance[level]))
            for level, (m, u) in shares.items()
        }
    return trained, several


def _linker(people: dict[str, list[Record]], raw: dict[str, Any], rng: random.Random, each: int) -> Any:  # noqa: ANN401 - Splink has no types
    records: list[Record] = []
    rows = []
    for person, of_one in sorted(people.items()):
        for record in rng.sample(of_one, min(len(of_one), each)):
            rows.append({"unique_id": len(records), "person": person})
            records.append(record)
    levels = Levels(records, raw)
    connection = duckdb.connect()
    for field in TRAINED:
        connection.create_function(f"level_of_{field}", levels.of(field), ["BIGINT", "BIGINT"], "BIGINT")
    api = DuckDBAPI(connection)
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(field) for field in TRAINED],
        blocking_rules_to_generate_predictions=["l.person = r.person"],
        retain_intermediate_calculation_columns=True,
    )
    return Linker(api.register(pd.DataFrame(rows)), settings, log_level=40)


class Levels:
    """Our own comparison as numbers that Splink can condition on: 0 for absent, then 1, 2, … in the order of LEVELS."""

    def __init__(self, records: list[Record], raw: dict[str, Any]) -> None:
        self._records = records
        bare = {**raw, "bits": {field: dict.fromkeys(levels, 0.0) for field, levels in LEVELS.items()}}
        self._model = build(bare)
        self._compared = lru_cache(maxsize=4096)(self._compare)

    def _compare(self, one: int, other: int) -> dict[str, tuple[str, float]]:
        table = compare(self._records[one], self._records[other], self._model)
        return {line.field: (line.level, line.bits) for line in table.lines}

    def of(self, field: str) -> Callable[[int, int], int]:
        """The function of two record numbers that DuckDB calls."""
        numbers = {ABSENT: 0, **{level: number for number, level in enumerate(LEVELS[field], 1)}}
        return lambda one, other: numbers[self._compared(one, other)[field][0]]


def _comparison(field: str) -> dict[str, Any]:
    condition = f"level_of_{field}(unique_id_l, unique_id_r)"
    levels = [{"sql_condition": f"{condition} = 0", "label_for_charts": ABSENT, "is_null_level": True}]
    levels += [
        {"sql_condition": f"{condition} = {number}", "label_for_charts": level}
        for number, level in enumerate(LEVELS[field][:-1], 1)
    ]
    levels.append({"sql_condition": "ELSE", "label_for_charts": LEVELS[field][-1]})
    return {"output_column_name": field, "comparison_levels": levels}


def waterfall(linker: Any, path: Path) -> None:  # noqa: ANN401 - Splink has no types
    """Splink's chart of how a few pairs' weights add up. It shows records by number only."""
    pairs = linker.inference.predict(threshold_match_weight=0).as_record_list(limit=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    linker.visualisations.waterfall_chart(pairs).save(str(path))


if __name__ == "__main__":
    main()
