"""Traces, metrics and logs by OpenTelemetry: set up once per process, working with no collector.

Log fields are an allow-list. No name, address, number or free text of a person referred is ever logged: what is not on the
list does not come out, whoever wrote the call.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from opentelemetry import metrics, trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation import get_current_span

from shared.contracts.envelope import Envelope

LOG_FIELDS: Final = frozenset(
    {
        "agency", "attempt", "case", "command", "count", "delay", "error", "event", "event_type", "fence", "hold", "key",
        "lane", "message_id", "method", "offset", "partition", "permit", "person", "port", "position", "previous", "reason",
        "referral", "release", "restored", "route", "seconds", "sequence", "service", "status", "subscription", "timer",
        "topic", "url", "version", "withdrawal", "worker",
    }
)  # fmt: skip

_tracer = trace.get_tracer("onefriend")
_meter = metrics.get_meter("onefriend")


class Tally:
    """A counter to which adding costs an addition: it is read when somebody asks for the metrics."""

    def __init__(self, name: str, description: str) -> None:
        """Count nothing yet."""
        self._counts: dict[tuple[tuple[str, str], ...], int] = {}
        _meter.create_observable_counter(name, callbacks=[self._read], description=description)

    def add(self, amount: int, attributes: Mapping[str, str] | None = None) -> None:
        """Count."""
        key = tuple(attributes.items()) if attributes else ()
        self._counts[key] = self._counts.get(key, 0) + amount

    def _read(self, _: metrics.CallbackOptions) -> list[metrics.Observation]:
        return [metrics.Observation(count, dict(key)) for key, count in list(self._counts.items())]


class Metrics:
    """The counters and histograms of the runtime; services make their own with `counter`."""

    def __init__(self) -> None:
        """Create them; they count nothing until `configure` has set a provider."""
        self.published = Tally("onefriend_events_published", "events acknowledged by the broker")
        self.consumed = Tally("onefriend_events_consumed", "events applied, by topic")
        self.duplicates = Tally("onefriend_events_duplicate", "events skipped as seen before")
        self.retries = Tally("onefriend_retries", "transactions run again, by cause")
        self.quarantined = Tally("onefriend_events_quarantined", "events put aside")
        self.repaired = Tally("onefriend_events_repaired", "gaps closed from the source")
        self.requests = _meter.create_histogram(
            "onefriend_request_seconds", unit="s", description="requests answered"
        )
        self.batch = _meter.create_histogram(
            "onefriend_batch_events", description="events in one consumer transaction"
        )


METRICS: Final = Metrics()


def counter(name: str, description: str) -> Tally:
    """Return a counter `onefriend_<name>` of a service's own."""
    return Tally(f"onefriend_{name}", description)


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the current span, None if there is none."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def parse_traceparent(value: str | None) -> SpanContext | None:
    """Return the span context that a traceparent names, None if it is absent or malformed."""
    try:
        _, trace_id, span_id, flags = (value or "").split("-")
        context = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
        )
    except ValueError:
        return None
    return context if context.is_valid else None


def _unsampled(parent: SpanContext | None) -> SpanContext | None:
    """Return the context of a span that nobody will keep, None if it is to be kept.

    As the sampler would decide, by the parent or by the trace's id, and without making the span: the library's costs more
    than what most requests do, and of a hundred ninety-nine are thrown away.
    """
    if parent is not None:
        return None if parent.trace_flags & TraceFlags.SAMPLED else parent
    if _sampling.kept >= TraceIdRatioBased.TRACE_ID_LIMIT:
        return None
    trace_id = random.getrandbits(128)
    if (trace_id & TraceIdRatioBased.TRACE_ID_LIMIT) < _sampling.kept:
        return None
    return SpanContext(trace_id, random.getrandbits(64), is_remote=False)


class _Sampling:
    """Of how many trace ids the span is made: all, until `configure` says otherwise."""

    kept = TraceIdRatioBased.TRACE_ID_LIMIT + 1


_sampling = _Sampling()


class _Passing:
    """A span that is only passed on: its context is the current one inside the block, and nothing is recorded."""

    __slots__ = ("_span", "_token")

    def __init__(self, context: SpanContext) -> None:
        self._span = trace.NonRecordingSpan(context)

    def __enter__(self) -> trace.Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(self, *_: object) -> None:
        detach(self._token)


def span(
    name: str, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str
) -> AbstractContextManager[trace.Span]:
    """Open a span, under the current one or under the traceparent of an event or request."""
    remote = parse_traceparent(parent)
    above = remote or get_current_span().get_span_context()
    passing = _unsampled(above if above.is_valid else None)
    if passing is not None:
        return _Passing(passing)
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote)) if remote else None
    return _tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes)


def event_span(event: Envelope) -> AbstractContextManager[object]:
    """Return the span in which an event is handled, none if its trace is not sampled.

    Making one costs more than most handlers do. What the handler records then carries the event's own traceparent on.
    """
    sampled = event.traceparent is not None and event.traceparent.endswith("01")
    return span(event.type, event.traceparent, SpanKind.CONSUMER) if sampled else nullcontext()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, trace, and the allowed fields."""

    def __init__(self, service: str) -> None:
        """`service` is stamped on every line."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Exceptions give their type and place, never their text, which may quote data."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        traceparent = current_traceparent()
        if traceparent:
            line["trace"] = traceparent.split("-")[1]
        line |= {
            key: str(value)
            for key, value in record.__dict__.items()
            if key in LOG_FIELDS and value is not None
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            trail = record.exc_info[2]
            places = []
            while trail is not None:
                places.append(f"{trail.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trail.tb_lineno}")
                trail = trail.tb_next
            line["at"] = " < ".join(reversed(places[-6:]))
        return msgspec.json.encode(line).decode()


def configure(service: str, *, sample: float, otlp_endpoint: str | None, level: str = "INFO") -> None:
    """Set up logs, traces and metrics of this process. `sample` is the share of traces kept, 0 to 1."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("aiokafka", "httpx", "httpcore", "asyncio", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # aiokafka retries by itself and complains at each try; what an operator must know is in the readiness report.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    resource = Resource.create({"service.name": service})
    tracers = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(sample)))
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if otlp_endpoint:
        # A second of CPU to import, and most stacks have no collector.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - see above
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above

        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{otlp_endpoint}/v1/traces")))
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(f"{otlp_endpoint}/v1/metrics")))
    trace.set_tracer_provider(tracers)
    _sampling.kept = TraceIdRatioBased.get_bound_for_rate(sample)
    metrics.set_meter_provider(MeterProvider(metric_readers=readers, resource=resource))
