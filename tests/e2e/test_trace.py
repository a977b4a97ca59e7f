"""One referral is one trace, every stage is counted, and nothing that is written down names a person."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.runtime.telemetry import LOG_FIELDS, JsonFormatter
from tests.e2e.conftest import Onefriend
from tests.support.asking import a_permit, ask, key, referred
from tests.support.referrals import referral
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# How Mary Wells and Frank Dole could be recognised in what is written down, as they were sent and as they are normalised.
PERSONAL = (
    "mary", "wells", "frank", "dole", "1971-03-09", "19710309", "1988-11-30", "mill lane", "sg1 2ab", "sg12ab", "900123",
    "mary.wells@example.org", "79/163001b", "1979/0163001b",
)  # fmt: skip
POLICE = "hertfordshire-constabulary"
ALWAYS = {"time", "level", "service", "logger", "message", "trace", "error", "at"}
LOST = "a name that was thrown into an error: Mary Wells, SG1 2AB"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Collect the spans of this process, and count in its Prometheus registry. A provider can be set only once."""
    collected = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(collected))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[PrometheusMetricReader()]))
    return collected


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Collect everything that is logged, formatted as a service formats it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter("test"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


def of_trace(spans: InMemorySpanExporter, trace_id: int) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.context and span.context.trace_id == trace_id]


async def rows_of(onefriend: Onefriend, service: str, table: str) -> list[str]:
    """Return the rows of a service's table as text."""
    rows = await onefriend.services[service].pool.fetch(f'SELECT to_json(t)::text AS row FROM "{table}" AS t')  # noqa: S608 - names of our own tables
    return [row["row"] for row in rows]


async def test_one_trace_goes_from_the_post_through_every_service_to_the_feed(
    onefriend: Onefriend, spans: InMemorySpanExporter
) -> None:
    trace_id = 0x4BF92F3577B34DA6A3CE929D0E0E4736
    headers = {"traceparent": f"00-{trace_id:032x}-00f067aa0ba902b7-01"}
    parties = [onefriend.stranger(), onefriend.stranger("responsible")]
    document = referral("T-1", parties=parties)
    document["incident"] |= {"reference": "41/7001/26"}
    case = await referred(onefriend, POLICE, document, headers=headers)
    entry = await onefriend.wait_for("beacon", "case.allocated", case)

    names = [span.name for span in of_trace(spans, trace_id)]
    post, match = names.index("POST /v1/referrals"), names.index("match")
    assert post >= 0
    assert match >= 0
    # In the order of the flow: intake told allocation and consent; allocation claimed; consent answered; allocation
    # concluded; notifications wrote the feed. A span is named for the event that a service is handling.
    flow = ["referral.received.v1", "case.proposed.v1", "lead.assigned.v1", "case.allocated.v1"]
    assert "person.referred.v1" in names
    # Several services hear of some of them, each in its own time: what comes next follows from whoever was first.
    ended: dict[str, int] = {}
    for span in of_trace(spans, trace_id):
        ended[span.name] = min(span.end_time or 0, ended.get(span.name, span.end_time or 0))
    assert [ended[name] for name in flow] == sorted(ended[name] for name in flow)

    wanted = f"{trace_id:032x}"
    tables = {"intake": "journal", "allocation": "journal", "consent": "journal", "notifications": "feed"}
    for service, table in tables.items():
        assert any(wanted in row for row in await rows_of(onefriend, service, table)), (
            f"{service} lost the trace"
        )
    assert entry["case"]


async def metrics_of(onefriend: Onefriend) -> str:
    # One registry for the process: every service's /metrics shows all.
    return (await onefriend.http.get(onefriend.urls["intake"] + "/metrics")).text


STAGES = (
    "onefriend_referrals_received_total",
    "onefriend_referrals_matched_total",
    "onefriend_cases_proposed_total",
    "onefriend_cases_allocated_total",
    'onefriend_permits_granted_total{otel_scope_name="onefriend",otel_scope_schema_url="",otel_scope_version="",purpose="approach"}',
    "onefriend_permits_refused_total",
    "onefriend_withdrawals_in_force_total",
    "onefriend_events_published_total",
    "onefriend_events_consumed_total",
)


