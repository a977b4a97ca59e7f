"""What a trace says of a request: its route, never what somebody wrote into the address."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.runtime import telemetry
from shared.runtime.http import Edge


async def test_a_span_is_named_after_the_route(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    app = FastAPI()

    @app.get("/reviews/{review}")
    async def show(review: str) -> str:
        return review

    edge = Edge(app, limit=1_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://test") as http:
        assert (await http.get("/reviews/01a20195")).status_code == 200
        assert (await http.get("/v1/Mary Wells/4 Mill Lane")).status_code == 404
    assert [span.name for span in kept.get_finished_spans()] == ["GET /reviews/{review}", "GET other"]
    assert "Mary" not in "".join(span.to_json() for span in kept.get_finished_spans())
