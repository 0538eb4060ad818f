"""The console at a desk: headquarters' and an agent's work, and what can go wrong in between."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from hub import pages
from hub.seed import PASSWORD
from tests.support.browser import (
    DESKTOP,
    PHONE,
    XSS,
    Hold,
    Person,
    axe_findings,
    broken_numbers,
    is_wider_than_screen,
    lose_answer,
    person,
    refuse,
)
from tests.support.pages import Site

APPS = ("shop", "console")
VIEWPORT = DESKTOP
ADMIN = "dewi@alfabeauty.example"
SUPERADMIN = "ratna@alfabeauty.example"
AGENT = "rizky@alfabeauty.example"
"""A salesman of West Java."""

SKU = "KRN-PRM-08"
FIRST_LOAD_LIMIT = 450_000
"""Bytes of HTML, script and style, compressed, that the first page of the console needs."""

Row = dict[str, Any]
Opened = Callable[..., Page]

expect.set_options(timeout=10_000)


@dataclass(frozen=True)
class Desk:
    """What tests prepare and look up beside the browser: calls of other roles, and rows."""

    site: Site

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.site.rows(query, *values)

    def value(self, query: str, *values: Any) -> Any:
        return self.site.value(query, *values)

    def as_role(self, role: str, sub: object, call: str, **arguments: Any) -> Row:
        """Call a function as an account."""
        answer: Row = self.site.rpc(self.site.gateway.token(role, sub), call, **arguments)
        return answer

    def as_admin(self, call: str, **arguments: Any) -> Row:
        return self.as_role(
            "admin", self.value("select id from app.agents where email = %s", ADMIN), call, **arguments
        )

    def submit(self, partner: str, quantity: int = 12, notes: str | None = None) -> Row:
        """An order that was just submitted."""
        items = [{"sku": SKU, "quantity": quantity}]
        return self.as_role(
            "partner", partner, "submit_order", items=items, notes=notes, idempotency_key=str(uuid4())
        )

    def answer(self, order: Row, decision: str = "ACCEPT", note: str | None = None) -> Row:
        """Answer an order as its sub-distributor."""
        subdist = self.value("select routed_to_subdist_id from app.orders where id = %s", order["id"])
        return self.as_role(
            "subdist", subdist, "respond_order", order_id=order["id"], decision=decision, note=note
        )

    def approved(self, partner: str) -> Row:
        order = self.submit(partner)
        self.answer(order)
        return self.as_admin("approve_order", order_id=order["id"])

    def shipped(self, partner: str) -> Row:
        return self.as_admin("ship_order", order_id=self.approved(partner)["id"])

    def invoice(self, order: Row) -> str:
        """The id of the newest invoice of an order."""
        found: str = self.value(
            "select id::text from app.invoices where order_id = %s order by created_at desc limit 1",
            order["id"],
        )
        return found

    def status(self, order: Row) -> str:
        found: str = self.value("select status::text from app.orders where id = %s", order["id"])
        return found


@pytest.fixture(scope="module")
def desk(site: Site) -> Desk:
    return Desk(site)


@pytest.fixture(scope="module")
def partners(desk: Desk) -> Iterator[str]:
    """Ids of partners in West Java, one after another."""
    found = desk.rows(
        "select p.id::text from app.partners p join app.regions r on r.id = p.region_id"
        " where r.code like 'ID-JB%%' and p.is_active"
        " and not exists (select from app.orders o where o.partner_id = p.id) order by p.business_name"
    )
    return iter([each for (each,) in found] * 4)


@pytest.fixture
def partner(partners: Iterator[str]) -> str:
    return next(partners)


@pytest.fixture(scope="module")
def staff(browser: Browser, site: Site) -> Iterator[Callable[[str], tuple[Person, Page]]]:
    """A function that returns the browser of one of the staff, in which they stay signed in."""
    with ExitStack() as stack:
        opened: dict[str, tuple[Person, Page]] = {}

        def at(email: str) -> tuple[Person, Page]:
            if email not in opened:
                them = stack.enter_context(person(browser, site, VIEWPORT))
                them.sign_in(email, PASSWORD, "console")
                opened[email] = them, them.open("console/#/account")
            return opened[email]

        yield at


@pytest.fixture
def signed_in(staff: Callable[[str], tuple[Person, Page]]) -> Iterator[Opened]:
    """A function that opens a page of the console in the browser of one of the staff."""
    used: list[tuple[Person, Page]] = []

    def at(path: str = "/", email: str = ADMIN) -> Page:
        them, page = staff(email)
        used.append((them, page))
        # What an earlier test left open: a message keeps the next one waiting while the pointer is on it.
        if page.get_by_role("dialog").or_(page.locator(".MuiSnackbar-root")).count():
            page.reload()
        go(page, "/account")
        expect(page.get_by_role("heading", level=1)).to_have_text("Ganti kata sandi")
        go(page, path)
        return page

    yield at
    for them, page in used:
        page.unroute_all(behavior="ignoreErrors")
        problems, them.problems = them.problems, []
        assert problems == []


def go(page: Page, path: str) -> None:
    """Another page of the console, as by its menu."""
    page.evaluate("path => { location.hash = path }", path)


def count_clicks(page: Page) -> None:
    """Count clicks from now on in `window.clicks`."""
    page.evaluate(
        "() => {"
        " if (window.clicks === undefined) addEventListener('click', () => window.clicks++, true);"
        " window.clicks = 0 }"
    )


def button(page: Page | Locator, label: str, subject: str = "") -> Locator:
    """An action's button; its accessible name says what it concerns."""
    return page.get_by_role("button", name=re.compile(f"^{re.escape(label)}: .*{re.escape(subject)}"))


