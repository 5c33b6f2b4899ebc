"""Seconds and peak memory of a command, seen from outside.

    python -m benchmarks.query.measured COMMAND ...

One line of JSON on the last line of standard output. This process is small on purpose: a command's peak counts what its
parent held when it was started.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_EVERY_S = 0.05


def measured(command: list[str]) -> dict[str, Any]:
    """Runs a command; seconds, cpu_seconds, peak_mb (resident), peak_own_mb (of that, without mapped files, sampled).

    Its output is under "output"; CalledProcessError where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.query.measured", *command],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        text=True,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    return json.loads(last) | {"output": lines}


def _watch(pid: int) -> tuple[float, int]:
    """(seconds until the end, most bytes that no file stands for)."""
    begun, most = time.perf_counter(), 0
    while True:
        done = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if done is not None:
            return time.perf_counter() - begun, most
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        own = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
        most = max(most, *(1024 * int(kb) for kb in own), 0)
        time.sleep(_EVERY_S)


def main(command: list[str]) -> int:
    """Runs, measures, prints."""
    process = subprocess.Popen(command)
    try:
        seconds, own = _watch(process.pid)
    except BaseException:  # a measurement that is broken off leaves nothing running
        process.kill()
        raise
    _, status, usage = os.wait4(process.pid, 0)
    facts = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        "peak_own_mb": own / 1e6,
    }
    print(json.dumps(facts), flush=True)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
