"""Exchange a drop folder once, and print how long the event loop was blocked and how much memory was used.

python -m tests.erp.large_files SETTINGS.json
"""

import asyncio
import json
import re
import sys
import time
from pathlib import Path

from adapters.erp.app import open_worker
from adapters.erp.settings import Settings

TICK_SECONDS = 0.005


def waited() -> float:
    """Seconds that the threads of this process waited for a processor that other programs used."""
    tasks = Path("/proc/self/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[1]) for task in tasks) / 1e9


async def watch(gaps: list[float]) -> None:
    """Measure how late the event loop is by this program's own doing, in seconds, again and again."""
    while True:
        began, others = time.monotonic(), waited()
        await asyncio.sleep(TICK_SECONDS)
        gaps.append(time.monotonic() - began - TICK_SECONDS - (waited() - others))


def memory_mib() -> int:
    """The most memory that this process has had, not that of its parent before the start."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) // 1024 if found else 0


async def exchange(settings: Settings) -> dict[str, object]:
    """Run every stream once; the longest block of the event loop and the most memory of the process."""
    gaps: list[float] = []
    async with open_worker(settings) as worker:
        watching = asyncio.create_task(watch(gaps))
        succeeded = await worker.once()
        watching.cancel()
    return {
        "succeeded": succeeded,
        "blocked_ms": round(max(gaps) * 1000),
        "memory_mib": memory_mib(),
    }


if __name__ == "__main__":
    given = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    print(json.dumps(asyncio.run(exchange(given))))
