"""A small tree of SQL files, which each test can change or break."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devtools.pins import repin
from hub import paths
from hub.cluster import Cluster
from hub.migrate import Report, migrate
from hub.migrate.tree import Tree
from tests.support import test_cluster

FILES = {
    "schema/00_base.sql": """\
-- A function that a column default needs, and 100 % of the percent signs.
create function app.next_label() returns text language sql as $$ select 'label ' || random()::text $$;
create table app.things (
  id int primary key,
  label text not null default app.next_label(),
  discount text not null default '10%' check (label not like '%%s')
);
""",
    "schema/10_more.sql": """\
-- More things.
create table app.more (id int primary key references app.things (id), note text);
create view app.listed as select id, app.next_label() as label from app.things;
""",
    "functions/things.sql": """\
create function app.double(p_value int) returns int language sql immutable as $$ select app.twice(p_value) $$;
create function app.tg_more__touch() returns trigger language plpgsql as $$
begin
  new.note := coalesce(new.note, 'touched');
  return new;
end $$;
create trigger _100_touch before insert on app.more for each row execute function app.tg_more__touch();
""",
    "functions/zz_later.sql": """\
create function app.twice(p_value int) returns int language sql immutable as $$ select p_value * 2 $$;
""",
    "policies/things.sql": """\
alter table app.things enable row level security;
grant select on app.things to partner;
grant usage on schema app, api to partner;
create policy things__partner_select on app.things for select to partner using (id > 0);
""",
    "api/things.sql": """\
create view api.things with (security_invoker = true) as select id, label from app.things;
grant select on api.things to partner;
""",
    "jobs/purge.sql": """\
-- job: purge
-- schedule: 5 4 * * *
-- Purges old rows.
select app.double(21);
""",
}


@dataclass
class Sample:
    """A small checkout, and a way to migrate a database with it."""

    tree: Tree

    def write(self, name: str, text: str) -> Path:
        """Write a file below sql/."""
        path = self.tree.sql / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def append(self, name: str, text: str) -> None:
        """Append to a file below sql/."""
        self.write(name, (self.tree.sql / name).read_text() + text)

    def remove(self, name: str) -> None:
        """Remove a file below sql/."""
        (self.tree.sql / name).unlink()

    def repin(self) -> list[str]:
        """Run hub dev repin."""
        return repin(self.tree)

    def migrate(self, url: str, *, require_cron: bool = False, jwt_secret: str | None = None) -> Report:
        """Run hub migrate."""
        return migrate(
            url,
            require_cron=require_cron,
            jwt_secret=jwt_secret,
            sql_root=self.tree.sql,
            migrations_root=self.tree.migrations,
        )


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A pinned sample tree."""
    made = Sample(Tree(tmp_path / "sql", tmp_path / "migrations"))
    for name, text in FILES.items():
        made.write(name, text)
    made.write("roles.sql", (paths.sql_root() / "roles.sql").read_text())
    made.repin()
    return made


@pytest.fixture
def cron_database(cluster: Cluster) -> Iterator[str]:
    """URL of a fresh database, the one where the tests' cluster runs pg_cron; other test runs wait for it."""
    name = psycopg.sql.Identifier(test_cluster.CRON_DATABASE)
    with test_cluster.locked(cluster.folder / "cron"):
        with psycopg.connect(cluster.url(), autocommit=True) as conn:
            conn.execute(psycopg.sql.SQL("drop database if exists {} with (force)").format(name))
            conn.execute(psycopg.sql.SQL("create database {}").format(name))
        yield cluster.url(test_cluster.CRON_DATABASE)


def run(url: str, text: str) -> None:
    """Execute statements on a new connection."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(text)


def query(url: str, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query on a new connection."""
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(text, arguments).fetchall()
