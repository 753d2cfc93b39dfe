"""A region's price table: what one of something costs, when that was looked up, and where.

Prices are list prices on demand. A price that nobody has looked up says so (`checked` is None); one that
nobody knows is not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.errors import MisconfiguredError

# What a price is for, and how many of these a month has; None for what a month does not have a number of.
HOUR, MONTH, GIGABYTE_MONTH, MINUTE = "hour", "month", "gigabyte-month", "minute"


@dataclass(frozen=True)
class Price:
    """`checked` is a date, YYYY-MM-DD."""

    amount: float
    per: str
    checked: str | None
    source: str


@dataclass(frozen=True)
class PriceTable:
    """`sources`: in words, by their names in the prices."""

    currency: str
    as_of: str
    hours_per_month: float
    prices: Mapping[str, Price]
    sources: Mapping[str, str]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> PriceTable:
        """Raises MisconfiguredError, which names the price, for one that can't be read."""
        prices = {str(name): _price(str(name), row) for name, row in (document.get("prices") or {}).items()}
        sources = {
            str(name): f"{source['what']}: {source['url']}"
            for name, source in (document.get("sources") or {}).items()
        }
        return cls(
            str(document.get("currency", "USD")),
            str(document.get("as_of", "never")),
            float(document.get("hours_per_month", 730)),
            prices,
            sources,
        )

    def monthly(self, name: str) -> float | None:
        """What one of it (a gigabyte of it) costs in a month; None without a price for that."""
        price = self.prices.get(name)
        if price is None or price.per not in (HOUR, MONTH, GIGABYTE_MONTH):
            return None
        return price.amount * (self.hours_per_month if price.per == HOUR else 1)

    def minute(self, name: str) -> float | None:
        """What a minute of it costs; None without a price for that."""
        price = self.prices.get(name)
        return price.amount if price is not None and price.per == MINUTE else None

    def checked(self, name: str) -> bool:
        """Whether anybody has looked the price up."""
        price = self.prices.get(name)
        return price is not None and price.checked is not None

    def unchecked(self, names: Iterable[str]) -> list[str]:
        """Those that have a price which nobody has looked up."""
        return sorted({name for name in names if name in self.prices and not self.checked(name)})

    def told_sources(self, names: Iterable[str]) -> list[str]:
        """Where the prices of these come from."""
        used = {self.prices[name].source for name in names if name in self.prices}
        return [text for name, text in self.sources.items() if name in used]


NO_PRICES = PriceTable("USD", "never", 730, {}, {})


def _price(name: str, row: Mapping[str, Any]) -> Price:
    try:
        amount, per, source = float(row["price"]), str(row["per"]), str(row["source"])
    except (KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(f"prices: {name}: {row!r} lacks a price, per or source") from error
    if per not in (HOUR, MONTH, GIGABYTE_MONTH, MINUTE):
        raise MisconfiguredError(
            f"prices: {name}: {per!r}; a price is per {HOUR}, {MONTH}, {GIGABYTE_MONTH} or {MINUTE}"
        )
    return Price(amount, per, str(row["checked"]) if row.get("checked") else None, source)
