"""Helpers for one framework each: `bridge.integrations.fastapi`, `.flask` and `.django`.

Each imports its framework; nothing else in the library does.
"""

__all__: list[str] = []
