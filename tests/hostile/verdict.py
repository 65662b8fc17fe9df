"""Sends a hostile request to a server, and tells who refuses it, or what the app makes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bridge._protocol.refusal import refusal
from tests.hostile.cases import Case
from tests.hostile.facts import facts_of
from tests.servers.sites import Site
from tests.servers.wire import Reply, read_reply

PATIENCE: Final = 3.0
"""Seconds after which a server is said to wait for more."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes:
        mark: `s` refused by the server, `b` by the bridge, `cut` the app's reading failed, `ok` one clear
            request, `wait` no answer, `harm` the app got something else.
        seen: the harm.
    """

    mark: str
    seen: str = ""


def try_case(site: Site, case: Case, key: str) -> Verdict:
    """Send the bytes of a case over a connection of its own; the worker has to live on."""
    workers = site.server.workers()
    said = case.said.replace(b"KEY", key.encode("ascii"))
    reply = None
    with site.server.connect(PATIENCE) as sock:
        with contextlib.suppress(ConnectionError):  # refused while it was being said
            if case.split:
                sock.sendall(said[: case.split])
                site.check_alive()  # so it has looked at what came before that
            sock.sendall(said[case.split :])
        with contextlib.suppress(TimeoutError):
            reply = read_reply(sock)
        if case.followed:
            with contextlib.suppress(OSError):
                while sock.recv(65536):  # until it is closed, or would have served the second
                    pass
    site.check_alive()  # so an app that was called has noted it
    if site.server.workers() != workers:
        return Verdict("harm", "the worker is another one")
    verdict = verdict_of(case, reply, site.board.notes(key))
    return Verdict(verdict.mark, verdict.seen.replace(key, "KEY"))


def verdict_of(case: Case, reply: Reply | None, notes: Collection[str]) -> Verdict:
    """Judge an answer.

    Args:
        case: that was sent.
        reply: the answer; None if there was none.
        notes: of the app: "entered", "whole" when it has read all of the body, "second" of the request
            behind.
    """
    if "second" in notes:
        return Verdict("harm", "what stands behind it is served as a second request")
    if reply is None:
        return Verdict("harm", "the app waits") if "entered" in notes else Verdict("wait")
    if reply.status == 200 and "whole" in notes:
        harm = case.harm(facts_of(json.loads(reply.body)))
        return Verdict("ok") if harm is None else Verdict("harm", harm)
    if 0 < reply.status < 400 or "whole" in notes:
        return Verdict("harm", f"the answer is {reply.status}")
    if "entered" in notes:
        return Verdict("cut")
    return Verdict("b" if _is_of_the_bridge(reply) else "s")


def _is_of_the_bridge(reply: Reply) -> bool:
    try:
        body, headers = refusal(reply.status)
    except KeyError:
        return False
    kind = dict(headers)[b"content-type"].decode("ascii")
    return (reply.body, reply.headers.get("content-type")) == (body, kind)
