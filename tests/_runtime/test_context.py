from __future__ import annotations

import contextvars
import threading

import pytest
from asgiref.local import Local

from bridge._runtime.context import adopt_locals, copy_changes

var: contextvars.ContextVar[str] = contextvars.ContextVar("var")


def in_thread(context: contextvars.Context, work: object) -> None:
    thread = threading.Thread(target=context.run, args=(work,))
    thread.start()
    thread.join(10)


@pytest.mark.spec("W-65")
def test_an_asgiref_local_is_seen_in_the_thread_that_adopts_it() -> None:
    local = Local()
    local.language = "de"
    seen: list[str] = []

    def look() -> None:
        adopt_locals()
        seen.append(getattr(local, "language", "missing"))

    in_thread(contextvars.copy_context(), look)

    assert seen == ["de"]


def test_an_asgiref_local_set_in_the_thread_is_seen_afterwards() -> None:
    local = Local()
    context = contextvars.copy_context()
    in_thread(context, lambda: setattr(local, "language", "fr"))

    copy_changes(context)

    assert local.language == "fr"


def test_a_variable_set_elsewhere_is_copied_back() -> None:
    context = contextvars.copy_context()
    context.run(var.set, "new")

    copy_changes(context)

    assert var.get() == "new"