def confirm(page: Page, label: str, **fields: str) -> None:
    """Fill in an action's dialog and send it; wait until it is done."""
    dialog = page.get_by_role("dialog")
    for name, value in fields.items():
        dialog.get_by_label(name.replace("_", " ")).fill(value)
    dialog.get_by_role("button", name=label, exact=True).click()
    expect(dialog).to_be_hidden()


def act(page: Page, label: str, subject: str = "", **fields: str) -> None:
    """Take an action: its button, what it asks for, and the button that sends it."""
    button(page, label, subject).first.click()
    confirm(page, label, **fields)


def expect_rest(page: Page) -> None:
    """Wait until nothing is read any more."""
    expect(page.locator("[role=progressbar]:not([aria-label])")).to_have_count(0)
    expect(page.locator(".RaLoadingIndicator-loader")).to_have_count(0)


def press_while_the_page_moves(page: Page, pressed: Locator) -> None:
    """Press a button that something above it pushes away before it is released."""
    expect_rest(page)
    pressed.hover()
    page.mouse.down()
    pressed.evaluate("pressed => { pressed.closest('section').style.marginTop = '300px' }")
    page.mouse.up()


def queue_item(page: Page, number: str, kind: str) -> Locator:
    """A row of the work queue."""
    return page.locator("li", has_text=number).filter(has_text=kind)


# --- the story ---


def test_headquarters_takes_an_order_from_the_limit_to_the_refund(
    someone: Person, desk: Desk, partner: str
) -> None:
    desk.rows("update app.partners set credit_limit = 1 where id = %s", partner)
    order = desk.submit(partner)
    page = someone.open("console/")
    page.get_by_label("Email").fill(ADMIN)
    page.get_by_label("Kata sandi").fill(PASSWORD)
    page.get_by_role("button", name="Masuk", exact=True).click()
    release_and_approve(page, desk, order, partner)
    bill_in_two_parts(page, desk, order)
    pay_after_a_mistake(page, desk, order)
    return_half_and_refund(page, desk, order)
    go(page, f"/partners/{partner}/show")
    statement = page.get_by_role("table", name="Rekening koran")
    expect(statement.get_by_role("row")).to_have_count(1 + 10)
    expect(page.get_by_text("Saldo akhir: Rp0")).to_be_visible()


def release_and_approve(page: Page, desk: Desk, order: Row, partner: str) -> None:
    """The queue is the first page; an order that its sub-distributor accepted is approved with two clicks."""
    waiting = queue_item(page, order["order_number"], "Melampaui kredit")
    expect(waiting).to_contain_text("sisa 3 jam")
    button(waiting, "Lepaskan").click()
    confirm(page, "Lepaskan", Alasan="Pelanggan lama")
    expect(waiting).to_be_hidden()
    desk.rows("update app.partners set credit_limit = 50000000 where id = %s", partner)
    desk.answer(order, note="Siap")
    page.reload()
    count_clicks(page)
    button(queue_item(page, order["order_number"], "Perlu persetujuan"), "Setujui").click()
    confirm(page, "Setujui")
    assert page.evaluate("window.clicks") == 2
    assert desk.status(order) == "APPROVED"


