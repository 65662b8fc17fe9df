"""Which app a path belongs to: whole segments, the longest prefix wins.

The segments are those of the path as it was requested. An encoded slash (`%2F`) is a character of its segment
and no border (RFC 3986 section 2.2), so `/admin%2Fusers` is not under `/admin`: a proxy in front that guards
`/admin/` sees it so too. Dot segments are segments like others: nothing is resolved (U-19), so no path leaves
the mount that its first segments name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

from bridge._protocol.paths import native_from_raw, raw_path, split_prefix, trim_prefix
from bridge.errors import ConfigurationError
from bridge.types import Environ, Scope

__all__ = [
    "MountTable",
    "check_prefix",
    "child_environ",
    "child_scope",
    "native_borders",
    "slash_location",
    "text_borders",
]

T = TypeVar("T")

_NOT_IN_A_PREFIX: Final = frozenset('%?#{}<>"\\') | {chr(code) for code in (*range(0x20), 0x7F)}
_PATH_SAFE: Final = "/!$&'()*+,;=:@-._~"
_OF_AN_OUTER_APP: Final = ("router", "app_root_path", "endpoint", "route")
_HIDDEN: Final = "\0"  # stands for an encoded slash; no prefix has it


def check_prefix(path: object) -> str:
    """Bring the path of a mount to its one form: empty for the root, else with a leading slash only.

    Args:
        path: decoded text, as in `/legacy` or `/legacy/`.

    Raises:
        ConfigurationError: it is no literal path.
    """
    if not isinstance(path, str) or path[:1] != "/":
        raise ConfigurationError(
            f"path={path!r}: expected a text that starts with a slash, such as '/legacy'"
        )
    prefix = path.removesuffix("/")
    if not _NOT_IN_A_PREFIX.isdisjoint(prefix):
        raise ConfigurationError(
            f"path={path!r}: expected a literal path, decoded and without parameters, query or control "
            "characters; for a pattern mount Starlette's Mount or a Flask app"
        )
    if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")[1:]):
        raise ConfigurationError(
            f"path={path!r}: no request has an empty or a dot segment there; leave it out"
        )
    return prefix


class _Node(Generic[T]):
    __slots__ = ("children", "prefix", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.prefix = ""
        self.value: T | None = None


class MountTable(Generic[T]):
    """Values by path prefix: a tree of segments, so that a lookup costs one step a segment, not one a mount.

    Text or native strings, but one kind of them in one table.
    """

    __slots__ = ("_depth", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._depth = 0

    def add(self, prefix: str, value: T) -> None:
        """Add a value.

        Args:
            prefix: in the form that `check_prefix` gives.
            value: what to find there; not None.

        Raises:
            ConfigurationError: the prefix is taken.
        """
        node = self._root
        for segment in prefix.split("/")[1:]:
            node = node.children.setdefault(segment, _Node())
        if node.value is not None:
            raise ConfigurationError(
                f"path={prefix or '/'!r}: something is mounted there already; give each app its own prefix"
            )
        node.prefix = prefix
        node.value = value
        self._depth = max(self._depth, prefix.count("/"))

    def find(self, path: str) -> tuple[str, T] | None:
        """Find the value of the longest prefix of a path.

        Args:
            path: empty, or with a leading slash; from `text_borders` or `native_borders`.

        Returns:
            The prefix and the value; None if there is neither such a prefix nor a value at the root.
        """
        node = found = self._root
        # What is left over after as many segments as the deepest mount has is found at no node.
        before, *segments = path.split("/", self._depth + 1)
        for segment in () if before else segments:
            child = node.children.get(segment)
            if child is None:
                break
            node = child
            if node.value is not None:
                found = node
        return None if found.value is None else (found.prefix, found.value)


def text_borders(path: str, raw: bytes | None) -> str:
    """Hide the encoded slashes of an ASGI path from a lookup; each remains one character.

    Args:
        path: text, whole.
        raw: the percent-encoded path, if the server gave it. It counts only while it agrees with `path`,
            which a middleware may have rewritten (U-07).
    """
    if not raw or b"%2" not in raw:
        return path
    segments = [unquote_to_bytes(part).decode("utf-8", "replace") for part in raw.split(b"/")]
    return _hidden(segments, path)


def native_borders(script_name: str, path_info: str, request_uri: str | None) -> str:
    """Hide the encoded slashes of a WSGI path from a lookup; each remains one character.

    Args:
        script_name: native.
        path_info: native.
        request_uri: the request target as sent, native, if the server gave it. It counts only while it agrees
            with the path (U-16).

    Returns:
        What `path_info` becomes.
    """
    if not request_uri or "%2" not in request_uri:
        return path_info
    raw = raw_path(script_name, path_info, request_uri)
    segments = [native_from_raw(unquote_to_bytes(part)) for part in raw.split(b"/")]
    return _hidden([str(segment) for segment in segments], script_name + path_info)[len(script_name) :]


def _hidden(segments: list[str], path: str) -> str:
    """Join segments to a path whose only slashes are borders, if they are those of this path."""
    return "/".join(s.replace("/", _HIDDEN) for s in segments) if "/".join(segments) == path else path


def slash_location(path: str, query: str) -> str:
    """Give the Location of the same path with a slash at its end.

    It is relative to the host: whatever stands before, a proxy and its prefix included, stays. Two leading
    slashes would name another host, so one is left (SEC-16).

    Args:
        path: text, whole.
        query: native, without the question mark.
    """
    target = "/" + quote(path.strip("/"), safe=_PATH_SAFE, errors="replace") + "/"
    safe_query = quote(query, safe=_PATH_SAFE + "?%", encoding="latin-1", errors="replace")
    return f"{target}?{safe_query}" if safe_query else target


def child_scope(scope: Scope, prefix: str, state: Mapping[str, Any] | None) -> Scope:
    """Give the scope of a request as a mounted app sees it.

    As under Starlette's `Mount`, `path` keeps the prefix and `root_path` grows by it. What an outer Starlette
    app has left about itself is taken out: with it a mounted one would build the URLs of the outer.

    Args:
        scope: of the site; not changed.
        prefix: text; empty for an app that sees the path as it is.
        state: what the app filled in at its startup; None for nothing (L-08).
    """
    child = dict(scope)
    if "router" in child:
        for key in _OF_AN_OUTER_APP:
            child.pop(key, None)
    if prefix:
        root = trim_prefix(child.get("root_path") or "")
        child["root_path"] = root + prefix
        if root and split_prefix(child["path"], root) is None:
            # A server that is told a root path without adding it to `path` (D-01): else the path would lie
            # outside the new root, and the app not find its own part.
            child["path"] = root + child["path"]
            if child.get("raw_path"):
                child["raw_path"] = quote(root, safe=_PATH_SAFE).encode("ascii") + child["raw_path"]
    if state:
        child["state"] = {**child.get("state", {}), **state}
    return child


def child_environ(environ: Environ, prefix: str) -> Environ:
    """Give the environ of a request as a mounted app sees it: the prefix is part of SCRIPT_NAME.

    A copy: the middleware outside finds its own paths again when the app has returned.

    Args:
        environ: of the site; not changed.
        prefix: native; PATH_INFO starts with it.
    """
    child = dict(environ)
    child["SCRIPT_NAME"] = trim_prefix(environ.get("SCRIPT_NAME") or "") + prefix
    child["PATH_INFO"] = environ["PATH_INFO"][len(prefix) :]
    return child
