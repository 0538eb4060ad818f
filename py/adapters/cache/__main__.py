"""`python -m adapters.cache`: serve the cache until it is stopped."""

import sys

from adapters.cache.app import create
from adapters.cache.settings import Settings
from adapters.common.program import run

if __name__ == "__main__":
    sys.exit(run(Settings, create))
