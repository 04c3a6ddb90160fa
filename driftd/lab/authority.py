"""The lab's own certificate authority: who the parts are, and who is let in."""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=365)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = b""

    def __repr__(self) -> str:
        return "Identity(...)"  # a private key has no place in a log


@dataclass(frozen=True, slots=True)
class KeyPairFiles:
    """Where a certificate and its key were written."""

    certificate: Path
    key: Path


class Authority:
    """Signs the lab's certificates. Elliptic curves throughout: making an RSA key takes longer than starting etcd."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def open(cls, folder: Path, name: str) -> "Authority":
        """The authority kept in a folder as `ca.crt` and `ca.key`; a new one if there is none."""
        files = KeyPairFiles(folder / "ca.crt", folder / "ca.key")
        if files.key.exists():
            key = load_pem_private_key(files.key.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # written by ourselves, below
            return cls(x509.load_pem_x509_certificate(files.certificate.read_bytes()), key)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _unsigned(subject, subject, key.public_key(), _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(files.certificate, certificate.public_bytes(Encoding.PEM))
        write_private(files.key, _pem(key))
        return cls(certificate, key)

    @property
    def certificate(self) -> bytes:
        """The root that everybody here trusts, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    def client(self, user: str, groups: tuple[str, ...] = ()) -> Identity:
        """A user as Kubernetes reads certificates: the common name is the user, each organisation a group."""
        return self._issue(user, groups, (), (ExtendedKeyUsageOID.CLIENT_AUTH,))

    def server(self, name: str, hosts: tuple[str, ...]) -> Identity:
        """A server known by names and addresses. Good for a client too: etcd's JSON gateway calls etcd with it."""
        usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        return self._issue(name, (), hosts, usages)

    def _issue(
        self, name: str, groups: tuple[str, ...], hosts: tuple[str, ...], usages: tuple[x509.ObjectIdentifier, ...]
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        builder = (
            _unsigned(x509.Name(attributes), self._certificate.subject, key.public_key(), _LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return Identity(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))


def write_key_pair(folder: Path, name: str, identity: Identity) -> KeyPairFiles:
    """Write `NAME.crt` and `NAME.key`, readable by their owner only."""
    files = KeyPairFiles(folder / f"{name}.crt", folder / f"{name}.key")
    write_private(files.certificate, identity.certificate)
    write_private(files.key, identity.key)
    return files


def open_token_key(folder: Path) -> KeyPairFiles:
    """The pair that signs service-account tokens: public half and private half. Kept, so that old tokens stay good."""
    files = KeyPairFiles(folder / "service-account.pub", folder / "service-account.key")
    if not files.key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_private(files.certificate, public)
        write_private(files.key, _pem(key))
    return files


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on; appears whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
    scratch.rename(path)


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
