"""What intake's routes share: bodies validated with remedies, JSON answers, ids in paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Path
from pydantic import BaseModel
from starlette.responses import Response

from services.intake import documents
from services.intake.documents import BadDocument
from services.intake.remedies import Fault
from shared.runtime.http import if_match
from shared.runtime.idempotency import idempotency_key
from shared.runtime.problems import FieldError, invalid

M = TypeVar("M", bound=BaseModel)
Key = Annotated[str, Depends(idempotency_key)]
Version = Annotated[int, Depends(if_match)]
PathId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


def field_errors(found: Iterable[Fault]) -> list[FieldError]:
    """Return faults as a problem's field errors."""
    return [FieldError(fault.path, fault.what, fault.remedy) for fault in found]


def described(schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    """Return what a route says of the body that it reads by itself, for its OpenAPI document."""
    return {"requestBody": {"required": True, "content": {media: {"schema": schema}}}}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema with everything in its place: it stands inside another document."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def put(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, list):
            return [put(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            beside = {name: part for name, part in value.items() if name != "$ref"}
            return put(parts[value["$ref"].rpartition("/")[2]]) | beside
        return {name: put(one) for name, one in value.items()}

    found: dict[str, Any] = put(schema)
    return found


def sends(model: type[BaseModel]) -> dict[str, Any]:
    """Return the same for a body of this model. Routes read it by themselves so that faults come with their remedies."""
    return described(schema_of(model))


def parse(model: type[M], raw: bytes) -> M:
    """Return the body. Raises Problem 422 with every bad field."""
    try:
        return documents.read(model, raw or b"{}")[0]
    except BadDocument as bad:
        raise invalid(field_errors(bad.faults)) from None


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(body), status, dict(headers or {}), media_type="application/json")
