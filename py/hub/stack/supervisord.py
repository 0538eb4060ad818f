"""`python -m hub.stack.supervisord`: supervisord, which starts a program again as soon as it has ended.

As published it notices the end of a program, and acts on it, when it next wakes up: up to a second each.
"""

import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from supervisor import supervisord
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

STEADY_SECONDS = 5
"""A program that ran for less may be failing at its start: it keeps the pauses of supervisord."""


class _Wakeup:
    """Becomes readable at each signal, such as the one of a program that has ended."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self.number = self._reader.fileno()
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def handle_error(self) -> None:
        """A byte that is not read wakes supervisord once more."""


class PromptSupervisor(supervisord.Supervisor):  # type: ignore[misc]  # the library has no types
    """The supervisord of a stack."""

    def run(self) -> None:
        """Run until shut down."""
        self._wakeup = _Wakeup()
        super().run()

    def get_process_map(self) -> Mapping[int, Any]:
        """What is read from and written to by its file descriptor: the programs' output, and signals."""
        return {**super().get_process_map(), self._wakeup.number: self._wakeup}

    def reap(self, once: bool = False, recursionguard: int = 0) -> None:
        """Collect the programs that have ended, and start those again that had run steadily."""
        super().reap(once, recursionguard)
        for group in self.process_groups.values():
            for process in group.processes.values():
                ran = process.laststop - process.laststart
                if process.state == ProcessStates.EXITED and ran >= STEADY_SECONDS:
                    process.transition()


def main() -> None:
    """Run until shut down; the arguments are those of supervisord."""
    options = ServerOptions()
    options.realize(doc=supervisord.__doc__)
    options.first, options.test = True, False
    with suppress(asyncore.ExitNow):
        PromptSupervisor(options).main()
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
