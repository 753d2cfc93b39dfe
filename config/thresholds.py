"""What a release must reach to take the traffic, and which of it must hold."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from config.explanation import UnfitError
from config.types import Ratio, Table

# 1 - 0.999 is a little more than 0.001 in floating point.
_ROUNDING = 1e-9


class Thresholds(Table):
    """What a release must reach to take the traffic (requirements C6, C7b, E1, E2)."""

    p50_ms: PositiveFloat = 250
    p95_ms: PositiveFloat = 500
    p99_ms: PositiveFloat = 1000
    error_rate: Ratio = 0.001
    availability: Annotated[float, Field(gt=0, lt=1)] = 0.999
    concurrent_users: PositiveInt = 200
    requests_per_second: PositiveFloat = 1000
    cpu: Ratio = 0.7
    memory: Ratio = 0.8
    # "Disk I/O normal" (C7b) has no figure in the plan; this one is ours.
    disk: Ratio = 0.8
    cache_hit: Annotated[float, Field(gt=0, lt=1)] = 0.9
    query_mean_ms: PositiveFloat = 50
    index_hit: Ratio = 0.95
    pool_use: Ratio = 0.8
    # A collection up to this size may be scanned, or sorted in memory: that costs nothing yet.
    scan_documents: Annotated[int, Field(ge=0)] = 1000

    @model_validator(mode="after")
    def _percentiles_rise(self) -> Self:
        for lower, higher in (("p50_ms", "p95_ms"), ("p95_ms", "p99_ms")):
            least, most = getattr(self, lower), getattr(self, higher)
            if least > most:
                problem = (
                    f"is more than {higher} ({most:g}), and a lower percentile is never the slower one; "
                    f"lower it, or raise {higher}"
                )
                raise UnfitError(lower, least, problem)
        return self

    @model_validator(mode="after")
    def _errors_leave_the_availability(self) -> Self:
        if self.error_rate > 1 - self.availability + _ROUNDING:
            problem = (
                f"lets more requests fail than availability ({self.availability:g}) leaves; "
                f"lower it to {1 - self.availability:.6g}, or lower availability"
            )
            raise UnfitError("error_rate", self.error_rate, problem)
        return self


Weight = Literal["must", "should"]


class Gates(Table):
    """Which measures close a deployment (`must`) and which are only shown (`should`), where that is not what
    the requirements say (E1, E2). The keys are the names in `cutover.domain.measures`."""

    p50: Weight | None = None
    p95: Weight | None = None
    p99: Weight | None = None
    errors: Weight | None = None
    availability: Weight | None = None
    findings: Weight | None = None
    concurrent_users: Weight | None = None
    requests_per_second: Weight | None = None
    cpu: Weight | None = None
    memory: Weight | None = None
    disk: Weight | None = None
    cache_hit: Weight | None = None
    query_mean: Weight | None = None
    index_hit: Weight | None = None
    pool_use: Weight | None = None
