"""Tokens as an issuer of any make may send them: what they claim is checked, and an issuer in trouble is not their fault."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import jwt
import pytest
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.runtime.auth import Verifier
from shared.runtime.errors import Unavailable
from shared.runtime.problems import Problem
from tests.support.tokens import KEY, KEY_ID


def verifier(content: str | None = None, status: int = 200) -> Verifier:
    """Return a verifier whose issuer answers with the tests' key, or with something else."""
    own = json.loads(ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": KEY_ID}
    answered = json.dumps({"keys": [own]}) if content is None else content

    async def keys(_: Request) -> Response:
        return Response(answered, status)

    http = httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=[Route("/keys", keys)])))
    return Verifier("http://issuer/keys", "onefriend", "onefriend", http)


def signed(**claims: Any) -> str:
    """Return a genuine token with other claims."""
    now = int(time.time())
    usual = {"iss": "onefriend", "aud": "onefriend", "agency": "beacon", "iat": now, "exp": now + 200}
    return jwt.encode(usual | claims, KEY, algorithm="ES256", headers={"kid": KEY_ID})


@pytest.mark.parametrize(
    "claims",
    [
        {"agency": ""},
        {"agency": ["beacon"]},
        {"agency": "beacon/olive"},
        {"agency": "bea\0con"},
        {"agency": "b" * 101},
        {"worker": {"name": "olive"}},
        {"worker": "olive\r\nX-Other: 1"},
        {"worker": ""},
        {"exp": str(int(time.time()) + 100)},
    ],
)
async def test_what_can_be_no_id_is_no_caller(claims: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refused:
        await verifier().verify(signed(**claims))
    assert refused.value.status == 401


@pytest.mark.parametrize("worker", [None, "anna.hill", "zoë@herts.example", "auth0|17/b"])
async def test_a_worker_is_named_as_the_issuer_names_people(worker: str | None) -> None:
    caller = await verifier().verify(signed(worker=worker))
    assert (caller.agency, caller.worker) == ("beacon", worker)


@pytest.mark.parametrize(
    ("content", "status"),
    [("<html>maintenance</html>", 200), ('{"keys": []}', 200), ("[]", 200), ("{}", 500)],
)
async def test_keys_that_cannot_be_read_mean_later_and_not_no(content: str, status: int) -> None:
    with pytest.raises(Unavailable):
        await verifier(content, status).verify(signed())
