"""docs/telemetry.md names the metrics that exist, and the spans with what they carry."""

import re

from driftd.telemetry import names
from tests.docs.telemetry_page import PAGE, telemetry_page


def test_the_telemetry_page_is_what_the_metrics_generate() -> None:
    assert PAGE.read_text() == telemetry_page(), "run `make docs` and commit docs/telemetry.md"


def test_the_page_lists_every_span_and_attribute_and_no_other() -> None:
    spans = PAGE.read_text().partition("## Metrics")[0]
    rows = re.findall(r"^\| `([a-z.]+)` \|", spans, re.MULTILINE)
    assert rows == list(names.SPANS)
    named = set(re.findall(r"`((?:driftd|k8s|service)\.[a-z._]+)`", spans))
    assert named == {*names.SPANS, *names.ATTRIBUTES, *names.RESOURCE}
