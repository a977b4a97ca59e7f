"""`bin/onefriend` sets up what it needs, and again when another version of the code needs more."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.place import CHECKOUT

MAKEFILE = ".venv/.local: requirements/local.txt\n\t@touch .venv/.local; echo installed >&2\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with nothing but the launcher, lists of packages, and a Python that ends at once."""
    checkout = tmp_path / "a checkout, with a space"
    for folder in ("bin", "requirements", ".venv/bin"):
        (checkout / folder).mkdir(parents=True)
    shutil.copy(CHECKOUT / "bin" / "onefriend", checkout / "bin")
    (checkout / "Makefile").write_text(MAKEFILE)
    for name in ("local", "develop"):
        listed(checkout, name, at=1_000)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return checkout


def listed(checkout: Path, name: str, at: int) -> None:
    path = checkout / "requirements" / f"{name}.txt"
    path.touch()
    os.utime(path, (at, at))


def stamped(checkout: Path, name: str, at: int) -> None:
    path = checkout / ".venv" / f".{name}"
    path.touch()
    os.utime(path, (at, at))


def installs(checkout: Path) -> bool:
    ran = subprocess.run(
        [checkout / "bin" / "onefriend"], capture_output=True, text=True, check=True, cwd="/"
    )
    return "installed" in ran.stderr


def test_what_is_missing_is_installed_once(checkout: Path) -> None:
    assert installs(checkout)
    assert not installs(checkout)


@pytest.mark.parametrize("name", ["local", "develop"])
def test_a_list_that_is_installed_is_not_installed_again_until_it_changes(checkout: Path, name: str) -> None:
    stamped(checkout, name, at=2_000)
    assert not installs(checkout)
    listed(checkout, name, at=3_000)
    listed(checkout, "local", at=3_000)
    assert installs(checkout)


def test_called_from_another_checkout_it_is_still_this_one(tmp_path: Path) -> None:
    other = tmp_path / "deploy" / "local"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('another checkout')")
    (other.parent / "__init__.py").touch()
    command: list[str | Path] = [CHECKOUT / "bin" / "onefriend", "token", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "another checkout" not in ran.stderr
