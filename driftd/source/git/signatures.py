"""Whether a commit is signed by an allowed ssh key: signature and allowed-signers file as OpenSSH defines them.

Formats: PROTOCOL.sshsig of OpenSSH, and ALLOWED SIGNERS in ssh-keygen(1). Certificates and keys in hardware
(`sk-...`) are not among those understood: who is signed by nobody known is refused.
"""

import base64
import binascii
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256, sha512

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from driftd.source.git.errors import CommitNotSigned, SignersUnusable

_ARMOR = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\n?")
_MAGIC = b"SSHSIG"
_NAMESPACE = b"git"
_LEAST_RSA_BITS = 2048
_DIGESTS = {b"sha256": sha256, b"sha512": sha512}
_CURVES: dict[bytes, tuple[int, hashes.HashAlgorithm]] = {
    b"ecdsa-sha2-nistp256": (256, hashes.SHA256()),
    b"ecdsa-sha2-nistp384": (384, hashes.SHA384()),
    b"ecdsa-sha2-nistp521": (521, hashes.SHA512()),
}
_RSA: dict[bytes, hashes.HashAlgorithm] = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class Signer:
    """One allowed key, in its wire form, and the span in which it counts."""

    who: str
    key: bytes
    after: datetime | None = None
    before: datetime | None = None


class _Unsigned(Exception):
    """Why a signature does not count, in words."""


def allowed_signers(path: str, text: str) -> tuple[Signer, ...]:
    """The signers of an allowed-signers file. Raises `SignersUnusable` for a line that is not understood.

    A line that were skipped could be the one that says until when a key counts.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                signer = _signer(line)
            except (ValueError, binascii.Error) as error:
                raise SignersUnusable(path, f"line {number} is not understood ({error})") from None
            if signer is not None:
                found.append(signer)
    if not found:
        raise SignersUnusable(path, "it allows nobody")
    return tuple(found)


def verified(commit: str, signature: bytes, signed: bytes, signers: tuple[Signer, ...], now: datetime) -> str:
    """Who signed `signed`, by the name in the file. Raises `CommitNotSigned`.

    The span of a key is held against `now`: a commit's own date is chosen by whoever makes it.
    """
    try:
        key = _checked(signature, signed)
    except _Unsigned as why:
        raise CommitNotSigned(commit, str(why)) from None
    for signer in signers:
        if signer.key == key and _in_time(signer, now):
            return signer.who
    raise CommitNotSigned(commit, "its key is not allowed, or not at this time")


def _in_time(signer: Signer, now: datetime) -> bool:
    return (signer.after is None or signer.after <= now) and (signer.before is None or now < signer.before)


# -- the allowed-signers file -----------------------------------------------------------------------------------------


def _signer(line: str) -> Signer | None:
    """One line; None for a key that does not sign commits."""
    words = shlex.split(line, posix=True)
    if len(words) < 3:
        raise ValueError("expected principals, options if any, a key's type and the key")
    who, rest = words[0], words[1:]
    options = "" if _is_key_type(rest[0]) else rest.pop(0)
    if len(rest) < 2 or not _is_key_type(rest[0]):
        raise ValueError("there is no ssh key in it")
    key = base64.b64decode(rest[1], validate=True)
    if _Reader(key).text() != rest[0].encode():
        raise ValueError("the key is not of the type it is said to be")
    after = before = None
    for option in filter(None, options.split(",")) if "namespaces=" not in options else _options(options):
        name, _, value = option.partition("=")
        match name.lower():
            case "namespaces":
                if "git" not in value.split(","):
                    return None
            case "valid-after":
                after = _moment(value)
            case "valid-before":
                before = _moment(value)
            case _:
                raise ValueError(f"the option {name} is not supported")
    return Signer(who, key, after, before)


def _options(text: str) -> list[str]:
    """Options apart at commas, but for those within `namespaces`, whose quotes are gone by now."""
    return re.split(r",(?=(?:namespaces|valid-after|valid-before|cert-authority)\b)", text)


def _is_key_type(word: str) -> bool:
    return word.startswith(("ssh-", "ecdsa-", "sk-"))


def _moment(text: str) -> datetime:
    """YYYYMMDD[HHMM[SS]], in UTC with a Z behind it, and in UTC without one as well: a pod has no other time."""
    digits = text.removesuffix("Z")
    for form, length in (("%Y%m%d", 8), ("%Y%m%d%H%M", 12), ("%Y%m%d%H%M%S", 14)):
        if len(digits) == length and digits.isdigit():
            return datetime.strptime(digits, form).replace(tzinfo=UTC)
    raise ValueError(f"{text!r} is no time")


# -- the signature ----------------------------------------------------------------------------------------------------


class _Reader:
    """The fields of ssh's wire format, one after the other; ValueError where they end early."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise ValueError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def text(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("something follows its end")


def _checked(signature: bytes, signed: bytes) -> bytes:
    """The wire form of the key that made a signature over `signed`."""
    if not signature:
        raise _Unsigned("it is not signed")
    armor = _ARMOR.fullmatch(signature)
    if armor is None:
        raise _Unsigned("its signature is none of ssh's (PGP and X.509 are not asked)")
    try:
        reader = _Reader(base64.b64decode(armor[1].replace(b"\n", b""), validate=True))
        if reader.take(6) != _MAGIC or reader.number() != 1:
            raise _Unsigned("its signature is of an unknown version")
        key, namespace, reserved, digest, made = (reader.text() for _ in range(5))
        reader.end()
        if namespace != _NAMESPACE:
            raise _Unsigned("its signature was made for something other than git")
        if digest not in _DIGESTS:
            raise _Unsigned("its signature uses an unknown digest")
        hashed = _DIGESTS[digest](signed).digest()
        parts = (_NAMESPACE, reserved, digest, hashed)
        _verify(key, made, _MAGIC + b"".join(len(part).to_bytes(4, "big") + part for part in parts))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise _Unsigned("its signature cannot be read") from None
    except InvalidSignature:
        raise _Unsigned("its signature does not fit it: the commit was changed after it was signed") from None
    return key


def _verify(key: bytes, made: bytes, message: bytes) -> None:
    kind = _Reader(key).text()
    public = load_ssh_public_key(kind + b" " + base64.b64encode(key))
    reader = _Reader(made)
    algorithm, blob = reader.text(), reader.text()
    reader.end()
    match public:
        case ed25519.Ed25519PublicKey() if algorithm == kind:
            public.verify(blob, message)
        case rsa.RSAPublicKey() if algorithm in _RSA and public.key_size >= _LEAST_RSA_BITS:
            public.verify(blob, message, padding.PKCS1v15(), _RSA[algorithm])
        case ec.EllipticCurvePublicKey() if algorithm == kind and algorithm in _CURVES:
            size, digest = _CURVES[algorithm]
            if public.curve.key_size != size:
                raise ValueError("its curve is not the one it names")
            pair = _Reader(blob)
            r, s = (int.from_bytes(pair.text(), "big") for _ in range(2))
            pair.end()
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        case _:
            raise _Unsigned("its key is of a kind that is not accepted")
