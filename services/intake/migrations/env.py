"""Alembic's entry point: the same for every service."""

from shared.runtime.migrations import run

run()
