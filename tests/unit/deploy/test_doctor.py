"""What the numbers of a service mean."""

import os
from pathlib import Path

import psutil
import pytest
import typer

from deploy.local import commands_run, doctor, services
from deploy.local.doctor import _remedy, judged, measured
from deploy.local.place import Place

METRICS = """\
# HELP onefriend_outbox_unsent events committed and not yet told
# TYPE onefriend_outbox_unsent gauge
onefriend_outbox_unsent{service="intake"} 5.0
# HELP onefriend_consumer_lag events published and not yet applied
# TYPE onefriend_consumer_lag gauge
onefriend_consumer_lag{service="intake",topic="cases"} 700.0
onefriend_consumer_lag{service="intake",topic="consent"} 800.0
"""


def test_a_gauge_is_summed_over_its_labels() -> None:
    assert measured(METRICS)["onefriend_consumer_lag"] == 1500


def test_a_service_in_flow_is_good() -> None:
    (finding,) = judged("intake", {"onefriend_outbox_unsent": 5})
    assert (finding.verdict, finding.found) == ("good", "5 unsent, 0 behind, 0 parked")


@pytest.mark.parametrize(
    ("gauge", "value", "verdict", "remedy"),
    [
        ("onefriend_outbox_unsent", 5000, "warning", "broker"),
        ("onefriend_consumer_lag", 5000, "warning", "services.intake --only consumer"),
        ("onefriend_outbox_age_seconds", 100, "warning", "`onefriend stuck`"),
        ("onefriend_timers_failing", 1, "bad", "`onefriend logs intake"),
        ("onefriend_parked_keys", 1, "bad", "`onefriend stuck`"),
        ("onefriend_unreadable_records", 1, "warning", "`onefriend stuck`"),
    ],
)
def test_each_trouble_has_its_remedy(gauge: str, value: float, verdict: str, remedy: str) -> None:
    (finding,) = judged("intake", {gauge: value})
    assert finding.verdict == verdict
    assert remedy in finding.remedy


def test_a_service_that_runs_and_does_not_answer_may_have_to_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hangs is started again by itself, but only once it has answered: before, it may be starting."""
    monkeypatch.setattr(services, "running", lambda *_: [psutil.Process()])
    place = Place(tmp_path, tmp_path)
    assert f"kill -9 {os.getpid()}" in _remedy(place, "intake", "starting")
    assert "kill" not in _remedy(place, "intake", "waiting for database")


def test_an_address_in_a_remedy_is_never_cut_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "http://127.0.0.1:26813/v1/quarantine/ID/redrive?dry_run=true"

    async def examined(*_: object) -> list[doctor.Finding]:
        return [doctor.Finding("bad", "flow", "3", f"POST {address}")]

    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(doctor, "examine", examined)
    with pytest.raises(typer.Exit):
        commands_run.check_up()
    assert address in "".join(capsys.readouterr().out.split())
