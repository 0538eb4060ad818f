"""`python -m adapters.whatsapp`: run the WhatsApp adapter until it is stopped."""

import sys

from adapters.common.program import run
from adapters.whatsapp.app import create
from adapters.whatsapp.settings import Settings

if __name__ == "__main__":
    sys.exit(run(Settings, create))
