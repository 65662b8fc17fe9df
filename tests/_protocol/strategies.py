"""What the laws of several modules draw from."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st

_EXAMPLES = int(os.environ.get("EXAMPLES", "0"))  # `make fuzz` tries many, and others each time

LAW = settings(max_examples=_EXAMPLES or 75, deadline=None, derandomize=not _EXAMPLES)
MACHINE = settings(LAW, max_examples=_EXAMPLES or 100, stateful_step_count=20)
THREADS_MACHINE = settings(MACHINE, max_examples=_EXAMPLES or 25, stateful_step_count=30)

TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CONTROL_BYTES = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])  # all but HTAB

any_text = st.text(st.characters(), max_size=12)  # lone surrogates included
native_text = st.text(st.characters(max_codepoint=0xFF), max_size=12)

# Lower case, no underscore: the names that an environ can give back.
names = st.text(sorted(set(TOKEN_BYTES.decode().lower()) - {"_"}), min_size=1, max_size=12)
raw_names = names.map(str.encode)
raw_values = st.lists(st.sampled_from(sorted(set(range(256)) - set(CONTROL_BYTES))), max_size=12).map(
    lambda codes: bytes(codes).strip(b" \t")
)

path_bytes = st.lists(
    st.binary(max_size=4) | st.sampled_from([b"api", b"..", b"", "é".encode(), b"%2e", b"a b", b"\0"]),
    max_size=5,
).map(lambda segments: b"/" + b"/".join(segments))
