"""JSON lines on standard output, one object per record, for the log shipper."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    def __init__(self, *, release_version: str, instance_id: str) -> None:
        super().__init__()
        self._identity = {"release": release_version, "instance": instance_id}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._identity,
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str, *, release_version: str, instance_id: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(release_version=release_version, instance_id=instance_id))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("botocore", "urllib3", "pymongo", "python_multipart"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
