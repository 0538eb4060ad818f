"""`python -m adapters.pages`: serve the pages until the program is stopped."""

import sys

from adapters.common.program import run
from adapters.pages.app import create
from adapters.pages.settings import Settings

if __name__ == "__main__":
    sys.exit(run(Settings, create))
