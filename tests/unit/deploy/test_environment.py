"""Setting up on a machine that has no uv: any Python that will do, and again after an interruption."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.place import CHECKOUT

TOOLS = ("sh", "dirname", "rm", "mkdir", "cp", "chmod", "cat")
# As far as the script asks: whether it has pip and is new enough, a new environment, and pip's own work.
PYTHON = """#!/bin/sh
case "$*" in
-c*) exit 0 ;;
"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip"*) [ ! -e offline ] && cp uv .venv/bin/uv ;;
esac
"""
WITHOUT_PIP = """#!/bin/sh
case "$*" in *pip*) exit 1 ;; esac
"""
UV = """#!/bin/sh
echo "installed by uv"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with the script, beside a folder of the only programs that there are."""
    checkout, programs = tmp_path / "a checkout", tmp_path / "programs"
    (checkout / "deploy" / "local").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(CHECKOUT / "deploy" / "local" / "environment.sh", checkout / "deploy" / "local")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (programs / tool).symlink_to(found)
    executable(checkout / "uv", UV)
    return checkout


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        "sh",
        checkout / "deploy" / "local" / "environment.sh",
        "requirements/local.txt",
    ]
    environment = {"PATH": str(checkout.parent / "programs")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_python_without_pip_is_passed_over(checkout: Path) -> None:
    executable(checkout.parent / "programs" / "python3.13", WITHOUT_PIP)
    said = set_up(checkout)
    assert said.returncode == 1
    assert "Python 3.11 or later with pip; neither was found" in said.stderr
    executable(checkout.parent / "programs" / "python3.11", PYTHON)
    said = set_up(checkout)
    assert (said.returncode, "installed by uv" in said.stdout) == (0, True), said.stderr


def test_a_set_up_that_was_interrupted_before_it_had_uv_begins_again(checkout: Path) -> None:
    executable(checkout.parent / "programs" / "python3.11", PYTHON)
    (checkout / "offline").touch()
    assert set_up(checkout).returncode != 0
    assert (checkout / ".venv" / "bin" / "python").exists()
    (checkout / "offline").unlink()
    said = set_up(checkout)
    assert (said.returncode, "installed by uv" in said.stdout) == (0, True), said.stderr
