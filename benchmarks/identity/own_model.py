"""Splink's own model of each setting: its comparison library, trained by expectation maximisation on that setting's data.

As its documentation shows: u from random pairs, m by expectation maximisation, with what it knows of each field that the
setting has. It is given neither the truth nor anything of ours.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from benchmarks.identity.rivals import Row

LEAST = -10.0  # bits below which nobody asks for a pair
PAIRS_TRAINED_ON = (
    5e6  # of each blocking rule: enough for a few hundred numbers, whatever the size of the store
)
Rule = tuple[str, ...]
MEMORY = "2GB"  # beyond that it writes to the disk


@dataclass(frozen=True)
class Design:
    """What Splink is told of a setting: comparisons, blocking rules, and rules that hardly err, to guess how many match."""

    columns: tuple[str, ...]
    comparisons: Callable[[], list[Any]]  # made anew for each model: Splink keeps what it learns in them
    blocking: tuple[Rule, ...]
    deterministic: tuple[Rule, ...]
    training: tuple[Rule, ...]


@dataclass(frozen=True)
class Scored:
    """Pairs of labelled records with their bits; and for each the invented person whom it is most like (-1, -2, …)."""

    pairs: list[tuple[float, int, int]]
    invented: dict[int, tuple[float, int]]


def _historical() -> list[Any]:
    return [
        cl.ForenameSurnameComparison(
            "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
        ),
        # Not its comparison of birth dates, which takes a mistyped day (1858-10-81) for a missing one.
        cl.DamerauLevenshteinAtThresholds("dob", [1, 2]).configure(term_frequency_adjustments=True),
        cl.PostcodeComparison("postcode").configure(term_frequency_adjustments=True),
        cl.ExactMatch("gender"),
    ]


def _referral() -> list[Any]:
    return [
        *_historical(),
        cl.DamerauLevenshteinAtThresholds("phone", [1]),
        cl.EmailComparison("email"),
        cl.DamerauLevenshteinAtThresholds("pnc", [1]),
    ]


def _febrl() -> list[Any]:
    return [
        cl.ForenameSurnameComparison(
            "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
        ),
        cl.DamerauLevenshteinAtThresholds("dob", [1, 2]),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        cl.JaroWinklerAtThresholds("address_1", [0.9]).configure(term_frequency_adjustments=True),
    ]


def _fake() -> list[Any]:
    return [
        cl.ForenameSurnameComparison(
            "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
        ),
        cl.DamerauLevenshteinAtThresholds("dob", [1, 2]),
        cl.ExactMatch("city").configure(term_frequency_adjustments=True),
        cl.EmailComparison("email"),
    ]


HISTORICAL = Design(
    ("first_name", "surname", "dob", "postcode", "gender"),
    _historical,
    (
        ("first_name", "surname"),
        ("surname", "dob"),
        ("first_name", "dob"),
        ("postcode", "first_name"),
        ("postcode", "surname"),
        ("dob", "substr(postcode, 1, 2)"),
        ("postcode", "substr(dob, 1, 4)"),
        ("surname", "substr(first_name, 1, 2)"),
        ("substr(surname, 1, 4)", "substr(dob, 1, 4)"),
        ("surname",),
        ("postcode",),
        ("dob",),
    ),
    (("first_name", "surname", "dob"), ("first_name", "dob", "postcode")),
    (("first_name", "surname"), ("dob",), ("postcode",)),
)
REFERRAL = replace(
    HISTORICAL,
    columns=(*HISTORICAL.columns, "phone", "email", "pnc"),
    comparisons=_referral,
    blocking=(*HISTORICAL.blocking, ("phone",), ("email",), ("pnc",)),
    training=(*HISTORICAL.training, ("phone",), ("email",)),
)
FEBRL = Design(
    ("first_name", "surname", "dob", "soc_sec_id", "postcode", "address_1"),
    _febrl,
    (("soc_sec_id",), ("surname",), ("first_name",), ("dob",), ("postcode",), ("address_1",)),
    (("first_name", "surname", "dob"), ("soc_sec_id",)),
    (("first_name", "surname"), ("dob",), ("soc_sec_id",)),
)
FAKE = Design(
    ("first_name", "surname", "dob", "city", "email"),
    _fake,
    (("first_name",), ("surname",), ("dob",), ("email",), ("city", "substr(surname, 1, 2)")),
    (("first_name", "surname", "dob"), ("email",)),
    (("first_name", "surname"), ("dob",), ("email",)),
)


def scored(design: Design, rows: Sequence[Row], invented: Iterable[Row] = ()) -> Scored:
    """Train on all of them, then score every pair that the blocking finds and that has a labelled record (`rows`)."""
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": ".onefriend/splink"})
    api = DuckDBAPI(connection)
    settings: Any = SettingsCreator(
        link_type="dedupe_only",
        # Splink puts the smaller number first, and invented people have negative ones: pairs of them are nobody's question.
        blocking_rules_to_generate_predictions=[
            f"{_equal(rule)} AND r.unique_id >= 0" for rule in design.blocking
        ],
        comparisons=design.comparisons(),
        retain_matching_columns=False,
    )
    linker = Linker(api.register(_frame(design.columns, rows, invented)), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(
        [block_on(*rule) for rule in design.deterministic], recall=0.6
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=3e6, seed=1)
    for rule in design.training:
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(*rule), max_pairs=PAIRS_TRAINED_ON
        )
    predicted = linker.inference.predict(threshold_match_weight=LEAST).physical_name
    pairs = connection.sql(
        f"SELECT match_weight, unique_id_l, unique_id_r FROM {predicted} WHERE unique_id_l >= 0"  # noqa: S608 - Splink's table
    ).fetchall()
    likest = connection.sql(
        "SELECT unique_id_r, max(match_weight), arg_max(unique_id_l, match_weight)"  # noqa: S608 - Splink's table
        f" FROM {predicted} WHERE unique_id_l < 0 GROUP BY unique_id_r"
    ).fetchall()
    return Scored(pairs, {record: (bits, other) for record, bits, other in likest})


def _equal(rule: Rule) -> str:
    return " AND ".join(f"{_of('l', column)} = {_of('r', column)}" for column in rule)


def _of(side: str, column: str) -> str:
    function, bracket, rest = column.rpartition("(")
    return f"{function}{bracket}{side}.{rest}"


def _frame(columns: Sequence[str], rows: Sequence[Row], invented: Iterable[Row]) -> pd.DataFrame:
    values: dict[str, list[str | None]] = {column: [] for column in columns}
    numbers: list[int] = []
    for first, step, some in ((0, 1, rows), (-1, -1, invented)):
        for number, row in enumerate(some):
            numbers.append(first + step * number)
            for column in columns:
                values[column].append(row.get(column) or None)
    frame = pd.DataFrame({"unique_id": numbers, **values}).convert_dtypes()
    frame["first_name_surname_concat"] = frame["first_name"] + " " + frame["surname"]
    return frame
