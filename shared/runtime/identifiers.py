"""Ids: UUIDv7, so that they sort by time and keep indexes dense, and never come from a counter in memory."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """Return a new UUIDv7 as text."""
    return str(uuid_utils.uuid7())
