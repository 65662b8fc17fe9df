"""What a server makes of a hostile request where nobody refuses it, and why the bridge does not either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Declared:
    """A harm that is known.

    Attributes:
        seen: the harm, as `make hostile` names it.
        why: the reason, and what to do.
    """

    seen: str
    why: str


_CLIENT: Final = Declared(
    "client, scheme and mount are `('6.6.6.6', 'http', '')`",
    "uvicorn believes the field from 127.0.0.1 and ::1, or from whom `--forwarded-allow-ips` names; "
    "with `--no-proxy-headers` from nobody.",
)
_HTTPS: Final = "client, scheme and mount are `('127.0.0.1', 'https', '')`"
_HOST: Final = Declared(
    "`host` is `'127.0.0.1'`",
    "The server drops the Host that is in the target, though it is the one that counts "
    "(RFC 9112 section 3.2.2). No proxy should forward that form.",
)
_SECOND: Final = Declared(
    "what stands behind it is served as a second request",
    "The server goes by the chunks, as it must, and then keeps the connection, which it must not (RFC 9112 "
    "section 6.1). A proxy in front that goes by the length would have taken both for one.",
)
_DAMAGED: Final = (
    "granian ends the body of a WSGI app at a damaged chunk, and tells the app of no error. "
    "Put a proxy in front of it, or use its ASGI interface, which tells."
)
_EMPTY: Final = "the app gets it, with the body `''` and the fields `{}`"
_TAKEN: Final = "the app gets it, with the body `'12'` and the fields `{}`"
_WERKZEUG_HEAD: Final = (
    "Werkzeug's server reads a head as that of a mail: what follows a line that it cannot read is lost. "
    "It is for development."
)
_WERKZEUG_BODY: Final = Declared(
    _TAKEN,
    "Werkzeug's server reads the size of a chunk with `int()`, and takes every list of codings that has "
    "chunked in it for chunks. It is for development.",
)
_ONE_VARIABLE: Final = (
    "Both names are one variable of an environ, so the bridge cannot tell them apart. "
    "A proxy in front has to drop such names, as nginx does by default (`underscores_in_headers`)."
)

DECLARED: Final[dict[tuple[str, str], Declared]] = {
    ("uvicorn", "`X-Forwarded-For: 6.6.6.6`"): _CLIENT,
    ("uvicorn-h11", "`X-Forwarded-For: 6.6.6.6`"): _CLIENT,
    ("uvicorn", "`X-Forwarded-Proto: https`"): Declared(
        _HTTPS, "As with X-Forwarded-For, uvicorn believes it from 127.0.0.1 and ::1."
    ),
    ("uvicorn-h11", "`X-Forwarded-Proto: https`"): Declared(
        _HTTPS, "As with X-Forwarded-For, uvicorn believes it from 127.0.0.1 and ::1."
    ),
    ("gunicorn", "`X-Forwarded-Proto: https`"): Declared(
        _HTTPS,
        "gunicorn believes the field from 127.0.0.1 and ::1, or from whom `--forwarded-allow-ips` names, "
        "and from everybody over a unix socket.",
    ),
    ("uwsgi", "`X-Forwarded-Proto: https`"): Declared(
        _HTTPS, "uWSGI believes the field from every client; a proxy in front has to overwrite it."
    ),
    ("gunicorn", "`SCRIPT_NAME: /facts`"): Declared(
        "client, scheme and mount are `('127.0.0.1', 'http', '/facts')`",
        "gunicorn takes this name and PATH_INFO (`--forwarder-headers`) from the peers of X-Forwarded-Proto.",
    ),
    ("uvicorn", "target `http://evil/facts`"): _HOST,
    ("granian", "target `http://evil/facts`"): _HOST,
    ("gunicorn", "target `http://evil/facts`"): _HOST,
    ("waitress", "target `http://evil/facts`"): _HOST,
    ("granian-wsgi", "target `http://evil/facts`"): _HOST,
    ("uwsgi", "target `/facts/../facts`"): Declared(
        "the path is `'/facts'`", "uWSGI resolves dots that are spelled out, and no others."
    ),
    ("uvicorn", "a trailer"): Declared(
        "`x-admin` is `'1'`",
        "uvicorn with httptools adds trailers to the header, which cannot be told from it. "
        "Run it with `--http h11`, or behind a proxy that drops them.",
    ),
    ("hypercorn", "`Upgrade: h2c`"): Declared(
        "the answer is 101", "hypercorn speaks HTTP/2 from there on, by itself. Let no proxy forward it."
    ),
    ("uvicorn-h11", "a request behind them, in the length"): _SECOND,
    ("hypercorn", "a request behind them, in the length"): _SECOND,
    ("waitress", "a request behind them, in the length"): _SECOND,
    ("daphne", "the coding `identity`"): Declared(
        _EMPTY, "Twisted takes this coding, which is none any more, for no body."
    ),
    ("granian-wsgi", "byte 0x85 in a value"): Declared(
        "`x-a` is `''`", "granian gives a WSGI app an empty value for one that is not all ASCII."
    ),
    ("granian-wsgi", "`x_user` behind `x-user`"): Declared("`x-user` is `'evil'`", _ONE_VARIABLE),
    ("uwsgi", "`x_user` before `x-user`"): Declared("`x-user` is `'evil, good'`", _ONE_VARIABLE),
    ("uwsgi", "`x_user` behind `x-user`"): Declared("`x-user` is `'good, evil'`", _ONE_VARIABLE),
    ("granian-wsgi", "chunk size `+2`"): Declared(_EMPTY, _DAMAGED),
    ("granian-wsgi", "chunk size `0x2`"): Declared(_EMPTY, _DAMAGED),
    ("granian-wsgi", "chunk size `0_2`"): Declared(_EMPTY, _DAMAGED),
    ("granian-wsgi", "a chunk longer than its size"): Declared(_TAKEN, _DAMAGED),
    ("uwsgi", "Content-Length and chunks"): Declared(
        "the body is `'2\\r\\n'`",
        "uWSGI knows no chunks and goes by the length, with the marks of the chunks among the bytes.",
    ),
    ("uwsgi", "a request behind them, in the length"): Declared(
        "the body is `'2\\r\\n12\\r\\n0\\r\\n\\r\\nGET /note?key=KEY&kind=sec`…",
        "As above: all that the length covers is the body.",
    ),
    ("werkzeug", "a blank before the colon"): Declared(_EMPTY, _WERKZEUG_HEAD),
    ("werkzeug", "a line without a colon"): Declared(_EMPTY, _WERKZEUG_HEAD),
    ("werkzeug", "CR alone in a value"): Declared(
        "`x-a` is `'a'`",
        "To Werkzeug's server a carriage return alone ends a line, and a field of its own stands behind it. "
        "It is for development.",
    ),
    ("werkzeug", "two Content-Lengths that differ"): Declared(
        "the app gets it, with the body `'123'` and the fields `{'content-length': '3'}`",
        "Werkzeug's server takes the last one. It is for development.",
    ),
    ("werkzeug", "chunk size `+2`"): _WERKZEUG_BODY,
    ("werkzeug", "chunk size `0x2`"): _WERKZEUG_BODY,
    ("werkzeug", "chunk size `0_2`"): _WERKZEUG_BODY,
    ("werkzeug", "chunked, then gzip"): _WERKZEUG_BODY,
}
"""By server and case."""
