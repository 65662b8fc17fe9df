"""TLS facts cross in both directions, and never contradict the scheme."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from bridge._protocol.limits import Limits
from bridge._protocol.request import environ_from_scope, scope_from_environ
from bridge._protocol.tls import _SUITES
from bridge.types import Environ
from tests.support.asgi import http_scope
from tests.support.wsgi import make_environ

LEAF = "-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"
MIDDLE = "-----BEGIN CERTIFICATE-----\nmiddle\n-----END CERTIFICATE-----\n"
ROOT = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
UNKNOWN = {"server_cert": None, "tls_version": None, "cipher_suite": None}
FULL = {
    "server_cert": ROOT,
    "tls_version": 0x0304,
    "cipher_suite": 0x1301,
    "client_cert_chain": [LEAF, MIDDLE],
    "client_cert_name": "CN=J\u00fcrgen \u6f22,O=Example",
}


def extensions_of(scheme: str = "https", **more: Any) -> dict[str, Any]:
    scope = scope_from_environ(make_environ(wsgi__url_scheme=scheme, **more), Limits())
    assert scope["scheme"] == scheme
    extensions: dict[str, Any] = scope["extensions"]
    return extensions


def tls_of(**more: Any) -> dict[str, Any]:
    tls: dict[str, Any] = extensions_of(**more)["tls"]
    return tls


def environ_of(tls: object, scheme: str = "https") -> Environ:
    return environ_from_scope(http_scope(scheme=scheme, extensions={"tls": tls}), {}, Limits())


def ssl_keys(environ: Environ) -> dict[str, Any]:
    return {key: environ[key] for key in environ if key.startswith("SSL_")}


# ---------------------------------------------------------------- from environ to scope


@pytest.mark.spec("T-01", "T-11")
def test_plain_http_has_no_tls_whatever_the_variables_say() -> None:
    assert extensions_of("http", HTTPS="on", SSL_PROTOCOL="TLSv1.3", SSL_CLIENT_S_DN="CN=x") == {}


@pytest.mark.spec("T-01", "T-02", "T-11")
@pytest.mark.parametrize("more", [{"HTTPS": "on"}, {}, {"HTTPS": "off"}], ids=["on", "absent", "off"])
def test_https_alone_gives_three_keys_that_are_none(more: dict[str, str]) -> None:
    assert tls_of(**more) == UNKNOWN


@pytest.mark.spec("T-03")
@pytest.mark.parametrize(
    ("name", "number"),
    [("TLSv1.3", 772), ("TLSv1.2", 771), ("TLSv1.1", 770), ("TLSv1", 769), ("TLSv9", None), ("", None)],
)
def test_tls_version_is_the_number_of_the_protocol(name: str, number: int | None) -> None:
    assert tls_of(SSL_PROTOCOL=name)["tls_version"] == number


@pytest.mark.spec("T-04")
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("TLS_AES_128_GCM_SHA256", 0x1301),
        ("ECDHE-RSA-AES128-GCM-SHA256", 0xC02F),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC02F),
        ("GOST2012-MAGMA-MAGMAOMAC", None),
    ],
)
def test_cipher_suite_is_the_number_of_the_registry(name: str, number: int | None) -> None:
    assert tls_of(SSL_CIPHER=name)["cipher_suite"] == number


@pytest.mark.spec("T-04")
def test_the_numbers_are_those_that_openssl_gives() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    known = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}

    ours = {openssl: number for number, openssl, _ in _SUITES if openssl in known}

    assert len(ours) > 10
    assert ours == {name: known[name] for name in ours}


@pytest.mark.spec("T-04")
def test_the_suites_that_python_negotiates_by_default_are_known() -> None:
    ciphers = ssl.create_default_context().get_ciphers()

    assert {cipher["name"] for cipher in ciphers if "CCM8" not in cipher["name"]} <= {
        row[1] for row in _SUITES
    }


@pytest.mark.spec("T-05", "T-06")
def test_the_chain_is_pem_leaf_first_with_the_name_of_the_leaf() -> None:
    tls = tls_of(
        SSL_CLIENT_S_DN="CN=J\u00fcrgen".encode().decode("latin-1"),
        SSL_CLIENT_CERT=LEAF,
        SSL_CLIENT_CERT_CHAIN_0=MIDDLE,
        SSL_CLIENT_CERT_CHAIN_1=ROOT,
    )

    assert tls["client_cert_chain"] == [LEAF, MIDDLE, ROOT]
    assert tls["client_cert_name"] == "CN=J\u00fcrgen"


@pytest.mark.spec("T-05", "T-06")
def test_a_name_may_stand_alone_and_its_chain_is_empty() -> None:
    tls = tls_of(SSL_CLIENT_S_DN="CN=x", SSL_CLIENT_CERT="")

    assert (tls["client_cert_name"], tls["client_cert_chain"]) == ("CN=x", [])


@pytest.mark.spec("T-05")
@pytest.mark.parametrize("key", ["client_cert_chain", "client_cert_name", "client_cert_error"])
def test_without_a_client_certificate_nothing_is_said_of_one(key: str) -> None:
    assert key not in tls_of(SSL_CLIENT_VERIFY="NONE")


@pytest.mark.spec("T-06")
@pytest.mark.parametrize("more", [{}, {"SSL_CLIENT_S_DN": "/C=DE/CN=x"}], ids=["no-name", "old-form"])
def test_a_chain_without_a_name_in_rfc_4514_form_is_withheld(more: dict[str, str]) -> None:
    tls = tls_of(SSL_CLIENT_CERT=LEAF, **more)

    assert tls == UNKNOWN


@pytest.mark.spec("T-07")
@pytest.mark.parametrize(
    ("verify", "error"),
    [
        ("FAILED:expired", "expired"),
        ("FAILED:", "verification failed"),
        ("FAILED", "verification failed"),
        ("GENEROUS", "not verified"),
        ("SUCCESS", None),
        ("NONE", None),
    ],
)
def test_client_cert_error_tells_of_a_failed_verification_only(verify: str, error: str | None) -> None:
    assert tls_of(SSL_CLIENT_VERIFY=verify, SSL_CLIENT_S_DN="CN=x").get("client_cert_error") == error


FORGED = {
    "X_FORWARDED_PROTO": "https",
    "SSL_CLIENT_CERT": LEAF.replace("\n", " "),
    "X_SSL_CLIENT_S_DN": "CN=root",
}


@pytest.mark.spec("T-10", "T-01")
def test_a_header_makes_no_tls_on_http() -> None:
    assert extensions_of("http", **{f"HTTP_{key}": value for key, value in FORGED.items()}) == {}


@pytest.mark.spec("T-10")
def test_a_header_adds_nothing_to_tls() -> None:
    assert tls_of(**{f"HTTP_{key}": value for key, value in FORGED.items()}) == UNKNOWN


# ---------------------------------------------------------------- from scope to environ


@pytest.mark.spec("T-08")
def test_all_that_is_known_is_set_as_native_strings() -> None:
    environ = environ_of(FULL)

    assert environ["HTTPS"] == "on"
    assert ssl_keys(environ) == {
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "TLS_AES_128_GCM_SHA256",
        "SSL_SERVER_CERT": ROOT,
        "SSL_CLIENT_CERT": LEAF,
        "SSL_CLIENT_CERT_CHAIN_0": MIDDLE,
        "SSL_CLIENT_S_DN": FULL["client_cert_name"].encode().decode("latin-1"),  # type: ignore[attr-defined]
        "SSL_CLIENT_VERIFY": "SUCCESS",
    }


@pytest.mark.spec("T-08")
@pytest.mark.parametrize(
    ("client", "verify"),
    [
        ({"client_cert_chain": [LEAF], "client_cert_error": "expired"}, "FAILED:expired"),
        ({"client_cert_error": "no certificate"}, "FAILED:no certificate"),
        ({"client_cert_chain": [], "client_cert_error": None}, "NONE"),
        ({}, None),
    ],
    ids=["failed", "failed-alone", "none", "unknown"],
)
def test_the_outcome_of_the_verification_is_set(client: dict[str, Any], verify: str | None) -> None:
    assert environ_of({**UNKNOWN, **client}).get("SSL_CLIENT_VERIFY") == verify


@pytest.mark.spec("T-08", "T-11")
@pytest.mark.parametrize("tls", [None, {}, UNKNOWN, "on", {"tls_version": "1.3", "cipher_suite": 0xFFFF}])
def test_what_is_unknown_has_no_variable(tls: object) -> None:
    environ = environ_of(tls)

    assert (environ["HTTPS"], ssl_keys(environ)) == ("on", {})


@pytest.mark.spec("T-09", "T-11")
@pytest.mark.parametrize("tls", [None, FULL], ids=["plain", "contradicting"])
def test_on_http_there_is_neither_https_nor_ssl(tls: object) -> None:
    environ = environ_of(tls, "http")

    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ
    assert ssl_keys(environ) == {}


@pytest.mark.spec("T-10")
def test_headers_write_only_keys_of_headers() -> None:
    headers = [(b"x-forwarded-proto", b"https"), (b"ssl-client-verify", b"SUCCESS"), (b"https", b"on")]

    environ = environ_from_scope(http_scope(headers=headers), {}, Limits())

    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ
    assert ssl_keys(environ) == {}


@pytest.mark.spec("T-05", "T-06", "T-08", "T-11")
def test_there_and_back_is_the_same() -> None:
    environ = {**make_environ(), **environ_of(FULL)}

    assert scope_from_environ(environ, Limits())["extensions"]["tls"] == FULL
