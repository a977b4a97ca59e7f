from __future__ import annotations

from datetime import date

import pytest

from services.allocation.policy import WorkerNeed
from services.allocation.workforce import Facilitator, choose_named, distance_km

TODAY = date(2026, 3, 2)
NEED = WorkerNeed(roles=("facilitator", "victim_coordinator"), training="core", hours=4)


def worker(name: str, **given: object) -> Facilitator:
    return Facilitator(**{"id": name, "agency": "beacon", **given})  # type: ignore[arg-type]


def test_the_least_loaded_worker_is_named_and_the_others_load_is_told() -> None:
    chosen = choose_named(
        [worker("ann", used=10), worker("bob", used=4), worker("cy", used=12)], "beacon", NEED, TODAY
    )
    assert chosen.worker == "bob"
    assert "ann 50%" in chosen.why[0]


def test_load_is_a_share_of_each_worker_s_own_hours() -> None:
    half_time = worker("half", capacity=10, used=4)
    assert (
        choose_named([half_time, worker("full", capacity=40, used=8)], "beacon", NEED, TODAY).worker == "full"
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"absences": ((TODAY, TODAY),)}, "away"),
        ({"training": "none"}, "not trained"),
        ({"roles": ("liaison_officer",)}, "not in the role"),
        ({"active": False}, "no longer active"),
    ],
)
def test_who_may_not_make_the_first_contact_is_passed_over_with_the_reason(
    given: dict[str, object], reason: str
) -> None:
    chosen = choose_named([worker("idle", **given), worker("busy", used=15)], "beacon", NEED, TODAY)
    assert chosen.worker == "busy"
    assert any(reason in sentence for sentence in chosen.why)


def test_the_offender_s_own_caseworker_is_never_the_named_worker() -> None:
    need = WorkerNeed(roles=("facilitator",), not_workers=("own",))
    assert choose_named([worker("own"), worker("other", used=15)], "beacon", need, TODAY).worker == "other"


def test_a_seconded_worker_is_of_the_team_it_works_in_not_of_its_employer() -> None:
    seconded = worker("sam", employer="northumbria-crc")
    assert choose_named([seconded], "beacon", NEED, TODAY).worker == "sam"
    assert choose_named([seconded], "northumbria-crc", NEED, TODAY).reason == "nobody"


def test_a_speaker_of_the_person_s_language_comes_first_and_else_an_interpreter_is_needed() -> None:
    need = WorkerNeed(roles=("facilitator",), language="pl")
    speaker = worker("ewa", languages=("en", "pl"), used=16)
    assert choose_named([worker("ann"), speaker], "beacon", need, TODAY).worker == "ewa"
    alone = choose_named([worker("ann")], "beacon", need, TODAY)
    assert (alone.worker, alone.interpreter) == ("ann", True)


def test_full_is_told_apart_from_nobody() -> None:
    assert choose_named([worker("ann", used=18)], "beacon", NEED, TODAY).reason == "full"
    assert choose_named([], "beacon", NEED, TODAY).reason == "nobody"


def test_distances_are_of_the_national_grid() -> None:
    assert distance_km("BN1", "al1") == pytest.approx(101.6, abs=0.5)
    assert distance_km("BN1", "XX9") is None
