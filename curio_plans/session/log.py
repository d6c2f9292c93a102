"""Where the loggers of curio and of what it is made of write, and documents go: settings of a session."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOGGERS = ("curio_plans", "ophyd_devices", "agents", "bluesky", "ophyd", "tiled")
"""What is logged; each has loggers below it."""

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def open_log(file: Path | None = None, level: str = "INFO", *, json_lines: bool = False) -> logging.Handler:
    """Let our loggers write; return the handler, which :func:`close_log` takes away again.

    Parameters
    ----------
    file : Path, optional
        Is appended to; made if it is not there. By default standard error.
    level : str
        The least level that is written: ``"DEBUG"``, ``"INFO"``, ``"WARNING"`` or ``"ERROR"``.
    json_lines : bool
        One JSON object a line instead of text.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    handler: logging.Handler
    handler = logging.StreamHandler() if file is None else logging.FileHandler(file.expanduser(), encoding="utf-8")
    handler.setLevel(level)
    handler.setFormatter(JsonLines() if json_lines else logging.Formatter(_TEXT))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        if logger.getEffectiveLevel() > handler.level:
            logger.setLevel(handler.level)
    return handler


def close_log(handler: logging.Handler) -> None:
    """Take the handler away; levels stay as they are."""
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)
    handler.close()


def publish(engine: Any, address: str, prefix: str = "") -> Any:
    """Publish the documents of a RunEngine through a 0MQ proxy (``bluesky-0MQ-proxy``); return the publisher.

    Publishing never waits: without a proxy the documents are dropped, and the journal has them all.

    Parameters
    ----------
    engine : RunEngine
        Its documents.
    address : str
        Host and port into which the proxy takes documents, such as ``localhost:5577``.
    prefix : str
        Tells several sources apart; subscribers choose by it.
    """
    from bluesky.callbacks.zmq import Publisher

    publisher = Publisher(address, prefix=prefix.encode())
    engine.subscribe(publisher)
    return publisher
