"""Who may call: a token, TLS, a client's certificate; health stays open to probes."""

import datetime as dt
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from impressions.client import CallFailed
from impressions.core.errors import SettingsError
from serving.wiring import create_server
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, serving, settings_in

# Dates around the running clock: TLS itself reads it, so it cannot be passed in.
TODAY = dt.datetime.now(dt.UTC)


@pytest.fixture
def guarded(tmp_path):
    """Settings of a host whose server wants one of two tokens."""
    token_file = tmp_path / "tokens"
    token_file.write_text("old-secret\nnew-secret\n")
    settings = settings_in(tmp_path, token_file=token_file)
    install(settings)
    return settings


@pytest.mark.parametrize("token", ["old-secret", "new-secret"])
def test_each_token_of_the_file_opens_every_method(guarded, token):
    with serving(guarded) as server, client_of(server, token=token) as client:
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        assert client.get_many([1], at_ms=CUTOVER_MS)[0].profile_id == 1
        assert next(client.stream([1], at_ms=CUTOVER_MS)).profile_id == 1


@pytest.mark.parametrize("token", [None, "", "wrong", "old-secret2", "old-secre"])
def test_without_a_right_token_nothing_is_answered_and_nothing_logged(guarded, token, caplog):
    """Single reads, streams that send nothing, and unknown methods alike."""
    with serving(guarded) as server, client_of(server, token=token) as client:
        for call in (
            lambda: client.get(1),
            client.describe,
            lambda: next(client.stream(iter(lambda: 1, 1))),
        ):
            with pytest.raises(CallFailed) as caught:
                call()
            assert caught.value.code == "UNAUTHENTICATED"
            assert caught.value.reason == "unauthenticated"
            assert "secret" not in caught.value.message
    assert "secret" not in caplog.text


def test_reflection_and_unknown_methods_want_the_token_and_health_does_not(guarded):
    with serving(guarded) as server, grpc.insecure_channel(server.address) as channel:
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        for call in (
            lambda: list(reflection.ServerReflectionInfo(iter([request]), timeout=5)),
            lambda: channel.unary_unary("/any.Service/Method")(b"", timeout=5),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        health = health_pb2_grpc.HealthStub(channel)
        status = health.Check(health_pb2.HealthCheckRequest(), timeout=5).status
        assert status == health_pb2.HealthCheckResponse.SERVING


def test_an_empty_or_absent_token_file_is_refused_at_the_start(tmp_path):
    """A server that was set to want a token never starts without one."""
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(SettingsError, match="empty, expected one token per line"):
        create_server(settings_in(tmp_path, token_file=empty))
    with pytest.raises(SettingsError, match="cannot be read"):
        create_server(settings_in(tmp_path, token_file=tmp_path / "absent"))


# ---- TLS ----


def certificate(name: str, issuer=None, *, expired=False):
    """(certificate, key), signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, by_key = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    until = TODAY - dt.timedelta(days=1) if expired else TODAY + dt.timedelta(days=1)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY - dt.timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(by_key, hashes.SHA256()), key


def pem(pair) -> tuple[bytes, bytes]:
    cert, key = pair
    return cert.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def tls_settings(home, ca, *, mutual=False, expired=False):
    cert, key = pem(certificate("server", ca, expired=expired))
    files = {"tls_cert": cert, "tls_key": key, **({"tls_client_ca": pem(ca)[0]} if mutual else {})}
    for name, data in files.items():
        (home / name).write_bytes(data)
    settings = settings_in(home, **{name: home / name for name in files})
    install(settings)
    return settings


def test_tls_answers_those_who_trust_its_ca_and_not_plaintext(tmp_path):
    ca = certificate("ca")
    trusting = grpc.ssl_channel_credentials(pem(ca)[0])
    stranger = grpc.ssl_channel_credentials(pem(certificate("other ca"))[0])
    with serving(tls_settings(tmp_path, ca)) as server:
        with client_of(server, tls=trusting) as client:
            assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        for tls in (None, stranger):
            with client_of(server, tls=tls, timeout_s=2, retries=False) as client:
                with pytest.raises(CallFailed) as caught:
                    client.get(1)
                assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_an_expired_certificate_of_the_server_is_refused_by_the_client(tmp_path):
    ca = certificate("ca")
    trusting = grpc.ssl_channel_credentials(pem(ca)[0])
    with (
        serving(tls_settings(tmp_path, ca, expired=True)) as server,
        client_of(server, tls=trusting, timeout_s=20, retries=False) as client,
    ):
        with pytest.raises(CallFailed) as caught:
            client.get(1)
        assert caught.value.code == "UNAVAILABLE"


def test_mutual_tls_wants_a_certificate_of_its_ca(tmp_path):
    """None, one of another CA, an expired one: refused. A good one: answered."""
    ca = certificate("ca")

    def credentials(pair):
        cert, key = pem(pair) if pair else (None, None)
        return grpc.ssl_channel_credentials(pem(ca)[0], key, cert)

    bad = [None, certificate("x", certificate("other")), certificate("x", ca, expired=True)]
    with serving(tls_settings(tmp_path, ca, mutual=True)) as server:
        with client_of(server, tls=credentials(certificate("me", ca))) as client:
            assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        for pair in bad:
            with client_of(server, tls=credentials(pair), timeout_s=2, retries=False) as client:
                with pytest.raises(CallFailed) as caught:
                    client.get(1)
                assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_files_that_are_no_certificate_are_refused_at_the_start(tmp_path):
    for name in ("cert", "key"):
        (tmp_path / name).write_text("nonsense")
    settings = settings_in(tmp_path, tls_cert=tmp_path / "cert", tls_key=tmp_path / "key")
    with pytest.raises(SettingsError, match="not a PEM certificate"):
        create_server(settings)
