"""What the processes of an instance or container use, read from /proc.

https://www.kernel.org/doc/html/latest/filesystems/proc.html . psutil would do it too, at ten times the
cost: this runs every second for every container with a memory limit.
"""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it that is alive."""
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                queue += [
                    int(child) for child in Path(f"/proc/{one}/task/{task}/children").read_text().split()
                ]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of the tree since it began, its finished and reaped children included.

    Each process counts itself and the children it has waited for, so nothing is counted twice.
    """
    total = 0
    for one in descendants(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(ticks) for ticks in fields[11:15])  # utime stime cutime cstime
    return total / TICKS


def disk_bytes(pid: int) -> tuple[int, int]:
    """(read, written) by the tree since it began, as they reached the disk; counted as CPU time is."""
    read = written = 0
    for one in descendants(pid):
        try:
            lines = Path(f"/proc/{one}/io").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        counts = dict(line.split(": ") for line in lines)
        read, written = read + int(counts["read_bytes"]), written + int(counts["write_bytes"])
    return read, written


def memory_bytes(pid: int) -> int:
    """Anonymous and shared memory of the tree: what a cgroup charges, without the page cache."""
    total = 0
    for one in descendants(pid):
        total += _memory(one)
    return total


def largest(pid: int) -> int:
    """The process of the tree with the most memory: whom the kernel's OOM killer would choose."""
    return max(descendants(pid), key=_memory)


def _memory(pid: int) -> int:
    kilobytes = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                kilobytes += int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return kilobytes * 1024


def folder_bytes(folder: Path) -> int:
    """Bytes on disk of everything under `folder`, links not followed."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
