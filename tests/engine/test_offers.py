"""In which order differences, and objects that are canonical again, come to be judged."""

import orjson

from driftd.drift import Difference
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine.offers import Offered, Offers
from driftd.values import Digest, FindingType, Live, ObjectRef, Scope
from tests.support.stage import MODELS, compiled_models

COMPILED = compiled_models(MODELS)
ONE, OTHER, THIRD = (
    ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, "rogue")
    for namespace in ("acme-prod", "globex-prod", "initech-prod")
)


def offered(ref: ObjectRef) -> Offered:
    live = Live(ref, orjson.dumps({}), Digest(b"x"), "u", "1", terminating=False, managers=())
    difference = Difference(FindingType.UNEXPECTED, ref, None, live)
    teller = Teller(COMPILED, COMPILED.governed[ref.namespace], Scope(ref.namespace))
    return Offered(teller.tell(difference, UNJUDGED), difference, None)


def taken(offers: Offers) -> list[tuple[str, ObjectRef]]:
    """All that waits, in order."""
    found = []
    while (one := offers.next()) is not None:
        found.append(("over", one) if isinstance(one, ObjectRef) else ("differs", one.difference.ref))
    return found


def test_what_is_over_is_let_go_of_before_what_was_found_later_is_judged() -> None:
    """Seen: under load sixty differences stood in the judged world, since the end of each waited a whole round."""
    offers = Offers()
    offers.put("acme", offered(ONE))
    offers.settle("acme", ONE)
    offers.put("globex", offered(OTHER))
    offers.put("initech", offered(THIRD))
    offers.settle("globex", OTHER)
    assert taken(offers) == [
        ("differs", ONE),
        ("over", ONE),
        ("differs", OTHER),
        ("differs", THIRD),
        ("over", OTHER),
    ]
    assert not len(offers)


def test_what_was_found_before_an_object_was_canonical_again_is_judged_beside_it() -> None:
    offers = Offers()
    offers.put("acme", offered(ONE))
    offers.put("globex", offered(OTHER))
    offers.settle("acme", ONE)
    assert taken(offers) == [("differs", ONE), ("differs", OTHER), ("over", ONE)]


def test_an_end_waits_no_longer_than_its_owners_turn_however_much_another_one_has_waiting() -> None:
    offers = Offers()
    for number in range(5):
        ref = ObjectRef("networking.k8s.io", "NetworkPolicy", "globex-prod", f"rogue-{number}")
        offers.put("globex", offered(ref))
    offers.put("acme", offered(ONE))
    offers.settle("acme", ONE)
    found = taken(offers)
    assert found.index(("over", ONE)) <= 4


def test_an_end_that_waits_while_its_namespace_goes_to_another_tenant_comes_once() -> None:
    offers = Offers()
    offers.put("initech", offered(THIRD))
    offers.settle("globex", OTHER)
    offers.settle("acme", OTHER)
    assert taken(offers) == [("differs", THIRD), ("over", OTHER)]
    assert not len(offers)
