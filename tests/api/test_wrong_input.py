"""Wrong input of every RPC: a 4xx with a documented code, and nothing is written."""

import json
import re
from functools import cache
from typing import Any

import httpx
import pytest

from hub import paths
from tests.api.conftest import ApiClient
from tests.api.example_calls import CALLS, Preconditions, as_json
from tests.api.wrong_input import EMOJI, ODD, WRONG, Case, argument_cases, body_cases, body_of
from tests.support.context import Caller, Connection, broken_invariants

# All tables except the counters of failed sign-ins, which must be kept.
_TABLES = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('app', 'auth', 'jobs') and c.relkind = 'r' and c.oid <> 'auth.login_attempts'::regclass
order by 1
"""

# An answer must not reveal private names, SQL, source files or whole rows.
_INTERNALS = re.compile(
    r"\b(app|auth|jobs)\.[a-z_]+|Failing row|violates|relation \"|PL/pgSQL|SQL statement|select .* from|"
    r"Traceback|\.py\b|/home/|\w+_\w+_(check|fkey)\b",
    re.IGNORECASE,
)
# Codes whose texts may contain such words.
_MAY_NAME_INTERNALS = {"UNKNOWN_CONFIG", "INVALID_CONFIG_VALUE"}


# Roles that may execute a call beside the one of its example.
ALSO_ALLOWED = {
    "catalogue": {"subdist"},
    "app_configs": {"subdist"},
    "newest_orders": {"partner", "subdist"},
    "newest_order_events": {"partner", "subdist"},
    "newest_invoices": {"partner"},
    "newest_payments": {"partner"},
    "newest_credit_notes": {"partner"},
    "earliest_due_invoices": {"partner"},
    "monthly_totals": {"partner"},
    "ship_order": {"subdist"},
    "complete_order": {"subdist"},
}


@cache
def documented() -> dict[str, set[int]]:
    """Every documented code with its statuses: the first two cells of the rows of both pages."""
    docs = paths.root() / "docs"
    page = (docs / "reference" / "error-codes.md").read_text() + (docs / "api" / "errors.md").read_text()
    rows = re.findall(r"^\| `([A-Za-z0-9_]+)` \| ([0-9, ]+) \|", page, re.MULTILINE)
    return {code: {int(status) for status in statuses.split(",")} for code, statuses in rows}


def is_documented(answer: httpx.Response) -> bool:
    """Whether the pages document this code with this status."""
    return answer.status_code in documented().get(answer.json()["code"], set())


def checksums(conn: Connection) -> dict[str, str]:
    """A checksum of each table."""
    tables = [row[0] for row in conn.execute(_TABLES)]
    parts = [
        f"select '{t}', count(*) || ' rows, ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '')"
        f" from {t} as r"
        for t in tables
    ]
    return dict(conn.execute(" union all ".join(parts)).fetchall())


class InputChecker:
    """Sends invalid calls and collects the wrong answers."""

    def __init__(self, api: ApiClient, conn: Connection, name: str) -> None:
        self.api = api
        self.conn = conn
        self.name = name
        self.headers = api.headers(CALLS[name].caller(api))
        self.faults: list[str] = []

    def send(self, case: Case) -> httpx.Response:
        if self.name in ("login", "request_link", "change_password", "request_password_reset"):
            self.conn.execute("delete from auth.login_attempts")
        headers = self.headers | {"Content-Type": case.content_type}
        return self.api.http.post(f"/rpc/{self.name}", content=case.body, headers=headers)

    def expect_refusal(self, case: Case) -> None:
        answer = self.send(case)
        if not 400 <= answer.status_code < 500:
            self.fault(case, answer)
            return
        body: Any = answer.json()
        if set(body) != {"code", "message", "details", "hint"} or not is_documented(answer):
            self.fault(case, answer)
            return
        if case.code and body["code"] != case.code:
            self.fault(case, answer)
            return
        said = " ".join(str(body[k]) for k in ("message", "details", "hint"))
        if body["code"] not in _MAY_NAME_INTERNALS and _INTERNALS.search(said[:5_000]):
            self.fault(case, answer)

    def expect_no_server_error(self, case: Case) -> None:
        answer = self.send(case)
        if answer.status_code >= 500:
            self.fault(case, answer)

    def fault(self, case: Case, answer: httpx.Response) -> None:
        self.faults.append(f"{case.what}: {answer.status_code} {answer.text[:300]}")


def rpcs(conn: Connection) -> dict[str, tuple[list[str], set[str]]]:
    """For each RPC the names of all arguments, and of those without a default.

    A function with an unnamed argument is a relation to embed, and no RPC.
    """
    rows = conn.execute(
        "select proname, coalesce(proargnames[1:pronargs], '{}'), pronargs - pronargdefaults from pg_proc"
        " where pronamespace = 'api'::regnamespace and (pronargs = 0 or proargnames is not null)"
    )
    return {name: (names, set(names[:required])) for name, names, required in rows}


def test_every_rpc_and_argument_has_its_cases(conn: Connection) -> None:
    there = {name: names for name, (names, _) in rpcs(conn).items()}
    assert there == {name: list(call.kinds) for name, call in CALLS.items()}
    assert {kind for call in CALLS.values() for kind in call.kinds.values()} == set(WRONG)


@pytest.mark.parametrize("name", CALLS)
def test_wrong_input_is_refused_and_nothing_is_written(api: ApiClient, conn: Connection, name: str) -> None:
    call = CALLS[name]
    required = rpcs(conn)[name][1]
    good = as_json(call.good(Preconditions(api, conn)))
    checker = InputChecker(api, conn, name)
    before = checksums(conn)
    cases = [*argument_cases(good, call.kinds, required, WRONG), *body_cases(good, required)]
    for case in cases:
        checker.expect_refusal(case)
    after = checksums(conn)
    written = [f"{t}: {before[t]} -> {after[t]}" for t in before if before[t] != after[t]]
    assert not checker.faults, "\n".join([f"{len(checker.faults)} of {len(cases)}", *checker.faults])
    assert written == []
    # The same call without the mistake succeeds, so the mistake caused the refusal.
    answer = checker.send(Case("good", body_of(good)))
    assert answer.status_code in (200, 204), answer.text
    for case in argument_cases(good, call.kinds, required, ODD):
        checker.expect_no_server_error(case)
    assert not checker.faults, "\n".join(checker.faults)


def test_invariants_hold_after_all_wrong_input(api: ApiClient, conn: Connection) -> None:
    assert broken_invariants(conn) == {}


def test_every_error_code_is_documented(conn: Connection) -> None:
    rows = conn.execute("select code, http_status from app.error_catalog()").fetchall()
    assert {code: documented().get(code) for code, _ in rows} == {code: {status} for code, status in rows}


def test_the_wrong_line_is_named(api: ApiClient) -> None:
    items = [{"sku": "SKU-001", "quantity": 1}, {"sku": "SKU-002", "qty": 1}, {"sku": 7}]
    answer = api.rpc(api.dataset.west.partner, "quote_order", {"items": items})
    assert (answer.json()["code"], answer.json()["details"]) == ("INVALID_ITEMS", "line 2")


def test_a_whole_number_may_have_a_decimal_point(api: ApiClient) -> None:
    items = [{"sku": "SKU-001", "quantity": 2.0}, {"sku": "SKU-001", "quantity": 1}]
    answer = api.rpc(api.dataset.west.partner, "quote_order", {"items": items})
    assert [line["quantity"] for line in answer.json()["lines"]] == [3]


def test_texts_are_returned_unchanged(api: ApiClient) -> None:
    for text in (
        json.loads(EMOJI),
        "Robert'); drop table students; --",
        "baris\nkedua\ttab",
        "\\u0041 %s {}",
    ):
        items = [{"sku": "SKU-001", "quantity": 1}]
        answer = api.rpc(api.dataset.west.partner, "save_draft", {"items": items, "notes": text})
        assert answer.json()["notes"] == text
        path = f"/orders?id=eq.{answer.json()['id']}&select=notes"
        assert api.get(api.dataset.west.partner, path).json() == [{"notes": text}]


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("partner", "/rpc/quote_order"),
        ("partner", "/rpc/quote_order?items=x"),
        ("partner", "/rpc/quote_order?items=[]&points=x"),
        ("partner", "/rpc/quote_order?items=%00"),
        ("partner", "/rpc/quote_order?items={}&is_admin=1"),
        ("partner", "/orders?id=eq.x"),
        ("partner", "/orders?id=eq.%00"),
        ("partner", "/orders?grand_total=gt.1e400000"),
        ("partner", "/orders?grand_total=gt.banyak"),
        ("partner", "/orders?created_at=gt.kemarin%20sore"),
        ("partner", "/orders?status=eq.MAYBE"),
        ("partner", "/orders?no_such=eq.1"),
        ("partner", "/orders?select=no_such"),
        ("partner", "/orders?select=*,partners(no_such)"),
        ("partner", "/orders?select=*,audit_logs(*)"),
        ("partner", "/orders?order=no_such"),
        ("partner", "/orders?order=id.sideways"),
        ("partner", "/orders?limit=-1"),
        ("partner", "/orders?or=(id.eq.1"),
        ("partner", "/orders?notes=match.((("),
        ("partner", "/no_such_list"),
        ("partner", "/rpc/no_such_call"),
        ("partner", "/products?sku=in.(" + "x" * 5000),
        ("partner", "/orders?id=eq.1'%20or%201=1--"),
        ("admin", "/partners?credit_limit=eq.NaN,"),
        ("erp", "/rpc/erp_pending_orders?max=0"),
        ("erp", "/rpc/erp_pending_orders?max=1e30"),
    ],
)
def test_a_wrong_path_or_filter_is_refused_too(api: ApiClient, role: str, path: str) -> None:
    who = {"partner": api.dataset.west.partner, "admin": api.dataset.admin, "erp": api.dataset.erp}[role]
    answer = api.get(who, path)
    assert 400 <= answer.status_code < 500, answer.text
    assert is_documented(answer), answer.text


def test_a_select_that_begins_with_no_field_returns_all_columns(api: ApiClient) -> None:
    """PostgREST reads fields as long as there are any and ignores the rest."""
    assert api.get(api.dataset.west.partner, "/orders?select=((((").status_code == 200


@pytest.mark.parametrize(
    "name", ["claim_messages", "process_inbox", "erp_pending_orders", "erp_pending_cancellations"]
)
def test_a_text_body_is_ignored_by_a_call_that_needs_no_argument(api: ApiClient, name: str) -> None:
    role = CALLS[name].caller(api)
    headers = api.headers(role, **{"Content-Type": "text/plain"})
    assert api.http.post(f"/rpc/{name}", content=b"7", headers=headers).status_code == 200


@pytest.mark.parametrize("name", CALLS)
def test_a_role_without_the_right_is_refused_whatever_it_sends(api: ApiClient, name: str) -> None:
    allowed = CALLS[name].role
    strangers: dict[str, Caller | None] = {
        "partner": api.dataset.west.partner,
        "subdist": api.dataset.west.subdist,
        "messenger": api.dataset.messenger,
    }
    for role, who in ({"anon": None} | strangers).items():
        if allowed in (role, "anon") or name in ("me", "logout", "change_password"):
            continue
        if role in ALSO_ALLOWED.get(name, ()):
            continue
        body = dict.fromkeys(CALLS[name].kinds)
        answer = api.rpc(who, name, body)
        status = 401 if who is None else 403
        assert (answer.status_code, answer.json()["code"]) == (status, "42501"), (role, answer.text)