def bill_in_two_parts(page: Page, desk: Desk, order: Row) -> None:
    """A wrong invoice is cancelled, and the order billed again, twice: six clicks on the order's page."""
    go(page, f"/orders/{order['id']}/show")
    expect(page.get_by_text("Pelanggan lama").first).to_be_visible()
    half = float(order["grand_total"]) // 2
    count_clicks(page)
    act(page, "Batalkan tagihan", Alasan="Dua kali bayar")
    button(page, "Terbitkan tagihan", order["order_number"]).click()
    page.get_by_role("dialog").get_by_label("Jumlah (Rp)").fill(str(half))
    confirm(page, "Terbitkan tagihan", Alasan="Bagian pertama")
    expect(button(page, "Tandai dikirim")).to_have_count(0)
    act(page, "Terbitkan tagihan", order["order_number"], Alasan="Bagian kedua")
    expect(button(page, "Tandai dikirim")).to_be_visible()
    assert page.evaluate("window.clicks") == 6
    bills = desk.rows(
        "select amount::float8 from app.invoices where order_id = %s and status = 'UNPAID' order by amount",
        order["id"],
    )
    assert sorted(amount for (amount,) in bills) == sorted([half, float(order["grand_total"]) - half])


def pay_after_a_mistake(page: Page, desk: Desk, order: Row) -> None:
    """A mistyped payment is reversed; the true one has the same reference."""
    act(page, "Tandai dikirim")
    act(page, "Selesai")
    assert desk.status(order) == "COMPLETED"
    page.get_by_role("link", name=re.compile("^INV-")).nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Tagihan INV-")
    button(page, "Catat pembayaran").click()
    page.get_by_role("dialog").get_by_label("Jumlah (Rp)").fill("1000")
    confirm(page, "Catat pembayaran", Nomor_referensi_bank="BCA 7781")
    act(page, "Batalkan pembayaran", "BCA 7781", Alasan="Salah ketik")
    expect(page.get_by_text("(dibatalkan)")).to_be_visible()
    act(page, "Catat pembayaran", Nomor_referensi_bank="BCA 7781")
    expect(page.get_by_text("Lunas").first).to_be_visible()


def return_half_and_refund(page: Page, desk: Desk, order: Row) -> None:
    """Half of the goods come back when all is paid: the surplus is refunded."""
    go(page, f"/orders/{order['id']}/show")
    act(page, "Catat pembayaran", Nomor_referensi_bank="BCA 7802")
    button(page, "Retur barang").click()
    page.get_by_role("dialog").get_by_role("spinbutton").fill("6")
    confirm(page, "Retur barang", Alasan="Kemasan rusak")
    expect(page.get_by_role("table", name="Retur")).to_contain_text(SKU)
    act(page, "Catat pengembalian", Nomor_referensi_bank="OUT 1", Alasan="Retur")
    expect(button(page, "Catat pengembalian")).to_have_count(0)
    kinds = desk.rows(
        "select y.kind from app.invoice_payments y join app.invoices i on i.id = y.invoice_id"
        " where i.order_id = %s order by y.created_at, y.id",
        order["id"],
    )
    assert [kind for (kind,) in kinds] == ["PAYMENT", "REVERSAL", "PAYMENT", "PAYMENT", "REFUND"]
    assert desk.value("select sum(refund_due)::int from app.invoices where order_id = %s", order["id"]) == 0


# --- each transition and correction ---


def test_unrouted_order_is_rerouted_from_the_queue(signed_in: Opened, desk: Desk, partner: str) -> None:
    order = desk.submit(partner)
    desk.answer(order, "DECLINE", "Armada rusak")
    page = signed_in()
    button(queue_item(page, order["order_number"], "Belum ada sub-distributor"), "Alihkan").click()
    page.get_by_role("dialog").get_by_label("Sub-distributor").click()
    page.get_by_role("option").first.click()
    confirm(page, "Alihkan")
    assert desk.value("select routed_to_subdist_id is not null from app.orders where id = %s", order["id"])


def test_order_is_rejected_with_its_reason(signed_in: Opened, desk: Desk, partner: str) -> None:
    order = desk.submit(partner)
    page = signed_in(f"/orders/{order['id']}/show")
    button(page, "Tolak").press("Enter")  # by keyboard alone
    expect(page.get_by_label("Alasan")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    button(page, "Tolak").press("Enter")
    expect(page.get_by_label("Alasan")).to_be_focused()
    page.keyboard.type("Alamat di luar wilayah")
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("Ditolak").first).to_be_visible()
    expect(page.get_by_text("Alamat di luar wilayah").first).to_be_visible()
    expect(button(page, "Tolak")).to_have_count(0)


def test_rest_of_an_invoice_is_written_off(signed_in: Opened, desk: Desk, partner: str) -> None:
    invoice = desk.invoice(desk.approved(partner))
    page = signed_in(f"/invoices/{invoice}/show")
    button(page, "Hapusbukukan sisa").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Alasan").fill("Biaya bank")
    dialog.get_by_role("button", name="Hapusbukukan sisa").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Sisa tagihan terlalu besar untuk dihapusbukukan.")
    dialog.get_by_role("button", name="Batal").click()
    due = desk.value("select amount_due::float8 from app.invoices where id = %s", invoice)
    desk.as_admin("record_payment", invoice_id=invoice, amount=due - 2500, reference_number="BCA 1")
    page.reload()
    act(page, "Hapusbukukan sisa", Alasan="Biaya bank")
    expect(page.get_by_text("Lunas").first).to_be_visible()
    assert desk.value("select amount_written_off::int from app.invoices where id = %s", invoice) == 2500


