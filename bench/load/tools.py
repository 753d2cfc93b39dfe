"""The five generators: how each is had, how it is run, and how its own report is read."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load.servers import CLIENT_CORE

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / ".tools" / "load"
DEBIAN = {"wrk": ("wrk", "libluajit-5.1-2"), "hey": ("hey",)}
USERS = 200


@dataclass(frozen=True)
class Seen:
    """What a tool says of its own run, in milliseconds, and what it cost in CPU seconds."""

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float
    cpu_seconds: float = 0.0
    lag_p99: float | None = None

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


class MissingError(Exception):
    """A tool can't be had here; the message says why."""


def _timed(command: list[str], **more: str) -> tuple[str, float, float]:
    """(its output, seconds, CPU seconds of it and of all that it started and waited for)."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        ["taskset", "--cpu-list", str(CLIENT_CORE), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(TOOLS), **more},
    )
    taken, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise MissingError(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, taken, cpu


def _install(command: list[str], tool: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=TOOLS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{tool}: {error}") from error
    if done.returncode:
        raise MissingError(f"{tool}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def debian(tool: str) -> tuple[str, dict[str, str]]:
    """The tool of the system, else Debian's package, unpacked beside us: no root is needed."""
    if found := shutil.which(tool):
        return found, {}
    binary = TOOLS / "debian" / "usr" / "bin" / tool
    if not binary.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        _install(["apt-get", "download", *DEBIAN[tool]], tool)
        for package in TOOLS.glob("*.deb"):
            _install(["dpkg", "-x", str(package), "debian"], tool)
            package.unlink()
    libraries = next((TOOLS / "debian" / "usr" / "lib").glob("*-linux-gnu"), TOOLS)
    return str(binary), {"LD_LIBRARY_PATH": str(libraries)}


def locust() -> str:
    binary = TOOLS / "venv" / "bin" / "locust"
    if not binary.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        _install([sys.executable, "-m", "venv", "venv"], "locust")
        pip = [str(TOOLS / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "--requirement", str(HERE / "requirements.txt")], "locust")
    return str(binary)


def artillery() -> str:
    binary = TOOLS / "node_modules" / ".bin" / "artillery"
    if not binary.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", TOOLS / "package.json")
        _install(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], "artillery")
    return str(binary)


def run_ours(port: int, rate: float | None, seconds: float) -> Seen:
    """Without a rate the highest that it keeps with its own lag below 10 ms is looked for."""
    if rate is None:
        return _highest(port, seconds)
    command = [sys.executable, "-m", "bench.load.ours", str(port), str(rate), str(USERS), str(seconds)]
    text, _, cpu = _timed(command, PYTHONPATH=":".join(sys.path))
    told = json.loads(text)
    return Seen(
        told["requests"], told["seconds"], told["p50"], told["p95"], told["p99"], cpu, told["lag_p99"]
    )


def _highest(port: int, seconds: float) -> Seen:
    best: Seen | None = None
    for rate in (1200, 2000, 3000, 4000, 6000, 8000, 10_000, 12_500, 15_000, 20_000):
        seen = run_ours(port, rate, max(2.0, seconds / 2))
        if seen.rate < 0.98 * rate or (seen.lag_p99 or 0) > 10:
            break
        best = seen
    return best or seen


