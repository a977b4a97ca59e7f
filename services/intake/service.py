"""Intake, put together."""

from __future__ import annotations

import json

from services.intake import api, matching, restoring
from services.intake.core import CASE_FILE, PERSON, Intake
from services.intake.handlers import handlers
from services.intake.matcher import match_loop
from services.intake.rehearsal import rehearse
from services.intake.releasing import tell_loop
from services.intake.selfreferring import self_referral_loop
from services.intake.settings import Settings
from services.intake.withdrawing import withdraw_loop


def build(settings: Settings) -> Intake:
    """Return the service. Raises BadMasterKey: without its keys intake does not start."""
    if settings.identity_weights and settings.identity_weights.exists():
        matching.use(matching.build(json.loads(settings.identity_weights.read_text("utf-8"))))
    return Intake(
        name="intake",
        settings=settings,
        master_key_file=settings.master_key_file,
        streams=[PERSON, CASE_FILE],
        consumes=["consent", "cases", "agencies"],
        handlers=handlers,
        routers=api.routers,
        loops=[match_loop, tell_loop, withdraw_loop, self_referral_loop, restoring.keep_erased],
        streaming=api.STREAMING,
        direct=api.DIRECT,
        restored=restoring.erase_again,
        rehearsal=rehearse,
    )
