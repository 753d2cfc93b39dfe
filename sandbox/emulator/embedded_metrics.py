"""CloudWatch's embedded metric format: log lines that carry metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any


def metrics_of(line: str) -> dict[str, list[dict[str, Any]]]:
    """The PutMetricData entries that a log line holds, by namespace; {} when it holds none.

    A metric or a dimension that its document does not define is left out, as CloudWatch leaves it out.
    """
    if '"_aws"' not in line:
        return {}
    try:
        document = json.loads(line)
        metadata = document["_aws"]
        directives = metadata["CloudWatchMetrics"]
        stamp = metadata.get("Timestamp")
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for directive in directives:
        for names in directive.get("Dimensions") or [[]]:
            if any(name not in document for name in names):
                continue
            dimensions = [{"Name": name, "Value": str(document[name])} for name in names]
            for metric in directive.get("Metrics") or []:
                values = _numbers(document.get(metric.get("Name")))
                if not values:
                    continue
                entry: dict[str, Any] = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Unit": metric.get("Unit", "None"),
                    "Values": values,
                }
                if isinstance(stamp, int | float):
                    entry["Timestamp"] = stamp / 1000  # milliseconds since the epoch
                found.setdefault(str(directive.get("Namespace")), []).append(entry)
    return found


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(each) for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
