"""Accounts with the demo's published password start only where HUB_DEMO says so."""

from pathlib import Path

import psycopg
import pytest

from hub import seed, settings
from hub.commands import accounts
from hub.commands.migrate import migrate
from hub.errors import UserError
from hub.seed import PASSWORD, load, published
from tests.conftest import Clone

CHANGED = (
    "update app.{} set password_hash = extensions.crypt('sandi-yang-lain', extensions.gen_salt('bf', 4))"
)


def test_database_with_the_demos_accounts_is_not_migrated_outside_the_demo(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = clone()
    monkeypatch.delenv("HUB_DEMO", raising=False)
    with pytest.raises(UserError, match="published password"):
        seed.run(url)
    load(url)
    with pytest.raises(UserError, match="accounts have the published password of the demo data"):
        migrate(url, require_cron=False)
    monkeypatch.setenv("HUB_DEMO", "1")
    migrate(url, require_cron=False)
    seed.run(url)
    monkeypatch.delenv("HUB_DEMO")
    with psycopg.connect(url) as conn:
        conn.execute(CHANGED.format("partners").encode())
        assert published.count(conn) > 0, "of the agents"
        conn.execute("update app.agents set is_active = false where role <> 'SUPERADMIN'")
        conn.execute(CHANGED.format("agents").encode())
        assert published.count(conn) == 0
    migrate(url, require_cron=False)


def test_first_superadmin_does_not_get_a_published_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_ask_password", lambda: PASSWORD)
    with pytest.raises(UserError, match="everyone knows this password"):
        accounts.superadmin("dewi@hub.test", "Dewi", None, "postgresql://127.0.0.1:1/none")


def test_stack_is_marked_as_a_demo_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_DEMO", raising=False)
    assert not settings.ensure(tmp_path).demo
    for _ in range(2):
        assert settings.mark_as_demo(tmp_path).demo
    assert settings.env_file(tmp_path).read_text().count("HUB_DEMO=true") == 1
