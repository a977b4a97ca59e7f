"""A token issuer for one machine: OAuth2 client credentials, people signing in, and the keys that services verify with.

    POST /token                                  grant_type=client_credentials, HTTP Basic (or client_id and client_secret
                                                 in the form), scope (a subset, optional), worker (agencies, optional)
    GET  /.well-known/jwks.json
    GET  /.well-known/openid-configuration
    /authorize, /revoke                          people signing in at the dashboard: see signing_in.py

For development and single-machine use; at scale the partnership's own identity provider issues tokens with these claims:
iss, aud "onefriend", sub, agency, kind (agency, service, operator), worker, scope, iat, exp, jti.
"""

import base64
import binascii
import hashlib
import json
import re
import time
import uuid
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.local import signing_in
from deploy.local.clients import Client, Clients
from deploy.local.place import Place, write_private
from deploy.local.signing_in import SignedIn
from deploy.local.workers import KINDS, Worker, Workers

ISSUER = "onefriend"
AUDIENCE = "onefriend"
LIFETIME = 300  # seconds: the longest that services accept
WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Refused(Exception):
    """A token request that is refused, with the error code of RFC 6749 and what would be right."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.status = status


class Issuer:
    """The signing key of one place and the tokens made with it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clients = Clients(place)
        self.signed_in = SignedIn(Workers(place))
        self._key = _signing_key(place)
        numbers = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        thumb = json.dumps({name: numbers[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
        self._kid = _unpadded(hashlib.sha256(thumb.encode()).digest())  # RFC 7638
        self.jwks = {"keys": [numbers | {"kid": self._kid, "alg": "ES256", "use": "sig"}]}

    def token(self, client: Client, *, scope: str = "", worker: str | None = None) -> str:
        """A token for a client.

        Args:
            client: who it names.
            scope: space separated, a subset of what the client may have; all of it if empty.
            worker: of an agency, who acts.

        Raises:
            Refused: for a scope that the client does not have, or a worker that cannot be.
        """
        wanted = tuple(scope.split()) or client.scopes
        beyond = sorted(set(wanted) - set(client.scopes))
        if beyond:
            raise Refused(
                "invalid_scope",
                f"{client.id} has no scope {' '.join(beyond)}; it has {' '.join(client.scopes)}",
            )
        more = {}
        if worker is not None:
            if client.kind == "service" or not WORKER.fullmatch(worker):
                raise Refused(
                    "invalid_request",
                    "worker: at most 64 letters, digits and ._@-, as in anna.hill, of an agency or operator",
                )
            more["worker"] = worker
        return self._sign(client.id, client.id, client.kind, wanted, **more)

    def worker_token(self, worker: Worker) -> str:
        """A token for a worker who has signed in.

        Raises:
            Refused: if the worker's agency has no access any more.
        """
        client = self.clients.all().get(worker.agency)
        if client is None or client.revoked:
            raise Refused("invalid_grant", "the worker's agency has no access")
        return self._sign(worker.id, worker.agency, KINDS[worker.role], worker.scopes, worker=worker.id)

    def _sign(self, subject: str, agency: str, kind: str, scopes: tuple[str, ...], **more: str) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "agency": agency,
            "kind": kind,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + LIFETIME,
            "jti": str(uuid.uuid4()),
            **more,
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._kid})


def _signing_key(place: Place) -> ec.EllipticCurvePrivateKey:
    path = place.home / "issuer" / "signing-key.pem"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with place.lock("signing-key"):
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            pem = made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(path, pem.decode())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic curve key: remove it, and `onefriend up` makes another")
    return key


def _unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


# -------------------------------------------------------------------------------------------------- HTTP
def application(place: Place) -> Starlette:
    """The issuer as an ASGI application."""
    issuer = Issuer(place)

    async def token(request: Request) -> JSONResponse:
        try:
            return await _answer(issuer, request)
        except Refused as refused:
            challenge = {"WWW-Authenticate": 'Basic realm="onefriend"'} if refused.status == 401 else {}  # noqa: PLR2004 - HTTP
            body = {"error": refused.code, "error_description": str(refused)}
            return JSONResponse(body, refused.status, challenge | {"Cache-Control": "no-store"})

    async def jwks(_: Request) -> JSONResponse:
        return JSONResponse(issuer.jwks)

    async def discovery(request: Request) -> JSONResponse:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": ISSUER,
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/.well-known/jwks.json",
                "authorization_endpoint": f"{base}/authorize",
                "revocation_endpoint": f"{base}/revoke",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            }
        )

    async def authorize(request: Request) -> Response:
        return await _authorize(issuer, request)

    async def revoke(request: Request) -> Response:
        issuer.signed_in.revoke((await _form(request)).get("token", ""))
        return PlainTextResponse("")

    async def ready(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[
            Route("/token", token, methods=["POST"]),
            Route("/authorize", authorize, methods=["GET", "POST"]),
            Route("/revoke", revoke, methods=["POST"]),
            Route("/.well-known/jwks.json", jwks),
            Route("/.well-known/openid-configuration", discovery),
            Route("/readyz", ready),
        ]
    )


