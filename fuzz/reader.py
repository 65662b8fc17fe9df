"""Values of random bytes: what atheris changes by a bit changes one value, and the rest stays."""

from __future__ import annotations

__all__ = ["Reader"]


class Reader:
    """Takes values from the front of some bytes; when they are used up, all is empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Give a number from 0 to 255."""
        taken = self.take(1)
        return taken[0] if taken else 0

    def take(self, count: int) -> bytes:
        """Give so many bytes, or what is left."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def piece(self) -> bytes:
        """Give bytes with their length before them."""
        return self.take(self.byte())

    def text(self) -> str:
        """Give any text, lone surrogates included."""
        return self.piece().decode("utf-8", "surrogateescape")

    def native(self) -> str:
        """Give a native string (PEP 3333)."""
        return self.piece().decode("latin-1")

    def pick(self, *choices: bytes) -> bytes:
        """Give one of these, or anything else."""
        index = self.byte()
        return choices[index] if index < len(choices) else self.piece()

    @property
    def left(self) -> bool:
        """Whether there are bytes left."""
        return self._at < len(self._data)
