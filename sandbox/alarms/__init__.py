"""CloudWatch's metric statistics, metric math and alarm evaluation, as pure functions over a metric store.

All times in this package are CloudWatch seconds: seconds since the epoch on a clock on which a CloudWatch
minute lasts 60 seconds. `clock.Clock` converts real time to it and back, so that a sandbox can run a minute
in one second without any rule here knowing.
"""
