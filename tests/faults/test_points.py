"""Points at which a process dies: where it is armed it does, and what is covered is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.faults.dying import WEEK
from tests.faults.points import Coverage
from tests.faults.tally import Result

ID = "01a1fe93-d98c-7107-a605-bdea27a55b7d"
PASSES = f"""
from shared.runtime import crash
crash.reach("before_commit", "arrive")
crash.reach("after_commit", "POST /v1/permits/{ID}/redemption")
crash.reach("before_answer", "/v1/permits")
"""


def _run(tmp_path: Path, armed: str) -> tuple[int, list[str]]:
    log = tmp_path / "points"
    environment = {**os.environ, "ONEFRIEND_CRASH_AT": armed, "ONEFRIEND_CRASH_LOG": str(log)}
    done = subprocess.run([sys.executable, "-c", PASSES], env=environment, check=False)
    return done.returncode, log.read_text().splitlines()


def test_a_process_dies_at_the_first_of_its_points_that_it_passes_and_ids_make_no_points(
    tmp_path: Path,
) -> None:
    status, lines = _run(
        tmp_path, "before_answer:/v1/permits|after_commit:POST /v1/permits/{id}/redemption|x:y"
    )
    assert status == -signal.SIGKILL
    assert lines == [
        "before_commit:arrive",
        "after_commit:POST /v1/permits/{id}/redemption",
        "died after_commit:POST /v1/permits/{id}/redemption",
    ]


def test_a_process_that_is_armed_elsewhere_lives(tmp_path: Path) -> None:
    status, lines = _run(tmp_path, "before_commit:arrive#2|before_call:consent GET permits")
    assert status == 0
    assert len(lines) == 3


def test_what_was_passed_is_left_until_somebody_died_at_it(tmp_path: Path) -> None:
    coverage = Coverage()
    nobody: dict[str, list[str]] = {"consent": [], "allocation": [], "notifications": []}
    result = asdict(Result("nothing"))
    coverage.add(
        {"passed": {"intake": ["a", "b"], **nobody}, "died": {"intake": [], **nobody}, "result": result}
    )
    assert coverage.left()["intake"] == ["a", "b"]
    fresh = coverage.add(
        {"passed": {"intake": ["a"], **nobody}, "died": {"intake": ["a", "a"], **nobody}, "result": result}
    )
    assert fresh == ["intake a"]
    assert coverage.counts() == (1, 2)
    coverage.write(tmp_path / "kept.json")
    assert Coverage.read(tmp_path / "kept.json") == coverage


def test_a_service_is_armed_at_what_it_declares_and_has_not_passed_and_that_counts_for_nothing_yet() -> None:
    coverage = Coverage()
    coverage.every["intake"] = ["before_commit:a.v1"]
    declares = {"before_commit:a.v1", "before_answer:/v1/b"}
    assert coverage.hoped("intake", declares) == ["after_commit:a.v1", "before_answer:/v1/b"]
    assert coverage.counts() == (0, 1)
    # A route of a router within a router goes by its path without the outer one's.
    coverage.every["intake"] = ["before_answer:/b"]
    assert coverage.unpassed({"intake": {"before_answer:/v1/b"}}) == {"intake": set()}


def test_weeks_come_once_common_points_are_done_and_alone_where_only_they_pass_what_is_left() -> None:
    coverage = Coverage()
    coverage.every["intake"] = ["a", "b", "c", "d", "e"]
    coverage.died["intake"] = dict.fromkeys("abc", 1)
    assert [coverage.days(number) for number in (1, 2)] == [False, False]
    coverage.died["intake"]["d"] = 1
    assert [coverage.days(number) for number in (1, 2)] == [True, False]
    coverage.died["intake"]["e"] = 1
    assert [coverage.days(number) for number in (1, 2)] == [True, True]
    nobody: dict[str, list[str]] = {"consent": [], "allocation": [], "notifications": []}
    passed = {"passed": {"intake": ["a", "f"], **nobody}, "died": {"intake": [], **nobody}}
    coverage.add({**passed, "result": asdict(Result(WEEK))})
    assert coverage.weekly["intake"] == ["f"]
    assert [coverage.days(number) for number in (1, 2)] == [True, True]
    coverage.add({**passed, "result": asdict(Result("nothing"))})
    assert coverage.weekly["intake"] == []
    assert [coverage.days(number) for number in (1, 2)] == [True, False]
