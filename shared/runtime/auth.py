"""Who is calling: OAuth2 bearer tokens (JWT), verified against the issuer's keys, and what their scopes allow.

"Not yours" and "does not exist" look the same: object-level checks answer 404, never 403.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from fastapi import Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from shared.contracts.envelope import Actor
from shared.runtime.errors import Unavailable
from shared.runtime.problems import Problem

LONGEST_SECONDS = 300
LEEWAY_SECONDS = 5
_CACHE = 10_000
_WORKER = re.compile(r".{1,100}")
_AGENCY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `kind` is agency, service or operator; `worker` is None for a system."""

    agency: str
    worker: str | None
    scopes: frozenset[str]
    kind: str
    expires: float

    @property
    def actor(self) -> Actor:
        """Return the caller as an event's actor."""
        return Actor(self.agency, self.worker)

    def may(self, scope: str) -> bool:
        """Say whether the caller has a scope."""
        return scope in self.scopes


@dataclass
class Verifier:
    """Verifies tokens of one issuer. Keys are fetched when first needed and when an unknown key id appears."""

    jwks_url: str
    issuer: str
    audience: str
    http: httpx.AsyncClient
    _keys: dict[str, Any] = field(default_factory=dict)
    _seen: dict[str, Caller] = field(default_factory=dict)
    _fetched: float = 0.0
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def verify(self, token: str) -> Caller:
        """Return the caller that a token names. Raises Problem 401 if it is not valid, Unavailable without keys."""
        known = self._seen.get(token)
        if known is not None and known.expires > time.time():
            return known
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid", ""))
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256", "EdDSA"],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "aud", "iss", "agency"]},
            )
        except jwt.PyJWTError as error:
            raise unauthorised(type(error).__name__) from None
        caller = _caller(claims)
        if len(self._seen) > _CACHE:
            self._seen.clear()
        self._seen[token] = caller
        return caller

    async def _key(self, kid: str) -> Any:  # noqa: ANN401 - a key object of PyJWT
        if kid not in self._keys:
            async with self._fetching:
                # An attacker's random key ids must not make us ask the issuer each time.
                if kid not in self._keys and time.monotonic() - self._fetched > 1:
                    await self._fetch()
        if kid not in self._keys:
            raise unauthorised("unknown key")
        return self._keys[kid]

    async def _fetch(self) -> None:
        try:
            answer = await self.http.get(self.jwks_url, timeout=5)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx.HTTPError, ValueError, AttributeError, jwt.PyJWTError) as error:
            raise Unavailable("the token issuer's keys cannot be read") from error
        self._keys = {key.key_id: key.key for key in keys if key.key_id}
        self._fetched = time.monotonic()


def _caller(claims: Mapping[str, Any]) -> Caller:
    """Return whom a genuine token names. Raises Problem 401 if its claims are not such as ours.

    They become part of keys, headers and the journal, whichever issuer a partnership has.
    """
    agency, worker, began, ends = (claims.get(name) for name in ("agency", "worker", "iat", "exp"))
    if not isinstance(began, int | float) or not isinstance(ends, int | float):
        raise unauthorised("iat and exp must be numbers")
    if ends - began > LONGEST_SECONDS:
        raise unauthorised("lives too long")
    if not isinstance(agency, str) or not _AGENCY.fullmatch(agency):
        raise unauthorised("agency is not an agency's id")
    if worker is not None and not (
        isinstance(worker, str) and _WORKER.fullmatch(worker) and worker.isprintable()
    ):
        raise unauthorised("worker is not a worker's id")
    return Caller(
        agency=agency,
        worker=worker,
        scopes=frozenset(str(claims.get("scope", "")).split()),
        kind=str(claims.get("kind", "agency")),
        expires=float(ends),
    )


def unauthorised(why: str) -> Problem:
    """Return the 401."""
    return Problem(
        401,
        "unauthorised",
        "A valid access token is needed.",
        detail=f"The token was refused: {why}. Ask the token endpoint for a new one.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


_TOKEN = HTTPBearer(
    bearerFormat="JWT",
    description="OAuth2 client credentials: a token of at most five minutes, with a scope named at the operation.",
)


class Scope(SecurityBase):
    """The dependency behind `scope`: a class, so that the OpenAPI document and a test can read what a route declares."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.model = _TOKEN
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> Caller:
        """Return the caller. Raises Problem 401 without a valid token, 403 without one of the scopes."""
        authorization = request.headers.get("authorization", "")
        if not authorization.lower().startswith("bearer "):
            raise unauthorised("none was sent")
        verifier: Verifier = request.app.state.service.verifier
        caller = await verifier.verify(authorization[7:].strip())
        if not any(caller.may(name) for name in self.names):
            wanted = " or ".join(self.names)
            raise Problem(
                403, "scope", "The token does not allow this.", detail=f"It needs the scope {wanted}."
            )
        request.state.caller = caller
        return caller


def scope(*names: str) -> Any:  # noqa: ANN401 - a FastAPI dependency, used as a parameter's default
    """Return the dependency that demands one of these scopes and gives the Caller."""
    return Security(Scope(names), scopes=names)


def public(why: str) -> Callable[[], Awaitable[None]]:
    """Return the dependency that declares a route open to everybody, and why."""

    async def nobody() -> None:  # async: FastAPI runs what is not in a thread
        return None

    nobody.__doc__ = why
    nobody.public = True  # type: ignore[attr-defined] # a mark that the test of all routes reads
    return nobody


@dataclass
class TokenSource:
    """A service's own tokens, by client credentials, renewed before they end."""

    token_url: str
    client_id: str
    client_secret: str
    http: httpx.AsyncClient
    _token: str = ""
    _until: float = 0.0
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def token(self) -> str:
        """Return a valid token. Raises Unavailable."""
        if time.monotonic() >= self._until:
            async with self._renewing:
                if time.monotonic() >= self._until:
                    await self._renew()
        return self._token

    async def _renew(self) -> None:
        try:
            answer = await self.http.post(
                self.token_url,
                data={"grant_type": "client_credentials"},
                auth=(self.client_id, self.client_secret),
                timeout=5,
            )
            answer.raise_for_status()
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable("the token issuer does not answer") from error
        self._token = body["access_token"]
        self._until = time.monotonic() + max(0, int(body.get("expires_in", 60)) - 30)
