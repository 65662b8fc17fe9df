from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._protocol.admission import Admission, Verdict

RUN, WAIT, REFUSE = Verdict.RUN, Verdict.WAIT, Verdict.REFUSE


@pytest.mark.spec("SEC-21")
@pytest.mark.parametrize(
    ("places", "backlog", "verdicts"),
    [
        (1, 0, [RUN, REFUSE, REFUSE]),
        (1, 1, [RUN, WAIT, REFUSE]),
        (2, 1, [RUN, RUN, WAIT, REFUSE]),
        (3, 2, [RUN, RUN, RUN, WAIT, WAIT, REFUSE]),
    ],
)
def test_places_are_taken_first_then_the_backlog(places: int, backlog: int, verdicts: list[Verdict]) -> None:
    admission = Admission(places, backlog)

    assert [admission.arrive() for _ in verdicts] == verdicts
    assert (admission.running, admission.waiting) == (places, backlog)
    assert admission.refused == verdicts.count(REFUSE)


def test_the_place_of_one_that_ends_goes_to_one_that_waits() -> None:
    admission = Admission(1, 1)
    admission.arrive()
    admission.arrive()

    admission.end()
    assert (admission.running, admission.waiting) == (1, 0)
    admission.end()
    assert (admission.running, admission.waiting) == (0, 0)


@pytest.mark.parametrize("way", ["expire", "leave"])
def test_one_that_gives_up_makes_room_in_the_backlog(way: str) -> None:
    admission = Admission(1, 1)
    admission.arrive()
    admission.arrive()

    getattr(admission, way)()

    assert (admission.running, admission.waiting) == (1, 0)
    assert (admission.expired, admission.left) == ((1, 0) if way == "expire" else (0, 1))
    assert admission.arrive() is WAIT


@pytest.mark.parametrize("way", ["expire", "leave"])
def test_one_that_gives_up_on_the_way_to_its_place_hands_it_on(way: str) -> None:
    """It has been given a place, and was not at it yet when it was taken out of the queue."""
    admission = Admission(1, 1)
    admission.arrive()

    getattr(admission, way)()

    assert admission.running == 0
    assert admission.arrive() is RUN


@given(
    places=st.integers(1, 4),
    backlog=st.integers(0, 4),
    steps=st.lists(st.sampled_from(["arrive", "begin", "end", "expire", "leave"]), max_size=60),
)
def test_no_more_than_the_places_run_and_nobody_waits_beside_a_free_one(
    places: int, backlog: int, steps: list[str]
) -> None:
    """Played beside a queue as a pool keeps it: counts and queue agree, whatever comes in whatever order."""
    admission = Admission(places, backlog)
    queue: deque[int] = deque()
    at_work = 0
    for number, step in enumerate(steps):
        if step == "arrive":
            if admission.arrive() is not REFUSE:
                queue.append(number)
        elif step == "begin":
            if queue and at_work < places:
                queue.popleft()
                at_work += 1
        elif step == "end":
            if at_work:
                at_work -= 1
                admission.end()
        elif queue:
            queue.pop()
            getattr(admission, step)()

        assert at_work <= admission.running <= places
        assert 0 <= admission.waiting <= backlog
        assert admission.running + admission.waiting == at_work + len(queue)
        assert not (admission.waiting and admission.running < places)
