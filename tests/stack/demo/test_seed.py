"""The demo data: complete, identical on every run, and never loaded into a database with other data."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.errors import UserError
from hub.seed import PASSWORD, load
from tests.conftest import Clone
from tests.support.context import Caller, broken_invariants, call, value

COUNTS = {
    "regions": 67,
    "brands": 8,
    "categories": 26,
    "products": 300,
    "stock levels": 300,
    "sub-distributors": 12,
    "agents": 6,
    "partners": 60,
    "rewards": 11,
    "overdue invoices": 2,
}
TODAY = date(2026, 11, 23)

# All columns but those that depend on the moment of loading; the rows of stock come with their products.
_CONTENT = """
  select jsonb_agg(r.row order by r.row)::text
  from (
    select to_jsonb(t) - '{{password_hash, last_sync_at, created_at, updated_at}}'::text[]
      - case when '{0}' = 'inventory' then 'id' else '' end as row
    from app.{0} as t
  ) as r"""
_TABLES = (
    "regions",
    "brands",
    "categories",
    "products",
    "tier_prices",
    "inventory",
    "sub_distributors",
    "agents",
    "partners",
    "redemption_catalog",
)


def content(url: str) -> dict[str, str]:
    with psycopg.connect(url) as conn:
        return {table: value(conn, _CONTENT.format(table)) for table in _TABLES}


@pytest.fixture
def seeded(clone: Clone) -> str:
    url = clone()
    load(url, TODAY)
    return url


def test_seed_loads_the_documented_numbers_of_rows(clone: Clone) -> None:
    counts = load(clone(), TODAY)
    assert counts is not None
    assert {name: counts[name] for name in COUNTS} == COUNTS
    assert counts["tier prices"] > 3 * 270


def test_seed_loads_identical_rows_into_two_databases(clone: Clone, seeded: str) -> None:
    other = clone()
    load(other, TODAY)
    assert content(other) == content(seeded)


def test_second_seed_changes_nothing_and_reports_it(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        conn.execute("update app.partners set business_name = 'Salon Lain' where email like 'salon-ijen@%'")
    before = content(seeded)
    refused = CliRunner().invoke(app, ["seed", "--database", seeded])
    assert (refused.exit_code, "HUB_DEMO=1" in refused.output) == (1, True), refused.output
    result = CliRunner().invoke(app, ["seed", "--database", seeded], env={"HUB_DEMO": "1"})
    assert result.exit_code == 0
    assert "already loaded" in result.output
    assert content(seeded) == before


def test_seed_leaves_statistics_of_what_it_loaded(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        known = "select reltuples::int from pg_class where oid = %s::regclass"
        for table, rows in (("products", 300), ("partners", 60), ("tier_prices", None)):
            wanted = rows or value(conn, f"select count(*) from app.{table}")
            assert value(conn, known, f"app.{table}") == wanted, table


def test_seed_refuses_a_database_with_other_data(clone: Clone) -> None:
    url = clone()
    with psycopg.connect(url) as conn:
        conn.execute("insert into app.regions (name, code) values ('Jawa', 'X')")
    with pytest.raises(UserError, match=r"app\.regions is not empty"):
        load(url)
    with psycopg.connect(url) as conn:
        assert value(conn, "select count(*) from app.products") == 0


def test_seed_of_an_unmigrated_database_asks_to_migrate(empty_database: str) -> None:
    with pytest.raises(UserError, match="not migrated"):
        load(empty_database)


def test_seeded_data_keeps_every_invariant(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        assert broken_invariants(conn) == {}


def test_seeded_tier_prices_cover_past_and_future_and_fall_by_tier(seeded: str) -> None:
    at = f"timestamptz '{TODAY} 12:00+07'"
    in_force = f"""
      select p.sku, t.tier::text, t.price from app.tier_prices t join app.products p on p.id = t.product_id
      where t.effective_from <= {at} and coalesce(t.effective_until > {at}, true)"""
    with psycopg.connect(seeded) as conn:
        prices: dict[str, dict[str, Any]] = {}
        for sku, tier, price in conn.execute(in_force).fetchall():
            prices.setdefault(sku, {})[tier] = price
        assert value(conn, f"select count(*) > 20 from app.tier_prices where effective_until <= {at}")
        assert value(conn, f"select count(*) > 20 from app.tier_prices where effective_from > {at}")
        assert value(conn, "select count(*) > 100 from app.tier_prices where min_qty_discount is not null")
    assert all(p["PLATINUM"] < p["GOLD"] < p["SILVER"] for p in prices.values())
    assert 250 < len(prices) < 300


def test_seeded_stock_is_plentiful_scarce_and_sold_out(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        out, scarce, plenty = conn.execute("""
          select count(*) filter (where display_stock = 0),
            count(*) filter (where display_stock between 1 and 10),
            count(*) filter (where display_stock > 50)
          from app.inventory""").fetchall()[0]
    assert out > 5
    assert scarce > 15
    assert plenty > 200


def test_seeded_invoice_is_overdue_whatever_the_day(clone: Clone) -> None:
    for today in (date(2026, 11, 27), date(2027, 3, 1), date(2027, 1, 31)):
        url = clone()
        load(url, today)
        with psycopg.connect(url) as conn:
            admin = Caller(
                "admin", str(value(conn, "select id from app.agents where role = 'ADMIN' limit 1"))
            )
            dues = conn.execute(
                "select (i.due_date at time zone 'Asia/Jakarta')::date, i.partner_id::text, p.credit_used"
                " from app.invoices i join app.partners p on p.id = i.partner_id and p.credit_used = i.amount"
            ).fetchall()
            assert len(dues) == 2
            for due, partner, owed in dues:
                assert 5 <= (today - due).days < 50
                days = {"from_date": str(due - timedelta(days=60)), "to_date": str(due)}
                statement = call(conn, admin, "account_statement", partner_id=partner, **days)
                assert [line["kind"] for line in statement["lines"]] == ["INVOICE"]
                assert statement["closing_balance"] == owed
            assert broken_invariants(conn) == {}


def test_every_seeded_account_signs_in_with_the_documented_password(seeded: str) -> None:
    with psycopg.connect(seeded) as conn:
        emails = conn.execute("""
          select email, 'partner' from app.partners union all
          select email, case role when 'SALESMAN' then 'agent' else lower(role::text) end from app.agents""")
        hashes = value(
            conn,
            "select count(distinct password_hash) from (select password_hash from app.partners"
            " union all select password_hash from app.agents) as h",
        )
        assert hashes == 1
        for email, role in [*emails.fetchall()[::13], ("dewi@alfabeauty.example", "admin")]:
            answer = call(conn, Caller("anon"), "login", email=email, password=PASSWORD)
            assert answer["role"] == role


def test_seeded_regions_route_to_the_nearest_subdistributor_or_to_none(seeded: str) -> None:
    nearest = """
      select s.business_name from app.regions r
      left join app.sub_distributors s on s.id = app.nearest_subdist(r.id) where r.code = %s"""
    with psycopg.connect(seeded) as conn:
        found = {
            code: value(conn, nearest, code)
            for code in ("ID-JB-BDG", "ID-JB-BGR", "ID-YO-YOG", "ID-KR-BTM", "ID-PA-JPR")
        }
    assert found == {
        "ID-JB-BDG": "CV Parahyangan Jaya",  # its own
        "ID-JB-BGR": "CV Priangan Makmur",  # the province's
        "ID-YO-YOG": "PT Nusa Jawa Distribusi",  # its own is suspended
        "ID-KR-BTM": "PT Andalas Cipta Niaga",  # the island's
        "ID-PA-JPR": None,  # headquarters
    }
