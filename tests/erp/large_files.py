"""Exchange a drop folder once, and print how long the event loop was blocked and how much memory was used.

python -m tests.erp.large_files SETTINGS.json
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from adapters.erp.app import open_worker
from adapters.erp.settings import Settings

TICK_SECONDS = 0.005


async def watch(gaps: list[float]) -> None:
    """Measure how late the event loop is, in seconds, again and again."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(TICK_SECONDS)
        gaps.append(time.monotonic() - began - TICK_SECONDS)


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
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    given = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    print(json.dumps(asyncio.run(exchange(given))))
