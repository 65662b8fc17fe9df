from __future__ import annotations

from dataclasses import replace

import pytest

from bridge._protocol.limits import Limits
from bridge._protocol.server_limits import ServerLimits, limits_of_uwsgi
from bridge.errors import ConfigurationError

KNOWN = ("gunicorn", "uwsgi", "waitress", "werkzeug", "uvicorn", "hypercorn", "daphne", "granian")
NGINX = ServerLimits(
    "nginx",
    max_body_bytes=10,
    max_headers=11,
    max_header_bytes=12,
    max_path_bytes=13,
    max_message_bytes=14,
    options={"max_body_bytes": "client_max_body_size"},
)
FIGURES = {
    "max_body_bytes": 10,
    "max_headers": 11,
    "max_header_bytes": 12,
    "max_path_bytes": 13,
    "max_message_bytes": 14,
}


def _problem(server: str | ServerLimits, **limits: int) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**limits, server=server)
    return str(caught.value)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("step", [-1, 0])
def test_a_limit_up_to_that_of_the_server_is_taken(name: str, step: int) -> None:
    value = FIGURES[name] + step

    assert getattr(Limits(**{name: value}, server=NGINX), name) == value


@pytest.mark.parametrize(("name", "figure"), FIGURES.items())
def test_a_limit_above_that_of_the_server_is_refused_by_name_value_and_figure(name: str, figure: int) -> None:
    problem = _problem(NGINX, **{name: figure + 1})

    assert problem.startswith(f"{name}={figure + 1}: nginx lets no more than {figure} through; lower it")


@pytest.mark.parametrize("name", KNOWN)
def test_a_default_above_that_of_the_server_is_none_that_anybody_has_set(name: str) -> None:
    assert replace(Limits(server=name), server=None) == Limits()


def test_no_limit_of_the_body_leaves_it_to_the_server() -> None:
    assert Limits(max_body_bytes=None, server="waitress").max_body_bytes is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_that_is_not_certain_bounds_nothing(name: str) -> None:
    open_to_all = ServerLimits("a server")

    assert Limits(**{name: 1 << 40}, server=open_to_all).server is open_to_all


# ---------------------------------------------------------------- how to mend it


def test_the_way_out_names_the_option_and_how_to_say_that_it_was_raised() -> None:
    assert _problem("gunicorn", max_headers=500) == (
        "max_headers=500: gunicorn lets no more than 100 through; lower it to that, or raise "
        "--limit-request-fields of gunicorn and say so: server=ServerLimits.of('gunicorn', max_headers=500)"
    )


def test_what_the_message_says_mends_it() -> None:
    for limit, value in {"max_headers": 500, "max_header_bytes": 2_000_001, "max_path_bytes": 8_000}.items():
        way_out = _problem("gunicorn", **{limit: value}).partition("server=")[2]
        server = eval(way_out, {"ServerLimits": ServerLimits})  # as a user would copy it

        assert getattr(Limits(**{limit: value}, server=server), limit) == value


def test_a_server_without_an_option_says_so() -> None:
    assert _problem("werkzeug", max_headers=101) == (
        "max_headers=101: werkzeug lets no more than 100 through; lower it to that, "
        "as werkzeug has no option for it"
    )


def test_a_server_of_the_users_own_is_raised_there() -> None:
    assert _problem(NGINX, max_body_bytes=11).endswith("or raise client_max_body_size of nginx")
    assert _problem(NGINX, max_headers=12).endswith("or raise that of nginx")


# ---------------------------------------------------------------- the figures of a server


def test_what_the_operator_has_changed_stands_beside_the_defaults() -> None:
    server = ServerLimits.of("gunicorn", max_headers=500)

    assert server == replace(ServerLimits.of("gunicorn"), max_headers=500)
    assert Limits(max_headers=500, server=server).max_headers == 500
    assert "501: gunicorn lets no more than 500 through" in _problem(server, max_headers=501)


def test_a_bound_that_was_taken_off_bounds_nothing() -> None:
    server = ServerLimits.of("waitress", max_body_bytes=None)

    assert Limits(max_body_bytes=1 << 40, server=server).max_body_bytes == 1 << 40


def test_an_unknown_server_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServerLimits.of("apache")

    assert f"server='apache': expected one of {', '.join(KNOWN)}" in str(caught.value)


def test_an_unknown_figure_is_told_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError, match=r"max_fields=5: expected one of max_body_bytes, max_headers, "
    ):
        ServerLimits.of("gunicorn", max_fields=5)


def test_number_and_size_of_the_fields_bound_all_of_them() -> None:
    server = ServerLimits("a server", max_headers=10, max_field_bytes=20)

    assert server.most("max_header_bytes") == 200
    assert replace(server, max_header_bytes=199).most("max_header_bytes") == 199
    assert replace(server, max_header_bytes=201).most("max_header_bytes") == 200
    assert "max_header_bytes=201" in _problem(server, max_header_bytes=201)
    assert Limits(max_header_bytes=200, server=server).max_header_bytes == 200


@pytest.mark.parametrize("name", KNOWN)
def test_limits_with_a_server_can_be_compared_and_kept(name: str) -> None:
    server = ServerLimits.of(name)

    assert {Limits(server=server): 1}[Limits(server=ServerLimits.of(name))] == 1


# ---------------------------------------------------------------- uWSGI


def test_uwsgi_without_options_has_its_defaults() -> None:
    server, defaults = (
        limits_of_uwsgi({"http-socket": b"127.0.0.1:0", "master": True}, 4096),
        ServerLimits.of("uwsgi"),
    )

    assert replace(server, name="uwsgi") == defaults


def test_the_options_of_uwsgi_are_its_figures() -> None:
    server = limits_of_uwsgi({"limit-post": b"1000", "max-vars": b"100", "buffer-size": b"70000"}, 65_535)

    assert (server.max_body_bytes, server.max_headers) == (1_000, 200)
    assert server.max_header_bytes == server.max_path_bytes == 65_535


@pytest.mark.parametrize(
    ("value", "most"), [(b"0", None), (b"1k", 1), (b" 7", 7), (b"none", None), (b"", None), (True, None)]
)
def test_a_number_of_uwsgi_is_read_as_it_reads_it(value: object, most: int | None) -> None:
    assert limits_of_uwsgi({"limit-post": value}, 4096).max_body_bytes == most


def test_a_limit_above_that_of_a_uwsgi_process_names_its_option() -> None:
    problem = _problem(limits_of_uwsgi({"limit-post": b"1000"}, 4096), max_body_bytes=1001)

    assert problem == (
        "max_body_bytes=1001: this uWSGI process lets no more than 1000 through; lower it to that, "
        "or raise limit-post of this uWSGI process"
    )
