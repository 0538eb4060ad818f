"""Relationships that the corpus lacks: composite keys, one-to-one, joins, views on views."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hub.cluster import Cluster
from tests.standin.conftest import (
    Server,
    Start,
    authenticator_uri,
    drop_database,
    gateway_command,
    make_database,
)
from tests.standin.corpus import Client

SCHEMA = """
create table shop.periods (
  region_id int references shop.regions, month date, closed boolean not null, primary key (region_id, month)
);
create table shop.targets (
  id int primary key, region_id int not null references shop.regions, month date not null,
  amount numeric(15,2),
  constraint targets_period_fkey foreign key (region_id, month) references shop.periods
);
create table shop.target_notes (
  target_id int primary key constraint target_notes_target_id_fkey references shop.targets,
  note text not null
);
insert into shop.periods values (2, '2026-01-01', true), (2, '2026-02-01', false);
insert into shop.targets values
  (1, 2, '2026-01-01', 100), (2, 2, '2026-01-01', 200.5), (3, 2, '2026-02-01', 300);
insert into shop.target_notes values (2, 'ambitious {"really"}');

create view api.periods with (security_invoker = true) as select region_id, month, closed from shop.periods;
-- a CTE, a join, a lateral subquery, an expression, renamed columns
create view api.targets with (security_invoker = true) as
  with named as (select t.id, t.region_id as area, t.month as in_month, t.amount from shop.targets t)
  select n.id as target_id, n.area, n.in_month, n.amount, r.name as region_name, l.notes,
         n.amount * 2 as twice
  from named n
  join shop.regions r on r.id = n.area
  left join lateral (select count(*) as notes from shop.target_notes x where x.target_id = n.id) l on true;
create view api.target_notes with (security_invoker = true) as select target_id, note from shop.target_notes;
-- a view on a view on a view
create view api.big_targets with (security_invoker = true) as select * from api.targets where amount > 150;
create view api.biggest with (security_invoker = true) as
  select target_id as id, amount as how_much from api.big_targets;
create view api.both with (security_invoker = true) as
  select target_id from api.targets union all select target_id from api.targets;
create function api.targets_of(area int) returns setof api.targets stable language sql
as $$ select * from api.targets t where t.area = targets_of.area $$;
grant select on shop.periods, shop.targets, shop.target_notes, api.periods, api.targets, api.target_notes,
                api.big_targets, api.biggest, api.both to standin_anon;
