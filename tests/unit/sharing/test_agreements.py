"""Information sharing agreements are files that say what they allow, and are refused with the remedy when they are wrong."""

from datetime import date
from pathlib import Path

import pytest
import yaml

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


def test_every_agency_of_an_agreement_is_one_that_a_policy_knows() -> None:
    policies = sorted((Path(__file__).parents[3] / "services" / "allocation" / "policies").glob("*.yaml"))
    known = {
        agency
        for file in policies
        for agency in (yaml.safe_load(file.read_text(encoding="utf-8")).get("agencies") or {})
    }
    anybody = {"any-referrer", "any-lead"}
    unknown = {
        agreement.id: sorted(set(agreement.between) - known - anybody) for agreement in agreements().values()
    }
    assert not {name: agencies for name, agencies in unknown.items() if agencies}


def test_an_agreement_gives_nothing_to_who_is_no_party_to_it() -> None:
    day = date(2026, 6, 1)
    sussex, anybody = agreements()["sussex-2026"], agreements()["status-only"]
    assert sussex.covers("sussex-police", day)
    assert not sussex.covers("beacon", day)
    assert not sussex.covers("sussex-police", date(2025, 12, 31))
    assert anybody.covers("beacon", day)
