"""Settings that hold a login show it nowhere: not printed, not dumped, not in what is said of a wrong one."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from driftd.settings import Settings
from driftd.store import UnsupportedDatabase
from driftd.store.backend import address_of

PLANTED = "s3cr3t-planted"
PLACES = {
    "DRIFTD_STORE__URL": f"postgresql://driftd:{PLANTED}@db.example/driftd",
    "DRIFTD_MODEL__GIT__URL": f"https://git:{PLANTED}@git.example/model.git",
    "DRIFTD_PAGING__PAGERDUTY_KEY": PLANTED,
    "DRIFTD_PAGING__ROUTES": f'[{{"name": "gold", "pagerduty_key": "{PLANTED}"}}]',
}


def held(value: object) -> Iterator[str]:
    """Every secret of a tree of settings, as it is."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from held(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from held(one)


@pytest.mark.parametrize("variable", PLACES)
def test_a_setting_with_a_login_is_not_printed(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, PLACES[variable])
    settings = Settings()
    assert any(PLANTED in one for one in held(settings))
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert PLANTED not in text


def test_what_is_wrong_with_it_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTD_STORE__URL", PLACES["DRIFTD_STORE__URL"])
    monkeypatch.setenv("DRIFTD_STORE__RETENTION_DAYS", "-1")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://me:{PLANTED}@h/d",
        f"postgresql://me:{PLANTED}@:x/d",
        f"postgres:/me:{PLANTED}@h/d",
        f"{PLANTED}@h/d",
        f"me:{PLANTED}@h",
    ],
)
def test_an_address_of_no_database_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(UnsupportedDatabase) as caught:
        address_of(address)
    assert PLANTED not in str(caught.value)
