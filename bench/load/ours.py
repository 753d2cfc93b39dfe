"""Our generator as a process of its own, as the others are: bench.load.ours PORT RATE USERS SECONDS."""

from __future__ import annotations

import asyncio
import json
import sys

from cutover.adapters.load_generator import LoadGenerator, Schedule, Target


def main() -> None:
    port, rate, users, seconds = int(sys.argv[1]), *map(float, sys.argv[2:5])
    target = Target("127.0.0.1", port, "127.0.0.1", ["/"], tls=False)
    result = asyncio.run(LoadGenerator(target, Schedule(rate, int(users), seconds)).run())
    p50, p95, p99 = result.latency.percentiles_ms(50, 95, 99)
    lag = result.lag.percentiles_ms(99)[0] if result.lag.samples else None
    print(
        json.dumps(
            {
                "requests": result.right,
                "seconds": result.seconds,
                "failed": result.failed,
                "p50": p50,
                "p95": p95,
                "p99": p99,
                "lag_p99": lag,
                "busiest": result.busiest,
            }
        )
    )


if __name__ == "__main__":
    main()
