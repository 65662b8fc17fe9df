"""The head of a request, from ASGI to WSGI and back.

HTTP and WebSocket share it: a handshake is the same head under another `type`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bridge._protocol.early_hints import EARLY_HINT
from bridge._protocol.headers import is_token
from bridge._protocol.limits import Limits
from bridge._protocol.paths import (
    check_path,
    native_from_text,
    native_path,
    raw_from_native,
    raw_path,
    split_prefix,
    text_from_native,
    trim_prefix,
)
from bridge._protocol.request_headers import add_request_headers, headers_from_environ
from bridge._protocol.tls import add_tls, tls_from_environ
from bridge._protocol.trailers import SEND_TRAILERS, TRAILERS
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
_URL_SCHEMES: Final = {"ws": "http", "wss": "https"}


class ScopeView(Mapping[str, Any]):
    """The ASGI scope as a WSGI app finds it under `environ["bridge.scope"]`: for reading.

    It bypasses the middleware between the server and the app (E-23). Its `repr` names the keys only: debug
    pages print environ values, and the headers hold cookies and passwords (SEC-35).
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, key: str) -> Any:
        value = self._scope[key]
        return tuple(value) if key == "headers" else value  # a copy: the list is the server's (AA-04)

    def __iter__(self) -> Iterator[str]:
        return iter(self._scope)

    def __len__(self) -> int:
        return len(self._scope)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(sorted(self))}>"


