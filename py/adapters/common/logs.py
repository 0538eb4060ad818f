"""Structured logs: a JSON object a line on standard error, with personal data and secrets masked."""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from litestar.logging.config import StructLoggingConfig
from litestar.middleware.logging import LoggingMiddlewareConfig

_MASKED_KEYS = re.compile(
    r"(?i)(password|secret|token|authorization|cookie|api_?key|phone|e?mail|address|recipient|body|payload)"
)
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"), "[login]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), "[token]"),
    (re.compile(r"\bEAA[A-Za-z0-9]{16,}"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{8,}"), r"\1 [token]"),
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    (re.compile(r"(?<![\w+])\+\d(?:[ .-]?\d){7,14}(?!\w)"), "[phone]"),
    (re.compile(r"(?<![\w.-])(?:62|0)[ -]?8\d(?:[ -]?\d){6,11}(?![\w-])"), "[phone]"),
)
_QUIET_LOGGERS = {
    "httpx": "WARNING",  # it logs a line for each call
    "pywa": "ERROR",  # the worker logs the outcome of each message
    "uvicorn.access": "ERROR",  # the application logs requests, without their query
}


def mask(text: str) -> str:
    """The text without e-mail addresses, phone numbers, tokens and logins."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def _masked(key: str, value: Any) -> Any:
    if _MASKED_KEYS.search(key):
        return "[masked]" if value else value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {str(name): _masked(str(name), element) for name, element in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", element) for element in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask(str(value))


def mask_personal_data(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor of structlog: mask every value but the time of the event."""
    return {key: value if key == "timestamp" else _masked(key, value) for key, value in event.items()}


def _shared_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def litestar_config() -> StructLoggingConfig:
    """structlog for Litestar; the events go to the standard library's logging, which `configure` sets up."""
    return StructLoggingConfig(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
        log_exceptions="never",  # adapters.common.requests logs them
    )


def access_log() -> LoggingMiddlewareConfig:
    """Method, path and status of each request but those of probes; no query, header or body."""
    return LoggingMiddlewareConfig(
        exclude=["^/health", "^/metrics"],
        logger_name="adapters.requests",
        request_log_fields=["method", "path"],
        response_log_fields=["status_code"],
        request_log_message="request",
        response_log_message="answer",
    )


def formatter() -> logging.Formatter:
    """Formats records of structlog and of the standard library as masked JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            mask_personal_data,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def configure(write: Callable[[], Any] = lambda: sys.stderr) -> None:
    """Send all logs of the process to the stream that `write` returns."""
    handler = logging.StreamHandler(write())
    handler.setFormatter(formatter())
    logging.basicConfig(level="INFO", handlers=[handler], force=True)
    for name, level in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    litestar_config().configure()
