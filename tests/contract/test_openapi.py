"""Each service's OpenAPI document is valid, and says of every operation what it does and which scope it needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from openapi_spec_validator import validate

from services.intake.crypto import make_master_key
from tests.e2e.conftest import PARTS
from tests.support.running import settings

# Open to everybody, each with its reason where it is declared: links in messages, a person's own words, signed callbacks.
PUBLIC = ("/withdrawals/link/", "/subscriptions/link/", "/self-referrals", "/provider-callbacks/")


@cache
def document(service: str) -> dict[str, Any]:
    """Return a service's document; nothing is started. Making it takes a while: once for all tests."""
    build: Any
    kind: Any
    build, kind = PARTS[service]
    with TemporaryDirectory() as folder:
        key = Path(folder) / "master.key"
        make_master_key(key)
        more = {"intake": {"master_key_file": key}}.get(service, {})
        made = settings(kind, "postgresql://nobody@127.0.0.1:1/none", "127.0.0.1:1", "", **more)
        return dict(build(made).application().openapi())


def operations(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, one) for path, item in found["paths"].items() for method, one in item.items()]


@pytest.mark.parametrize("service", PARTS)
def test_the_document_is_valid(service: str) -> None:
    found = document(service)
    assert found["openapi"].startswith("3.1")
    validate(found)


@pytest.mark.parametrize("service", PARTS)
def test_every_operation_says_what_it_does_and_which_scope_it_needs(service: str) -> None:
    found = operations(document(service))
    assert len(found) > 10
    for method, path, one in found:
        assert len(one["summary"].split()) > 2, f"{method} {path}: {one['summary']!r}"
        assert "application/problem+json" in one["responses"]["default"]["content"]
        if not any(part in path for part in PUBLIC):
            assert one["security"], f"{method} {path} names no scope"


def test_a_scope_is_the_one_that_is_checked() -> None:
    paths = document("consent")["paths"]
    assert paths["/v1/permits"]["post"]["security"] == [{"token": ["contact"]}]
    assert paths["/v1/journal/{stream}/{key}"]["get"]["security"] == [
        {"token": ["internal"]},
        {"token": ["operator"]},
    ]


# Changes that need nothing beyond their path and headers.
WITHOUT_BODY = {
    "/v1/referrals/{referral}/retraction",
    "/v1/self-referrals/{number}",
    "/v1/self-referrals/{number}/{code}",
    "/v1/people/{person}/withdrawal-link",
}


def test_every_body_that_intake_reads_by_itself_is_described() -> None:
    for method, path, one in operations(document("intake")):
        if method in {"post", "put", "patch"} and path.startswith("/v1/") and path not in WITHOUT_BODY:
            if path.startswith(("/v1/clock", "/v1/quarantine", "/v1/outbox")):
                continue  # the runtime's own
            content = one["requestBody"]["content"]
            for media, described in content.items():
                assert described["schema"].get("type") in {"object", "string"}, f"{method} {path} {media}"


def test_a_described_body_stands_by_itself_and_names_its_fields() -> None:
    paths = document("intake")["paths"]
    body = paths["/v1/withdrawals"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"person", "case", "reference", "identifiers", "scope", "by"} <= body["properties"].keys()
    sent = paths["/v1/referrals"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in str(sent)
    assert sent["properties"]["parties"]["items"]["properties"]["date_of_birth"]
    lines = paths["/v1/referral-batches"]["post"]["requestBody"]["content"]
    assert set(lines) == {"application/x-ndjson", "text/csv"}


def test_the_headers_that_an_operation_needs_are_its_parameters() -> None:
    paths = document("intake")["paths"]
    for path, method, header in (
        ("/v1/withdrawals", "post", "Idempotency-Key"),
        ("/v1/people/{person}", "patch", "If-Match"),
        ("/v1/match-reviews/{review}/decision", "post", "If-Match"),
    ):
        (found,) = [one for one in paths[path][method]["parameters"] if one["in"] == "header"]
        assert (found["name"], found["required"], found["schema"]["type"]) == (header, True, "string")