def test_points_are_corrected_and_expire_and_rewards_are_sent(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    page = signed_in(f"/partners/{partner}/show")
    press_while_the_page_moves(page, button(page, "Koreksi poin"))
    confirm(page, "Koreksi poin", Poin="900", Alasan="Promo")
    expect(page.get_by_role("heading", name="Poin: 900")).to_be_visible()
    act(page, "Hanguskan poin", Poin="100", Alasan="Program lama")
    expect(page.get_by_role("heading", name="Poin: 800")).to_be_visible()
    reward = desk.value(
        "select id::text from app.redemption_catalog where is_active order by points_required limit 1"
    )
    for key in ("a", "b"):
        desk.as_role("partner", partner, "redeem_reward", reward_id=reward, idempotency_key=key)
    name = desk.value("select business_name from app.partners where id = %s", partner)
    go(page, "/")
    waiting = queue_item(page, name, "Hadiah untuk dikirim").first
    expect(waiting).to_contain_text(re.compile(r"150 poin(?!t)"))
    button(waiting, "Tandai dikirim").click()
    confirm(page, "Tandai dikirim")
    go(page, "/redemptions")
    act(page, "Tandai diterima", name)
    act(page, "Batalkan penukaran", name)
    states = desk.rows("select status::text from app.redemptions where partner_id = %s order by 1", partner)
    assert [state for (state,) in states] == ["CANCELLED", "DELIVERED"]


def test_escalation_is_followed_up_once(signed_in: Opened, desk: Desk, partner: str) -> None:
    order = desk.submit(partner)
    desk.rows("update app.orders set awaiting_since = now() - interval '30 hours' where id = %s", order["id"])
    desk.rows("update app.orders set routed_at = now() - interval '30 hours' where id = %s", order["id"])
    desk.rows(desk.value("select command from jobs.schedule where job = 'sla-sweep'"))
    page = signed_in("/sla_escalation_logs")
    expect(page.get_by_role("row").filter(has_text=order["order_number"]).first).to_be_visible()
    go(page, "/")
    button(queue_item(page, order["order_number"], "Sub-distributor diam"), "Tangani").click()
    confirm(page, "Tangani")
    expect(queue_item(page, order["order_number"], "Sub-distributor diam")).to_be_hidden()


# --- master data ---


def test_partner_is_created_and_invited(signed_in: Opened, desk: Desk) -> None:
    page = signed_in("/partners/create")
    page.get_by_label("Nama usaha").fill("Salon Kenanga")
    page.get_by_label("Email").fill("Kenanga@salon.example")
    page.get_by_label("Telepon").fill("0813 0000 4711")
    page.get_by_label("Batas kredit").fill("5000000")
    page.get_by_label("Wilayah").fill("Bandung")
    page.get_by_role("option", name="Bandung").click()
    page.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Salon Kenanga")
    act(page, "Kirim undangan", "Salon Kenanga")
    assert (
        desk.value("select phone from app.partners where email = 'kenanga@salon.example'") == "+6281300004711"
    )
    query = (
        "select count(*) from app.messages m join app.partners p on p.id = m.recipient_id where p.email = %s"
    )
    assert desk.value(query, "kenanga@salon.example") == 1


def test_concurrent_change_is_refused_in_words_and_can_be_loaded(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    page = signed_in(f"/partners/{partner}")
    expect(page.get_by_label("Nama usaha")).not_to_have_value("")
    desk.rows("update app.partners set credit_limit = 7777777 where id = %s", partner)
    page.get_by_label("Alamat").fill("Jl. Baru 1")
    page.get_by_role("button", name="Simpan").click()
    alert = page.get_by_role("alert").filter(has_text="Orang lain sudah mengubah data ini")
    expect(alert).to_contain_text("Batas kredit")
    assert desk.value("select address from app.partners where id = %s", partner) != "Jl. Baru 1"
    alert.get_by_role("button", name="Muat data terbaru").click()
    expect(page.get_by_label("Batas kredit")).to_have_value("7777777")
    page.get_by_label("Alamat").fill("Jl. Baru 1")
    page.get_by_role("button", name="Simpan").click()
    expect(page.get_by_text("Jl. Baru 1")).to_be_visible()
    assert desk.value("select credit_limit::int from app.partners where id = %s", partner) == 7777777


def test_price_schedule_has_neither_gap_nor_overlap(signed_in: Opened, desk: Desk) -> None:
    product = desk.value("select id::text from app.products where sku = %s", SKU)
    page = signed_in(f"/products/{product}/show")
    gold = page.get_by_role("region", name="Harga per tingkat Gold")
    expect(gold).to_be_visible()
    before = gold.get_by_role("row").count()
    button(page, "Harga baru", "Gold").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Mulai berlaku").fill("2027-06-01")
    dialog.get_by_label("Harga satuan").fill("51000")
    dialog.get_by_role("button", name="Simpan").click()
    expect(dialog).to_be_hidden()
    expect(gold.get_by_role("row")).to_have_count(before + 1)
    periods = (
        "select price::int, effective_from, effective_until from app.tier_prices"
        " where product_id = %s and tier = 'GOLD' order by effective_from"
    )
    found = desk.rows(periods, product)
    assert [until for _, _, until in found[:-1]] == [start for _, start, _ in found[1:]]
    assert found[-1][0] == 51000
    assert found[-1][2] is None
    button(page, "Batalkan jadwal", "51.000").click()
    expect(gold.get_by_text("Rp51.000")).to_have_count(0)
    kept = desk.rows(periods, product)
    assert [until for _, _, until in kept[:-1]] == [start for _, start, _ in kept[1:]]
    assert kept[-1][0] == found[-2][0]


def test_stock_and_brand_are_maintained(signed_in: Opened, desk: Desk) -> None:
    desk.rows("select app.set_config_value('erp.kind', '\"csv\"')")
    desk.rows("update app.inventory set last_sync_at = now() - interval '1 day'")
    page = signed_in("/inventory")
    page.get_by_role("searchbox").or_(page.get_by_placeholder("Cari")).fill(SKU)
    expect(page.get_by_role("row").filter(has_text=SKU)).to_contain_text("stok belum dikonfirmasi")
    desk.rows("select app.set_config_value('erp.kind', '\"none\"')")
    page.get_by_role("cell", name=SKU, exact=True).click()
    page.get_by_role("spinbutton", name="Cadangan").fill("9")
    page.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stok")
    product = desk.value("select id from app.products where sku = %s", SKU)
    assert desk.value("select safety_buffer from app.inventory where product_id = %s", product) == 9
    go(page, "/brands/create")
    page.get_by_label("Nama").fill("Merek Baru")
    page.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("cell", name="Merek Baru")).to_be_visible()


def test_configuration_has_a_history_for_superadmins(signed_in: Opened, desk: Desk) -> None:
    key = desk.value("select id::text from app.system_configs where config_key = 'credit.over_limit_policy'")
    page = signed_in(f"/system_configs/{key}/show", SUPERADMIN)
    page.get_by_role("button", name="Ubah nilai").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Nilai").fill("NEVER")
    dialog.get_by_role("button", name="Simpan").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nilai pengaturan tidak valid.")
    dialog.get_by_label("Nilai").fill("BLOCK")
    dialog.get_by_role("button", name="Simpan").click()
    expect(dialog).to_be_hidden()
    history = page.get_by_role("table", name="Riwayat")
    expect(history).to_contain_text("BLOCK")
    expect(history).to_contain_text("Ratna Kusumawardani")
    desk.rows("select app.set_config_value('credit.over_limit_policy', '\"FLAG\"')")


def test_superadmin_creates_staff(signed_in: Opened, desk: Desk) -> None:
    page = signed_in("/agents/create", SUPERADMIN)
    page.get_by_label("Nama").fill("Citra Lestari")
    page.get_by_label("Email").fill("citra@alfabeauty.example")
    page.get_by_role("button", name="Simpan").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Citra Lestari")
    assert (
        desk.value("select role::text from app.agents where email = 'citra@alfabeauty.example'") == "SALESMAN"
    )


# --- who sees what ---


def test_agent_sees_their_regions_and_no_buttons_of_headquarters(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    order = desk.submit(partner)
    desk.answer(order)
    elsewhere = desk.value(
        "select p.business_name from app.partners p join app.regions r on r.id = p.region_id"
        " where r.code = 'ID-SN-MKS' or r.name = 'Makassar' order by 1 limit 1"
    )
    page = signed_in("/", AGENT)
    expect(page.get_by_role("heading", level=1)).to_have_text("Beranda wilayah")
    expect(page.get_by_role("link", name=order["order_number"])).to_be_visible()
    menu = page.get_by_role("menu").or_(page.locator(".RaMenu-open"))
    for hidden in ("Jejak audit", "Pesan keluar", "Pengaturan", "Staf", "Stok"):
        expect(menu.get_by_text(hidden, exact=True)).to_have_count(0)
    go(page, "/partners")
    expect(page.get_by_role("cell", name="Salon Melati Bogor")).to_be_visible()
    expect(page.get_by_role("cell", name=elsewhere)).to_have_count(0)
    expect(page.get_by_role("link", name="Tambah")).to_have_count(0)
    go(page, f"/orders/{order['id']}/show")
    expect(page.get_by_role("heading", name="Riwayat")).to_be_visible()
    for label in ("Setujui", "Tolak", "Alihkan"):
        expect(button(page, label)).to_have_count(0)
    go(page, "/audit_logs")
    expect(page.get_by_text("Anda tidak berwenang membuka halaman ini").first).to_be_visible()


def test_agent_orders_for_a_partner_in_the_shop(signed_in: Opened, desk: Desk, partner: str) -> None:
    name = desk.value("select business_name from app.partners where id = %s", partner)
    page = signed_in(f"/partners/{partner}/show", AGENT)
    count_clicks(page)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Pesan untuk mitra ini").click()
    assert page.evaluate("window.clicks") == 1
    shop = opened.value
    expect(shop.get_by_text(name).first).to_be_visible()
    assert "token" not in shop.url
    assert (
        desk.value("select count(*) from app.agent_sessions where impersonated_partner_id = %s", partner) == 1
    )


def test_partner_cannot_sign_in(someone: Person) -> None:
    page = someone.open("console/")
    page.get_by_label("Email").fill("salon-melati-bogor@salon.example")
    page.get_by_label("Kata sandi").fill(PASSWORD)
    page.get_by_role("button", name="Masuk", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Akun ini bukan akun staf")
    assert page.evaluate("localStorage.length") == 0


def test_signing_out_leaves_nothing_behind(someone: Person) -> None:
    someone.sign_in(ADMIN, PASSWORD, "console")
    page = someone.open("console/#/partners")
    expect(page.get_by_role("cell", name="Arema Barber")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage)") == ["alfa-hub.console.refresh"]
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_role("button", name="Dewi").click()
    page.get_by_role("menuitem", name="Keluar").click()
    expect(page.get_by_role("heading", name="Masuk ke konsol")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    expect(page.get_by_text("Arema Barber")).to_have_count(0)


# --- what can go wrong ---


def test_dialog_closes_when_the_page_behind_shows_what_is_now(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    order = desk.approved(partner)
    page = signed_in(f"/orders/{order['id']}/show")
    reads = Hold()
    button(page, "Batalkan tagihan").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Alasan").fill("Dua kali bayar")
    page.route(re.compile(r"/orders\?"), reads)
    dialog.get_by_role("button", name="Batalkan tagihan", exact=True).click()
    expect(page.get_by_text("Tagihan dibatalkan. Terbitkan yang benar.")).to_be_visible()
    expect(dialog).to_be_visible()
    reads.release()
    expect(dialog).to_be_hidden()
    expect(button(page, "Terbitkan tagihan")).to_be_visible()


def test_expired_token_is_refreshed_unseen(signed_in: Opened) -> None:
    page = signed_in("/partners")
    expired = refuse(401, "PGRST303")
    page.route("**/api/brands?*", expired, times=1)
    with page.expect_response("**/rpc/refresh_session"):
        go(page, "/brands")
    expect(page.get_by_role("cell", name="Melati Pro")).to_be_visible()


def test_closed_session_asks_to_sign_in_again(someone: Person) -> None:
    someone.sign_in(ADMIN, PASSWORD, "console")
    page = someone.open("console/#/partners")
    expect(page.get_by_role("cell", name="Arema Barber")).to_be_visible()
    page.route("**/api/brands?*", refuse(401, "SESSION_CLOSED"))
    go(page, "/brands")
    expect(page.get_by_role("heading", name="Masuk ke konsol")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Sesi Anda telah ditutup.")
    expect(page.get_by_text("Arema Barber")).to_have_count(0)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(refuse(403, "NOT_ALLOWED"), "Anda tidak berwenang melakukan ini.", id="403"),
        pytest.param(refuse(502, ""), "Layanan sedang tidak tersedia.", id="gateway-down"),
        # Reading is repeated for seven seconds before it is given up.
        pytest.param(
            lambda route: route.abort(),
            "Tidak ada jawaban dari server.",
            id="network-away",
            marks=pytest.mark.long_form,
        ),
    ],
)
def test_list_that_cannot_be_read_says_why_and_tries_again(
    signed_in: Opened, answer: Callable[[Route], None], text: str
) -> None:
    page = signed_in("/partners")
    page.route("**/api/brands?*", answer)
    go(page, "/brands")
    alert = page.get_by_role("alert").filter(has_text="Data tidak dapat dimuat")
    expect(alert).to_contain_text(text)
    expect(page.get_by_text("Tidak ada data.")).to_have_count(0)
    page.unroute("**/api/brands?*")
    alert.get_by_role("button", name="Coba lagi").click()
    expect(page.get_by_role("cell", name="Melati Pro")).to_be_visible()


def test_page_beyond_the_end_goes_back_to_the_first(signed_in: Opened) -> None:
    page = signed_in("/partners?page=99&perPage=25&sort=business_name&order=ASC&filter=%7B%7D")
    expect(page.get_by_role("cell", name="Arema Barber")).to_be_visible()


def test_lost_answer_is_sent_again_without_recording_twice(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    invoice = desk.invoice(desk.approved(partner))
    page = signed_in(f"/invoices/{invoice}/show")
    page.route("**/rpc/record_payment", lose_answer, times=1)
    button(page, "Catat pembayaran").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Jumlah (Rp)").fill("1000")
    dialog.get_by_role("button", name="Catat pembayaran").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Mengirim ulang aman")
    confirm(page, "Catat pembayaran")
    assert desk.value("select count(*) from app.invoice_payments where invoice_id = %s", invoice) == 1


def test_order_that_someone_else_decided_is_refused_in_words(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    order = desk.submit(partner)
    desk.answer(order)
    page = signed_in(f"/orders/{order['id']}/show")
    button(page, "Setujui").click()
    desk.as_admin("reject_order", order_id=order["id"], reason="Dibatalkan")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Setujui").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Status sudah berubah")
    dialog.get_by_role("button", name="Batal").click()
    expect(button(page, "Setujui")).to_have_count(0)


def test_too_many_attempts_say_how_long_to_wait(someone: Person) -> None:
    page = someone.open("console/")
    page.route("**/rpc/login", refuse(429, "TOO_MANY_ATTEMPTS", "retry_after: 300"))
    page.get_by_label("Email").fill(ADMIN)
    page.get_by_label("Kata sandi").fill("salah")
    page.get_by_role("button", name="Masuk", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Tunggu 5 menit")


def test_console_that_starts_without_the_hub_keeps_the_session(someone: Person) -> None:
    someone.sign_in(ADMIN, PASSWORD, "console")
    page = someone.context.new_page()
    page.route("**/rpc/refresh_session", refuse(503, ""))
    page.goto(someone.site.url + "console/")
    expect(page.get_by_role("alert")).to_contain_text("Hub tidak menjawab")
    page.unroute("**/rpc/refresh_session")
    page.get_by_role("button", name="Coba lagi").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Antrean kerja")


def test_markup_in_names_notes_and_reasons_is_text(signed_in: Opened, desk: Desk, partner: str) -> None:
    desk.rows("update app.partners set business_name = %s, address = %s where id = %s", XSS, XSS, partner)
    order = desk.submit(partner, notes=XSS)
    desk.answer(order, note=XSS)
    page = signed_in()
    expect(queue_item(page, order["order_number"], "Perlu persetujuan")).to_contain_text(XSS)
    for path in (
        f"/orders/{order['id']}/show",
        f"/partners/{partner}/show",
        "/orders",
        "/partners?filter=%7B%22q%22%3A%22img%22%7D",
    ):
        go(page, path)
        expect(page.get_by_text(XSS).first).to_be_visible()
    go(page, f"/orders/{order['id']}/show")
    act(page, "Tolak", Alasan=XSS)
    expect(page.get_by_role("definition").filter(has_text=XSS).last).to_be_visible()
    desk.rows("update app.partners set business_name = 'Salon Aman', address = null where id = %s", partner)


# --- the whole console ---

LISTS = {
    "/": "Antrean kerja",
    "/reports": "Laporan",
    "/orders": "Pesanan",
    "/partners": "Mitra",
    "/partners/create": "Tambah Mitra",
    "/sla_escalation_logs": "Papan SLA",
    "/invoices": "Tagihan",
    "/invoice_payments": "Pembayaran",
    "/credit_notes": "Retur",
    "/products": "Produk",
    "/inventory": "Stok",
    "/brands": "Merek",
    "/categories": "Kategori",
    "/point_transactions": "Poin",
    "/redemptions": "Penukaran",
    "/redemption_catalog": "Hadiah",
    "/sub_distributors": "Sub-distributor",
    "/regions": "Wilayah",
    "/agents": "Staf",
    "/messages": "Pesan keluar",
    "/job_health": "Tugas terjadwal",
    "/erp_quarantine": "Karantina ERP",
    "/audit_logs": "Jejak audit",
    "/agent_sessions": "Sesi agen",
    "/system_configs": "Pengaturan",
    "/account": "Ganti kata sandi",
    "/unknown": "Tidak ditemukan",
}
"""Screens by their address, with their titles."""


def test_messages_and_trail_of_an_order_are_named_in_words(
    signed_in: Opened, desk: Desk, partner: str
) -> None:
    order = desk.submit(partner)
    page = signed_in(f"/orders/{order['id']}/show")
    sent = page.get_by_role("table", name="Pesan terkirim")
    expect(sent).to_contain_text("Pesanan baru untuk sub-distributorSub-distributorWhatsApp")
    desk.rows("select app.flush_audit_buffer(1000000)")
    desk.rows(
        "insert into app.audit_logs (actor_type, actor_role, action, target_type, target_id, created_at)"
        " values ('SYSTEM', 'hub_owner', 'OF_ANOTHER_VERSION', 'orders', %s, now())",
        order["id"],
    )
    page.get_by_role("link", name="Jejak audit").last.click()
    expect(page.get_by_role("cell", name="Pesanan", exact=True).first).to_be_visible()
    expect(page.get_by_role("cell", name="Ditambahkan", exact=True)).to_have_count(1)
    expect(page.get_by_role("cell", name="OF_ANOTHER_VERSION", exact=True)).to_have_count(1)


def test_orders_are_found_by_number_and_by_state(signed_in: Opened, desk: Desk, partner: str) -> None:
    order = desk.submit(partner)
    page = signed_in("/orders")
    listed = page.get_by_role("link", name=order["order_number"])
    page.get_by_placeholder("Nomor pesanan atau nama mitra").fill(order["order_number"].lower())
    expect(page.get_by_role("row")).to_have_count(2)
    expect(listed).to_be_visible()
    page.get_by_label("Giliran").click()
    page.get_by_role("option", name="kantor pusat").click()
    expect(page.get_by_text("Tidak ada data yang cocok dengan filter.")).to_be_visible()


def test_reports_draw_what_the_hub_has_added_up(signed_in: Opened) -> None:
    page = signed_in("/reports")
    for title in ("Pesanan dan penjualan per bulan", "Piutang menurut umur"):
        expect(page.get_by_role("img", name=title)).to_be_visible()


def test_axe_finds_nothing_on_any_screen(signed_in: Opened, desk: Desk, partner: str) -> None:
    order = desk.shipped(partner)
    product = desk.value("select id::text from app.products where sku = %s", SKU)
    rows = {
        f"/orders/{order['id']}/show": "Pesanan ORD-",
        f"/invoices/{desk.invoice(order)}/show": "Tagihan INV-",
        f"/partners/{partner}/show": "Mitra ",
        f"/partners/{partner}": "Mitra ",
        f"/products/{product}/show": "Produk ",
    }
    page = signed_in("/", SUPERADMIN)
    found: list[str] = []
    for path, title in (LISTS | rows).items():
        go(page, path)
        expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        expect_rest(page)
        expect(page.get_by_text("Data tidak dapat dimuat")).to_have_count(0)
        found += [f"{path} {finding}" for finding in axe_findings(page)]
        found += misfits(page, path)
    button(page, "Harga baru", "Gold").click()
    expect(page.locator(".MuiDialog-container")).to_have_css("opacity", "1")
    found += [f"a dialog {finding}" for finding in axe_findings(page)]
    page.reload()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for path in (*("/", "/orders", "/invoices", "/inventory"), *rows):
        go(page, path)
        expect(page.get_by_role("heading", level=1)).to_contain_text((LISTS | rows)[path])
        expect_rest(page)
        found += misfits(page, f"on a phone {path}")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    assert not found, "\n".join(found)


def misfits(page: Page, path: str) -> list[str]:
    """What does not fit on the screen: the page, or a number that is broken into two lines."""
    wide = [f"{path} is wider than the screen"] if is_wider_than_screen(page) else []
    return wide + [f"{path} breaks {number}" for number in broken_numbers(page)]


def test_console_speaks_english(someone: Person) -> None:
    someone.sign_in(ADMIN, PASSWORD, "console")
    page = someone.open("console/#/orders")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("Object.keys(localStorage)") == ["alfa-hub.console.refresh"]


def test_first_load_is_small(site: Site) -> None:
    built = pages.folder() / "console" / "dist"
    manifest = json.loads((built / ".vite" / "manifest.json").read_text())
    waiting, seen = ["index.html"], {"index.html"}
    while waiting:
        chunk = manifest[waiting.pop()]
        seen |= {chunk["file"], *chunk.get("css", [])}
        waiting += chunk.get("imports", [])
    size = sum(len(gzip.compress((built / name).read_bytes(), 9)) for name in seen)
    assert size <= FIRST_LOAD_LIMIT
    assert not any("Reports" in name for name in seen)
