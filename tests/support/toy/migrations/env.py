"""Alembic's environment."""

from shared.runtime.migrations import run

run()
