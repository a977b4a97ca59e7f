"""Information sharing agreements are files that say what they allow, and are refused with the remedy when they are wrong."""

from datetime import date
from pathlib import Path

import pytest

from shared.contracts.sharing import BadAgreement, agreements, read

GOOD = """
id: x-2026
title: X
purpose: to try
legal_basis: none
between: [a, b]
since: 2026-01-01
until: 2026-12-31
referrer_feed: [case.allocated]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "x-2026.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_shipped_agreement_is_sound() -> None:
    assert {"hertfordshire-2026", "northumbria-2026", "sussex-2026", "status-only"} <= set(agreements())


def test_an_agreement_holds_between_its_days(tmp_path: Path) -> None:
    agreement = read(written(tmp_path, GOOD))
    assert [agreement.in_force(date(year, 7, 1)) for year in (2025, 2026, 2027)] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + "extra: 1\n", "extra"),
        (GOOD.replace("case.allocated", "case.alocated"), "case.alocated"),
        (GOOD.replace("[a, b]", "[a]"), "between"),
        (GOOD.replace("x-2026", "y-2026"), "id"),
        ("id: [\n", "line"),
        ("", "the file"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(BadAgreement, match=named) as wrong:
        read(written(tmp_path, text))
    assert "x-2026.yaml" in str(wrong.value)
