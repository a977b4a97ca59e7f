"""The load of `onefriend simulate`, and how it reads what came of it."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from deploy.local.elsewhere import Where
from deploy.local.measures import total
from deploy.local.processes import DidNotStart
from deploy.local.streams import Area, Arrival, Referrals
from services.intake.referral import Referral

AREAS = {"hertfordshire-constabulary": Area("E23000027", "41"), "sussex-police": Area("E23000033", "47")}


def arrivals(seed: int, count: int = 600) -> list[Arrival]:
    stream = Referrals(random.Random(seed), AREAS, rate=20, prefix="SIM")
    return [stream.next() for _ in range(count)]


def test_the_same_seed_is_the_same_load() -> None:
    assert arrivals(1, 50) == arrivals(1, 50)
    assert arrivals(1, 50) != arrivals(2, 50)


def test_it_arrives_at_the_rate_asked_for() -> None:
    found = arrivals(3)
    assert 16 < len(found) / sum(one.after for one in found) < 25


def test_it_is_a_load_that_intake_takes_except_for_the_impossible_postcodes() -> None:
    refused = Counter[bool]()
    for one in arrivals(4):
        bad = any(
            address["postcode"] == "NONE"
            for party in one.document["parties"]
            for address in party.get("addresses", [])
        )
        refused[bad] += 1
        if bad:
            with pytest.raises(ValueError, match="postcode"):
                Referral.model_validate_json(json.dumps(one.document))
        else:
            Referral.model_validate_json(json.dumps(one.document))
    assert 0 < refused[True] < 30


def test_agencies_refer_the_same_incident_and_send_new_versions() -> None:
    by_incident: dict[str, set[str]] = {}
    for one in arrivals(5):
        by_incident.setdefault(one.document["incident"]["reference"], set()).add(one.agency)
    assert sum(len(found) == 2 for found in by_incident.values()) > 50
    assert max(one.document["version"] for one in arrivals(5)) > 1


def test_a_counter_is_summed_over_its_labels() -> None:
    page = (
        '# TYPE a_total counter\na_total{reason="x"} 2.0\na_total{reason="y"} 3.0\na_total_more 9.0\nb 1.0\n'
    )
    assert total(page, "a_total") == 5.0
    assert total(page, "missing") == 0.0


def test_credentials_that_cannot_be_read_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEFRIEND_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(DidNotStart, match="ONEFRIEND_CREDENTIALS"):
        Where.from_environment()
