from __future__ import annotations

import contextvars
import threading

import pytest
from asgiref.local import Local

from bridge._runtime.context import adopt_locals, copy_changes, forget_changes, keep_until_next

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


@pytest.mark.spec("SEC-31")
def test_what_was_left_is_forgotten_by_the_next_request() -> None:
    def two_requests() -> str | None:
        context = contextvars.copy_context()
        context.run(var.set, "of the first")
        keep_until_next(copy_changes(context))
        forget_changes()
        return var.get(None)

    assert contextvars.Context().run(two_requests) is None


@pytest.mark.spec("SEC-31")
def test_what_a_middleware_has_put_back_is_not_brought_to_life_again() -> None:
    """As OpenTelemetry's does: attach a span, call the app, detach it."""

    def two_requests() -> str | None:
        attached = var.set("span of the first")
        context = contextvars.copy_context()
        context.run(var.set, "inner span")
        keep_until_next(copy_changes(context))
        var.reset(attached)
        forget_changes()
        return var.get(None)

    assert contextvars.Context().run(two_requests) is None
