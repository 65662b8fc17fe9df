"""OpenTelemetry: a span for each request that crosses, and the figures of the adapters as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Final, TypeAlias

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as exc:
    raise ImportError(
        'bridge.integrations.opentelemetry needs OpenTelemetry: pip install "asgi-wsgi-bridge[otel]"'
    ) from exc

from bridge._protocol.histogram import BOUNDS
from bridge._protocol.observation import combined
from bridge.observation import AdapterStats, Outcome, RequestBegan, RequestEnded, stats

__all__ = ["RequestMetrics", "RequestSpans", "observe_adapters"]

_SCOPE = "bridge"
_begun: Final[ContextVar[Span | None]] = ContextVar("bridge-span", default=None)
"""The innermost span of ours that has begun in this context, and not ended."""

_FAULTS = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.TIMED_OUT})


class RequestSpans:
    """An observer that makes a span of each request, inside that of the server and around those of the app.

    Args:
        tracer_provider: where the spans go; None for the global one.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)

    def __call__(self, began: RequestBegan) -> Callable[[RequestEnded], None]:
        """Begin a span, and make it the current one."""
        outside, before = context.get_current(), _begun.get()
        span = self._tracer.start_span(
            f"bridge {began.app}",
            outside,
            SpanKind.INTERNAL,
            {
                "bridge.app": began.app,
                "bridge.direction": began.direction,
                "http.request.method": began.method,
                # Whatever a client sends has to be encodable in the end.
                "url.path": began.path.encode("utf-8", "replace").decode("utf-8"),
            },
        )
        context.attach(trace.set_span_in_context(span, outside))
        _begun.set(span)

        def end(ended: RequestEnded) -> None:
            _finish(span, ended)
            # Not by a token: the server may close a response in another context than it asked for it, and
            # what is current there is none of ours. Nor only where ours is still current: an app may have
            # left another, and the next request of the thread would be in its trace and see its baggage.
            if _begun.get() is span:
                _begun.set(before)
                context.attach(outside)

        return end


def _finish(span: Span, ended: RequestEnded) -> None:
    span.set_attribute("bridge.outcome", ended.outcome.value)
    if ended.status is not None:
        span.set_attribute("http.response.status_code", ended.status)
    if ended.queue_seconds is not None:
        span.set_attribute("bridge.queue_seconds", ended.queue_seconds)
    if ended.app_seconds is not None:
        span.set_attribute("bridge.app_seconds", ended.app_seconds)
    span.set_attribute("http.request.body.size", ended.received_bytes)
    span.set_attribute("http.response.body.size", ended.sent_bytes)
    if ended.outcome in _FAULTS:
        span.set_status(Status(StatusCode.ERROR, ended.outcome.value))
    span.end()


class RequestMetrics:
    """An observer that counts requests: how long they took, and the bytes of their bodies.

    Args:
        meter_provider: where the figures go; None for the global one.
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._seconds = meter.create_histogram(
            "bridge.request.duration",
            "s",
            "From the arrival of a request to its end.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._received = meter.create_counter("bridge.request.received", "By", "Bytes of request bodies.")
        self._sent = meter.create_counter("bridge.request.sent", "By", "Bytes of response bodies.")

    def __call__(self, began: RequestBegan) -> Callable[[RequestEnded], None]:
        """Have the end of the request counted."""
        labels = {"bridge.app": began.app, "bridge.direction": began.direction}

        def end(ended: RequestEnded) -> None:
            self._seconds.record(ended.seconds, {**labels, "bridge.outcome": ended.outcome.value})
            self._received.add(ended.received_bytes, labels)
            self._sent.add(ended.sent_bytes, labels)

        return end


def observe_adapters(meter_provider: MeterProvider | None = None) -> None:
    """Have what the adapters of this process do read at each collection, from now on.

    Args:
        meter_provider: where the figures go; None for the global one.
    """
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
    for name, (unit, said, read) in _READINGS.items():
        meter.create_observable_up_down_counter(name, [_callback(read)], unit, said)
    meter.create_observable_counter(
        "bridge.requests.ended_badly",
        [_callback(lambda one: {("bridge.outcome", outcome): n for outcome, n in one.outcomes.items()})],
        "{request}",
        "Requests that were not completed, by what became of them.",
    )


_Reading: TypeAlias = "int | Mapping[tuple[str, str], int]"
"""A figure, or figures by one more attribute and its value."""

_Read: TypeAlias = Callable[[AdapterStats], _Reading]

_READINGS: Final[dict[str, tuple[str, str, _Read]]] = {
    "bridge.requests.in_flight": (
        "{request}",
        "Requests whose response is not complete.",
        lambda one: one.in_flight,
    ),
    "bridge.requests.waiting": (
        "{request}",
        "Requests that wait for a thread or a place.",
        lambda one: one.waiting,
    ),
    "bridge.websockets.open": ("{connection}", "Open WebSockets.", lambda one: one.websockets),
    "bridge.background_tasks": (
        "{task}",
        "Tasks that go on after their response.",
        lambda one: one.background_tasks,
    ),
    "bridge.threads": (
        "{thread}",
        "Threads of the adapter.",
        lambda one: {
            ("bridge.state", "busy"): one.busy_threads,
            ("bridge.state", "idle"): one.idle_threads,
        },
    ),
}


def _callback(read: _Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for one in combined(stats()):
            attributes = {"bridge.app": one.app, "bridge.direction": one.direction}
            reading = read(one)
            if isinstance(reading, int):
                yield Observation(reading, attributes)
            else:
                for (name, value), count in reading.items():
                    yield Observation(count, {**attributes, name: value})

    return observe
