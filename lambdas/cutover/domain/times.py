"""Moments as text: ISO 8601 in UTC with milliseconds, so that they sort as they happened."""

from __future__ import annotations

from datetime import UTC, datetime


def text(moment: datetime) -> str:
    """2026-01-31T23:59:59.123Z"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
