"""A service run by itself, by somebody who has not set it up."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["intake", "consent", "allocation", "notifications", "dashboard"])
def test_a_missing_setting_is_named_and_its_help_needs_none(service: str) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ONEFRIEND_")}
    command = [sys.executable, "-m", f"services.{service}"]
    helped = subprocess.run([*command, "--help"], env=bare, capture_output=True, text=True, check=False)
    assert helped.returncode == 0
    assert f"python -m services.{service}" in helped.stdout
    odd = {**bare, "ONEFRIEND_PARTITIONS": "s3cret"}
    started = subprocess.run(command, env=odd, capture_output=True, text=True, check=False)
    assert started.returncode == 2
    assert "ONEFRIEND_DATABASE_URL: Field required" in started.stderr
    assert "ONEFRIEND_PARTITIONS: Input should be a valid integer" in started.stderr
    assert "s3cret" not in started.stderr
    assert "Traceback" not in started.stderr


def test_a_crash_leaves_no_copy_of_memory_on_disk() -> None:
    code = """
import resource, contextlib
from services.intake.settings import Settings
from shared.runtime.service import main
with contextlib.suppress(SystemExit):
    main(None, Settings, ['--help'])
print(resource.getrlimit(resource.RLIMIT_CORE))
"""
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.endswith("(0, 0)\n")
