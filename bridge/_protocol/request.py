"""The head of a request, from ASGI to WSGI and back.

HTTP and WebSocket share it: a handshake is the same head under another `type`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from bridge._protocol.headers import add_request_headers, headers_from_environ, is_token
from bridge._protocol.limits import Limits
from bridge._protocol.paths import (
    check_path,
    native_from_raw,
    native_from_text,
    native_path,
    raw_from_native,
    raw_path,
    split_prefix,
    text_from_native,
    trim_prefix,
)
from bridge.errors import PeerProtocolError
from bridge.types import Environ, RawHeaders, Scope

__all__ = ["ScopeView", "environ_from_scope", "scope_from_environ"]

_SECURE: Final = frozenset({"https", "wss"})
_PROTOCOLS: Final = {  # D-04: a single digit in ASGI, two in CGI
    "1.1": "HTTP/1.1",
    "1.0": "HTTP/1.0",
    "2": "HTTP/2.0",
    "3": "HTTP/3.0",
}
_VERSIONS: Final = {f"HTTP/{short}": short for short in _PROTOCOLS} | {
    long: short for short, long in _PROTOCOLS.items()
}
_VERSION = re.compile(r"[0-9](\.[0-9])?\Z")
_METHOD: Final = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"})
_PORT = re.compile(r"[0-9]{1,5}\Z")
_URL_SCHEMES: Final = {"ws": "http", "wss": "https"}


class ScopeView(dict[str, Any]):
    """A copy of an ASGI scope that a WSGI app finds under `environ["bridge.scope"]`.

    Reading it bypasses the middleware between the server and the app (E-23). Its `repr` names the
    keys only: debug pages print environ values, and the headers hold cookies and passwords (SEC-35).
    """

    __slots__ = ()

    def __init__(self, scope: Scope, headers: RawHeaders) -> None:
        super().__init__(scope)
        self["headers"] = tuple(headers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(sorted(self))}>"


def environ_from_scope(
    scope: Scope, template: Environ, limits: Limits, *, refuse_underscores: bool = False
) -> Environ:
    """Translate the head of an ASGI request into a WSGI environ.

    Pure: reads the scope and keeps no reference to it but in `bridge.scope`, a copy. The body
    (`wsgi.input`) is the caller's to add.

    Args:
        scope: `path` and `root_path` are text, header pairs raw. Every optional key may be missing.
        template: the keys that are the same for each request (`wsgi.version`, …); copied.
        limits: what is refused.
        refuse_underscores: see `add_request_headers`.

    Returns:
        A new dict. Every str value is native; SERVER_PORT is a str; SCRIPT_NAME + PATH_INFO is always
        the whole path. A path outside root_path keeps SCRIPT_NAME empty (D-01).

    Raises:
        PeerProtocolError: the request cannot be translated safely; `status_hint` says what to answer.

    Spec:
        PEP 3333 "environ Variables", "Unicode Issues"; ASGI www 2.5 "WSGI Compatibility".
    """
    environ = template.copy()
    method = scope["method"]
    if method not in _METHOD and not is_token(method):
        raise PeerProtocolError("the request method is not a token")
    environ["REQUEST_METHOD"] = method

    query = scope.get("query_string") or b""
    path = scope["path"]
    if len(path) + len(query) > limits.max_path_bytes:
        raise PeerProtocolError("the request path is too long", status_hint=414)
    path = check_path(native_path(path, scope.get("raw_path")), method)
    root = scope.get("root_path")
    if root:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = _split_root(path, root)
    else:
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = native_from_raw(query)

    version = scope.get("http_version") or "1.1"
    environ["SERVER_PROTOCOL"] = _PROTOCOLS.get(version) or _protocol(version)
    scheme = scope.get("scheme") or "http"
    scheme = _URL_SCHEMES.get(scheme, scheme)
    environ["wsgi.url_scheme"] = scheme
    if scheme == "https":
        environ["HTTPS"] = "on"  # and no such key on http: some readers take any value for "on" (T-09)

    headers = scope.get("headers") or ()
    if not isinstance(headers, (list, tuple)):
        headers = list(headers)
    add_request_headers(environ, headers, limits, refuse_underscores=refuse_underscores)
    _add_addresses(environ, scope, scheme)
    environ["bridge.scope"] = ScopeView(scope, headers)
    return environ


def _split_root(path: str, root: str) -> tuple[str, str]:
    split = split_prefix(path, native_from_text(trim_prefix(root)))
    return split if split is not None else ("", path)


def _protocol(version: str) -> str:
    return f"HTTP/{version}" if _VERSION.match(version) else "HTTP/1.1"


def _add_addresses(environ: Environ, scope: Scope, scheme: str) -> None:
    """Write SERVER_* and REMOTE_*.

    SERVER_NAME and SERVER_PORT may not be missing (PEP 3333): a server on a unix socket, or one that
    names none, is known by the Host of the request. REMOTE_* are left out when unknown (W-07). Ports
    come as str from granian 2.8, addresses as lists from daphne 4.2.
    """
    name, port = _address(scope.get("server"))
    if name is None or port is None:
        name, port = _server_from_host(environ.get("HTTP_HOST"), scheme)
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
    name, port = _address(scope.get("client"))
    if name is not None:
        environ["REMOTE_ADDR"] = name
        if port is not None:
            environ["REMOTE_PORT"] = port


def _address(pair: Iterable[Any] | None) -> tuple[str | None, str | None]:
    """Read an ASGI address; IPv6 without brackets (U-24). A unix socket has no port."""
    if not pair:
        return None, None
    host, port = pair
    if not host:
        return None, None
    port = None if port is None else str(port)
    if port is not None and not _PORT.match(port):
        port = None
    return native_from_text(str(host).strip("[]")), port


def _server_from_host(host: str | None, scheme: str) -> tuple[str, str]:
    default = "443" if scheme in _SECURE else "80"
    if not host:
        return "localhost", default
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons are those of an IPv6 address
        name, port = host, ""
    return name.strip("[]") or "localhost", port if _PORT.match(port) else default


def scope_from_environ(environ: Environ, limits: Limits) -> Scope:
    """Translate the head of a WSGI request into the scope of an ASGI HTTP connection.

    Pure: reads the environ and keeps no reference to it. `state` and `extensions` are the caller's.

    Args:
        environ: only what PEP 3333 demands need be there.
        limits: what is refused.

    Returns:
        A new dict. `path` and `root_path` are text, `path` starts with `root_path`; `raw_path` and the
        header pairs are raw; ports are int.

    Raises:
        PeerProtocolError: the request cannot be translated safely; `status_hint` says what to answer.

    Spec:
        ASGI www 2.5 "HTTP Connection Scope", "WSGI Compatibility".
    """
    method = environ["REQUEST_METHOD"]
    if method not in _METHOD:
        if not is_token(method):
            raise PeerProtocolError("the request method is not a token")
        method = method.upper()
    query = environ.get("QUERY_STRING") or ""
    root = trim_prefix(environ.get("SCRIPT_NAME") or "")
    rest = environ.get("PATH_INFO") or ""
    if len(root) + len(rest) + len(query) > limits.max_path_bytes:
        raise PeerProtocolError("the request path is too long", status_hint=414)
    if root and rest and rest[0] != "/":
        rest = "/" + rest
    path = root + rest
    if not (path == "*" and method == "OPTIONS"):
        path = check_path(path, method)
    uri = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": _VERSIONS.get(environ.get("SERVER_PROTOCOL") or "", "1.1"),
        "method": method,
        "scheme": environ.get("wsgi.url_scheme") or "http",
        "path": text_from_native(path),
        "raw_path": raw_path("", path, uri),
        "query_string": raw_from_native(query),
        "root_path": text_from_native(root),
        "headers": headers_from_environ(environ, limits),
        "client": _client(environ),
        "server": _server(environ),
        "extensions": {},
    }


def _client(environ: Environ) -> tuple[str, int] | None:
    host = environ.get("REMOTE_ADDR")
    if not host:
        return None
    return host, _port(environ.get("REMOTE_PORT")) or 0


def _server(environ: Environ) -> tuple[str, int] | None:
    name = environ.get("SERVER_NAME")
    if not name:
        return None
    port = _port(environ.get("SERVER_PORT"))
    if port is None:  # gunicorn 27 gives an empty port on a unix socket
        port = 443 if environ.get("wsgi.url_scheme") == "https" else 80
    return name, port


def _port(value: object) -> int | None:
    """Read a port; Werkzeug's server gives REMOTE_PORT as an int (A-11)."""
    text = str(value)
    return int(text) if _PORT.match(text) else None
