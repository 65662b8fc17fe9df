from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.kind import Side
from bridge._protocol.plan import Layer, Plan, plan_of

SIDES: list[Side] = ["asgi", "wsgi"]
sides = st.sampled_from(SIDES)


def plan(face: Side, *kinds: Side) -> Plan:
    return plan_of(
        face, [Layer(f"{letter}.{kind}", kind) for letter, kind in zip("abcdefgh", kinds, strict=False)]
    )


def test_layers_of_the_servers_kind_cross_nowhere() -> None:
    found = plan("wsgi", "wsgi", "wsgi")

    assert found.crossings == () and found.saving is None


def test_adjacent_layers_of_one_kind_share_a_crossing() -> None:
    found = plan("asgi", "asgi", "wsgi", "wsgi")

    assert [(c.adapter, c.outside, c.inside, c.position) for c in found.crossings] == [
        ("WSGIToASGI", "a.asgi", "b.wsgi", 1)
    ]


def test_the_server_is_the_outermost_neighbour() -> None:
    found = plan("wsgi", "asgi", "asgi")

    assert [(c.adapter, c.outside) for c in found.crossings] == [("ASGIToWSGI", "WSGI server")]


@given(sides, st.lists(sides, min_size=1, max_size=6))
def test_there_is_one_crossing_for_each_change_of_kind(face: Side, kinds: list[Side]) -> None:
    changes = sum(a != b for a, b in itertools.pairwise([face, *kinds]))

    assert len(plan(face, *kinds).crossings) == changes


@given(sides, st.lists(sides, min_size=1, max_size=5))
def test_a_saving_keeps_its_promise_and_none_is_better(face: Side, kinds: list[Side]) -> None:
    """By trying each move of one middleware, with the app left at its place."""
    *middleware, app = kinds
    counts = [len(plan(face, *kinds).crossings)]
    for start, end in itertools.permutations(range(len(middleware)), 2):
        moved = [*middleware[:start], *middleware[start + 1 :]]
        moved.insert(end, middleware[start])
        counts.append(len(plan(face, *moved, app).crossings))

    saving = plan(face, *kinds).saving

    assert (counts[0] if saving is None else saving.crossings) == min(counts)


def test_a_saving_says_what_goes_where() -> None:
    saving = plan("asgi", "wsgi", "asgi", "wsgi").saving

    assert saving is not None
    assert str(saving) == "a.wsgi inside b.asgi: 1 crossing"
    assert saving == plan("asgi", "wsgi", "asgi", "wsgi").saving


def test_it_reads_from_the_outside_in() -> None:
    assert str(plan("asgi", "wsgi", "asgi", "wsgi")).splitlines() == [
        "3 crossings under an ASGI server, outermost first:",
        "   --  WSGIToASGI",
        "  wsgi  a.wsgi",
        "   --  ASGIToWSGI",
        "  asgi  b.asgi",
        "   --  WSGIToASGI",
        "  wsgi  c.wsgi",
        "To save 2, put a.wsgi inside b.asgi: 1 crossing.",
    ]
    assert str(plan("wsgi", "wsgi")).startswith("no crossings under a WSGI server")


def test_its_dict_is_json() -> None:
    found = plan("asgi", "wsgi", "asgi", "wsgi").to_dict()

    assert json.loads(json.dumps(found)) == found
    assert [layer["kind"] for layer in found["layers"]] == ["wsgi", "asgi", "wsgi"]
    assert [crossing["adapter"] for crossing in found["crossings"]] == [
        "WSGIToASGI",
        "ASGIToWSGI",
        "WSGIToASGI",
    ]
    assert found["saving"] == {"layer": "a.wsgi", "place": "inside", "of": "b.asgi", "crossings": 1}
    assert plan("wsgi", "wsgi").to_dict()["saving"] is None