async def _form(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


async def _authorize(issuer: Issuer, request: Request) -> Response:
    fields = dict(request.query_params) if request.method == "GET" else await _form(request)
    asked = signing_in.read(fields, issuer.place.ports()["dashboard"])
    if isinstance(asked, str):
        return signing_in.refused(asked)
    if request.method == "GET":
        return signing_in.form(asked)
    worker = issuer.signed_in.workers.authenticate(fields.get("name", "").strip(), fields.get("password", ""))
    return (
        signing_in.back(asked, issuer.signed_in.code(asked, worker))
        if worker
        else signing_in.form(asked, wrong=True)
    )


async def _answer(issuer: Issuer, request: Request) -> JSONResponse:
    fields = await _form(request)
    client_id, secret = _credentials(request, fields)
    client = issuer.clients.authenticate(client_id, secret)
    grant = fields.get("grant_type")
    if grant not in {"client_credentials", "authorization_code", "refresh_token"}:
        raise Refused("unsupported_grant_type", "send grant_type=client_credentials as a form field")
    if client is None:
        raise Refused(
            "invalid_client", "the client id or its secret is wrong, or its access was revoked", 401
        )
    body: dict[str, Any] = {"token_type": "Bearer", "expires_in": LIFETIME}
    if grant == "client_credentials":
        made = issuer.token(client, scope=fields.get("scope", ""), worker=fields.get("worker") or None)
        body |= {"access_token": made, "scope": fields.get("scope") or " ".join(client.scopes)}
    else:
        body |= _of_worker(issuer, client, fields)
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _of_worker(issuer: Issuer, client: Client, fields: dict[str, str]) -> dict[str, str]:
    """What a dashboard gets for a code, or for a session that goes on."""
    refresh = fields.get("refresh_token", "")
    if fields["grant_type"] == "refresh_token":
        worker = issuer.signed_in.refresh(refresh) if client.id == "dashboard" else None
    else:
        found = issuer.signed_in.redeem(
            client.id, fields.get("code", ""), fields.get("redirect_uri", ""), fields.get("code_verifier", "")
        )
        worker, refresh = found or (None, "")
    if worker is None:
        raise Refused("invalid_grant", "the code or the session is over: sign in again")
    return {
        "access_token": issuer.worker_token(worker),
        "refresh_token": refresh,
        "scope": " ".join(worker.scopes),
    }


def _credentials(request: Request, fields: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return fields.get("client_id", ""), fields.get("client_secret", "")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_client", "the Basic credentials are not base64 of id:secret", 401) from None
    client_id, _, secret = decoded.partition(":")
    return unquote(client_id), unquote(secret)
