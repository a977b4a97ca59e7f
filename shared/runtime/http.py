"""HTTP, once for all services: body limits, security headers, traces, ETags, pages, the API's own pages without a CDN."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Header, Request
from fastapi import HTTPException as Refusal
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY, generate_latest
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from swagger_ui_bundle import swagger_ui_path

from shared.runtime import crash
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.health import measure, readiness
from shared.runtime.openapi import describe
from shared.runtime.problems import (
    FieldError,
    Problem,
    invalid,
    on_fault,
    on_http,
    on_problem,
    on_unavailable,
    on_validation,
)
from shared.runtime.telemetry import METRICS, span

log = logging.getLogger(__name__)
Endpoint = Callable[[Request], Awaitable[Response]]

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"strict-transport-security", b"max-age=31536000"),
]
_QUIET = {"/livez", "/readyz", "/metrics"}


class TooLarge(Refusal):
    """More bytes arrived than the route takes. Of a kind that FastAPI lets through where it reads the body itself."""

    def __init__(self, limit: int) -> None:
        super().__init__(413)
        self.limit = limit


class Edge:
    """The outermost layer: limits, headers, a span and a measure for each request. Plain ASGI: it is on every path."""

    def __init__(self, app: ASGIApp, *, limit: int, streaming: frozenset[str] = frozenset()) -> None:
        """`limit` is in bytes; routes in `streaming` read their body bit by bit and bound it themselves."""
        self._app = app
        self._limit = limit
        self._streaming = streaming

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        path = scope["path"]
        limit = None if path in self._streaming else self._limit
        status = 500
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if limit is not None and read > limit:
                raise TooLarge(limit)
            return message

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                if crash.ARMED:
                    crash.reach("before_answer", getattr(scope.get("route"), "path", "other"))
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(h for h in SECURITY_HEADERS if h[0] not in present),
                ]
            await send(message)

        refusal = _unread(scope, headers, limit)
        if refusal is not None:
            await refusal.response()(scope, receive, dressed)
            return
        began = time.perf_counter()
        parent = headers.get(b"traceparent", b"").decode("latin-1") or None
        try:
            if path in _QUIET:
                await self._app(scope, counted, dressed)
            else:
                with span(scope["method"], parent, SpanKind.SERVER) as current:
                    try:
                        await self._app(scope, counted, dressed)
                    finally:
                        # The route and not the path: that may be anything, also a name, and there are few routes.
                        current.update_name(
                            f"{scope['method']} {getattr(scope.get('route'), 'path', 'other')}"
                        )
        except TooLarge as error:
            await _too_large(error.limit).response()(scope, receive, dressed)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            METRICS.requests.record(time.perf_counter() - began, {"route": route, "status": str(status)})


async def on_too_large(_: Request, error: Exception) -> Response:
    """Answer a body whose size was not declared, once it is too large."""
    assert isinstance(error, TooLarge)  # noqa: S101 - registered for this class only
    return _too_large(error.limit).response()


async def on_away(request: Request, error: Exception) -> Response:
    """Answer a route that reads without a transaction, when the database or the way to it is gone: to be tried again."""
    log.warning("what a route reads does not answer", extra={"error": type(error).__name__})
    return await on_unavailable(request, Unavailable("the database does not answer"))


class Application(FastAPI):
    """FastAPI, but for a few routes that are on the way of every event: these are answered directly.

    Two thirds of a small request are what the framework does around the endpoint. A direct route is the same function behind
    the same edge, with the same problems; FastAPI knows it too, for its documentation.
    """

    def directly(
        self, method: str, path: str, endpoint: Endpoint, edge: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        """Answer a route by calling `endpoint` with the request."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            try:
                response = await endpoint(request)
            except Problem as problem:
                response = problem.response()
            except (ValidationError, RequestValidationError) as error:
                response = await on_validation(request, error)
            except Unavailable as error:
                response = await on_unavailable(request, error)
            except INFRASTRUCTURE as error:
                response = await on_away(request, error)
            except TooLarge:
                raise
            except Exception as error:
                log.exception("request failed", extra={"route": path, "error": type(error).__name__})
                response = await on_fault(request, error)
            await response(scope, receive, send)

        self._direct[method, path] = edge(answer)
        self._paths[path] = SimpleNamespace(path=path)

    @cached_property
    def _direct(self) -> dict[tuple[str, str], ASGIApp]:
        return {}

    @cached_property
    def _paths(self) -> dict[str, SimpleNamespace]:
        return {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        direct = self._direct.get((scope.get("method", ""), scope.get("path", "")))
        if direct is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"], scope["route"] = self, self._paths[scope["path"]]
        await direct(scope, receive, send)


def _too_large(limit: int) -> Problem:
    remedy = f"Send at most {limit} bytes; use a batch endpoint for many referrals."
    return Problem(
        413, "too-large", "The body is too large.", errors=[FieldError("body", "too large", remedy)]
    )


def _unread(scope: Scope, headers: Mapping[bytes, bytes], limit: int | None) -> Problem | None:
    """Return why a request is refused by what stands before its body; None if it is not."""
    try:
        declared = int(headers.get(b"content-length", b"0"))
    except ValueError:
        declared = 0
    if limit is not None and declared > limit:
        return _too_large(limit)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return _compressed()
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        return _with_nul()
    return None


def _compressed() -> Problem:
    """Return the refusal of a compressed body: what is read here is bounded, and what comes out of one is not."""
    field = FieldError("Content-Encoding", "the body is compressed", "Send it as it is, without this header.")
    headers = {"Accept-Encoding": "identity"}
    return Problem(415, "content-encoding", "A body is not compressed.", errors=[field], headers=headers)


def _with_nul() -> Problem:
    """Return the refusal of a character that no name of anything contains, and that PostgreSQL cannot compare with."""
    field = FieldError("path or query", "holds a NUL character", "Send it without %00.")
    return Problem(400, "bad-request", "The address cannot be understood.", errors=[field])


def application(
    title: str,
    version: str,
    service: Any,  # noqa: ANN401 - the Service, whose module imports this one
    *,
    limit: int,
    streaming: Sequence[str] = (),
    direct: Mapping[tuple[str, str], Endpoint] | None = None,
) -> FastAPI:
    """Return a FastAPI application with the edge, the problems and the API's own pages (offline).

    `direct`: (method, path) -> what answers it without FastAPI (see Application).
    """
    edge = partial(Edge, limit=limit, streaming=frozenset(streaming))
    app = Application(
        title=f"Onefriend {title}",
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        # A client that follows a redirect sends its body again, and behind a proxy to an address without TLS.
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
        },  # the edge does it
    )
    app.state.service = service
    for (method, path), endpoint in (direct or {}).items():
        app.directly(method, path, endpoint, edge)
    describe(app)
    app.add_middleware(edge)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(ValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(TooLarge, on_too_large)
    app.add_exception_handler(Unavailable, on_unavailable)
    for kind in INFRASTRUCTURE:
        app.add_exception_handler(kind, on_away)
    app.add_exception_handler(Exception, on_fault)
    app.mount("/docs/assets", StaticFiles(directory=swagger_ui_path), name="docs-assets")

    @app.get("/docs", include_in_schema=False, dependencies=[])
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"Onefriend {title}",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon-32x32.png",
        )
        page.headers["content-security-policy"] = (
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
        )
        return page

    @app.get("/livez", include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        report = await readiness(service)
        return Response(
            msgspec.json.encode(report), 200 if report["ready"] else 503, media_type="application/json"
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> PlainTextResponse:
        await measure(service)
        return PlainTextResponse(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")

    return app


# --- ETags


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


def required_version(request: Request) -> int:
    """Return the version in If-Match. Raises Problem 428 without one, 400 if it is not one of our ETags."""
    value = request.headers.get("if-match")
    if value is None:
        raise Problem(
            428, "if-match", "Send If-Match with the ETag that you read.", detail="Read the resource first."
        )
    try:
        return int(value.strip().removeprefix("W/").strip('"'))
    except ValueError:
        field = FieldError("If-Match", "not an ETag of this resource", 'Send it as you read it, e.g. "7".')
        raise Problem(400, "if-match", "If-Match is malformed.", errors=[field]) from None


async def if_match(  # async: FastAPI runs what is not in a thread
    request: Request,
    _: Annotated[str | None, Header(alias="If-Match")] = None,  # for the OpenAPI document
) -> int:
    """Return the same, as a dependency that the OpenAPI document shows."""
    return required_version(request)


def check_version(wanted: int, current: int) -> None:
    """Raise Problem 412 if the resource has moved on."""
    if wanted != current:
        title = "Somebody else changed this first."
        raise Problem(
            412, "changed", title, detail="Read it again, and decide again.", headers={"ETag": etag(current)}
        )


# --- pages


def encode_cursor(*parts: str | int) -> str:
    """Return an opaque cursor of a keyset."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type) -> list[Any] | None:
    """Return the parts of a cursor, None without one; a time was encoded as text. Raises Problem 422."""
    if not cursor:
        return None
    try:
        parts = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[Any]
        )
        return [_part(part, kind) for part, kind in zip(parts, types, strict=True)]
    except (ValueError, OverflowError, binascii.Error, msgspec.DecodeError):
        remedy = "Leave it out to begin anew."
        raise invalid([FieldError("cursor", "not a cursor of this list", remedy)]) from None


def _part(part: object, kind: type) -> Any:  # noqa: ANN401 - of this kind
    """Return a part of a cursor. Raises ValueError, OverflowError for what the database would not take."""
    if kind is datetime and isinstance(part, str):
        at = datetime.fromisoformat(part)
        if at.tzinfo is None:
            raise ValueError(part)
        return at.astimezone(UTC)
    if type(part) is not kind or (isinstance(part, str) and "\0" in part):
        raise ValueError(part)
    if isinstance(part, int):
        part.to_bytes(8, signed=True)
    return part
