"""What intake's routes share: bodies validated with remedies, JSON answers, ids in paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends, Path
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from services.intake.remedies import Fault, faults
from shared.runtime.idempotency import idempotency_key
from shared.runtime.problems import FieldError, invalid

M = TypeVar("M", bound=BaseModel)
Key = Annotated[str, Depends(idempotency_key)]
PathId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


def field_errors(found: Iterable[Fault]) -> list[FieldError]:
    """Return faults as a problem's field errors."""
    return [FieldError(fault.path, fault.what, fault.remedy) for fault in found]


def parse(model: type[M], raw: bytes) -> M:
    """Return the body. Raises Problem 422 with every bad field."""
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise invalid(field_errors(faults(error))) from None


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(body), status, dict(headers or {}), media_type="application/json")