grant execute on function api.targets_of to standin_anon;
-- relationships that functions compute, to one row and to many
create function api.remark(api.targets) returns setof api.target_notes rows 1 stable language sql
as $$ select n.* from api.target_notes n where n.target_id = $1.target_id $$;
create function api.siblings(api.targets) returns setof api.targets stable language sql
as $$ select t.* from api.targets t where t.area = $1.area and t.target_id <> $1.target_id $$;
grant execute on function api.remark, api.siblings to standin_anon;
"""


@pytest.fixture(scope="module")
def client(cluster: Cluster, start_server: Start) -> Iterator[Client]:
    name = make_database(cluster)
    with psycopg.connect(cluster.url(name), autocommit=True) as conn:
        conn.execute(SCHEMA)
    server: Server = start_server(authenticator_uri(cluster, name), command=gateway_command())
    asking = server.client()
    yield asking
    asking.close()
    server.stop()
    drop_database(cluster, name)


def rows(client: Client, path: str) -> Any:
    answer = client.send("GET", path)
    assert answer.status == 200, answer.text
    return answer.json


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(
            "/targets?select=target_id,periods(closed)&order=target_id",
            [
                {"target_id": 1, "periods": {"closed": True}},
                {"target_id": 2, "periods": {"closed": True}},
                {"target_id": 3, "periods": {"closed": False}},
            ],
            id="up a composite key",
        ),
        pytest.param(
            "/periods?select=month,targets(target_id)&targets.order=target_id.desc&order=month",
            [
                {"month": "2026-01-01", "targets": [{"target_id": 2}, {"target_id": 1}]},
                {"month": "2026-02-01", "targets": [{"target_id": 3}]},
            ],
            id="down a composite key",
        ),
        pytest.param(
            "/targets?select=target_id,target_notes(note)&target_id=lt.3&order=target_id",
            [
                {"target_id": 1, "target_notes": None},
                {"target_id": 2, "target_notes": {"note": 'ambitious {"really"}'}},
            ],
            id="one to one, from the key's side",
        ),
        pytest.param(
            "/target_notes?select=note,...targets(region_name,twice)",
            [{"note": 'ambitious {"really"}', "region_name": "Nordküste", "twice": 401}],
            id="one to one, spread",
        ),
        pytest.param(
            "/biggest?select=id,target_notes!inner(note)",
            [{"id": 2, "target_notes": {"note": 'ambitious {"really"}'}}],
            id="a view on a view on a view",
        ),
        pytest.param(
            "/targets?select=target_id,remark(note)&target_id=lt.3&order=target_id",
            [
                {"target_id": 1, "remark": None},
                {"target_id": 2, "remark": {"note": 'ambitious {"really"}'}},
            ],
            id="a function to one row",
        ),
        pytest.param(
            "/targets?select=target_id,siblings(target_id)&siblings.order=target_id&order=target_id&limit=1",
            [{"target_id": 1, "siblings": [{"target_id": 2}, {"target_id": 3}]}],
            id="a function to many rows",
        ),
        pytest.param(
            "/targets?select=target_id,why:remark!inner(note)&why.note=like.*really*",
            [{"target_id": 2, "why": {"note": 'ambitious {"really"}'}}],
            id="a function, with an alias, a filter and an inner join",
        ),
        pytest.param(
            "/rpc/targets_of?area=2&select=target_id,remark(note)&order=target_id.desc&limit=2",
            [{"target_id": 3, "remark": None}, {"target_id": 2, "remark": {"note": 'ambitious {"really"}'}}],
            id="a function on the rows of a call",
        ),
        pytest.param(
            "/big_targets?select=target_id,regions(code,parent:parent_id(code))&order=target_id&limit=1",
            [{"target_id": 2, "regions": {"code": "NOR", "parent": {"code": "ALL"}}}],
            id="three levels",
        ),
        pytest.param(
            "/rpc/targets_of?area=2&select=target_id,target_notes(note)&target_notes=not.is.null",
            "42703",
            id="a function's rows are not filtered by an embed",
        ),
        pytest.param(
            "/rpc/targets_of?area=2&select=target_id,target_notes!inner(note)",
            [{"target_id": 2, "target_notes": {"note": 'ambitious {"really"}'}}],
            id="a function that returns the view",
        ),
        pytest.param(
            "/rpc/targets_of?area=2&select=target_id&order=twice",
            "42703",
            id="a function's order is selected",
        ),
        pytest.param(
            "/targets?select=target_id,periods(m:month)&order=periods(m).desc&limit=1",
            [{"target_id": 3, "periods": {"m": "2026-02-01"}}],
            id="order by an embedded column under its alias",
        ),
        pytest.param(
            "/targets?select=target_id&order=periods(month).desc,target_id&limit=2",
            "PGRST108",
            id="order by a relation that is not embedded",
        ),
        pytest.param(
            "/targets?select=target_id,periods(closed)&order=periods(month).desc,target_id.desc&limit=2",
            "42703",
            id="order by an embedded column that is not selected",
        ),
        pytest.param("/both?select=target_id,target_notes(note)", "PGRST200", id="a union has no keys"),
        pytest.param(
            "/periods?select=month,targets(*)&targets.select=x", "PGRST100", id="an embedded select parameter"
        ),
        pytest.param(
            "/periods?select=month,targets(count)&order=month",
            [
                {"month": "2026-01-01", "targets": [{"count": 2}]},
                {"month": "2026-02-01", "targets": [{"count": 1}]},
            ],
            id="counting",
        ),
        pytest.param(
            "/periods?select=*,targets!inner()&targets.amount=gt.250",
            [{"region_id": 2, "month": "2026-02-01", "closed": False}],
            id="filtered by an embed that is not selected",
        ),
    ],
)
def test_embedding(client: Client, path: str, expected: object) -> None:
    if isinstance(expected, str):
        assert client.send("GET", path).json["code"] == expected
    else:
        assert rows(client, path) == expected


def test_a_count_respects_inner_embeds(client: Client) -> None:
    answer = client.send(
        "GET", "/periods?select=month,targets!inner()&targets.amount=gt.250", {"Prefer": "count=exact"}
    )
    assert answer.headers["content-range"] == "0-0/1"


def test_an_unknown_argument_matches_no_function(client: Client) -> None:
    assert client.send("GET", "/rpc/targets_of?area=2&month=1").json["code"] == "PGRST202"
