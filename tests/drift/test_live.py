"""Services and slices as the API has them: an address has one spelling, whoever wrote it."""

import pytest

from driftd.drift import slice_from_body
from driftd.drift.live import MOST_ADDRESSES, LiveSlice, plain
from tests.support.objects import endpoint_slice


def listed(*addresses: str) -> LiveSlice:
    return slice_from_body(endpoint_slice("shop/s", "api", list(addresses), ("TCP", 8080)))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.244.0.5", "10.244.0.5"),
        ("010.244.000.005", "10.244.0.5"),
        ("000.0.0.0", "0.0.0.0"),
        ("::ffff:10.244.0.5", "10.244.0.5"),
        ("::FFFF:010.244.0.005", "10.244.0.5"),
        ("::ffff:af4:5", "10.244.0.5"),
        ("2001:DB8:0::0001", "2001:db8::1"),
    ],
)
def test_an_address_has_one_spelling(written: str, read: str) -> None:
    """Seen: a slice with 010.244.0.5 in it counted for nothing, and led wherever it liked."""
    assert plain(written) == read
    found = listed(written)
    assert (found.addresses, found.more) == ((read,), False)


@pytest.mark.parametrize(
    "odd", ["", "10.244.0", "10..0.5", "10.244.0.256", "0x0a.1.1.1", "fe80::1%eth0", "2001:db8::00001"]
)
def test_a_slice_with_what_nobody_can_read_says_that_there_is_more(odd: str) -> None:
    found = listed("10.244.0.5", odd, "10.244.0.6")
    assert (found.addresses, found.more) == (("10.244.0.5", "10.244.0.6"), True)


def test_a_slice_is_cut_where_controllers_end() -> None:
    whole = listed(*(f"10.244.{one // 250}.{one % 250}" for one in range(MOST_ADDRESSES)))
    assert (len(whole.addresses), whole.more) == (MOST_ADDRESSES, False)
    cut = listed(*(f"10.244.{one // 250}.{one % 250}" for one in range(MOST_ADDRESSES + 1)))
    assert (len(cut.addresses), cut.more) == (MOST_ADDRESSES, True)


def test_host_names_lead_nowhere() -> None:
    body = {**endpoint_slice("shop/s", "api", ["example.org"]), "addressType": "FQDN"}
    assert (slice_from_body(body).addresses, slice_from_body(body).more) == ((), False)
