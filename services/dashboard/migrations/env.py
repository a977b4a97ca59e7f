"""Alembic's entry point: the same in every service."""

from shared.runtime.migrations import run

run()
