"""TLS with a certificate of one's own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mysql.connector
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server import Server


def certificate(directory: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Writes a self-signed certificate for this machine and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    cert = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, False).add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / f"{name}.pem", directory / f"{name}.key"
    cert_path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return cert_path, key_path


@pytest.fixture
def secured(repository: Path, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server that wants TLS, and its certificate."""
    cert, key = certificate(tmp_path)
    server = Server(repository, "--tls-cert", str(cert), "--tls-key", str(key), "--require-secure-transport").start()
    yield server, cert
    server.stop()


def test_pymysql(secured: tuple[Server, Path]) -> None:
    server, cert = secured
    with server.connect("shop", ssl_ca=str(cert), ssl_verify_cert=True, ssl_verify_identity=True) as c, c.cursor() as cur:
        cur.execute("create table t (x int)")
        cur.execute("insert into t values (1)")
        cur.execute("select * from t")
        assert cur.fetchall() == ((1,),)


def test_certificates_are_checked(secured: tuple[Server, Path], tmp_path: Path) -> None:
    server, _ = secured
    other, _ = certificate(tmp_path, "elsewhere")
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        server.connect("shop", ssl_ca=str(other), ssl_verify_cert=True)


def test_plain_connections_are_refused(secured: tuple[Server, Path]) -> None:
    server, _ = secured
    with pytest.raises(pymysql.err.OperationalError) as e:
        server.connect("shop", ssl_disabled=True)
    assert e.value.args[0] == 3159


@pytest.mark.parametrize("pure", [True, False])
def test_connector(secured: tuple[Server, Path], pure: bool) -> None:
    server, cert = secured
    with mysql.connector.connect(
        host="127.0.0.1", port=server.port, user="root", database="shop", use_pure=pure, ssl_ca=str(cert), ssl_verify_cert=True
    ) as c:
        cur = c.cursor()
        cur.execute("select 1")
        assert cur.fetchall() == [(1,)]


def test_command_line(secured: tuple[Server, Path], mysql: str) -> None:
    server, cert = secured
    base = [mysql, "--no-defaults", "-h127.0.0.1", f"-P{server.port}", "-uroot", "shop"]
    done = subprocess.run([*base, f"--ssl-ca={cert}", "--ssl-verify-server-cert", "-e", "status"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "Cipher in use is TLS" in done.stdout
    done = subprocess.run([*base, "--skip-ssl", "-e", "select 1"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "3159" in done.stderr


def test_tls_is_a_choice(repository: Path, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = Server(repository, "--tls-cert", str(cert), "--tls-key", str(key)).start()
    try:
        server.connect("shop", ssl_ca=str(cert), ssl_verify_cert=True).close()
        server.connect("shop", ssl_disabled=True).close()
    finally:
        server.stop()
