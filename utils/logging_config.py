"""Structured logs on one stream, JSON lines or readable text while debugging, and as JSON lines in
a file if wanted.

`structlog.get_logger()` and the standard library's loggers (uvicorn's among them) come out alike.
Whatever is bound with `structlog.contextvars` (request_id, payout_id) is on every line of that
context. Registered secrets, passwords inside URLs and signed tokens never come out, wherever in an
event or traceback they stand.
"""

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from utils.log_file import SharedLogFile

REDACTED: Final = "[redacted]"

_SHORTEST_SECRET = 4
"""Shorter strings stand in ordinary words; replacing them would spoil the log and tell the rest."""

_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_SIGNED_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")

_SERVER_LOGGERS = ("uvicorn", "uvicorn.error")
# They tell every request at INFO; the service counts those in its metrics.
_QUIET_LOGGERS = ("httpx", "httpcore", "pymongo", "asyncio")


class _Secrets:
    """The values that must not come out; one set per process, as logging is."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        self._values |= {value for value in values if len(value) >= _SHORTEST_SECRET}
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = (
            re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        )

    def redact(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        text = _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", text)
        return _SIGNED_TOKEN.sub(REDACTED, text)


_secrets = _Secrets()


def register_secret(*values: str) -> None:
    """Never let these strings out. Strings of fewer than 4 characters are ignored."""
    _secrets.add(values)


def redact(text: str) -> str:
    """`text` without registered secrets, URL passwords and signed tokens."""
    return _secrets.redact(text)


def configure_logging(
    service: str,
    level: str,
    *,
    console: bool = False,
    stream: TextIO | None = None,
    folder: Path | None = None,
) -> None:
    """Send all logging of this process to `stream` (standard output); may be called again.

    `level` is a name such as INFO. `console` writes text for people instead of JSON lines.
    With `folder`, JSON lines go to the file `<service>.log` in it as well. Raises OSError.
    """

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    json_lines = structlog.processors.JSONRenderer(ensure_ascii=False)

    def formatter(renderer: Processor) -> logging.Formatter:
        return ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[ProcessorFormatter.remove_processors_meta, _redact_event, renderer],
        )

    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(stream or sys.stdout)]
    handlers[0].setFormatter(
        formatter(structlog.dev.ConsoleRenderer(colors=False) if console else json_lines)
    )
    if folder is not None:
        handlers.append(SharedLogFile(folder / f"{service}.log"))
        handlers[1].setFormatter(formatter(json_lines))
    _route_standard_logging(handlers, level)


def _route_standard_logging(handlers: Sequence[logging.Handler], level: str) -> None:
    # What a handler fails to format would be printed as it is, secrets included.
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, SharedLogFile):
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The edge writes its own line for each request, without the query.
    logging.getLogger("uvicorn.access").disabled = True
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {redact(str(key)): _redact_value(value) for key, value in event.items()}


def _redact_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): _redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    return redact(str(value))