def environ_from_scope(
    scope: Scope, template: Environ, limits: Limits, *, refuse_underscores: bool = False
) -> Environ:
    """Translate the head of an ASGI request into a WSGI environ.

    Pure: reads the scope and keeps no reference to it but behind `bridge.scope`, for reading. The body
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
    method = scope["method"]
    if method not in _METHOD and not is_token(method):
        raise PeerProtocolError("the request method is not a token")
    query = scope.get("query_string") or b""
    path = scope["path"]
    if path[:1] != "/" or not path.isascii():  # a plain path is its own native form
        path = check_path(native_path(path, scope.get("raw_path")), method)
    if len(path) + len(query) > limits.max_path_bytes:
        raise PeerProtocolError("the request path is too long", status_hint=414)
    root = scope.get("root_path")
    script_name, path_info = _split_root(path, root) if root else ("", path)
    version = scope.get("http_version") or "1.1"
    scheme = scope.get("scheme") or "http"
    if scheme != "http":
        scheme = _URL_SCHEMES.get(scheme, scheme)
    environ = template.copy()
    environ["REQUEST_METHOD"] = method
    environ["SCRIPT_NAME"] = script_name
    environ["PATH_INFO"] = path_info
    environ["QUERY_STRING"] = query.decode("latin-1")
    environ["SERVER_PROTOCOL"] = _PROTOCOLS.get(version) or _protocol(version)
    environ["wsgi.url_scheme"] = scheme
    if scheme == "https":
        environ["HTTPS"] = "on"  # and no such key on http: some readers take any value for "on" (T-09)
        extensions = scope.get("extensions")
        if extensions:
            add_tls(environ, extensions.get("tls"))
    raw = scope.get("raw_path")
    if raw:
        uri = raw.decode("latin-1")
        if query:
            uri = f"{uri}?{environ['QUERY_STRING']}"
        environ["REQUEST_URI"] = environ["RAW_URI"] = uri
    headers = scope.get("headers") or ()
    if type(headers) is not list:
        headers = list(headers)  # it may be a generator, and is read again (AA-10)
        scope = {**scope, "headers": headers}
    add_request_headers(environ, headers, limits, refuse_underscores=refuse_underscores)
    _add_addresses(environ, scope, scheme)
    environ["bridge.scope"] = ScopeView(scope)
    return environ


def _split_root(path: str, root: str) -> tuple[str, str]:
    split = split_prefix(path, native_from_text(trim_prefix(root)))
    return split if split is not None else ("", path)


def _protocol(version: str) -> str:
    if not _VERSION.match(version):
        return "HTTP/1.1"
    return f"HTTP/{version}" if "." in version else f"HTTP/{version}.0"  # granian 2.8 says "1"


def _add_addresses(environ: Environ, scope: Scope, scheme: str) -> None:
    """Write SERVER_* and REMOTE_*.

    SERVER_NAME and SERVER_PORT may not be missing (PEP 3333): a server on a unix socket, or one that
    names none, is known by the Host of the request. REMOTE_* are left out when unknown (W-07). Ports
    come as str from granian 2.8, addresses as lists from daphne 4.2.
    """
    name, port = _address(scope.get("server"))
    if not name or not port:
        name, port = _server_from_host(environ.get("HTTP_HOST"), scheme)
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = port
    name, port = _address(scope.get("client"))
    if name:
        environ["REMOTE_ADDR"] = name
        if port:
            environ["REMOTE_PORT"] = port


def _address(pair: Iterable[Any] | None) -> tuple[str, str]:
    """Read an ASGI address; IPv6 without brackets (U-24). What is unknown is empty."""
    if not pair:
        return "", ""
    host, port = pair
    if not host:
        return "", ""
    if type(host) is not str or not host.isascii() or host[0] == "[":
        host = native_from_text(str(host).strip("[]"))
    if type(port) is int and 0 < port < 65536:
        return host, str(port)
    return host, port if type(port) is str and _port(port) is not None else ""  # a unix socket has none


def _server_from_host(host: str | None, scheme: str) -> tuple[str, str]:
    default = "443" if scheme in _SECURE else "80"
    if not host:
        return "localhost", default
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons are those of an IPv6 address
        name, port = host, ""
    return name.strip("[]") or "localhost", port if _port(port) is not None else default


def scope_from_environ(environ: Environ, limits: Limits) -> Scope:
    """Translate the head of a WSGI request into the scope of an ASGI HTTP connection.

    Pure: reads the environ and keeps no reference to it. `state` is the caller's.

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
    if path[:1] != "/" and not (path == "*" and method == "OPTIONS"):
        path = check_path(path, method)
    uri = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    scheme = environ.get("wsgi.url_scheme") or "http"
    extensions: dict[str, Any] = {"tls": tls_from_environ(environ)} if scheme == "https" else {}
    if callable(environ.get("wsgi.early_hints")):
        extensions[EARLY_HINT] = {}
    if SEND_TRAILERS in environ and callable(environ[SEND_TRAILERS]):
        extensions[TRAILERS] = {}
    headers = _carried_headers(environ, limits) if "bridge.scope" in environ else None
    if headers is None:
        headers = headers_from_environ(environ, limits)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": _VERSIONS.get(environ.get("SERVER_PROTOCOL") or "", "1.1"),
        "method": method,
        "scheme": scheme,
        "path": path if path.isascii() else text_from_native(path),
        "raw_path": raw_path("", path, uri),
        "query_string": raw_from_native(query),
        "root_path": text_from_native(root) if root else "",
        "headers": headers,
        "client": _client(environ),
        "server": _server(environ),
        "extensions": extensions,
    }


def _carried_headers(environ: Environ, limits: Limits) -> RawHeaders | None:
    """Give the fields of the ASGI request that this one was made from, unflattened (A-46).

    An environ has one value a name; behind a `WSGIToASGI` the list with its repeats, its order and its
    underscores is still known. It counts only while every header key of the environ still agrees with it:
    WSGI middleware may have changed one.
    """
    view = environ["bridge.scope"]
    if type(view) is not ScopeView:
        return None
    # A server, or the middleware before this, may have left upper case and blanks.
    headers: RawHeaders = [(bytes(name).lower(), value.strip(b" \t")) for name, value in view["headers"]]
    expected: Environ = {"SERVER_PROTOCOL": environ.get("SERVER_PROTOCOL", "")}
    add_request_headers(expected, headers, limits)
    del expected["SERVER_PROTOCOL"]
    actual = {key: environ[key] for key in environ if key[:5] == "HTTP_" or key[:8] == "CONTENT_"}
    if actual != expected:
        return None
    if "CONTENT_LENGTH" in expected:
        return headers
    return [field for field in headers if field[0] != b"content-length"]


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
    text = value if type(value) is str else str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
