"""The load: threads that order, approve, pay, read and run jobs, and record each acknowledged write."""

import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import httpx
import psycopg

from adapters.common.tokens import mint
from devtools.crash_test.environment import Connection
from hub.errors import UserError

_RETRY_SECONDS = 0.25
"""The pause after a request that failed: a dozen callers in a hurry would slow the restart they wait for."""

_TAKE_SECONDS = 0.05
"""How often an accountant looks for exported orders."""

PAUSE_SECONDS = 0.07
"""How long each caller rests on average."""

_SKUS = 20
_CACHED = ("/catalogue", "/configs", "/stock")
_STOP_SECONDS = 20


def _connection_was_lost(error: psycopg.Error) -> bool:
    """True also when a pooler says farewell before its answer: psycopg then reports two results."""
    return isinstance(error, psycopg.OperationalError) or (
        isinstance(error, psycopg.InternalError) and error.sqlstate is None
    )


def _is_unknown(answer: httpx.Response) -> bool:
    """What PostgREST answers for some connections that end in the middle: an error without a code."""
    return answer.status_code == 400 and not answer.json()["code"]


class GivenUpError(Exception):
    """The run ended before an answer arrived: nothing was acknowledged."""


class Target(Protocol):
    """What the load is put on."""

    @property
    def url(self) -> str:
        """URL of the database, as superuser."""
        ...

    @property
    def caller_url(self) -> str:
        """URL of the database for callers that do not use the gateway."""
        ...

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        ...

    @property
    def delivered(self) -> Path:
        """The file to which the adapter appends each delivered message as a JSON line."""
        ...

    @property
    def cache_url(self) -> str | None:
        """Base URL of the cache, if there is one."""
        ...

    @property
    def pages_url(self) -> str | None:
        """Base URL of the pages, if they are served."""
        ...

    @property
    def reports_url(self) -> str | None:
        """Base URL of the gateway for reports, if there is one."""
        ...

    @property
    def orders_folder(self) -> Path | None:
        """The folder in which the ERP adapter places a file for each approved order, if there is an ERP."""
        ...

    jwt_secret: str


@dataclass(frozen=True)
class Order:
    """An order as the API acknowledged it."""

    partner: str
    key: str
    id: str
    grand_total: Decimal


@dataclass(frozen=True)
class Payment:
    """A payment as the API acknowledged it."""

    invoice: str
    reference: str
    amount: Decimal


