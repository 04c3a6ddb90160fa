import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from driftd.lab.authority import Authority, open_token_key, write_key_pair, write_private
from driftd.lab.kubeconfig import Access, Token, kubeconfig


def test_a_client_certificate_names_user_and_groups_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path, "lab")
    certificate = x509.load_pem_x509_certificate(authority.client("alice", ("dev", "ops")).certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    subject = certificate.subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["alice"]
    assert {name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)} == {"dev", "ops"}
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_server_certificate_holds_for_its_names_and_addresses(tmp_path: Path) -> None:
    identity = Authority.open(tmp_path, "lab").server("api", ("localhost", "127.0.0.1"))
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_an_authority_opened_again_is_the_same_one_and_another_folder_holds_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, again = Authority.open(tmp_path / "a", "lab"), Authority.open(tmp_path / "a", "lab")
    other = Authority.open(tmp_path / "b", "lab")
    assert first.certificate == again.certificate != other.certificate
    signed_by_other = x509.load_pem_x509_certificate(other.client("eve").certificate)
    with pytest.raises(InvalidSignature):
        signed_by_other.verify_directly_issued_by(x509.load_pem_x509_certificate(first.certificate))


def test_the_token_key_stays_so_that_old_tokens_stay_good(tmp_path: Path) -> None:
    first = open_token_key(tmp_path).key.read_bytes()
    assert open_token_key(tmp_path).key.read_bytes() == first


def test_key_files_are_their_owners_alone_even_where_a_readable_file_stood(tmp_path: Path) -> None:
    (tmp_path / "x.key").write_text("old")
    (tmp_path / "x.key").chmod(0o644)
    files = write_key_pair(tmp_path, "x", Authority.open(tmp_path, "lab").client("x"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (files.key, files.certificate)} == {0o600}
    write_private(files.key, b"new")
    assert files.key.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_keys_and_tokens_do_not_show_in_a_repr(tmp_path: Path) -> None:
    shown = repr(Authority.open(tmp_path, "lab").client("x")) + repr(Token("hush"))
    assert "PRIVATE" not in shown
    assert "hush" not in shown


def test_a_kubeconfig_names_server_root_credentials_and_namespace() -> None:
    said = yaml.safe_load(kubeconfig(Access("lab", "https://127.0.0.1:1", b"root"), "bob", Token("t"), "team"))
    assert said["clusters"][0]["cluster"] == {"server": "https://127.0.0.1:1", "certificate-authority-data": "cm9vdA=="}
    assert said["users"] == [{"name": "bob", "user": {"token": "t"}}]
    assert said["contexts"][0]["context"] == {"cluster": "lab", "user": "bob", "namespace": "team"}
    assert said["current-context"] == said["contexts"][0]["name"]
