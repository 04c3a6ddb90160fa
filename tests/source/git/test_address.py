import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.source.git import Address, AddressUnusable
from driftd.values import redacted


@pytest.mark.parametrize(
    ("text", "shown", "path", "user"),
    [
        ("https://git.example.com/team/model.git", "https://git.example.com/team/model.git", "/team/model.git", ""),
        ("https://bot:s3cret@git.example.com:8443/m", "https://git.example.com:8443/m", "/m", "bot"),
        ("ssh://git@git.example.com/team/model.git", "ssh://git.example.com/team/model.git", "/team/model.git", "git"),
        ("ssh://git@git.example.com:2222/~bot/m", "ssh://git.example.com:2222/~bot/m", "/~bot/m", "git"),
        ("git@git.example.com:team/model.git", "ssh://git.example.com/~/team/model.git", "/~/team/model.git", "git"),
        ("git@git.example.com:/srv/model.git", "ssh://git.example.com/srv/model.git", "/srv/model.git", "git"),
        ("https://[::1]:8443/m", "https://[::1]:8443/m", "/m", ""),
    ],
)
def test_addresses_are_taken_apart_and_shown_without_logins(text: str, shown: str, path: str, user: str) -> None:
    address = Address.parse(text)
    assert (str(address), address.path, address.user) == (shown, path, user)
    assert "s3cret" not in f"{address!r}{address}"


@pytest.mark.parametrize(
    "text",
    [
        "http://u:s3cret@h/m",
        "git://h/m",
        "file:///srv/model.git",
        "/srv/model.git",
        "https://u:s3cret@h",
        "https://u:s3cret@h:port/m",
        "https://u:s3/cret@h/m?x=1",
        "https://h/m#f",
        "ssh://-oProxyCommand=touch/m",
        "git@-oProxyCommand=touch:m",
        "ext::sh -c touch",
        "",
    ],
)
def test_what_proves_nothing_of_who_answers_is_refused_without_repeating_a_password(text: str) -> None:
    with pytest.raises(AddressUnusable) as told:
        Address.parse(text)
    assert "s3cret" not in str(told.value)
    assert "cret@" not in str(told.value)


@given(st.text(alphabet="ab@:/%?#", max_size=8), st.text(alphabet="xyz", min_size=1, max_size=5), st.text(max_size=5))
def test_no_login_in_a_url_survives_redaction(password: str, user: str, around: str) -> None:
    text = f"{around} https://{user}:s3cret{password}@host/path {around}"
    assert "s3cret" not in redacted(text)
    assert redacted(text).endswith(f"host/path {around}")


@given(st.text(alphabet="ab c://@.", max_size=30).filter(lambda text: "://" not in text))
def test_text_without_a_url_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
