"""An adapter as a process of its own, which a test kills."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.support.test_cluster import environment_without_settings


@dataclass(kw_only=True)
class AdapterProcess:
    """`python -m adapters.<NAME>`. A subclass has the settings and the place of the log."""

    NAME: ClassVar[str]

    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The adapter's log."""
        raise NotImplementedError

    def settings(self) -> dict[str, str]:
        """The adapter's settings, as environment variables."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the adapter without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"adapters.{self.NAME}"],
                env=environment_without_settings() | self.settings(),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End the adapter with SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None
