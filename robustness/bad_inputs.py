"""Bad inputs, given to a bridge as a server would: `python -m robustness.bad_inputs DIRECTION NAME NUMBER`.

Each runs in a process of its own, which prints what was seen, and is ended if it does not.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse
from robustness.contestants import bridged
from robustness.over_servers import Seen

Try: TypeAlias = Callable[[str], Seen]
"""Tries one input with the contestant of a name."""

_Pairs: TypeAlias = "list[tuple[bytes, bytes]]"


class Asked:
    """What one request through a bridge came to.

    Attributes:
        environ: what the WSGI app got, or the scope of the ASGI app; None if it was not called.
        status: of the response; 0 if there was none.
        headers: of the response, as native strings, names in lower case.
        body: of the response.
        error: what the bridge raised to the server.
        app_error: what the app saw.
        returned: set when the app has returned, which may be after its client has gone.
    """

    def __init__(self) -> None:
        self.environ: dict[str, Any] | None = None
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.error: BaseException | None = None
        self.app_error: BaseException | None = None
        self.returned = threading.Event()

    @property
    def outcome(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__} to the server"
        return str(self.status)

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500


# ------------------------------------------------------------ a WSGI app behind an ASGI server


def ask_asgi(
    contestant: str,
    *,
    headers: _Pairs = [],  # noqa: B006 - read only
    answer: Iterable[tuple[str, str]] = (),
    blocks: Iterable[bytes] = (b"ok",),
    status: str = "200 OK",
    read: bool = False,
    events: list[Message] | None = None,
    **keys: Any,
) -> Asked:
    """Serve one request with a WSGI app; keyword arguments replace keys of the scope."""
    asked = Asked()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        asked.environ = environ
        try:
            if read:
                environ["wsgi.input"].read()
            start_response(status, [("Content-Type", "text/plain"), *answer])
        except BaseException as exc:
            asked.app_error = exc
            raise
        finally:
            asked.returned.set()
        return list(blocks)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        **keys,
    }
    waiting = list(events or [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            asked.status = message["status"]
            asked.headers = [
                (bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
        else:
            asked.body += message.get("body", b"")

    async def serve() -> None:
        try:
            await bridged("wsgi_to_asgi", contestant, app)(scope, receive, send)
        except Exception as exc:
            asked.error = exc

    asyncio.run(serve())
    if asked.environ is not None:
        asked.returned.wait(5)
    return asked


def _environ_has(contestant: str, key: str, wanted: str | None, **request: Any) -> Seen:
    asked = ask_asgi(contestant, **request)
    if asked.environ is None:
        return Seen(asked.refused, f"answered {asked.outcome}")
    found = asked.environ.get(key)
    return Seen(found == wanted, f"{key} is {found!r}" if found is not None else f"no {key}")


def underscore(contestant: str) -> Seen:
    headers = [(b"x_user", b"evil"), (b"x-user", b"good")]
    return _environ_has(contestant, "HTTP_X_USER", "good", headers=headers)


def httpoxy(contestant: str) -> Seen:
    return _environ_has(contestant, "HTTP_PROXY", None, headers=[(b"proxy", b"http://evil")])


def two_hosts(contestant: str) -> Seen:
    return _environ_has(contestant, "HTTP_HOST", "testserver", headers=[(b"host", b"evil")])


def two_lengths(contestant: str) -> Seen:
    headers = [(b"content-length", b"5"), (b"content-length", b"6")]
    asked = ask_asgi(contestant, headers=headers, method="POST")
    found = None if asked.environ is None else asked.environ.get("CONTENT_LENGTH")
    return Seen(
        asked.refused, f"answered {asked.outcome}" + (f"; CONTENT_LENGTH is {found!r}" if found else "")
    )


def signed_length(contestant: str) -> Seen:
    asked = ask_asgi(contestant, headers=[(b"content-length", b"+5")], method="POST")
    return Seen(asked.refused, f"answered {asked.outcome}")


def many_headers(contestant: str) -> Seen:
    headers = [(b"x-a", b"v" * 16)] * 20_000
    begun = time.process_time()
    asked = ask_asgi(contestant, headers=headers)
    seconds = time.process_time() - begun
    return Seen(
        asked.refused or seconds < 0.1, f"answered {asked.outcome} after {seconds * 1000:.0f} ms of CPU"
    )


def query_byte(contestant: str) -> Seen:
    asked = ask_asgi(contestant, query_string=b"q=\xe9")
    return Seen(asked.status == 200 or asked.refused, f"answered {asked.outcome}")


def path_byte(contestant: str) -> Seen:
    asked = ask_asgi(contestant, path="/\ufffd", raw_path=b"/%ff")
    found = None if asked.environ is None else asked.environ.get("PATH_INFO")
    return Seen(found == "/\xff", f"PATH_INFO is {found!r}")


def prefix(contestant: str) -> Seen:
    return _environ_has(contestant, "PATH_INFO", "/apix", path="/apix", raw_path=b"/apix", root_path="/api")


def relative_path(contestant: str) -> Seen:
    asked = ask_asgi(contestant, path="@evil.example", raw_path=b"@evil.example")
    return Seen(asked.refused, f"answered {asked.outcome}")


def cut_upload(contestant: str) -> Seen:
    events: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = [(b"content-length", b"100")]
    asked = ask_asgi(contestant, headers=headers, method="POST", events=events, read=True)
    if asked.environ is None or asked.app_error is not None:
        return Seen(True, "an error, or the app was not called")
    return Seen(False, "the app took it for a whole body")


def response_injection(contestant: str) -> Seen:
    asked = ask_asgi(contestant, answer=[("X", "a\r\nSet-Cookie: e=1")])
    passed = any("\n" in value for _, value in asked.headers)
    return Seen(not passed, "passed to the server" if passed else f"not passed: {asked.outcome}")


def response_name(contestant: str) -> Seen:
    asked = ask_asgi(contestant, answer=[("X: y\r\nZ", "a")])
    passed = any("\n" in name for name, _ in asked.headers)
    return Seen(not passed, "passed to the server" if passed else f"not passed: {asked.outcome}")


def response_status(contestant: str) -> Seen:
    asked = ask_asgi(contestant, status="200 OK\r\nX: y")
    return Seen(asked.app_error is not None, "accepted" if asked.app_error is None else "refused")


def hop_by_hop(contestant: str) -> Seen:
    asked = ask_asgi(contestant, answer=[("Transfer-Encoding", "chunked"), ("Connection", "close")])
    passed = [name for name, _ in asked.headers if name in ("transfer-encoding", "connection")]
    return Seen(not passed, f"passed: {', '.join(passed)}" if passed else f"not passed: {asked.outcome}")


def too_long(contestant: str) -> Seen:
    asked = ask_asgi(contestant, answer=[("Content-Length", "1")], blocks=[b"x", b"evil"])
    return Seen(len(asked.body) <= 1, f"{len(asked.body)} bytes sent of a Content-Length of 1")


def latin_1(contestant: str) -> Seen:
    asked = ask_asgi(contestant, answer=[("X-Name", "Ren\xe9")])
    return Seen(("x-name", "Ren\xe9") in asked.headers, f"answered {asked.outcome}")


WSGI_APP: Final[dict[str, Try]] = {
    "`x_user: evil` beside `x-user: good`": underscore,
    "`Proxy: http://evil` (httpoxy)": httpoxy,
    "two `Host` fields": two_hosts,
    "`Content-Length` 5 and 6": two_lengths,
    "`Content-Length: +5`": signed_length,
    "20 000 equal header fields": many_headers,
    "a query that is no ASCII": query_byte,
    "the path `/%ff`": path_byte,
    "the path `/apix` under the mount `/api`": prefix,
    "a path without a leading slash": relative_path,
    "an upload that is cut short": cut_upload,
    "CR and LF in a response value": response_injection,
    "CR and LF in a response name": response_name,
    "CR and LF in a status": response_status,
    "hop-by-hop fields in a response": hop_by_hop,
    "a response beyond its Content-Length": too_long,
    "a response value in latin-1": latin_1,
}

# ------------------------------------------------------------ an ASGI app behind a WSGI server


def ask_wsgi(contestant: str, *sent: Message, body: bytes = b"", read: bool = False, **keys: Any) -> Asked:
    """Serve one request with an ASGI app that sends these events; keyword arguments replace environ keys."""
    asked = Asked()
    events = sent or (
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"ok"},
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.environ = dict(scope)
        try:
            while read:
                message = await receive()
                if message["type"] != "http.request":
                    raise OSError("cut short")
                if not message.get("more_body"):
                    break
            for event in events:
                await send(event)
        except BaseException as exc:
            asked.app_error = exc
            raise

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "testserver",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **keys,
    }

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        asked.status = int(status[:3])
        asked.headers = [(name.lower(), value) for name, value in headers]
        return None

    try:
        blocks = bridged("asgi_to_wsgi", contestant, app)(environ, start_response)
        asked.body = b"".join(blocks)
        if hasattr(blocks, "close"):
            blocks.close()
    except Exception as exc:
        asked.error = exc
    return asked


def _start(*headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


_END: Final[Message] = {"type": "http.response.body", "body": b"ok"}


def _serves(contestant: str, **keys: Any) -> Seen:
    asked = ask_wsgi(contestant, **keys)
    return Seen(asked.error is None and (asked.status == 200 or asked.refused), f"answered {asked.outcome}")


def wsgi_injection(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, _start((b"x", b"a\r\nSet-Cookie: e=1")), _END)
    passed = any("\n" in value for _, value in asked.headers)
    return Seen(not passed, "passed to the server" if passed else f"not passed: {asked.outcome}")


def wsgi_hop_by_hop(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, _start((b"transfer-encoding", b"chunked"), (b"connection", b"close")), _END)
    passed = [name for name, _ in asked.headers if name in ("transfer-encoding", "connection")]
    return Seen(not passed, f"passed: {', '.join(passed)}" if passed else f"not passed: {asked.outcome}")


def no_headers(contestant: str) -> Seen:
    asked = ask_wsgi(
        contestant, {"type": "http.response.start", "status": 204}, {"type": "http.response.body"}
    )
    return Seen(asked.status == 204, f"answered {asked.outcome}")


def unknown_event(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, _start(), {"type": "http.response.unknown"}, _END)
    return Seen(
        asked.app_error is not None, "told to the app" if asked.app_error else f"answered {asked.outcome}"
    )


def sent_after_the_end(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, _start(), _END, _END, _END)
    return Seen(asked.body == b"ok", f"answered {asked.outcome} with {asked.body!r}")


def trailers(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, {**_start(), "trailers": True}, _END)
    return Seen(asked.error is not None or asked.status == 200, f"answered {asked.outcome}")


def returned_silently(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, _start())
    return Seen(asked.error is not None, f"answered {asked.outcome}")


def wsgi_cut_upload(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, body=b"x", read=True, REQUEST_METHOD="POST", CONTENT_LENGTH="100")
    return Seen(
        asked.app_error is not None, "an error" if asked.app_error else "the app took it for a whole body"
    )


def wsgi_signed_length(contestant: str) -> Seen:
    asked = ask_wsgi(contestant, body=b"xxxxx", REQUEST_METHOD="POST", CONTENT_LENGTH="+5")
    return Seen(asked.refused, f"answered {asked.outcome}")


ASGI_APP: Final[dict[str, Try]] = {
    "the path `/\\xff`": lambda contestant: _serves(contestant, PATH_INFO="/\xff"),
    "a query that is no ASCII": lambda contestant: _serves(contestant, QUERY_STRING="q=\xe9"),
    "an empty SERVER_PORT": lambda contestant: _serves(contestant, SERVER_PORT=""),
    "SERVER_PROTOCOL `INCLUDED`": lambda contestant: _serves(contestant, SERVER_PROTOCOL="INCLUDED"),
    "`Content-Length: +5`": wsgi_signed_length,
    "an upload that is cut short": wsgi_cut_upload,
    "CR and LF in a response value": wsgi_injection,
    "hop-by-hop fields in a response": wsgi_hop_by_hop,
    "a start without `headers`": no_headers,
    "an event of an unknown type": unknown_event,
    "events after the last": sent_after_the_end,
    "trailers announced": trailers,
    "no end of the response": returned_silently,
}

INPUTS: Final = {"wsgi_to_asgi": WSGI_APP, "asgi_to_wsgi": ASGI_APP}

if __name__ == "__main__":
    direction, contestant, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print(json.dumps(asdict(list(INPUTS[direction].values())[number](contestant))), flush=True)
    import os

    os._exit(0)  # threads that hang are not waited for