@dataclass
class Acknowledged:
    """Every request and every acknowledged write. Many threads append to each list."""

    requested: list[tuple[str, str]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    approved: list[str] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    """Names of the files that were taken from the ERP's folder, without their ending."""
    reads: Counter[str] = field(default_factory=Counter)
    """Answers of the cache, the pages and the gateway for reports, by path."""
    retries: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Errors that callers saw and repeated: status and code by HTTP, SQLSTATE over a connection."""
    slowest: dict[str, float] = field(default_factory=dict)
    """The longest time until an answer or an error, in seconds, by program."""
    surprises: list[str] = field(default_factory=list)

    def await_orders(self, count: int, seconds: float) -> None:
        """Wait for so many further orders. Raises UserError if they do not come within `seconds`."""
        expected, until = len(self.orders) + count, time.monotonic() + seconds
        while len(self.orders) < expected:
            if time.monotonic() > until:
                raise UserError("no order succeeds any more", hint="; ".join(self.surprises[:3]))
            time.sleep(0.02)

    def seen(self) -> str:
        """What callers saw, as a line of text."""
        errors = ", ".join(f"{count} x {what}" for what, count in self.errors.most_common())
        slowest = ", ".join(f"{program} {seconds} s" for program, seconds in self.slowest.items())
        return f"errors that callers repeated: {errors or 'none'}; slowest answers: {slowest}"

    def took(self, program: str, started: float) -> None:
        """Note how long a caller waited for an answer, or for an error."""
        self.slowest[program] = max(self.slowest.get(program, 0.0), round(time.monotonic() - started, 2))

    def take_exported(self, folder: Path) -> None:
        """Take the files of orders from the ERP's folder, as an accountant does."""
        for path in folder.glob("*.csv"):
            with suppress(FileNotFoundError):  # the folder is away
                path.unlink()
                self.exported.append(path.stem)


@dataclass
class Accounts:
    """Ids of the accounts that the load uses."""

    admin: str
    subdist: str
    partners: list[str]


def create_accounts(conn: Connection, partners: int) -> Accounts:
    """Create accounts and products with so much credit and stock that no order is refused."""

    def new(statement: str, *values: Any) -> str:
        return str(conn.execute(statement + " returning id", values).fetchall()[0][0])

    with conn.transaction():
        region = new("insert into app.regions (name, code) values ('Jawa Barat', 'T-JB')")
        admin = new(
            "insert into app.agents (email, password_hash, full_name, phone, role)"
            " values ('hq@crash.test', 'x', 'Kantor Pusat', '+628110000001', 'ADMIN')"
        )
        subdist = new(
            "insert into app.sub_distributors (region_id, business_name, whatsapp_number)"
            " values (%s, 'Distributor Bandung', '+628120000001')",
            region,
        )
        ids = [
            new(
                "insert into app.partners"
                " (email, phone, password_hash, business_name, tier, region_id, credit_limit)"
                " values (%s, %s, 'x', %s, 'GOLD', %s, 9e12)",
                f"salon{i}@crash.test",
                f"+62813{i:07}",
                f"Salon {i}",
                region,
            )
            for i in range(partners)
        ]
        for i in range(_SKUS):
            product = new(
                "insert into app.products (sku, name, base_price) values (%s, %s, %s)",
                f"T-{i:02}",
                f"Sampo {i}",
                _price(i),
            )
            conn.execute(
                "update app.inventory set erp_stock = 100000000, last_sync_at = now() where product_id = %s",
                [product],
            )
        # A message that a killed adapter held is sent again within the run.
        conn.execute(
            "update app.system_configs set config_value = '2'"
            " where config_key = 'outbox.unknown_wait_seconds'"
        )
    return Accounts(admin, subdist, ids)


class Load:
    """Threads that order, approve and pay until they are stopped."""

    def __init__(
        self,
        environment: Target,
        accounts: Accounts,
        acknowledged: Acknowledged,
        seed: int,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self.environment, self.accounts, self.acknowledged = environment, accounts, acknowledged
        self.seed, self.pause = seed, pause
        self.over = threading.Event()
        self.abandon = threading.Event()
        self._to_approve: SimpleQueue[str] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, buyers: int = 4, clerks: int = 4, readers: int = 2) -> None:
        """Start the threads. Half of the buyers use the gateway, half call the database directly.

        Readers ask the cache, a visitor the pages, a controller the gateway for reports, and an accountant
        takes what the ERP adapter exports, where there is one.
        """
        roles: list[tuple[str, Callable[[random.Random], None]]] = []
        for i in range(buyers):
            roles.append((f"buyer-{i}", self._buy_by_gateway if i % 2 == 0 else self._buy_directly))
        roles += [(f"clerk-{i}", self._serve) for i in range(clerks)]
        roles.append(("jobs", self._run_jobs))
        if self.environment.cache_url:
            roles += [(f"reader-{i}", self._read) for i in range(readers)]
        if self.environment.pages_url:
            roles.append(("visitor", self._visit))
        if self.environment.reports_url:
            roles.append(("controller", self._report))
        if self.environment.orders_folder:
            roles.append(("accountant", self._take_exported))
        for name, act in roles:
            dice = random.Random(f"{self.seed}-{name}")  # noqa: S311  repeatable, not secret
            thread = threading.Thread(target=self._run_thread, args=(name, act, dice), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> None:
        """Start no new work; finish running work, or give it up after `seconds`."""
        self.over.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.abandon.set()
        for thread in self._threads:
            thread.join(30)
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            self.acknowledged.surprises.append(f"still running: {', '.join(left)}")

    def _run_thread(self, name: str, act: Callable[[random.Random], None], dice: random.Random) -> None:
        try:
            act(dice)
        except GivenUpError:
            pass
        except Exception as error:
            self.acknowledged.surprises.append(f"{name}: {type(error).__name__}: {error}")

    def _random_order(self, dice: random.Random) -> tuple[str, dict[str, Any]]:
        """A partner, and an order under a key that is kept through every retry."""
        partner = dice.choice(self.accounts.partners)
        skus = dice.sample(range(_SKUS), dice.randint(1, 5))
        items = [{"sku": f"T-{i:02}", "quantity": dice.randint(1, 9)} for i in skus]
        key = str(uuid.UUID(int=dice.getrandbits(128)))
        self.acknowledged.requested.append((partner, key))
        return partner, {"items": items, "points": 0, "notes": None, "idempotency_key": key}

    def _ordered(self, partner: str, key: str, order: dict[str, Any]) -> None:
        self.acknowledged.orders.append(Order(partner, key, order["id"], Decimal(str(order["grand_total"]))))
        self._to_approve.put(order["id"])

    def _buy_by_gateway(self, dice: random.Random) -> None:
        with self._client() as client:
            while not self.over.is_set():
                partner, body = self._random_order(dice)
                order = self._post(client, "submit_order", body, "partner", partner)
                if order:
                    self._ordered(partner, body["idempotency_key"], order)
                self._pause(dice)

    def _buy_directly(self, dice: random.Random) -> None:
        conn: Connection | None = None
        while not self.over.is_set():
            partner, body = self._random_order(dice)
            while True:
                started = time.monotonic()
                try:
                    conn = conn or psycopg.connect(
                        self.environment.caller_url, connect_timeout=5, prepare_threshold=None
                    )
                    order = _submit(conn, partner, body)
                    break
                except psycopg.Error as error:
                    if not _connection_was_lost(error):
                        raise
                    # Whether it was committed is unknown: retried with the same key.
                    self.acknowledged.retries["direct"] += 1
                    self.acknowledged.errors[error.sqlstate or "no connection"] += 1
                    if conn:
                        conn.close()
                    conn = None
                    self._wait_or_give_up()
                finally:
                    self.acknowledged.took("direct", started)
            self._ordered(partner, body["idempotency_key"], order)
            self._pause(dice)

    def _serve(self, dice: random.Random) -> None:
        """Accept, approve and pay orders, each payment in one to three parts."""
        with self._client() as client:
            while not self.over.is_set():
                try:
                    order = self._to_approve.get(timeout=0.2)
                except Empty:
                    continue
                if dice.random() < 0.4:
                    continue  # some orders stay open
                accept = {"order_id": order, "decision": "ACCEPT"}
                self._post(client, "respond_order", accept, "subdist", self.accounts.subdist)
                # A repeated approval is refused if the first one was committed and its answer was lost.
                approve = {"order_id": order}
                answer = self._post(
                    client, "approve_order", approve, "admin", self.accounts.admin, lost={409}
                )
                if answer is None:
                    continue
                self.acknowledged.approved.append(order)
                self._pay(client, order, dice)
                self._pause(dice)

    def _pay(self, client: httpx.Client, order: str, dice: random.Random) -> None:
        path = f"/invoices?order_id=eq.{order}&select=id,amount"
        (invoice,) = self._request(client, "GET", path, None, "admin", self.accounts.admin, set()) or [None]
        if not invoice:
            return
        left = Decimal(str(invoice["amount"]))
        parts = dice.randint(1, 3)
        for part in range(parts):
            amount = left if part == parts - 1 else (left / 2).quantize(Decimal("0.01"))
            left -= amount
            reference = f"TRF-{dice.getrandbits(64):016x}"
            body = {"invoice_id": invoice["id"], "amount": str(amount), "reference_number": reference}
            if self._post(client, "record_payment", body, "admin", self.accounts.admin):
                self.acknowledged.payments.append(Payment(invoice["id"], reference, amount))

    def _read(self, dice: random.Random) -> None:
        """Read from the cache; a catalogue is complete and at the right prices."""
        expected = {f"T-{i:02}": _price(i) for i in range(_SKUS)}
        with self._client(self.environment.cache_url) as client:
            while not self.over.is_set():
                path, partner = dice.choice(_CACHED), dice.choice(self.accounts.partners)
                answer = self._request(client, "GET", path, None, "partner", partner, set(), "cache")
                self.acknowledged.reads[path] += 1
                if path == "/catalogue" and answer:
                    found = {product["sku"]: product["price"] for product in answer["products"]}
                    if found != expected:
                        self.acknowledged.surprises.append(f"the cache answers {found}")
                self._pause(dice)

    def _visit(self, dice: random.Random) -> None:
        """Read what the shop reads when it starts: from the pages, and through them from the gateway."""
        with self._client(self.environment.pages_url) as client:
            while not self.over.is_set():
                for path in ("/config.json", "/api/me?select=id"):
                    partner = dice.choice(self.accounts.partners)
                    self._request(client, "GET", path, None, "partner", partner, set(), "pages")
                    self.acknowledged.reads[path] += 1
                self._pause(dice)

    def _report(self, dice: random.Random) -> None:
        """Read the latest acknowledged order from the gateway for reports."""
        with self._client(self.environment.reports_url) as client:
            while not self.over.is_set():
                if self.acknowledged.orders:
                    order = self.acknowledged.orders[-1]
                    path, admin = f"/orders?select=grand_total&id=eq.{order.id}", self.accounts.admin
                    answer = self._request(client, "GET", path, None, "admin", admin, set(), "reports")
                    self.acknowledged.reads["/orders"] += 1
                    if answer != [{"grand_total": order.grand_total}]:
                        self.acknowledged.surprises.append(f"{path}: the report is {answer}")
                self._pause(dice)

    def _take_exported(self, _: random.Random) -> None:
        folder = self.environment.orders_folder
        while folder and not self.over.wait(_TAKE_SECONDS):
            self.acknowledged.take_exported(folder)

    def _run_jobs(self, _: random.Random) -> None:
        while not self.over.is_set():
            try:
                with psycopg.connect(self.environment.url, autocommit=True, connect_timeout=5) as conn:
                    while not self.over.is_set():
                        run_jobs(conn)
                        self.over.wait(3 * self.pause)
            except psycopg.OperationalError:
                self.acknowledged.retries["jobs"] += 1
                time.sleep(_RETRY_SECONDS)

    def _client(self, url: str | None = None) -> httpx.Client:
        return httpx.Client(base_url=url or self.environment.gateway_url, timeout=20, trust_env=False)

    def _post(
        self,
        client: httpx.Client,
        function: str,
        body: dict[str, Any],
        role: str,
        sub: str,
        *,
        lost: frozenset[int] | set[int] = frozenset(),
    ) -> Any:
        return self._request(client, "POST", f"/rpc/{function}", body, role, sub, lost)

    def _request(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        role: str,
        sub: str,
        lost: frozenset[int] | set[int],
        program: str = "gateway",
    ) -> Any:
        """Retry until there is an answer. Returns None if it is a refusal.

        A refusal in `lost` means that an earlier attempt succeeded: the answer is empty.
        """
        tries = 0
        while True:
            tries += 1
            started = time.monotonic()
            token = mint(self.environment.jwt_secret, role, sub, minutes=5)
            try:
                answer = client.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
            except httpx.TransportError as error:
                self.acknowledged.retries[program] += 1
                self.acknowledged.errors[f"{program}: {type(error).__name__}"] += 1
            else:
                self.acknowledged.took(program, started)
                if answer.status_code == 200:
                    return json.loads(answer.text, parse_float=Decimal)
                if answer.status_code in lost and tries > 1:
                    return {}
                if answer.status_code < 500 and not _is_unknown(answer):
                    self.acknowledged.surprises.append(
                        f"{method} {path}: {answer.status_code} {answer.text[:200]}"
                    )
                    return None
                self.acknowledged.retries[program] += 1
                self.acknowledged.errors[f"{program}: {answer.status_code} {answer.json()['code']}"] += 1
            self._wait_or_give_up()

    def _wait_or_give_up(self) -> None:
        if self.abandon.wait(_RETRY_SECONDS):
            raise GivenUpError

    def _pause(self, dice: random.Random) -> None:
        self.over.wait(dice.uniform(0.3, 1.7) * self.pause)


@contextmanager
def under_load(
    environment: Target,
    acknowledged: Acknowledged,
    *,
    partners: int,
    seed: int,
    people: int = 4,
    pause: float = PAUSE_SECONDS,
) -> Iterator[None]:
    """Create accounts, and keep buyers, clerks (`people` of each), readers and jobs at work in the block.

    Each rests for `pause` seconds on average after what they did.
    """
    with psycopg.connect(environment.url, autocommit=True) as conn:
        accounts = create_accounts(conn, partners)
    load = Load(environment, accounts, acknowledged, seed, pause)
    load.start(people, people)
    try:
        yield
    finally:
        load.stop(_STOP_SECONDS)


def _price(number: int) -> Decimal:
    """The base price of a product of the load, in rupiah."""
    return Decimal(60_000 + 10_000 * number)


def _submit(conn: Connection, partner: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call submit_order as PostgREST does; the answer counts after the commit."""
    claims = json.dumps({"role": "partner", "sub": partner})
    with conn.transaction():
        conn.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('role', 'partner', true)", [claims]
        )
        conn.execute("select auth.request_guard()")
        rows = conn.execute(
            "select to_jsonb(o)::text from api.submit_order(items => %s::jsonb, idempotency_key => %s) as o",
            [json.dumps(body["items"]), body["idempotency_key"]],
        ).fetchall()
    order: dict[str, Any] = json.loads(rows[0][0], parse_float=Decimal)
    return order


def run_jobs(conn: Connection) -> None:
    """Run the jobs that pg_cron runs each minute."""
    for command in (
        "call jobs.process_point_queue()",
        "call jobs.flush_audit()",
        "select jobs.reap_leases()",
        "select jobs.sweep_service_level()",
    ):
        conn.execute(command.encode())
