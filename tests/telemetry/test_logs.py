"""What a log line may hold: no login of a URL, from wherever it came."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from driftd.telemetry import configure_logs

URL = "https://reader:s3cret@git.example.com/model.git"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(level="debug", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_login_of_a_url_reaches_a_line(written: io.StringIO) -> None:
    log = structlog.get_logger()
    message = "asking " + URL
    log.info(message, address=URL)
    logging.getLogger("some.library").warning("cannot reach %s", URL)
    try:
        int(URL)
    except ValueError:
        log.exception("failed")
    text = written.getvalue()
    assert "s3cret" not in text
    assert text.count("https://***@git.example.com/model.git") == 4
