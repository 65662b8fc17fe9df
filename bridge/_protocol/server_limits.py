"""How much of a request a server lets through, as far as that is certain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.errors import ConfigurationError

__all__ = ["ServerLimits", "limits_of_uwsgi", "objection"]

_FIGURES: Final = (
    "max_body_bytes",
    "max_headers",
    "max_field_bytes",
    "max_header_bytes",
    "max_path_bytes",
    "max_message_bytes",
)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The most that a server lets through; None where nothing bounds it, or not in every case.

    Each figure is as the server counts, so it can be the number of its option. Most servers count more than
    `Limits` do, such as the method and the ends of lines: what passes is that much less.

    Attributes:
        name: of the server.
        max_body_bytes: the request body.
        max_headers: the number of header fields.
        max_field_bytes: any one of them. With `max_headers` it bounds all of them together.
        max_header_bytes: all of them together.
        max_path_bytes: path and query string together.
        max_message_bytes: one WebSocket message; None under a server that hands out its socket, where the
            bridge reads the messages.
        options: which option of the server raises a figure, by the name of the figure; for the message. None
            for no word of it.

    Raises:
        ConfigurationError: a figure is no int of 1 or more, or an option belongs to no figure.
    """

    name: str
    max_body_bytes: int | None = None
    max_headers: int | None = None
    max_field_bytes: int | None = None
    max_header_bytes: int | None = None
    max_path_bytes: int | None = None
    max_message_bytes: int | None = None
    options: Mapping[str, str] | None = field(default=None, compare=False)  # a dict has no hash

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"name={self.name!r}: expected the name of a server")
        for name in _FIGURES:
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                # 0 takes a bound off in gunicorn and uWSGI, and would be the tightest here.
                raise ConfigurationError(
                    f"{name}={value!r}: expected a number of bytes or fields, 1 or more, or None for no bound"
                )
        if not isinstance(self.options, Mapping | None) or not set(self.options or ()) <= set(_FIGURES):
            raise ConfigurationError(f"options={self.options!r}: expected a dict of {', '.join(_FIGURES)}")

    @classmethod
    def of(cls, name: str, **changed: int | None) -> ServerLimits:
        """Give the figures of a known server: its defaults, and what its operator has changed.

        Args:
            name: gunicorn, uwsgi, waitress, werkzeug, uvicorn, hypercorn, daphne or granian.
            changed: figures by their names, as `max_headers=500`; None for a bound that was taken off.

        Raises:
            ConfigurationError: the server is unknown, or a figure is, or its value is wrong.
        """
        known = _KNOWN.get(name) if isinstance(name, str) else None
        if known is None:
            raise ConfigurationError(
                f"server={name!r}: expected one of {', '.join(_KNOWN)}, or a ServerLimits of its own"
            )
        for figure, value in changed.items():
            if figure not in _FIGURES:
                raise ConfigurationError(f"{figure}={value!r}: expected one of {', '.join(_FIGURES)}")
        return replace(known, **changed)  # type: ignore[arg-type]  # figures only: seen above

    def most(self, limit: str) -> int | None:
        """Give the highest value with which a limit of `Limits` can come to bear; None for any."""
        figure: int | None = getattr(self, limit)
        if limit != "max_header_bytes" or self.max_headers is None or self.max_field_bytes is None:
            return figure
        product = self.max_headers * self.max_field_bytes
        return product if figure is None else min(figure, product)


# What passes in HTTP/2, or where it comes in one piece, is no bound, though HTTP/1 or another parser has one:
# hypercorn 0.18, uvicorn 0.54 with h11, and the heads of daphne 4.2 and granian 2.8.
_KNOWN: Final = {
    server.name: server
    for server in (
        ServerLimits(
            "gunicorn",  # 27; its WSGI workers hand out the socket
            max_headers=100,
            max_field_bytes=8_190,
            max_path_bytes=4_094,
            options={
                "max_headers": "--limit-request-fields",
                "max_field_bytes": "--limit-request-field_size",
                "max_path_bytes": "--limit-request-line (8190 at most, or 0 for no bound)",
            },
        ),
        ServerLimits(
            "uwsgi",  # 2.0: two variables for each of the 64 of max-vars, those of CGI among them
            max_headers=128,
            max_header_bytes=4_096,
            max_path_bytes=4_096,
            options={
                "max_body_bytes": "limit-post",
                "max_headers": "max-vars (each is for two fields)",
                "max_header_bytes": "buffer-size (65535 at most)",
                "max_path_bytes": "buffer-size (65535 at most)",
            },
        ),
        ServerLimits(
            "waitress",  # 3.0
            max_body_bytes=1024 * 1024 * 1024,
            max_header_bytes=256 * 1024,
            max_path_bytes=256 * 1024,
            options={
                "max_body_bytes": "max_request_body_size",
                "max_header_bytes": "max_request_header_size",
                "max_path_bytes": "max_request_header_size",
            },
        ),
        # 3.1: constants of http.server and http.client
        ServerLimits("werkzeug", max_headers=100, max_field_bytes=64 * 1024, max_path_bytes=64 * 1024),
        ServerLimits(
            "uvicorn",
            max_message_bytes=16 * 1024 * 1024,
            options={"max_message_bytes": "--ws-max-size"},
        ),
        ServerLimits("hypercorn"),  # counts the characters of a message, not its bytes
        ServerLimits(
            "daphne",
            max_message_bytes=1024 * 1024,
            options={"max_message_bytes": "--websocket-max-message-size"},
        ),
        ServerLimits("granian", max_path_bytes=65_534),  # of hyper
    )
}


def objection(limit: str, value: int, server: ServerLimits) -> str | None:
    """Say why a limit never comes to bear, and how to mend that; None if it can.

    Args:
        limit: its name.
        value: that it was given.
        server: that calls the bridge.
    """
    most = server.most(limit)
    if most is None or value <= most:
        return None
    raised, needed = limit, value
    if most != getattr(server, limit):
        raised, needed = "max_field_bytes", -(-value // (server.max_headers or 1))
    way_out = _or_raise(server, raised, needed)
    return f"{limit}={value}: {server.name} lets no more than {most} through; lower it to that{way_out}"


def _or_raise(server: ServerLimits, figure: str, needed: int) -> str:
    option = (server.options or {}).get(figure)
    if server.name not in _KNOWN:
        return f", or raise {option or 'that'} of {server.name}"
    if option is None:
        return f", as {server.name} has no option for it"
    said = f"ServerLimits.of({server.name!r}, {figure}={needed})"
    return f", or raise {option} of {server.name} and say so: server={said}"


# ---------------------------------------------------------------- what a server says of itself

_NUMBER: Final = re.compile(rb"\s*(\d+)")


def limits_of_uwsgi(options: Mapping[str, object], buffer_size: int) -> ServerLimits:
    """Read what bounds a request in a uWSGI process.

    Args:
        options: `uwsgi.opt`: bytes, as written, by the name of the option; True for one without a value.
        buffer_size: `uwsgi.buffer_size`, what came of the option of this name, in bytes.
    """
    variables = _number(options.get("max-vars"))
    return ServerLimits(
        "this uWSGI process",
        max_body_bytes=_number(options.get("limit-post")),
        max_headers=_KNOWN["uwsgi"].max_headers if variables is None else 2 * variables,
        max_header_bytes=buffer_size,
        max_path_bytes=buffer_size,
        options=_KNOWN["uwsgi"].options,
    )


def _number(value: object) -> int | None:
    """Read a number as C's strtoul does; 0, or nothing, is no bound."""
    found = _NUMBER.match(value) if isinstance(value, bytes) else None
    return int(found[1]) or None if found else None