def run_wrk(port: int, rate: float | None, seconds: float) -> Seen:
    """It has no rate: it always goes as fast as it can."""
    if rate is not None and rate > 0:
        return run_wrk(port, None, seconds)
    binary, environment = debian("wrk")
    with TemporaryDirectory() as folder:
        script = Path(folder, "report.lua")
        script.write_text(
            "done = function(s, l, r) io.write(string.format('TOLD %d %d %d %d %d\\n', "
            "s.requests, s.duration, l:percentile(50), l:percentile(95), l:percentile(99))) end"
        )
        command = [binary, "-t1", f"-c{USERS}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script)]
        text, _, cpu = _timed([*command, _url(port)], **environment)
    requests, taken, p50, p95, p99 = map(int, re.findall(r"TOLD (.*)", text)[0].split())
    return Seen(requests, taken / 1e6, p50 / 1000, p95 / 1000, p99 / 1000, cpu)


def run_hey(port: int, rate: float | None, seconds: float) -> Seen:
    binary, environment = debian("hey")
    command = [binary, "-c", str(USERS), "-z", f"{seconds:g}s", "-cpus", "1"]
    command += ["-q", f"{rate / USERS:g}"] if rate else []
    text, _, cpu = _timed([*command, _url(port)], **environment)
    total = float(re.findall(r"Total:\s+([\d.]+) secs", text)[0])
    counted = sum(int(count) for count in re.findall(r"\[200\]\s+(\d+) responses", text))
    at = {int(p): float(s) * 1000 for p, s in re.findall(r"(\d+)%+ in ([\d.]+) secs", text)}
    return Seen(counted, total, at[50], at[95], at[99], cpu)


def run_locust(port: int, rate: float | None, seconds: float) -> Seen:
    wait = f"wait_time = constant_throughput({rate / USERS})" if rate else ""
    with TemporaryDirectory() as folder:
        file = Path(folder, "locustfile.py")
        file.write_text(
            "from locust import FastHttpUser, constant_throughput, task\n"
            f"class Visitor(FastHttpUser):\n    host = '{_url(port)[:-1]}'\n    {wait or 'pass'}\n"
            "    @task\n    def ask(self): self.client.get('/')\n"
        )
        command = [locust(), "-f", str(file), "--headless", "-u", str(USERS), "-r", str(USERS)]
        text, _, cpu = _timed([*command, "-t", f"{seconds:g}s", "--json", "--loglevel", "ERROR"])
    (told,) = json.loads(text[text.index("[") :])
    times = sorted((float(ms), count) for ms, count in told["response_times"].items())
    taken = told["last_request_timestamp"] - told["start_time"]
    p50, p95, p99 = (_percentile(times, percent) for percent in (50, 95, 99))
    return Seen(told["num_requests"], taken, p50, p95, p99, cpu)


def run_artillery(port: int, rate: float | None, seconds: float) -> Seen:
    """At a rate each arrival is a user with one request over a pool of connections; else 200 users loop."""
    get = {"get": {"url": "/"}}
    most = 40
    flow = [get] if rate else [{"loop": [get], "count": most}]
    phase = {"duration": seconds, "arrivalRate": rate} if rate else {"duration": 1, "arrivalCount": USERS}
    script = {
        "config": {"target": _url(port), "phases": [phase], "http": {"pool": USERS, "timeout": 10}},
        "scenarios": [{"flow": flow}],
    }
    with TemporaryDirectory() as folder:
        file, report = Path(folder, "script.json"), Path(folder, "report.json")
        file.write_text(json.dumps(script))
        environment = {"ARTILLERY_DISABLE_TELEMETRY": "true", "LOCAL_WORKER_COUNT": "1"}
        _, _, cpu = _timed([artillery(), "run", "--quiet", "--output", str(report), str(file)], **environment)
        told = json.loads(report.read_text())["aggregate"]
    times = told["summaries"]["http.response_time"]
    taken = (told["lastMetricAt"] - told["firstMetricAt"]) / 1000
    requests = int(told["counters"].get("http.codes.200", 0))
    return Seen(requests, taken, times["p50"], times["p95"], times["p99"], cpu)


def _percentile(times: list[tuple[float, int]], percent: float) -> float:
    rank, passed = sum(count for _, count in times) * percent / 100, 0
    for milliseconds, count in times:
        passed += count
        if passed >= rank:
            return milliseconds
    return times[-1][0]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


GENERATORS: Mapping[str, Callable[[int, float | None, float], Seen]] = {
    "ours": run_ours,
    "artillery": run_artillery,
    "locust": run_locust,
    "wrk": run_wrk,
    "hey": run_hey,
}
