"""hub dev stateful: long random sequences of calls beside the reference model."""

import os
import subprocess
import sys

from hub import paths
from hub.console import say
from hub.errors import UserError

STEPS_OF_SEQUENCE = 80


def run(*, steps: int, seed: int, shrink: bool) -> None:
    """Run at least `steps` steps of tests/stateful; raises UserError when the model and the hub differ."""
    sequences = -(-steps // STEPS_OF_SEQUENCE)
    say(f"{sequences} sequences of {STEPS_OF_SEQUENCE} steps, seed {seed}")
    variables = {
        "HUB_STATEFUL_EXAMPLES": str(sequences),
        "HUB_STATEFUL_STEPS": str(STEPS_OF_SEQUENCE),
        "HUB_STATEFUL_SEED": str(seed),
        "HUB_STATEFUL_SHRINK": "1" if shrink else "",
    }
    command = [sys.executable, "-m", "pytest", "-s", "-q", "tests/stateful"]
    done = subprocess.run(command, cwd=paths.root(), check=False, env=os.environ | variables)
    if done.returncode:
        raise UserError(
            "the hub and the reference model differ",
            hint=f"repeat it with --seed {seed} --steps {steps}, and --shrink for the shortest sequence",
        )
