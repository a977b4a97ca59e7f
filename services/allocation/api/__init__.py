"""HTTP: what agencies, hubs, operators and commissioners ask of allocation."""

from fastapi import APIRouter

from services.allocation.api import (
    cases,
    checks,
    drafts,
    holding,
    measures,
    meeting_acceptance,
    meetings,
    moving,
    policies,
    registry,
)

routers: tuple[APIRouter, ...] = (
    cases.router,
    holding.router,
    moving.router,
    checks.router,
    registry.router,
    policies.router,
    drafts.router,
    meetings.router,
    meeting_acceptance.router,
    measures.router,
)
