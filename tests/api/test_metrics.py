"""Figures for monitoring, and the id that follows a request, through the gateway."""

import uuid
from itertools import product

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import ApiClient
from tests.support.client import caller
from tests.support.context import Caller, Connection, make_context, submit, value
from tests.support.queries import nodes

MONITOR = Caller("monitor", str(uuid.uuid4()))
WITHOUT_SAMPLE = {
    *("hub_standby_lag_bytes", "hub_standby_lag_seconds"),  # no standby
    "hub_job_failing",  # nothing failed yet
}


def samples(text: str) -> dict[str, dict[str, float]]:
    """{metric: {label value: value}}; a sample without label is under ""."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[next(iter(sample.labels.values()), "")] = sample.value
    return found


def test_monitoring_reads_every_metric_as_prometheus_text_and_no_row(api: ApiClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    answer = api.get(MONITOR, "/rpc/metrics", Accept=accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    found = samples(answer.text)
    with psycopg.connect(api.gateway.database_url) as conn:
        described = {row[0] for row in conn.execute("select name from app.metric_descriptions()")}
        sampled = {row[0] for row in conn.execute("select name from app.metric_samples()")}
    assert sampled <= described
    assert described - WITHOUT_SAMPLE <= set(found) <= described
    assert set(found["hub_orders_waiting"]) == {"SUBDIST", "HEADQUARTERS"}
    assert found["hub_connections_allowed"][""] > 0
    assert "sla-sweep" in found["hub_job_late"]
    for path in ("/orders", "/partners", "/me", "/job_health", "/audit_logs"):
        assert api.get(MONITOR, path).status_code == 403, path


@pytest.mark.parametrize(
    ("who", "status"), [(None, 401), ("partner", 403), ("messenger", 403), ("admin", 200)]
)
def test_metrics_are_for_monitoring_and_headquarters(api: ApiClient, who: str | None, status: int) -> None:
    dataset = api.dataset
    callers = {"partner": dataset.west.partner, "messenger": dataset.messenger, "admin": dataset.admin}
    assert api.get(callers[who] if who else None, "/rpc/metrics").status_code == status


def figure(conn: Connection, name: str, label: str = "") -> float:
    return samples(str(value(conn, "select app.metrics()")))[name][label]


def test_metrics_follow_orders_messages_and_lateness(db: Connection) -> None:
    before = figure(db, "hub_orders_waiting", "SUBDIST"), figure(db, "hub_messages", "PENDING")
    context = make_context(db)
    order = submit(db, context.partners[0], [{"sku": context.skus[0], "quantity": 1}])
    assert figure(db, "hub_orders_waiting", "SUBDIST") == before[0] + 1
    assert figure(db, "hub_messages", "PENDING") > before[1]
    late = figure(db, "hub_orders_escalated", "SUBDIST")
    db.execute("set local role hub_owner")
    db.execute("update app.orders set sla_escalated = true where id = %s", [order["id"]])
    db.execute("reset role")
    assert figure(db, "hub_orders_escalated", "SUBDIST") == late + 1


def test_oldest_message_is_found_in_every_channel_and_priority(db: Connection) -> None:
    make_context(db)
    db.execute("set local session_replication_role = replica")
    db.execute("update app.messages set status = 'SENT'")
    assert figure(db, "hub_messages_oldest_seconds") == 0
    for age, (channel, priority) in enumerate(product(["WHATSAPP", "EMAIL"], [0, 1, 2]), start=1):
        db.execute(
            "insert into app.messages (template, channel, recipient_type, recipient_id, priority, created_at)"
            " select 'order_routed', %s, 'SUBDIST', id, %s, now() - %s * interval '1 hour'"
            " from app.sub_distributors limit 1",
            [channel, priority, age],
        )
        assert figure(db, "hub_messages_oldest_seconds") == age * 3600


def test_no_metric_reads_orders_messages_or_webhooks_of_the_past(db: Connection) -> None:
    """Each reads an index of what is open: a partial one."""
    db.execute("set local enable_seqscan = off")
    body = value(db, "select prosrc from pg_proc where oid = 'app.metric_samples'::regproc")
    plan = value(db, f"explain (format json) {body}")[0]["Plan"]
    history = {"orders", "messages", "inbound_messages"}
    read = [node for node in nodes(plan) if node.get("Relation Name") in history]
    assert {node["Relation Name"] for node in read} == history
    assert [node for node in read if node["Node Type"] == "Seq Scan"] == []
    indexes = {node["Index Name"] for node in nodes(plan) if "Index Name" in node}
    complete = db.execute(
        "select c.relname from pg_index as i join pg_class as c on c.oid = i.indexrelid"
        " where i.indpred is null and c.relname = any(%s) and i.indrelid = any(%s::regclass[])",
        [list(indexes), [f"app.{table}" for table in history]],
    )
    assert complete.fetchall() == []


def test_label_of_a_metric_is_escaped(db: Connection) -> None:
    line = value(db, "select app.metric_line('m', 'job', %s, 1.50)", 'a"b\\c\nd')
    assert line == 'm{job="a\\"b\\\\c\\nd"} 1.5'
    assert samples(line + "\n") == {"m": {'a"b\\c\nd': 1.5}}


def test_id_of_a_request_is_in_its_answer_the_trail_and_its_messages(api: ApiClient) -> None:
    partner, request_id = api.dataset.west.partner, f"web-{uuid.uuid4()}"
    body = {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": str(uuid.uuid4())}
    answer = api.rpc(partner, "submit_order", body, **{"X-Request-Id": request_id})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == request_id
    order = answer.json()["id"]
    plain = api.submit(partner)["id"]
    with psycopg.connect(api.gateway.database_url, autocommit=True) as conn:
        conn.execute("select app.flush_audit_buffer()")
    audit = api.get(api.dataset.admin, f"/audit_logs?target_id=eq.{order}&select=request_id").json()
    assert {row["request_id"] for row in audit} == {request_id}
    sent = api.get(api.dataset.admin, f"/messages?order_id=eq.{order}&select=request_id").json()
    assert {row["request_id"] for row in sent} == {request_id}
    others = api.get(api.dataset.admin, f"/messages?order_id=eq.{plain}&select=request_id").json()
    assert {row["request_id"] for row in others} == {None}, "the id ends with its request"


@pytest.mark.parametrize("bad", ["a b", "x" * 65, "é", "'; drop table", ""])
def test_request_id_of_another_form_is_passed_by(api: ApiClient, bad: str) -> None:
    body = {"items": [{"sku": "SKU-001", "quantity": 1}], "idempotency_key": str(uuid.uuid4())}
    sent = api.headers(api.dataset.west.partner) | {"X-Request-Id": bad}
    headers = {name.encode(): value.encode() for name, value in sent.items()}
    answer = api.http.post("/rpc/submit_order", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    path = f"/messages?order_id=eq.{answer.json()['id']}&select=request_id"
    assert {row["request_id"] for row in api.get(api.dataset.admin, path).json()} == {None}


def test_request_id_is_the_name_of_the_session_in_the_log_of_the_server(db: Connection) -> None:
    with caller(db, "anon", headers={"X-Request-Id": "web-1"}):
        assert value(db, "select current_setting('application_name')") == "web-1"
        assert value(db, "select current_setting('hub.request_id')") == "web-1"
