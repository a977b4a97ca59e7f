"""Holds every answer that a test gets against what the service's own OpenAPI document says of it."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator


class Documented:
    """An httpx response hook for one service."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        # What is fixed goes before what is a parameter: /v1/withdrawals/link/{token}, then /v1/withdrawals/{withdrawal}.
        paths = sorted(document["paths"], key=lambda path: (path.count("/"), path.count("{"), path))
        self._paths = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in paths]

    async def __call__(self, response: httpx.Response) -> None:
        """Raise AssertionError if the answer is not as documented."""
        operation = self._operation(response.request)
        if operation is None:
            return
        await response.aread()
        responses = operation["responses"]
        described = responses.get(str(response.status_code))
        where = f"{response.request.method} {response.request.url.path}: {response.status_code}"
        media = response.headers.get("content-type", "").partition(";")[0]
        if media == "application/problem+json":
            described = responses["default"]
        assert described is not None, f"{where} is not in the document: {response.text[:200]}"
        content = described.get("content", {})
        assert media in content, f"{where} is {media}, documented is {list(content)}"
        schema = content[media].get("schema", {})
        if media.endswith("json") and "contentSchema" not in schema:
            self._valid(schema, response.json(), where)
        for line in response.text.splitlines() if "contentSchema" in schema else ():
            self._valid(schema["contentSchema"], json.loads(line), where)

    def _operation(self, request: httpx.Request) -> dict[str, Any] | None:
        path = next((path for shape, path in self._paths if shape.fullmatch(request.url.path)), None)
        found = self._document["paths"].get(path, {}).get(request.method.lower())
        return dict(found) if found else None

    def _valid(self, schema: dict[str, Any], value: Any, where: str) -> None:
        whole = {**schema, "components": self._document["components"]}
        wrong = [error.message for error in Draft202012Validator(whole).iter_errors(value)]
        assert not wrong, f"{where} is not as documented: {wrong[:3]}"
        if not schema:
            return
        known = self._properties(schema)
        extra = set(value) - known if known is not None and isinstance(value, dict) else set()
        assert not extra, f"{where} has fields that are not documented: {sorted(extra)}"

    def _properties(self, schema: dict[str, Any]) -> set[str] | None:
        """Return the names of an answer's fields; None if any may be there."""
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if schema.get("title") == "Problem" or "properties" not in schema:
            return None
        return set(schema["properties"])
