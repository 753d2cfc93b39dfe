"""The clock on which a CloudWatch minute may last less than a minute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

# A real timestamp carries some microseconds of rounding; after scaling by up to 1200 (a minute of 0.05 s)
# that must not push a whole second below itself.
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Clock:
    """Converts between real epoch seconds and CloudWatch seconds.

    `minute_seconds` is how many real seconds a CloudWatch minute lasts; with 60 both clocks agree.
    """

    minute_seconds: float = 60.0

    def to_cloudwatch(self, real: float) -> float:
        return real * 60.0 / self.minute_seconds

    def to_real(self, cloudwatch: float) -> float:
        return cloudwatch * self.minute_seconds / 60.0

    def second(self, real: float) -> int:
        """The whole CloudWatch second that `real` lies in."""
        return math.floor(self.to_cloudwatch(real) + _ROUNDING)

    def second_after(self, real: float) -> int:
        """The first whole CloudWatch second that is not before `real`."""
        return math.ceil(self.to_cloudwatch(real) - _ROUNDING)

    def datetime(self, cloudwatch: float) -> datetime:
        """The real moment (UTC) of a CloudWatch second."""
        return datetime.fromtimestamp(round(self.to_real(cloudwatch), 3), UTC)
