"""`onefriend policy check` and `diff`, which need nothing that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.agencies import POLICIES
from deploy.local.commands_policy import app

HERTFORDSHIRE = (POLICIES / "hertfordshire.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFRIEND_HOME", str(tmp_path / "home"))


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def changed(folder: Path, *pairs: tuple[str, str]) -> str:
    text = HERTFORDSHIRE
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after, 1)
    file = folder / "ours.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_what_ships_is_sound_and_a_mistake_is_told_with_its_line_and_remedy(tmp_path: Path) -> None:
    assert run("check") == (0, "16 partnerships and the national rules: no mistake found.\n")
    status, said = run("check", changed(tmp_path, ("agency: beacon\n", "agency: becon\n")))
    assert status == 1
    line = HERTFORDSHIRE[: HERTFORDSHIRE.index("agency: beacon\n")].count("\n") + 1
    assert said.startswith(f"hertfordshire.yaml:{line}: unknown agency 'becon'")
    assert "did you mean 'beacon'?" in said


def test_a_difference_is_told_rule_by_rule(tmp_path: Path) -> None:
    file = changed(
        tmp_path,
        ("team: Victim Services Team", "team: Another Team"),
        (
            "  - rule: community-remedy\n",
            """  - {rule: trial, when: {plea: [guilty]}, agency: bench-crc, because: x}
  - rule: community-remedy
""",
        ),
    )
    status, said = run("diff", file)
    assert status == 0
    assert "The version is still 1: raise it." in said
    assert "+ deliver/trial (added)" in said
    assert "now: if the plea is guilty: agency bench-crc, because x" in said
    assert "~ lead_harmed/" in said
    assert "team Another Team" in said
    assert "community-remedy" not in said
    assert run("diff", str(POLICIES / "hertfordshire.yaml"))[1].endswith("No rule differs.\n")


def test_a_file_that_is_no_policy_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "letter.yaml"
    file.write_text("dear: all\n")
    status, said = run("diff", str(file))
    assert status == 2
    assert "does not begin with" in said
