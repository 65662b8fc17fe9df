"""What is known of a TLS connection, from the `SSL_*` variables to the `tls` extension and back.

The scheme governs both ways: on anything but https there is neither, whatever else the server says, so that
the two never contradict each other (T-01, T-11). Nothing here reads a request header (T-10, SEC-33).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge._protocol.paths import native_from_text, text_from_native
from bridge.types import Environ

__all__ = ["add_tls", "tls_from_environ"]

_VERSIONS: Final = {  # by the names of Apache's mod_ssl and of OpenSSL
    "SSLv3": 0x0300,
    "TLSv1": 0x0301,
    "TLSv1.1": 0x0302,
    "TLSv1.2": 0x0303,
    "TLSv1.3": 0x0304,
}
_VERSION_NAMES: Final = {number: name for name, number in _VERSIONS.items()}

# Number and names, of OpenSSL and of the IANA registry, of what servers agree on today: AES and ChaCha20.
_SUITES: Final = (
    (0x002F, "AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0033, "DHE-RSA-AES128-SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x0039, "DHE-RSA-AES256-SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x003C, "AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x003D, "AES256-SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0067, "DHE-RSA-AES128-SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x006B, "DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x009C, "AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009D, "AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009E, "DHE-RSA-AES128-GCM-SHA256", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009F, "DHE-RSA-AES256-GCM-SHA384", "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    (0xC009, "ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xC00A, "ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xC013, "ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xC014, "ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xC023, "ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xC024, "ECDHE-ECDSA-AES256-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xC027, "ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xC028, "ECDHE-RSA-AES256-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xC02B, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xC02F, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xC030, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xC09C, "AES128-CCM", "TLS_RSA_WITH_AES_128_CCM"),
    (0xC09D, "AES256-CCM", "TLS_RSA_WITH_AES_256_CCM"),
    (0xC09E, "DHE-RSA-AES128-CCM", "TLS_DHE_RSA_WITH_AES_128_CCM"),
    (0xC09F, "DHE-RSA-AES256-CCM", "TLS_DHE_RSA_WITH_AES_256_CCM"),
    (0xC0AC, "ECDHE-ECDSA-AES128-CCM", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"),
    (0xC0AD, "ECDHE-ECDSA-AES256-CCM", "TLS_ECDHE_ECDSA_WITH_AES_256_CCM"),
    (0xCCA8, "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xCCA9, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xCCAA, "DHE-RSA-CHACHA20-POLY1305", "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
)
_CIPHERS: Final = {name: number for number, *names in _SUITES for name in names}
_CIPHER_NAMES: Final = {number: name for number, name, _ in _SUITES}

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_FAILED: Final = "FAILED"
_MOST_CERTIFICATES: Final = 32


def tls_from_environ(environ: Environ) -> dict[str, Any]:
    """Build the `tls` extension of a scope; only for a request whose `wsgi.url_scheme` is https.

    Pure. The chain is withheld where the server names no subject in RFC 4514 form, because the name must come
    with it (T-06): Werkzeug 3 gives SSL_CLIENT_CERT alone.

    Args:
        environ: its `SSL_*` variables are those of mod_ssl, all native strings.

    Returns:
        A new dict: `server_cert`, `tls_version`, `cipher_suite`, None where unknown; what is known of the
        client's certificate besides.

    Spec:
        ASGI TLS extension 0.2 "Connection Scope".
    """
    version = environ.get("SSL_PROTOCOL")
    cipher = environ.get("SSL_CIPHER")
    tls: dict[str, Any] = {
        "server_cert": _pem(environ.get("SSL_SERVER_CERT")),
        "tls_version": _VERSIONS.get(version) if isinstance(version, str) else None,
        "cipher_suite": _CIPHERS.get(cipher) if isinstance(cipher, str) else None,
    }
    error = _verification_error(environ.get("SSL_CLIENT_VERIFY"))
    name = _subject(environ.get("SSL_CLIENT_S_DN"))
    if name is not None:
        tls["client_cert_name"] = name
        tls["client_cert_chain"] = _chain(environ)
    if error is not None:
        tls["client_cert_error"] = error
    return tls


def _pem(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(_BEGIN) else None


def _chain(environ: Environ) -> list[str]:
    """Read the client's certificate and those that signed it, leaf first (T-05)."""
    chain: list[str] = []
    certificate = _pem(environ.get("SSL_CLIENT_CERT"))
    while certificate is not None and len(chain) < _MOST_CERTIFICATES:
        chain.append(certificate)
        certificate = _pem(environ.get(f"SSL_CLIENT_CERT_CHAIN_{len(chain) - 1}"))
    return chain


def _subject(value: object) -> str | None:
    """Take a subject in RFC 4514 form; the old form of mod_ssl, `/C=.../CN=...`, is none (T-06)."""
    if not isinstance(value, str) or "=" not in value or value[0] == "/":
        return None
    return text_from_native(value)


def _verification_error(value: object) -> str | None:
    """Read SSL_CLIENT_VERIFY: `SUCCESS`, `NONE`, `FAILED:reason`, or `GENEROUS` (T-07).

    GENEROUS is a certificate that mod_ssl took without verifying it (`optional_no_ca`). Without an error an
    app would take it for verified.
    """
    if not isinstance(value, str):
        return None
    if value == "GENEROUS":
        return "not verified"
    word, _, reason = value.partition(":")
    return (text_from_native(reason) or "verification failed") if word == _FAILED else None


def add_tls(environ: Environ, tls: object) -> None:
    """Write the `SSL_*` variables that a `tls` extension tells of; only where the scheme is https (T-08).

    Args:
        environ: gets the variables of mod_ssl, native strings; none for what is unknown.
        tls: the extension of the scope; what is no mapping, or not of the type that ASGI says, is passed
            over.
    """
    if not isinstance(tls, Mapping):
        return
    for key, value in (
        ("SSL_PROTOCOL", _looked_up(_VERSION_NAMES, tls.get("tls_version"))),
        ("SSL_CIPHER", _looked_up(_CIPHER_NAMES, tls.get("cipher_suite"))),
        ("SSL_SERVER_CERT", tls.get("server_cert")),
    ):
        if isinstance(value, str):
            environ[key] = native_from_text(value)
    _add_client(environ, tls)


def _looked_up(names: dict[int, str], number: object) -> str | None:
    return names.get(number) if isinstance(number, int) else None


def _add_client(environ: Environ, tls: Mapping[str, Any]) -> None:
    chain = [native_from_text(item) for item in tls.get("client_cert_chain") or () if isinstance(item, str)]
    name = tls.get("client_cert_name")
    error = tls.get("client_cert_error")
    for index, certificate in enumerate(chain):
        environ["SSL_CLIENT_CERT" if index == 0 else f"SSL_CLIENT_CERT_CHAIN_{index - 1}"] = certificate
    if isinstance(name, str) and name:
        environ["SSL_CLIENT_S_DN"] = native_from_text(name)
    if isinstance(error, str) and error:
        environ["SSL_CLIENT_VERIFY"] = f"{_FAILED}:{native_from_text(error)}"
    elif chain:
        environ["SSL_CLIENT_VERIFY"] = "SUCCESS"
    elif "client_cert_chain" in tls:
        environ["SSL_CLIENT_VERIFY"] = "NONE"
