"""HTTP: what agencies, hubs, the public and the other services ask of intake."""

from __future__ import annotations

from typing import Final

from services.intake.api import (
    batches,
    holds,
    joins,
    people,
    referrals,
    releases,
    reviews,
    second_person,
    self_referrals,
    withdrawals,
)

routers: Final = (
    referrals.router,
    batches.router,
    batches.register,
    holds.router,
    releases.router,
    withdrawals.router,
    people.router,
    joins.router,
    second_person.router,
    reviews.router,
    self_referrals.router,
)
# Routes that read their body bit by bit and bound it themselves.
STREAMING: Final = ("/v1/referral-batches", "/v1/register-imports")
# The one route that every referral comes by.
DIRECT: Final = {("POST", "/v1/referrals"): referrals.post_directly}

__all__ = ["DIRECT", "STREAMING", "routers"]
