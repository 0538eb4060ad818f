"""Master data by PostgREST's own writes, as headquarters sends them: JSON, CSV, upserts, hostile input."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import ApiClient, assert_error
from tests.support.context import Caller, Connection, value

RETURNED = {"Prefer": "return=representation"}
UPSERT = "resolution=merge-duplicates"
VIEWS = [
    "partners", "agents", "sub_distributors", "regions", "brands", "categories", "product_master",
    "inventory", "tier_prices", "redemption_catalog",
]  # fmt: skip


def unique(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex[:10]}"


def send(
    api: ApiClient, method: str, path: str, body: Any = None, who: Caller | None = None, **headers: str
) -> httpx.Response:
    """A write as headquarters, by default as a superadmin, that returns the rows."""
    caller = who or api.dataset.superadmin
    if isinstance(body, str):
        headers = {"Content-Type": "text/csv"} | headers
        content: Any = {"content": body}
    else:
        content = {} if body is None else {"json": body}
    return api.http.request(method, path, headers=api.headers(caller, **(RETURNED | headers)), **content)


def create(api: ApiClient, view: str, **row: Any) -> dict[str, Any]:
    answer = send(api, "POST", f"/{view}", row)
    assert answer.status_code == 201, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows[0]


def new_product(api: ApiClient, **row: Any) -> dict[str, Any]:
    return create(
        api, "product_master", **({"sku": unique("SKU-"), "name": "Sampo", "base_price": 90_000} | row)
    )


def new_row(api: ApiClient, view: str) -> dict[str, Any]:
    """A new row of the view, which other tests do not use."""
    if view == "inventory":
        path = f"/inventory?product_id=eq.{new_product(api)['id']}"
        rows: list[dict[str, Any]] = send(api, "GET", path).json()
        return rows[0]
    row: dict[str, dict[str, Any]] = {
        "product_master": {"sku": unique("SKU-"), "name": "Sampo", "base_price": 90_000},
        "tier_prices": {"tier": "GOLD", "price": 1, "effective_from": "2099-01-01T00:00:00Z"},
        "partners": {"business_name": "Salon", "email": f"{unique('salon')}@hub.test"},
        "agents": {"full_name": "Agen", "email": f"{unique('agen')}@hub.test"},
        "sub_distributors": {
            "business_name": "CV",
            "region_id": api.dataset.west.regions[0],
            "whatsapp_number": f"+62811{uuid.uuid4().int % 10**8:08}",
        },
        "regions": {"name": "Wilayah", "code": unique("W-")},
        "categories": {"name": "Kategori", "slug": unique("k")},
        "redemption_catalog": {"name": "Hadiah", "points_required": 5},
        "brands": {"name": unique("Merek ")},
    }
    if view == "tier_prices":
        row[view]["product_id"] = new_product(api)["id"]
    return create(api, view, **row[view])


def test_headquarters_sets_up_a_region_with_its_people_and_a_partner(api: ApiClient) -> None:
    region = create(api, "regions", name="Garut", code=unique("G-"), time_zone="Asia/Jakarta")
    agent = create(
        api,
        "agents",
        full_name="Eka",
        email=f"{unique('eka')}@hub.test",
        role="SALESMAN",
        region_id=region["id"],
    )
    subdist = create(
        api,
        "sub_distributors",
        region_id=region["id"],
        business_name="CV Garut",
        whatsapp_number="0812-7000-8000",
    )
    partner = create(
        api,
        "partners",
        business_name="Salon Garut",
        email=f"{unique('garut')}@hub.test",
        phone="0813 7000 8000",
        tier="GOLD",
        region_id=region["id"],
        credit_limit=5_000_000,
    )
    assert (agent["region_id"], subdist["whatsapp_number"]) == (region["id"], "+6281270008000")
    assert (partner["phone"], partner["credit_used"], partner["point_balance"]) == ("+6281370008000", 0, 0)
    assert "password_hash" not in partner
    quote = api.rpc(
        Caller("partner", partner["id"]), "quote_order", {"items": [{"sku": "SKU-001", "quantity": 1}]}
    )
    assert quote.status_code == 200, quote.text


def test_a_partner_created_by_headquarters_has_no_password(api: ApiClient, conn: Connection) -> None:
    email = f"{unique('tanpa')}@hub.test"
    create(api, "partners", business_name="Salon Tanpa", email=email)
    for password in ("!", "rahasia-sekali"):
        assert_error(
            api.rpc(None, "login", {"email": email, "password": password}), 401, "INVALID_CREDENTIALS"
        )
    assert value(conn, "select password_hash from app.partners where email = %s", email) == "!"


def test_a_thousand_tier_prices_are_entered_by_one_request(api: ApiClient) -> None:
    skus = [{"sku": unique("SKU-"), "name": f"Sampo {i}", "base_price": 100_000} for i in range(334)]
    products = send(api, "POST", "/product_master", skus).json()
    rows = [
        {
            "product_id": p["id"],
            "tier": tier,
            "price": 80_000 + i,
            "effective_from": "2099-01-01T00:00:00+07:00",
        }
        for i, p in enumerate(products)
        for tier in ("SILVER", "GOLD", "PLATINUM")
    ][:1000]
    answer = send(api, "POST", "/tier_prices", rows)
    assert (answer.status_code, len(answer.json())) == (201, 1000), answer.text[:500]
    # one invalid row: nothing is entered
    later = [row | {"effective_from": "2199-01-01T00:00:00+07:00", "effective_until": None} for row in rows]
    assert_error(send(api, "POST", "/tier_prices", [*later, later[0]]), 400, "23P01")


def test_prices_and_stock_are_loaded_as_csv(api: ApiClient) -> None:
    first, second = new_product(api), new_product(api)
    prices = "product_id,tier,price,effective_from,effective_until\n" + "".join(
        f"{p['id']},GOLD,{75_000 + i},2099-01-01T00:00:00Z,NULL\n" for i, p in enumerate((first, second))
    )
    answer = send(api, "POST", "/tier_prices", prices)
    assert answer.status_code == 201, answer.text
    assert [row["price"] for row in answer.json()] == [75_000, 75_001]
    stock = f"product_id,erp_stock\n{first['id']},12\n{second['id']},34\n"
    answer = send(
        api, "POST", "/inventory?on_conflict=product_id", stock, Prefer=f"{UPSERT},return=representation"
    )
    assert answer.status_code == 200, answer.text
    assert [row["display_stock"] for row in answer.json()] == [12, 34]
    listed = send(api, "GET", f"/products?id=eq.{second['id']}&select=display_stock,stock_stale").json()
    assert listed == [{"display_stock": 34, "stock_stale": False}]


def test_an_upsert_inserts_what_is_new_and_updates_what_is_known(api: ApiClient) -> None:
    known = new_product(api)
    rows = [
        {"sku": known["sku"], "name": "Sampo Halus", "base_price": 95_000},
        {"sku": unique("SKU-"), "name": "Sampo Baru", "base_price": 70_000},
    ]
    prefer = f"{UPSERT},return=representation"
    answer = send(api, "POST", "/product_master?on_conflict=sku", rows, Prefer=prefer)
    assert answer.status_code in (200, 201), answer.text
    assert [row["id"] == known["id"] for row in answer.json()] == [True, False]
    assert [row["base_price"] for row in answer.json()] == [95_000, 70_000]
    again = send(api, "POST", "/product_master?on_conflict=sku", rows, Prefer=prefer)
    assert [row["id"] for row in again.json()] == [row["id"] for row in answer.json()]


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/product_master?on_conflict=sku", {"sku": "KEMBAR", "name": "Sampo", "base_price": 1}),
        ("/brands?on_conflict=name", {"name": "Kembar"}),
        ("/partners?on_conflict=email", {"email": "kembar@hub.test", "business_name": "Kembar"}),
        ("/regions?on_conflict=code", {"code": "KEMBAR", "name": "Kembar"}),
        ("/regions", {"id": str(uuid.uuid4()), "code": "KEMBAR-2", "name": "Kembar"}),
    ],
)
def test_a_body_with_a_row_twice_is_a_conflict(api: ApiClient, path: str, row: dict[str, Any]) -> None:
    for prefer in (UPSERT, "return=minimal"):
        assert_error(send(api, "POST", path, [row, row], Prefer=prefer), 409, "23505")
    # the same key in the next request is no repetition
    assert send(api, "POST", path, row, Prefer=UPSERT).status_code in (200, 201)
    assert send(api, "POST", path, row, Prefer=UPSERT).status_code == 200


def test_a_row_is_put_by_its_id(api: ApiClient) -> None:
    row = {
        "id": str(uuid.uuid4()),
        "name": "Tasik",
        "code": unique("T-"),
        "parent_region_id": None,
        "time_zone": None,
    }
    path = f"/regions?id=eq.{row['id']}"
    assert send(api, "PUT", path, row).status_code in (200, 201)
    answer = send(api, "PUT", path, row | {"name": "Tasikmalaya"})
    assert (answer.status_code, answer.json()[0]["name"]) == (200, "Tasikmalaya")


@pytest.mark.parametrize("view", VIEWS)
def test_a_patch_with_the_time_of_reading_overwrites_no_one(api: ApiClient, view: str) -> None:
    row = new_row(api, view)
    # written back as it is: even that is a change which a later writer has to see
    field = {
        "partners": "business_name", "agents": "full_name", "sub_distributors": "business_name",
        "inventory": "safety_buffer", "product_master": "description",
        "tier_prices": "effective_until",
    }.get(view, "name")  # fmt: skip
    path, change = f"/{view}", {field: row[field]}
    filters = {"id": f"eq.{row['id']}", "updated_at": f"eq.{row['updated_at']}"}
    target = f"{path}?{httpx.QueryParams(filters)}"
    if view in ("tier_prices", "inventory"):  # an unchanged row of these is no change
        change = {field: 99} if view == "inventory" else {field: "2099-12-31T00:00:00+07:00"}
    first = send(api, "PATCH", target, change)
    assert (first.status_code, len(first.json())) == (200, 1), first.text
    second = send(api, "PATCH", target, change)
    assert (second.status_code, second.json()) == (200, [])
    single = send(api, "PATCH", target, change, Accept="application/vnd.pgrst.object+json")
    assert_error(single, 406, "PGRST116")


def test_an_order_does_not_disturb_a_change_of_the_partner_who_sent_it(api: ApiClient) -> None:
    partner = api.dataset.west.partner
    before = send(api, "GET", f"/partners?id=eq.{partner.sub}").json()[0]
    api.submit(partner)
    filters = httpx.QueryParams({"id": f"eq.{partner.sub}", "updated_at": f"eq.{before['updated_at']}"})
    answer = send(api, "PATCH", f"/partners?{filters}", {"credit_limit": before["credit_limit"]})
    assert len(answer.json()) == 1, answer.text


def test_what_is_referred_to_is_not_deleted(api: ApiClient) -> None:
    for path in (
        f"/regions?id=eq.{api.dataset.west.regions[0]}",
        f"/sub_distributors?id=eq.{api.dataset.west.subdist.sub}",
        "/brands?name=eq.Alfaparf",
        "/categories?slug=eq.sampo",
        "/product_master?sku=eq.SKU-001",
        f"/redemption_catalog?id=eq.{api.dataset.rewards[0]}",
    ):
        assert_error(send(api, "DELETE", path), 409, "23503")


def test_what_nothing_refers_to_is_deleted(api: ApiClient, conn: Connection) -> None:
    product = new_product(api)
    price = create(
        api,
        "tier_prices",
        product_id=product["id"],
        tier="GOLD",
        price=1,
        effective_from="2099-01-01T00:00:00Z",
    )
    assert_error(send(api, "DELETE", f"/product_master?id=eq.{product['id']}"), 409, "23503")
    assert send(api, "DELETE", f"/tier_prices?id=eq.{price['id']}").status_code == 200
    assert send(api, "DELETE", f"/product_master?id=eq.{product['id']}").status_code == 200
    assert value(conn, "select count(*) from app.inventory where product_id = %s", product["id"]) == 0


def test_partners_agents_and_stock_are_not_deleted(api: ApiClient) -> None:
    for view in ("partners", "agents", "inventory", "orders", "me"):
        assert_error(send(api, "DELETE", f"/{view}"), 403, "NOT_ALLOWED")


def test_other_roles_write_no_master_data(api: ApiClient) -> None:
    dataset = api.dataset
    for view in VIEWS:
        for who in (dataset.west.partner, dataset.west.agent, dataset.west.subdist, dataset.erp):
            for method in ("POST", "PATCH", "DELETE"):
                body = None if method == "DELETE" else {"name": "x"}
                answer = send(api, method, f"/{view}", body, who)
                assert answer.status_code in (400, 403), (view, who, method, answer.text)
    assert_error(
        send(api, "PATCH", "/agents?role=eq.ADMIN", {"full_name": "x"}, dataset.admin), 403, "NOT_ALLOWED"
    )
    assert_error(api.http.post("/brands", json={"name": "x"}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("view", "row"),
    [
        ("partners", {"credit_used": 1}),
        ("partners", {"point_balance": 1}),
        ("partners", {"password_hash": "x"}),
        ("partners", {"deleted_at": "now"}),
        ("partners", {"updated_at": "now"}),
        ("agents", {"password_hash": "x"}),
        ("product_master", {"price": 1}),
        ("product_master", {"display_stock": 1}),
        ("product_master", {"is_withdrawn": False}),
        ("inventory", {"reserved": 0}),
        ("inventory", {"display_stock": 1}),
        ("inventory", {"last_sync_at": "now"}),
        ("tier_prices", {"created_at": "now"}),
    ],
)
def test_derived_columns_are_written_by_no_one(api: ApiClient, view: str, row: dict[str, Any]) -> None:
    one = new_row(api, view)
    for method, path in (("PATCH", f"/{view}?id=eq.{one['id']}"), ("POST", f"/{view}")):
        answer = send(api, method, path, row)
        assert answer.status_code in (400, 403), answer.text
        assert send(api, "GET", f"/{view}?id=eq.{one['id']}").json() == [one]


HOSTILE: list[Any] = [
    None, "", " ", "\u0000", "💈" * 300, "x" * 100_000, -1, 1e308, 10**400, "NaN", "Infinity", "-infinity",
    True, [], {}, [[]], {"a": {"b": 1}}, "'; drop table app.partners; --", "javascript:alert(1)",
    "9999-12-31", "0001-01-01 BC", "00000000-0000-0000-0000-000000000000", 0.001, "1e2", 2**63,
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_values_are_client_errors(api: ApiClient, view: str) -> None:
    one = new_row(api, view)
    wrong = []
    for column in one:
        for hostile in HOSTILE:
            for method, path in (("PATCH", f"/{view}?id=eq.{one['id']}"), ("POST", f"/{view}")):
                body = json.dumps({column: hostile}).encode()
                headers = api.headers(api.dataset.superadmin, **{"Content-Type": "application/json"})
                answer = api.http.request(method, path, content=body, headers=headers)
                if answer.status_code >= 500 or (answer.status_code >= 400 and not answer.json()["code"]):
                    wrong.append((method, column, str(hostile)[:40], answer.status_code, answer.text[:200]))
    assert wrong == []


@pytest.mark.parametrize(
    ("view", "row", "code"),
    [
        ("partners", {"credit_limit": "NaN"}, "23514"),
        ("partners", {"credit_limit": -1}, "23514"),
        ("partners", {"business_name": " \t"}, "23514"),
        ("partners", {"email": "Besar@Hub.Test"}, "23514"),
        ("product_master", {"base_price": "NaN"}, "23514"),
        ("product_master", {"image_url": "javascript:alert(1)"}, "23514"),
        ("tier_prices", {"price": "NaN"}, "23514"),
        ("tier_prices", {"effective_until": "infinity"}, "23514"),
        ("regions", {"code": ""}, "23514"),
        ("regions", {"time_zone": "Europe/Berlin"}, "23514"),
        ("partners", {"region_id": str(uuid.uuid4())}, "23503"),
        ("partners", {"business_name": None}, "23502"),
        ("partners", {"tier": "BRONZE"}, "22P02"),
        ("agents", {"email": "adi@hub.test"}, "23505"),
    ],
)
def test_a_violated_constraint_keeps_its_code(
    api: ApiClient, view: str, row: dict[str, Any], code: str
) -> None:
    one = new_row(api, view)
    status = 409 if code in ("23503", "23505") else 400
    answer = send(api, "PATCH", f"/{view}?id=eq.{one['id']}", row)
    assert_error(answer, status, code)
    assert "password_hash" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a,b\n1\n",
        'sku,name\n"x',
        "sku\n\n",
        "name,name\nx,y\n",
        "\ufeffname\nMerek\n",
        "name\n" + "x" * 300,
    ],
)
def test_a_broken_csv_is_a_client_error(api: ApiClient, body: str) -> None:
    answer = send(api, "POST", "/brands", body)
    assert answer.status_code < 500, answer.text


def test_concurrent_uploads_of_the_same_rows_in_opposite_order_succeed(api: ApiClient) -> None:
    products = send(
        api,
        "POST",
        "/product_master",
        [{"sku": unique("SKU-"), "name": "Sampo", "base_price": 1} for _ in range(200)],
    ).json()
    rows = [{"sku": p["sku"], "name": "Sampo", "base_price": 2} for p in products]
    stock = [{"product_id": p["id"], "erp_stock": 5} for p in products]

    def upload(i: int) -> int:
        way = -1 if i % 2 else 1
        prefer = f"{UPSERT},return=minimal"
        if i % 4 < 2:
            path, body = "/product_master?on_conflict=sku", rows
        else:
            path, body = "/inventory?on_conflict=product_id", stock
        return send(api, "POST", path, body[::way], Prefer=prefer).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(upload, range(8))) == {200}


def test_a_write_is_audited_under_the_name_of_its_writer(api: ApiClient, conn: Connection) -> None:
    product = new_product(api)
    send(api, "PATCH", f"/inventory?product_id=eq.{product['id']}", {"erp_stock": 9}, api.dataset.admin)
    send(api, "PATCH", f"/products?id=eq.{product['id']}", {"is_active": False}, api.dataset.admin)
    conn.execute("select app.flush_audit_buffer(100000)")
    rows = conn.execute(
        "select target_type, action, actor_id::text, actor_role, new_value ->> 'erp_stock',"
        " new_value ->> 'is_active' from app.audit_logs"
        " where target_id = %s or target_id = (select id from app.inventory where product_id = %s)"
        " order by created_at, target_type",
        [product["id"], product["id"]],
    ).fetchall()
    superadmin, admin = api.dataset.superadmin.sub, api.dataset.admin.sub
    assert rows == [
        ("products", "INSERT", superadmin, "superadmin", None, "true"),
        ("inventory", "UPDATE", admin, "admin", "9", None),
        ("products", "UPDATE", admin, "admin", None, "false"),
    ]


def test_the_address_of_a_deleted_partner_is_not_used_again(api: ApiClient, conn: Connection) -> None:
    row = {"business_name": "Salon Mawar", "email": "mawar@hub.test"}
    assert_error(send(api, "POST", "/partners", row), 409, "23505")
    upsert = send(api, "POST", "/partners?on_conflict=email", row, Prefer=UPSERT)
    assert_error(upsert, 403, "42501")
    name = "select business_name from app.partners where email = 'mawar@hub.test'"
    assert value(conn, name) == "Salon Mawar"
    assert value(conn, "select deleted_at is not null from app.partners where email = 'mawar@hub.test'")


NOWHERE = "id=eq.00000000-0000-7000-8000-00000000dead"
ODD_REQUESTS: list[tuple[str, str, Any, int]] = [
    ("POST", "/brands?on_conflict=display_order", [{"name": "A", "display_order": 1}], 400),
    ("POST", "/brands?on_conflict=nope", [{"name": "A"}], 400),
    ("POST", "/tier_prices?on_conflict=product_id,tier", [{"tier": "GOLD"}], 400),
    ("POST", "/brands?columns=nope", [{"name": "A"}], 400),
    ("POST", "/brands", [1, "x", None], 400),
    ("POST", "/brands", [{}], 400),
    ("POST", "/brands", {}, 400),
    ("POST", "/brands", [{"name": "A"}, {"display_order": 1}], 400),
    ("POST", "/inventory", {"product_id": None}, 400),
    ("POST", "/inventory", {"product_id": str(uuid.uuid4())}, 409),
    ("PATCH", f"/brands?{NOWHERE}", {}, 200),
    ("PATCH", f"/brands?{NOWHERE}", [{"name": "A"}, {"name": "B"}], 200),
    ("PATCH", "/brands?id=eq.x", {"name": "A"}, 400),
    ("PATCH", "/brands?nope=eq.1", {"name": "A"}, 400),
    ("DELETE", "/brands?nope=eq.1", None, 400),
    ("DELETE", f"/brands?{NOWHERE}", None, 200),
    ("PUT", "/brands?name=eq.A", {"name": "A"}, 405),
    ("PUT", f"/brands?{NOWHERE}", {"id": str(uuid.uuid4()), "name": "A"}, 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ODD_REQUESTS)
def test_odd_requests_get_the_status_of_the_standard_server(
    api: ApiClient, method: str, path: str, body: Any, status: int
) -> None:
    prefer = f"{UPSERT},return=representation" if "on_conflict" in path else "return=representation"
    answer = send(api, method, path, body, Prefer=prefer)
    assert answer.status_code == status, answer.text
