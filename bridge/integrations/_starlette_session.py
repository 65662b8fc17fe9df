"""The session of Starlette's `SessionMiddleware`, read and written by another framework."""

from __future__ import annotations

import copy
import inspect
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, TimestampSigner
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware

from bridge.errors import ConfigurationError

__all__ = ["SharedSession", "StarletteCookie"]


class SharedSession(dict[str, Any]):
    """What a session holds, JSON as Starlette's is. A change anywhere in it is saved.

    Attributes:
        was_sent: whether the request had a session that was valid.
    """

    def __init__(self, data: Mapping[str, Any], *, was_sent: bool) -> None:
        super().__init__(data)
        self.was_sent = was_sent
        self._before = copy.deepcopy(dict(data))

    @property
    def changed(self) -> bool:
        """Whether it is to be saved."""
        return self != self._before


@dataclass(frozen=True)
class StarletteCookie:
    """How one `SessionMiddleware` signs its cookie, and where it sets it (Starlette 1.10).

    The fields are the arguments of the middleware.
    """

    secret_key: str
    session_cookie: str
    max_age: int | None
    path: str
    same_site: str
    https_only: bool
    domain: str | None

    @classmethod
    def of(cls, app: Starlette) -> StarletteCookie:
        """Find the `SessionMiddleware` of an app.

        Raises:
            ConfigurationError: it has none.
        """
        for entry in app.user_middleware:
            middleware: object = entry.cls
            if middleware is SessionMiddleware:
                bound = inspect.signature(SessionMiddleware).bind(None, *entry.args, **entry.kwargs)
                bound.apply_defaults()
                return cls(**{name: bound.arguments[name] for name in cls.__dataclass_fields__})
        raise ConfigurationError(f"app={app!r}: expected an app with Starlette's SessionMiddleware")

    def load(self, cookies: Mapping[str, str]) -> SharedSession:
        """Read the session of a request; an empty one where the cookie is missing, old or tampered with."""
        try:
            signed = cookies.get(self.session_cookie, "").encode("utf-8")
            data = self._signer().unsign(signed, max_age=self.max_age)
            return SharedSession(json.loads(b64decode(data)), was_sent=True)
        except (BadSignature, ValueError):
            return SharedSession({}, was_sent=False)

    def value_of(self, session: SharedSession) -> str:
        """Sign a session for its cookie."""
        data = b64encode(json.dumps(session).encode("utf-8"))
        return self._signer().sign(data).decode("ascii")

    def save(self, session: SharedSession, response: Any) -> None:
        """Set or delete the cookie on a response of Flask or Django, whose methods are alike in this."""
        if not session.changed:
            return
        where = {"path": self.path, "domain": self.domain, "samesite": self.same_site}
        if session:
            flags = {"max_age": self.max_age, "secure": self.https_only, "httponly": True}
            response.set_cookie(self.session_cookie, self.value_of(session), **where, **flags)
        elif session.was_sent:
            response.delete_cookie(self.session_cookie, **where)

    def _signer(self) -> TimestampSigner:
        return TimestampSigner(str(self.secret_key))
