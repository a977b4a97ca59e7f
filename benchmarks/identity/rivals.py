"""What Onefriend's matcher is measured against, on the same streams: an exact rule, a police-style one, Splink's model."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.identity.data import Labelled
from benchmarks.identity.stream import Best

_SOUNDEX = {
    letter: digit
    for digit, letters in enumerate(("bfpv", "cgjkqsxz", "dt", "l", "mn", "r"), 1)
    for letter in letters
}


def soundex(name: str) -> str:
    """The phonetic code of police and census systems: smith and smyth are S530."""
    if not name:
        return ""
    code, last = name[0], _SOUNDEX.get(name[0])
    for letter in name[1:]:
        digit = _SOUNDEX.get(letter)
        if digit and digit != last:
            code += str(digit)
        if letter not in "hw":
            last = digit
    return (code + "000")[:4]


class Rules:
    """A matcher that joins whoever shares one of a record's keys, the latest first: it knows no score and no doubt."""

    def __init__(self, keys: Sequence[list[tuple[str, ...]]]) -> None:
        self._keys = keys

    def begin(self) -> None:
        """An empty store."""
        self._index: dict[tuple[str, ...], int] = {}

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""
        for key in self._keys[record]:
            if key in self._index:
                return Best(self._index[key], 0.0)
        return None

    def add(self, record: int) -> None:
        """Store it."""
        for key in self._keys[record]:
            self._index[key] = record


def exact(labelled: Sequence[Labelled]) -> Rules:
    """First name, surname and birth date equal."""
    keys = []
    for one in labelled:
        name = (one.raw["first_name"], one.raw["surname"], one.raw["dob"])
        keys.append([name] if all(name) else [])
    return Rules(keys)


def police_style(labelled: Sequence[Labelled]) -> Rules:
    """Surname as heard and birth date; or surname, initial and postcode."""
    keys = []
    for one in labelled:
        surname, initial = one.raw["surname"], one.raw["first_name"][:1]
        born, postcode = one.raw["dob"], one.raw.get("postcode", "")
        found: list[tuple[str, ...]] = []
        if surname and born:
            found.append((soundex(surname), born))
        if surname and initial and postcode:
            found.append((surname, initial, postcode))
        keys.append(found)
    return Rules(keys)


class Pairs:
    """A matcher whose scores were computed beforehand, as Splink does: bits for each pair that its blocking found."""

    def __init__(self, bits: dict[tuple[int, int], float]) -> None:
        self._near: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for (one, other), score in bits.items():
            self._near[one].append((score, other))
            self._near[other].append((score, one))

    def begin(self) -> None:
        """An empty store."""
        self._stored: set[int] = set()

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""
        found = [pair for pair in self._near.get(record, ()) if pair[1] in self._stored]
        return Best(max(found)[1], max(found)[0]) if found else None

    def add(self, record: int) -> None:
        """Store it."""
        self._stored.add(record)


def splink(labelled: Sequence[Labelled]) -> dict[tuple[int, int], float]:
    """Splink's own model, trained as its documentation shows: u from random pairs, m by expectation maximisation."""
    import duckdb  # noqa: PLC0415 - only in the identity environment
    import pandas as pd  # noqa: PLC0415 - slow to import, and wanted by few runs
    import splink.comparison_library as cl  # noqa: PLC0415 - slow to import, and wanted by few runs
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on  # noqa: PLC0415 - slow to import, and wanted by few runs

    columns = ("first_name", "surname", "dob", "postcode", "gender")
    frame = pd.DataFrame(
        [
            {"unique_id": index, **{name: one.raw[name] or None for name in columns}}
            for index, one in enumerate(labelled)
        ]
    )
    frame["first_name_surname_concat"] = frame["first_name"] + " " + frame["surname"]
    rules = [
        block_on("first_name", "surname"),
        block_on("surname", "dob"),
        block_on("first_name", "dob"),
        block_on("postcode", "first_name"),
        block_on("postcode", "surname"),
        block_on("dob", "substr(postcode, 1, 2)"),
        block_on("postcode", "substr(dob, 1, 4)"),
        block_on("surname", "substr(first_name, 1, 2)"),
        block_on("substr(surname, 1, 4)", "substr(dob, 1, 4)"),
        block_on("surname"),
        block_on("postcode"),
        block_on("dob"),
    ]
    settings: Any = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=rules,
        comparisons=[
            cl.ForenameSurnameComparison(
                "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
            ),
            # Not its comparison of birth dates, which takes a mistyped day (1858-10-81) for a missing one.
            cl.DamerauLevenshteinAtThresholds("dob", [1, 2]).configure(term_frequency_adjustments=True),
            cl.PostcodeComparison("postcode").configure(term_frequency_adjustments=True),
            cl.ExactMatch("gender"),
        ],
        retain_matching_columns=False,
    )
    api = DuckDBAPI(duckdb.connect())
    linker = Linker(api.register(frame), settings, log_level=40)
    deterministic = [block_on("first_name", "surname", "dob"), block_on("first_name", "dob", "postcode")]
    linker.training.estimate_probability_two_random_records_match(deterministic, recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=3e6, seed=1)
    for rule in (block_on("first_name", "surname"), block_on("dob"), block_on("postcode")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    table = linker.inference.predict(threshold_match_weight=-10).as_pandas_dataframe()
    return {
        (int(one), int(other)): float(bits)
        for one, other, bits in zip(
            table["unique_id_l"], table["unique_id_r"], table["match_weight"], strict=True
        )
    }
