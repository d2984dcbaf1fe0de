import io
import json
import logging
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from utils import logging_config
from utils.logging_config import REDACTED, configure_logging, redact, register_secret


@pytest.fixture(autouse=True)
def restore_logging(monkeypatch):
    monkeypatch.setattr(logging_config, "_secrets", logging_config._Secrets())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_what_cannot_be_formatted_is_not_printed_as_it_is(out, capfd):
    register_secret("hunter2hunter2")
    configure_logging("router", "INFO", stream=out)
    logging.getLogger("driver").info("%d tries with %s", "no number", "hunter2hunter2")
    said = capfd.readouterr()
    assert "hunter2" not in said.err + said.out + out.getvalue()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_line_for_each_event_with_service_time_and_context(out):
    configure_logging("router", "INFO", stream=out)
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger("api").info("payout accepted", amount=5, recipient="Grüße")
    structlog.get_logger("api").debug("not shown")
    (line,) = lines(out)
    assert line["timestamp"].endswith("Z")
    del line["timestamp"]
    assert line == {
        "event": "payout accepted",
        "level": "info",
        "logger": "api",
        "service": "router",
        "request_id": "r-1",
        "amount": 5,
        "recipient": "Grüße",
    }
    assert "Grüße" in out.getvalue()


def test_the_standard_library_comes_out_alike(out):
    configure_logging("router", "INFO", stream=out)
    logging.getLogger("uvicorn.error").info("started on %s", 8092)
    logging.getLogger("httpx").info("GET …")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    first, second = lines(out)
    assert first["event"] == "started on 8092"
    assert (first["level"], first["logger"]) == ("info", "uvicorn.error")
    assert first["service"] == "router"
    assert "old" in second["event"]


def test_the_servers_own_access_log_stays_out(out):
    configure_logging("router", "DEBUG", stream=out)
    logging.getLogger("uvicorn.access").info("GET /payouts?reference=private 200")
    assert out.getvalue() == ""


def test_configuring_again_does_not_double_the_lines(out):
    for _ in range(3):
        configure_logging("router", "INFO", stream=out)
    logging.getLogger("any").warning("once")
    assert len(lines(out)) == 1


@pytest.mark.parametrize("console", [True, False])
def test_a_registered_secret_never_comes_out(out, console):
    secret = 'pa"ss\\wörd\nline'
    register_secret(secret, "0123456789abcdef")
    configure_logging("router", "DEBUG", console=console, stream=out)
    logger = structlog.get_logger("test")
    logger.info(f"event {secret}", value=secret, nested={"list": [secret, {secret: secret}]})
    logger.info("object", error=ValueError(secret), data=secret.encode())
    logging.getLogger("other").info("with %s", secret)
    logging.getLogger("other").info("extra", extra={"key": "0123456789abcdef"})
    try:
        raise RuntimeError(f"cannot open {secret}")
    except RuntimeError:
        logger.exception("failed")
        logging.getLogger("other").exception("failed too")
    text = out.getvalue()
    assert "Traceback" in text
    assert "wörd" not in text
    assert "0123456789abcdef" not in text
    assert text.count(REDACTED) >= 9


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mongodb://user:s3cret@db:27017/x", ["mongodb://user:", "@db:27017/x"]),
        ("redis://:s3cret@cache/0", ["redis://:", "@cache/0"]),
        ("at mongodb+srv://u:s3cret@a,b/x and more", ["and more"]),
        ("Authorization: Bearer eyJhbGciOiJI.eyJzdWIiOiJ.s3cret", ["Bearer"]),
    ],
)
def test_passwords_in_urls_and_tokens_go_even_when_nobody_registered_them(text, kept):
    assert "s3cret" not in redact(text)
    assert all(part in redact(text) for part in kept)


def test_ordinary_text_stays():
    text = "GET https://api.trongrid.io:443/wallet/getnowblock user@example.org 12:30"
    assert redact(text) == text


def test_short_and_empty_secrets_do_not_shred_the_log():
    register_secret("", "a", "abc")
    assert redact("a payout of abc") == "a payout of abc"


@given(st.text(min_size=4), st.text(), st.text())
def test_whatever_the_secret_and_its_surroundings(secret, before, after):
    register_secret(secret)
    shown = redact(before + secret + after)
    assert secret not in shown.replace(REDACTED, "\0")


@pytest.mark.parametrize("console", [True, False])
def test_a_file_has_the_same_events_as_json_lines_and_no_secret(out, tmp_path, console):
    register_secret("hunter2-hunter2")
    for _ in range(2):
        configure_logging("router", "INFO", console=console, stream=out, folder=tmp_path)
    try:
        raise ValueError("hunter2-hunter2")
    except ValueError:
        structlog.get_logger("api").exception("refused", password="hunter2-hunter2")
    logging.getLogger("uvicorn.error").info("started on %s", 8092)
    configure_logging("router", "INFO", stream=io.StringIO())
    logging.getLogger("any").info("on standard output only")
    text = (tmp_path / "router.log").read_text(encoding="utf-8")
    first, second = map(json.loads, text.splitlines())
    assert (first["event"], first["password"], second["event"]) == (
        "refused",
        REDACTED,
        "started on 8092",
    )
    assert "Traceback" in first["exception"]
    assert "hunter2" not in text + out.getvalue()
    assert out.getvalue().count("started on 8092") == 1
    if not console:
        assert [line["event"] for line in lines(out)] == ["refused", "started on 8092"]
