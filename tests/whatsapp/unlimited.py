"""`python -m tests.whatsapp.unlimited`: the WhatsApp adapter without its limit for each recipient.

For a load of few people, whose messages would take an hour.
"""

import sys

from adapters.common.program import run
from adapters.whatsapp import rate_limit
from adapters.whatsapp.app import create
from adapters.whatsapp.settings import Settings

if __name__ == "__main__":
    rate_limit.PAIR_SECONDS = 0.0
    sys.exit(run(Settings, create))
