"""The page docs/head-office.md, played from an empty database over HTTP."""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from hub import paths
from hub.cli import app
from tests.support.client import RunningGateway
from tests.support.queries import run_job
from tests.support.story import Player

PAGE = paths.root() / "docs" / "head-office.md"
MESSENGER = "0190aa00-0000-7000-8000-00000000000a"


class Office:
    """What happens around the requests: the shell of the operator, the messenger, the calendar."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.messages: list[dict[str, Any]] = []

    def run(self, command: str) -> str:
        """Run a command of ./hub on the gateway's database; a job runs as the scheduler runs it."""
        line, _, typed = command.partition(" <<< ")
        _, *arguments = shlex.split(line)
        if arguments[:2] == ["jobs", "run"]:
            with psycopg.connect(self.gateway.database_url, autocommit=True) as conn:
                run_job(conn, arguments[2])
            return ""
        result = CliRunner().invoke(
            app, [*arguments, "--database", self.gateway.database_url], input=typed + "\n"
        )
        assert result.exit_code == 0, result.output
        return result.output

    def code_for(self, recipient: str) -> Callable[[], str]:
        """The code in the newest message to a number."""

        def code() -> str:
            self.deliver()
            sent = [m for m in self.messages if m["recipient"] == recipient and "token" in m["variables"]]
            return str(sent[-1]["variables"]["token"])

        return code

    def deliver(self) -> None:
        """Act as the messenger: claim all due messages and report them sent."""
        messenger = self.gateway.client(self.gateway.token("messenger", MESSENGER))
        most: Any = {"max": 1000}
        while claimed := messenger.rpc("claim_messages", most).execute().data:
            assert isinstance(claimed, list)
            for message in claimed:
                sent: Any = {"message_id": message["id"], "provider_id": f"wamid.{message['id']}"}
                messenger.rpc("message_sent", sent).execute()
                self.messages.append(message)


def in_days(days: int) -> Callable[[], str]:
    """The present moment plus so many days, in UTC."""
    moment = datetime.now(UTC) + timedelta(days=days)
    return lambda: moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.timeout(120)
def test_the_first_weeks_of_the_head_office(gateway: RunningGateway) -> None:
    office = Office(gateway)
    provided = {
        "code-for-adi": office.code_for("+628111000002"),
        "code-for-bunga": office.code_for("+6281300000111"),
        "code-for-sinar": office.code_for("+6281200000777"),
        "today": lambda: datetime.now(ZoneInfo("Asia/Jakarta")).date().isoformat(),
        "now": in_days(0),
        "in-14-days": in_days(14),
        "in-30-days": in_days(30),
    }
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as http:
        Player(http, office.run, provided).play(PAGE)
