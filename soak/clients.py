"""What clients do: each act checks its answer, or does not wait for one."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import socket
import struct
from collections.abc import Callable, Mapping
from typing import TypeAlias

from websockets.sync.client import ClientConnection, connect

from soak.apps import LATE_BLOCKS, block, digest, payload

TIMEOUT = 30.0
_SIZES = (1, 1_000, 65_536, 262_145)
_LARGE = 1_000_000


class WrongAnswer(Exception):
    """An answer that is not what was to come."""


class Client:
    """One client with one connection, kept alive where the server does so.

    Args:
        port: of the server, on 127.0.0.1.
        seed: what it does.
        timeout: how long an answer is waited for, in seconds; then the request is lost.
    """

    def __init__(self, port: int, seed: int, timeout: float = TIMEOUT) -> None:
        self._port = port
        self._timeout = timeout
        self._random = random.Random(seed)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def choose(self, acts: Mapping[Act, int]) -> Act:
        """Choose what to do next, by the weights of the acts."""
        (act,) = self._random.choices(list(acts), list(acts.values()))
        return act

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # ------------------------------------------------------------ acts with an answer

    def hello(self) -> None:
        seed = self._seed()
        self._expect("GET", f"/hello?seed={seed}", payload(seed, 200))

    def download(self) -> None:
        seed, size = self._seed(), self._random.choice((0, 10, 65_536, 2_000_000))
        self._expect("GET", f"/down?seed={seed}&size={size}", payload(seed, size))

    def stream(self) -> None:
        seed, blocks = self._seed(), self._random.choice((1, 20, 100))
        self._expect(
            "GET", f"/stream?seed={seed}&blocks={blocks}", b"".join(block(seed, n) for n in range(blocks))
        )

    def upload(self) -> None:
        body = payload(self._seed(), self._random.choice(_SIZES))
        self._expect("POST", "/up", digest(len(body), hashlib.sha256(body).hexdigest()), body)

    def slow(self) -> None:
        self._expect("GET", "/slow", b"slow")

    def failure(self) -> None:
        status, _ = self._ask("GET", "/fail")
        if status != 500:
            raise WrongAnswer(f"/fail was answered {status}")

    def late_failure(self) -> None:
        """A response that is cut short has to look cut short."""
        try:
            self._ask("GET", "/late")
        except http.client.IncompleteRead as exc:
            whole = b"".join(block(0, n) for n in range(LATE_BLOCKS))
            if not whole.startswith(exc.partial):
                raise WrongAnswer("/late sent something else before its end") from exc
        else:
            raise WrongAnswer("a response that failed looks whole")

    def websocket(self) -> None:
        with self._connected() as ws:
            for _ in range(20):
                said = payload(self._seed(), 50).hex()
                ws.send(said)
                if (heard := ws.recv(self._timeout)) != said:
                    raise WrongAnswer(f"a WebSocket gave {heard!r}")

    def _seed(self) -> int:
        return self._random.getrandbits(32)

    def _expect(self, method: str, target: str, expected: bytes, body: bytes | None = None) -> None:
        status, answer = self._ask(method, target, body)
        if (status, answer) != (200, expected):
            raise WrongAnswer(f"{target} was answered {status} with {len(answer)} of {len(expected)} bytes")

    def _ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, target, body)
            with contextlib.closing(self._connection.getresponse()) as response:
                return response.status, response.read()
        except BaseException:
            self._connection.close()  # the next act begins with another
            raise

    # ------------------------------------------------------------ clients that leave

    def leave_stream(self) -> None:
        self._leave(b"GET /stream?seed=1&blocks=100000 HTTP/1.1\r\nHost: x\r\n\r\n", answer=True)

    def leave_early(self) -> None:
        self._leave(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", answer=False)

    def leave_upload(self) -> None:
        head = f"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {_LARGE}\r\n\r\n".encode()
        self._leave(head + payload(1, 100_000), answer=False)

    def leave_websocket(self) -> None:
        with self._connected() as ws:
            ws.send("x")
            ws.recv(self._timeout)
            ws.socket.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> ClientConnection:
        url = f"ws://127.0.0.1:{self._port}/ws"
        return connect(url, open_timeout=self._timeout, close_timeout=self._timeout)

    def _leave(self, said: bytes, *, answer: bool) -> None:
        """Say something and go: by an end of the stream, or by a reset."""
        with socket.create_connection(("127.0.0.1", self._port), self._timeout) as sock:
            sock.sendall(said)
            if answer and not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise WrongAnswer("a stream did not begin")
            if self._random.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Act: TypeAlias = Callable[[Client], None]

ACTS: dict[Act, int] = {
    Client.hello: 60,
    Client.upload: 10,
    Client.stream: 8,
    Client.download: 5,
    Client.slow: 3,
    Client.failure: 4,
    Client.late_failure: 2,
    Client.websocket: 2,
    Client.leave_stream: 2,
    Client.leave_early: 1,
    Client.leave_upload: 2,
    Client.leave_websocket: 1,
}
"""What is done, and how often of 100."""

OF_HTTP: dict[Act, int] = {
    act: weight for act, weight in ACTS.items() if act not in (Client.websocket, Client.leave_websocket)
}
"""The same without WebSockets."""
