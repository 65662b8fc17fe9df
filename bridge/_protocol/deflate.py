"""The compression of WebSocket messages, permessage-deflate (RFC 7692): which offer is taken."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Deflate", "chosen_deflate"]

_MIN_WINDOW: Final = 9  # zlib makes no raw stream with a window of 8
_MAX_WINDOW: Final = 15


class Deflate(NamedTuple):
    """Parameters of permessage-deflate, as agreed (RFC 7692 section 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None

    @property
    def response(self) -> str:
        """The value of Sec-WebSocket-Extensions that confirms them."""
        parts = ["permessage-deflate"]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        return "; ".join(parts)


def chosen_deflate(offers: str) -> Deflate | None:
    """Choose the first offer that can be met; parameters that are unknown or wrong decline one (RFC 7692)."""
    for offer in offers.split(","):
        name, *parameters = (part.strip(" \t") for part in offer.split(";"))
        if name == "permessage-deflate" and (found := _deflate_of(parameters)) is not None:
            return found
    return None


def _deflate_of(parameters: list[str]) -> Deflate | None:
    given: dict[str, str | None] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if name in given:
            return None
        given[name] = value.strip('"') if equals else None
    window = given.pop("server_max_window_bits", "")
    client_window = given.pop("client_max_window_bits", None)  # a hint: to inflate, the largest always does
    flags = {name: name in given for name in ("server_no_context_takeover", "client_no_context_takeover")}
    if any(name not in flags or value is not None for name, value in given.items()):
        return None
    if client_window is not None and not _is_window(client_window, 8):
        return None
    if window == "":
        return Deflate(**flags)
    if window is None or not _is_window(window, _MIN_WINDOW):
        return None
    return Deflate(**flags, server_max_window_bits=int(window))


def _is_window(value: str, least: int) -> bool:
    return value.isascii() and value.isdigit() and value[0] != "0" and least <= int(value[:3]) <= _MAX_WINDOW
