"""What a service's OpenAPI document says beyond what FastAPI reads from its routes: scopes, summaries, problems."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from shared.runtime.idempotency import HEADER, LONGEST

_TEXT: Final = {"type": "string"}
_PROBLEM: Final = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `type` is stable; for input, each bad field with what is wrong and what would be right.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem", "remedy"],
                "properties": {"field": _TEXT, "problem": _TEXT, "remedy": _TEXT},
            },
        },
    },
}
_ANSWER: Final = {
    "description": "A problem. 503 means: do not contact.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    HEADER: {
        "description": "A new one for each new request, such as a UUID, and the same when it is sent again: it is then done "
        "once, and answered as before.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST},
    },
    "If-Match": {
        "description": "The ETag as it was read. 412: somebody else changed it first.",
        "schema": _TEXT,
    },
}


def describe(app: FastAPI) -> None:
    """Make the application's document say which scope each operation needs and how every refusal looks."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        known = app.openapi_schema is not None
        document = generated()
        if not known:
            _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way of extending it


def _complete(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for item in document["paths"].values():
        for operation in item.values():
            # FastAPI lists the scopes as if all of them were needed; any one of them is enough.
            operation["security"] = [
                {scheme: [name]}
                for needed in operation.get("security", ())
                for scheme, names in needed.items()
                for name in names
            ]
            for parameter in operation.get("parameters", ()):
                # FastAPI takes them for optional: whoever leaves them out is told so in our own words.
                if parameter["in"] == "header" and parameter["name"] in _HEADERS:
                    parameter |= {"required": True, **_HEADERS[parameter["name"]]}
            # The first sentence of what the function says of itself; FastAPI's guess is the function's name.
            operation["summary"] = operation["description"].split("\n")[0].partition(". ")[0].rstrip(".")
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ANSWER
