"""What intake does about the others' events: the state of referrals, and whose telephone must not ring for somebody else."""

from __future__ import annotations

from shared.runtime.handlers import Handlers

handlers = Handlers()
