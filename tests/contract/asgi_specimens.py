"""ASGI apps that each show one way to behave, well or badly. Served with the lifespan switched off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridge import ASGIToWSGI

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Coroutine

    from bridge.types import ASGIApp, Message, Receive, Scope, Send

WAIT_SECONDS = 20.0
"""How long a specimen or a test waits for the other before it gives up."""

TEXT = [(b"content-type", b"text/plain")]


def bridged(app: ASGIApp, **options: Any) -> ASGIToWSGI:
    """Put an app without a lifespan behind the bridge."""
    return ASGIToWSGI(app, **{"lifespan": "off", **options})


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    """Build the event that starts a response, with a Content-Type."""
    return {"type": "http.response.start", "status": status, "headers": [*TEXT, *headers]}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    """Build an event with a piece of the response body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


async def cancel_when_told(receive: Receive, sender: Coroutine[Any, Any, None]) -> None:
    """Do as Django's handler (5.2): run what sends, and cancel it when `receive()` tells of the loss."""
    tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(sender)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert done == {tasks[0]}
    tasks[1].cancel()
    await asyncio.wait(tasks)


def sending(*events: Message) -> ASGIApp:
    """Make an app that sends these events and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return app


def catching(errors: list[Exception], *events: Message) -> ASGIApp:
    """Make an app that sends these events one by one, and appends what `send()` raises to a list."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            try:
                await send(event)
            except Exception as exc:
                errors.append(exc)

    return app


def recording(scopes: list[Scope]) -> ASGIApp:
    """Make an app that answers, and appends the scope of each request to a list."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await hello(scope, receive, send)

    return app


async def read_body(receive: Receive) -> list[Message]:
    """Receive until the body ends or the client leaves."""
    events = [await receive()]
    while events[-1].get("more_body"):
        events.append(await receive())
    return events


async def reached(event: threading.Event) -> None:
    """Wait on the loop for an event that a test sets in its thread."""
    if not await asyncio.to_thread(event.wait, WAIT_SECONDS):
        raise AssertionError("the test never set the event")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in one piece."""
    await send(start())
    await send(body(b"hello"))


async def sized(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in two pieces with a Content-Length."""
    await send(start(200, (b"content-length", b"5")))
    await send(body(b"hel", more=True))
    await send(body(b"lo"))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request body, whole."""
    events = await read_body(receive)
    await send(start())
    await send(body(b"".join(event.get("body", b"") for event in events)))


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in three pieces and an empty end."""
    await send(start())
    for piece in (b"one ", b"two ", b"three"):
        await send(body(piece, more=True))
    await send(body())


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a body."""
    await send(start())
    await send(body())


async def no_content(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 204."""
    await send({"type": "http.response.start", "status": 204})
    await send(body())


async def not_modified(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 304 with the ETag of what it would send."""
    await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"1"')]})
    await send(body())


async def hop_by_hop(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with every header that belongs to the server alone."""
    names = (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade")
    await send(start(200, (b"transfer-encoding", b"chunked"), *((name, b"x-hop") for name in names)))
    await send(body(b"hello"))


async def trailers(scope: Scope, receive: Receive, send: Send) -> None:
    """Announce trailers that nobody offered to take."""
    await send({**start(), "trailers": True})
    await send(body(b"hello"))


async def on_and_on(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer twice."""
    for _ in range(2):
        await send(start())
        await send(body(b"hello"))


async def early_error(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail before anything is sent."""
    raise ValueError("secret <b>")


async def started_error(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail between the start and the first piece."""
    await send(start())
    raise ValueError("secret <b>")


async def late_error(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail in the middle of the body."""
    await send(start())
    await send(body(b"part", more=True))
    raise ValueError("secret <b>")


async def returns_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Return without a response."""


async def returns_started(scope: Scope, receive: Receive, send: Send) -> None:
    """Return after the start."""
    await send(start())


async def returns_midway(scope: Scope, receive: Receive, send: Send) -> None:
    """Return in the middle of the body."""
    await send(start())
    await send(body(b"part", more=True))


async def too_short(scope: Scope, receive: Receive, send: Send) -> None:
    """Send less than Content-Length."""
    await send(start(200, (b"content-length", b"10")))
    await send(body(b"part"))


async def too_long(scope: Scope, receive: Receive, send: Send) -> None:
    """Send more than Content-Length."""
    await send(start(200, (b"content-length", b"4")))
    await send(body(b"part and more"))


async def starts_twice(scope: Scope, receive: Receive, send: Send) -> None:
    """Start a second time."""
    await send(start())
    await send(start())


async def body_first(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a body before the start."""
    await send(body(b"hello"))


async def injects_header(scope: Scope, receive: Receive, send: Send) -> None:
    """Try to smuggle a header through the value of another."""
    await send(start(200, (b"x", b"a\r\nset-cookie: e=1")))
    await send(body(b"hello"))


async def exits(scope: Scope, receive: Receive, send: Send) -> None:
    """Ask the interpreter to end."""
    raise SystemExit(3)


ANSWERING: dict[str, Callable[..., Any]] = {
    app.__name__: app
    for app in (
        hello,
        sized,
        echo,
        stream,
        empty,
        no_content,
        not_modified,
        hop_by_hop,
        trailers,
        on_and_on,
    )
}
"""The apps whose response is complete."""

BREAKING_EARLY: dict[str, Callable[..., Any]] = {
    app.__name__: app
    for app in (
        early_error,
        started_error,
        returns_at_once,
        returns_started,
        too_short,
        too_long,
        starts_twice,
        body_first,
        injects_header,
        exits,
    )
}
"""The apps that break before anything has left: 500."""

BREAKING_LATE: dict[str, Callable[..., Any]] = {app.__name__: app for app in (late_error, returns_midway)}
"""The apps that break after a piece has left: the response must look cut."""