async def test_every_stage_is_counted_and_nothing_written_down_names_a_person(
    onefriend: Onefriend, spans: InMemorySpanExporter, lines: io.StringIO
) -> None:
    case = await referred(onefriend, POLICE, referral())
    wrong = referral("R-2", parties=[{"role": "harmed", "name": "Mary Wells", "phones": "07700 900123"}])
    refused = await onefriend.call("intake", "POST", "/v1/referrals", POLICE, json=wrong)
    assert refused.status_code == 422
    for text in PERSONAL:
        assert text not in refused.text.lower()
    entry = await onefriend.wait_for("beacon", "case.allocated", case)
    permit = await a_permit(onefriend, "beacon", entry)
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", "beacon", json=body)
    assert release.status_code == 200, release.text
    withdrawal = {
        "identifiers": {"name": {"forenames": "Mary Ann", "surname": "Wells"}, "date_of_birth": "1971-03-09",
                        "phones": [{"number": "07700 900123"}]},
        "scope": "everything", "by": "person",
    }  # fmt: skip
    # Clients choose their keys, and nothing stops one from putting a name there.
    answer = await onefriend.call(
        "intake", "POST", "/v1/withdrawals", "beacon", json=withdrawal, headers=key("w Mary Wells")
    )
    assert answer.status_code in {201, 202}, answer.text
    by_id = {"person": entry["data"]["person"], "scope": "everything", "by": "person"}
    answer = await onefriend.call(
        "intake", "POST", "/v1/withdrawals", "beacon", json=by_id, headers=key("v-wells")
    )
    assert answer.status_code == 201, answer.text
    assert (await ask(onefriend, "beacon", entry)).status_code == 409
    await onefriend.wait_for("beacon", "consent.withdrawn", case)
    try:
        raise ValueError(LOST)  # noqa: TRY301 - what a library would do
    except ValueError:
        logging.getLogger("shared.runtime").exception("failed", extra={"surname": "Wells", "count": 1})

    await _every_stage_is_counted(onefriend)
    await _nothing_names_a_person(onefriend, spans, lines.getvalue())


async def _every_stage_is_counted(onefriend: Onefriend) -> None:
    found = await metrics_of(onefriend)
    for name in STAGES:
        values = [float(line.rsplit(" ", 1)[1]) for line in found.splitlines() if line.startswith(name)]
        assert sum(values) > 0, f"{name} counted nothing"
    refusals = [line for line in found.splitlines() if line.startswith("onefriend_permits_refused_total")]
    assert all('reason="' in line for line in refusals)
    for name in ("outbox_age_seconds", "outbox_unsent", "parked_keys", "held_keys", "timers_due"):
        assert f'onefriend_{name}{{service="intake"}}' in found, name

    async def lag() -> bool:
        return 'onefriend_consumer_lag{service="intake",topic="consent"}' in await metrics_of(onefriend)

    await until(lag, seconds=20, every=0.5)


async def _nothing_names_a_person(onefriend: Onefriend, spans: InMemorySpanExporter, logged: str) -> None:
    journals = []
    for table in ("journal", "stream", "command", "quarantine", "waiting", "outbox", "timer"):
        journals += await rows_of(onefriend, "intake", table)
    for service in ("allocation", "consent", "notifications"):
        tables = await onefriend.services[service].pool.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        for row in tables:
            journals += await rows_of(onefriend, service, row["tablename"])
    traced = [span.to_json() for span in spans.get_finished_spans()]
    written = {
        "logs": logged, "spans": "\n".join(traced), "tables": "\n".join(journals), "metrics": await metrics_of(onefriend),
    }  # fmt: skip
    assert len(journals) > 20
    assert len(traced) > 10
    for where, text in written.items():
        for personal in PERSONAL:
            hit = re.search(rf"\b{re.escape(personal)}\b", text, re.IGNORECASE)
            assert hit is None, (
                f"{where} hold {personal!r}: …{text[max(0, hit.start() - 150) : hit.end() + 100]}"
            )
    parsed = [json.loads(line) for line in logged.splitlines()]
    assert any(line.get("error") == "ValueError" and "at" in line for line in parsed)
    for line in parsed:
        assert set(line) <= ALWAYS | LOG_FIELDS, line
