"""Every route declares who may call it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from services.dashboard import api as pages
from services.dashboard.api.common import SignedIn
from shared.runtime import operations
from shared.runtime.auth import Scope

ROUTERS = {
    "intake": "services.intake.api",
    "consent": "services.consent.api",
    "allocation": "services.allocation.api",
    "notifications": "services.notifications.api",
}


def dependencies(dependant: Dependant) -> Iterator[object]:
    """Return everything that a route depends on."""
    for inner in dependant.dependencies:
        yield inner.call
        yield from dependencies(inner)


def routers(module: object) -> list[APIRouter]:
    found = getattr(module, "routers", None) or [module.router]  # type: ignore[attr-defined]
    return list(found)


@pytest.mark.parametrize("service", ROUTERS)
def test_every_route_declares_its_scope_or_says_that_it_is_public(service: str) -> None:
    found = [*routers(importlib.import_module(ROUTERS[service])), operations.router]
    routes = [route for router in found for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 5
    for route in routes:
        calls = list(dependencies(route.dependant))
        declared = any(isinstance(call, Scope) or getattr(call, "public", False) for call in calls)
        assert declared, f"{service}: {sorted(route.methods or ())} {route.path} declares no scope"


def test_every_page_demands_somebody_signed_in_or_says_that_it_is_public() -> None:
    routes = [route for router in pages.routers for route in router.routes if isinstance(route, APIRoute)]
    public = set()
    for route in routes:
        calls = list(dependencies(route.dependant))
        if any(getattr(call, "public", False) for call in calls):
            public.add(route.path)
        else:
            assert any(isinstance(call, SignedIn) for call in calls), f"{route.path} is open to everybody"
    assert public == {"/sign-in", "/signed-in", "/signed-out"}
