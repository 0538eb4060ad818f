"""The shop on a phone: a salon's whole story, and what can go wrong on the way."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, Response, Route, expect

from hub.seed import PASSWORD
from tests.support.browser import (
    DESKTOP,
    PHONE,
    XSS,
    Hold,
    Person,
    axe_findings,
    broken_numbers,
    english_words,
    is_wider_than_screen,
    lose_answer,
    refuse,
)
from tests.support.pages import Site
from tests.support.waiting import wait_until

APPS = ("shop",)
VIEWPORT = PHONE
SKU = "KRN-PRM-08"
"""A product with a quantity discount from 12 units on."""


@dataclass(frozen=True)
class Partner:
    """A partner of the demo data whom no other test uses."""

    id: str
    email: str
    name: str


def _partners(site: Site, condition: str) -> Iterator[Partner]:
    rows = site.rows(
        "select p.id::text, p.email, p.business_name from app.partners p join app.regions r"
        f" on r.id = p.region_id where {condition} and p.is_active"
        " and not exists (select from app.orders o where o.partner_id = p.id) order by p.id"
    )
    return (Partner(*row) for row in rows)


@pytest.fixture(scope="module")
def partners(site: Site) -> Iterator[Partner]:
    """Partners of the demo data, one after another."""
    return _partners(site, "r.code not like 'ID-JB%%'")


@pytest.fixture(scope="module")
def partners_of_rizky(site: Site) -> Iterator[Partner]:
    """Partners in the regions of the agent Rizky, who are not in `partners`."""
    return _partners(site, "r.code like 'ID-JB%%'")


@pytest.fixture
def partner(partners: Iterator[Partner]) -> Partner:
    return next(partners)


@pytest.fixture
def salon(someone: Person, partner: Partner) -> Person:
    """The phone of `partner`, signed in."""
    someone.sign_in(partner.email, PASSWORD)
    return someone


def order_count(site: Site, partner: Partner) -> int:
    return int(site.value("select count(*) from app.orders where partner_id = %s", partner.id))


def put_in_basket(page: Page, sku: str = SKU, quantity: int = 1) -> None:
    """Search for a product and put it into the basket."""
    page.get_by_role("searchbox").fill(sku)
    card = page.locator(".product", has_text=sku).first
    card.get_by_role("button", name="+ Keranjang").click()
    if quantity > 1:
        field = card.get_by_role("spinbutton")
        field.fill(str(quantity))
        field.press("Tab")


def basket_with(salon: Person, quantity: int = 1, sku: str = SKU) -> Page:
    """The basket page with one product, quoted."""
    page = salon.open()
    put_in_basket(page, sku, quantity)
    page.get_by_role("link", name="Keranjang").click()
    expect(submit_button(page)).to_be_enabled()
    return page


def submit_button(page: Page) -> Any:
    return page.locator("button.submit")


def expect_order_page(page: Page) -> str:
    """Wait for the page of a submitted order; returns its id."""
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"ORD-\d{6}-\d{6}"))
    return page.url.rsplit("/", 1)[1]


# --- the story ----------------------------------------------------------------------------------------------


def test_salon_signs_in_and_orders_with_four_taps(someone: Person, site: Site, partner: Partner) -> None:
    page = someone.open()
    page.evaluate("window.taps = 0; addEventListener('click', () => window.taps++, true)")
    page.get_by_label("Email").fill(partner.email)
    page.get_by_label("Kata sandi").fill(PASSWORD)
    page.get_by_role("button", name="Masuk").click()
    page.locator(".product").first.get_by_role("button", name="+ Keranjang").click()
    page.get_by_role("link", name="Keranjang").click()
    submit_button(page).click()
    order = expect_order_page(page)
    assert page.evaluate("window.taps") == 4
    expect(page.get_by_text("Terkirim, menunggu jawaban sub-distributor").first).to_be_visible()
    assert site.value("select partner_id::text from app.orders where id = %s", order) == partner.id
    page.get_by_role("link", name="Katalog").click()
    expect(page.locator(".basket-bar")).to_have_count(0)


def test_catalogue_is_searched_by_words_brand_and_category(salon: Person) -> None:
    page = salon.open()
    expect(page.get_by_text("300 produk")).to_be_visible()
    page.get_by_role("combobox", name="Merek").select_option(label="Kirana Color")
    page.get_by_role("searchbox").fill("permanent cokelat tua")
    expect(page.locator(".product")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.get_by_role("combobox", name="Kategori").select_option(label="\u2003Pewarna Permanen")
    expect(page.get_by_text("36 produk")).to_be_visible()


def test_quantity_discount_applies_to_the_basket(salon: Person) -> None:
    page = salon.open()
    put_in_basket(page, SKU, 12)
    card = page.locator(".product", has_text=SKU)
    expect(card.locator(".discount.reached")).to_contain_text("Mulai 12")
    page.get_by_role("link", name="Keranjang").click()
    expect(page.get_by_text("Potongan jumlah", exact=True)).to_be_visible()
    expect(page.get_by_text("potongan jumlah", exact=True)).to_be_visible()


def test_basket_survives_a_reload_and_follows_in_other_tabs(salon: Person) -> None:
    page = basket_with(salon, 3)
    page.get_by_label("Catatan").fill("Antar pagi")
    page.reload()
    expect(page.get_by_role("spinbutton", name="Jumlah")).to_have_value("3")
    expect(page.get_by_label("Catatan")).to_have_value("Antar pagi")
    other = salon.open("#/basket")
    other.get_by_role("button", name="Tambah").click()
    expect(page.get_by_role("spinbutton", name="Jumlah")).to_have_value("4")


HOLD_STORE = """
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...names) {
    const request = open.apply(this, names);
    Object.defineProperty(request, 'onsuccess', {
      set: (hear) => request.addEventListener('success', (event) => {
        window.openStore = () => hear(event);
      }),
    });
    return request;
  };
"""
"""The basket's store opens when the test calls `openStore()`."""


def open_store(page: Page) -> None:
    # wait_for_function may evaluate a string in the page, which its policy forbids.
    wait_until(lambda: page.evaluate("() => 'openStore' in window && (openStore(), true)"))


def test_tap_before_the_stored_basket_is_read_adds_to_it(salon: Person) -> None:
    page = salon.open()
    put_in_basket(page, quantity=3)
    page.add_init_script(HOLD_STORE)
    page.reload()
    put_in_basket(page)
    put_in_basket(page, "ARN-FDN-01")
    expect(page.locator(".basket-bar")).to_contain_text("2 produk")
    open_store(page)
    page.get_by_role("searchbox").fill(SKU)
    expect(page.get_by_role("spinbutton")).to_have_value("4")
    page.reload()
    open_store(page)
    expect(page.locator(".basket-bar")).to_contain_text("2 produk")
    page.get_by_role("searchbox").fill(SKU)
    expect(page.get_by_role("spinbutton")).to_have_value("4")


def test_number_that_is_typed_survives_an_answer(salon: Person) -> None:
    quotes = Hold()
    page = salon.open()
    put_in_basket(page)
    page.route("**/rpc/quote_order", quotes)
    page.get_by_role("link", name="Keranjang").click()
    page.get_by_role("spinbutton", name="Jumlah").fill("7")
    expect(submit_button(page)).to_be_disabled()
    quotes.release()
    expect(submit_button(page)).to_be_enabled()
    expect(page.get_by_role("spinbutton", name="Jumlah")).to_have_value("7")


def test_order_is_cancelled_with_a_reason_and_ordered_again(salon: Person, site: Site) -> None:
    page = basket_with(salon, 2)
    submit_button(page).click()
    order = expect_order_page(page)
    page.get_by_role("button", name="Batalkan pesanan").click()
    page.get_by_label("Alasan").fill("Salah pesan")
    page.get_by_role("dialog").get_by_role("button", name="Batalkan pesanan").click()
    expect(page.get_by_text("Alasan: Salah pesan")).to_be_visible()
    expect(page.get_by_role("button", name="Batalkan pesanan")).to_have_count(0)
    assert site.value("select status::text from app.orders where id = %s", order) == "CANCELLED"
    page.get_by_role("button", name="Pesan lagi").click()
    expect(page.get_by_role("spinbutton", name="Jumlah")).to_have_value("2")


def admin_token(site: Site) -> str:
    return site.gateway.token("admin", site.value("select id from app.agents where role = 'ADMIN' limit 1"))


def settle(site: Site, order: str) -> None:
    """Take an order through acceptance and approval as staff."""
    subdist = site.value("select routed_to_subdist_id from app.orders where id = %s", order)
    site.rpc(site.gateway.token("subdist", subdist), "respond_order", order_id=order, decision="ACCEPT")
    site.rpc(admin_token(site), "approve_order", order_id=order)


def test_invoice_is_listed_paid_and_part_of_the_statement(salon: Person, site: Site) -> None:
    page = basket_with(salon, 12)
    submit_button(page).click()
    order = expect_order_page(page)
    settle(site, order)
    page.get_by_role("link", name="Tagihan").click()
    expect(page.locator(".card", has_text="INV-")).to_contain_text("Belum dibayar")
    settle_payment(site, order)
    page.reload()
    expect(page.get_by_text("Tidak ada tagihan yang harus dibayar.")).to_be_visible()
    page.get_by_role("button", name="Tampilkan yang lunas").click()
    expect(page.locator(".card", has_text="INV-")).to_contain_text("Lunas")
    page.get_by_role("link", name="Mutasi rekening").click()
    expect(page.get_by_role("row", name=re.compile("Tagihan"))).to_have_count(1)
    expect(page.get_by_role("row", name=re.compile("Pembayaran"))).to_have_count(1)
    expect(page.get_by_role("row", name=re.compile("Saldo akhir"))).to_contain_text("Rp0")


def settle_payment(site: Site, order: str) -> None:
    """Pay the invoice of an order in full."""
    invoice, due = site.value(
        "select array[id::text, amount_due::text] from app.invoices where order_id = %s", order
    )
    site.rpc(
        admin_token(site),
        "record_payment",
        invoice_id=invoice,
        amount=float(due),
        reference_number="BCA-1",
    )


def give_points(site: Site, partner: Partner, points: int) -> None:
    body = {"points": points, "reason": "Uji", "idempotency_key": str(uuid4())}
    site.rpc(admin_token(site), "adjust_points", partner_id=partner.id, **body)


def test_reward_is_redeemed_once_although_the_answer_was_lost(
    salon: Person, site: Site, partner: Partner
) -> None:
    give_points(site, partner, 500)
    page = salon.open("#/points")
    expect(page.locator(".sum")).to_contain_text("500")
    page.route("**/rpc/redeem_reward", lose_answer, times=1)
    page.get_by_role("button", name="Tukar: Apron Penata Rambut").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Tukar").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Tidak ada jawaban")
    dialog.get_by_role("button", name="Tukar").click()
    expect(page.get_by_text("Menunggu dikirim")).to_have_count(1)
    expect(page.locator(".sum")).to_contain_text("300")
    assert site.value("select count(*) from app.redemptions where partner_id = %s", partner.id) == 1


def test_draft_is_submitted_after_consent_to_a_higher_price(
    salon: Person, site: Site, partner: Partner
) -> None:
    token = site.gateway.token("partner", partner.id)
    draft = site.rpc(token, "save_draft", items=[{"sku": SKU, "quantity": 1}])["id"]
    page = salon.open(f"#/orders/{draft}")
    expect(page.get_by_text("Draf, belum dikirim")).to_be_visible()
    quote = {"grand_total": 999_000, "lines": []}
    page.route("**/rpc/submit_draft", refuse(409, "PRICE_CHANGED", json.dumps(quote)), times=1)
    page.get_by_role("button", name="Kirim pesanan").click()
    expect(page.get_by_role("alert")).to_contain_text("Harga naik")
    page.get_by_role("button", name="Setuju, kirim dengan total Rp999.000").click()
    expect(page.get_by_text("menunggu jawaban sub-distributor").first).to_be_visible()
    assert site.value("select status::text from app.orders where id = %s", draft) == "SUBMITTED"


def test_points_pay_a_part_of_the_order(salon: Person, site: Site, partner: Partner) -> None:
    give_points(site, partner, 100)
    page = basket_with(salon)
    page.get_by_role("button", name=re.compile("Pakai 100 poin")).click()
    expect(page.get_by_text("Dibayar 100 poin")).to_be_visible()
    submit_button(page).click()
    order = expect_order_page(page)
    assert site.value("select points_used from app.orders where id = %s", order) == 100


def test_account_shows_who_serves_the_partner(salon: Person) -> None:
    page = salon.open("#/account")
    expect(page.get_by_role("link", name=re.compile("WhatsApp")).first).to_have_attribute(
        "href", re.compile(r"^https://wa\.me/62\d+$")
    )
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Who serves you")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Who serves you")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"


# --- ordering when something goes wrong ---------------------------------------------------------------------


def test_lost_answer_is_shown_and_repeating_it_makes_one_order(
    salon: Person, site: Site, partner: Partner
) -> None:
    page = basket_with(salon)
    page.route("**/rpc/submit_order", lose_answer, times=1)
    submit_button(page).click()
    expect(page.get_by_role("alert").filter(has_text="belum pasti")).to_be_visible()
    expect(page.get_by_role("button", name="Hapus")).to_be_disabled()
    assert order_count(site, partner) == 1
    page.reload()
    page.get_by_role("button", name="Kirim ulang").click()
    expect_order_page(page)
    assert order_count(site, partner) == 1


def test_double_tap_makes_one_order(salon: Person, site: Site, partner: Partner) -> None:
    page = basket_with(salon)
    submit_button(page).dblclick()
    expect_order_page(page)
    assert order_count(site, partner) == 1


def set_price(site: Site, sku: str, price: int) -> None:
    """From now on each tier pays `price`, in rupiah."""
    site.value(
        "update app.tier_prices set effective_until = now() where effective_until is null"
        " and product_id = (select id from app.products where sku = %s)",
        sku,
    )
    site.value("update app.products set base_price = %s where sku = %s", price, sku)


def test_price_rise_is_shown_and_needs_a_second_consent(salon: Person, site: Site, partner: Partner) -> None:
    sku = "ARN-EYE-02"
    page = basket_with(salon, sku=sku)
    set_price(site, sku, 999_000)
    submit_button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("menjadi Rp999.000")
    assert order_count(site, partner) == 0
    page.get_by_role("button", name="Setuju, kirim dengan total Rp999.000").click()
    order = expect_order_page(page)
    assert site.value("select grand_total from app.orders where id = %s", order) == 999_000


def test_missing_stock_is_marked_with_what_is_left(salon: Person, site: Site) -> None:
    sku = "ARN-EYE-03"
    page = basket_with(salon, 5, sku)
    site.value(
        "update app.inventory set erp_stock = 2, safety_buffer = 0, reserved = 0"
        " where product_id = (select id from app.products where sku = %s)",
        sku,
    )
    submit_button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("Stok tidak cukup")
    page.get_by_role("button", name="Ambil 2").click()
    expect(submit_button(page)).to_be_enabled()
    submit_button(page).click()
    expect_order_page(page)


def test_withdrawn_product_is_marked_and_can_be_removed(salon: Person, site: Site) -> None:
    sku = "ARN-EYE-04"
    page = salon.open()
    put_in_basket(page, sku)
    put_in_basket(page)
    site.value("update app.products set is_active = false where sku = %s", sku)
    page.get_by_role("link", name="Keranjang").click()
    expect(page.get_by_role("alert")).to_contain_text("tidak dijual lagi")
    page.locator(".card.marked").get_by_role("button", name="Hapus").click()
    expect(submit_button(page)).to_be_enabled()


def test_credit_limit_warns_under_flag_and_refuses_under_block(
    salon: Person, site: Site, partner: Partner
) -> None:
    site.value("update app.partners set credit_limit = 1000 where id = %s", partner.id)
    page = basket_with(salon)
    expect(page.get_by_text("melampaui batas kredit")).to_be_visible()
    page.route("**/rpc/submit_order", refuse(402, "CREDIT_LIMIT_EXCEEDED"), times=1)
    submit_button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("Kurangi pesanan atau bayar tagihan")
    submit_button(page).click()
    expect_order_page(page)
    expect(page.get_by_text("menunggu dilepas kantor pusat").first).to_be_visible()


# --- errors as a user sees them -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "details", "text"),
    [
        (403, "NOT_ALLOWED", None, "tidak berwenang"),
        (416, "PGRST103", None, "halaman pertama"),
        (429, "TOO_MANY_ATTEMPTS", "retry_after: 540", "Tunggu 9 menit"),
        (502, "", None, "sedang tidak tersedia"),
    ],
)
def test_refused_list_says_why_and_can_be_tried_again(
    salon: Person, status: int, code: str, details: str | None, text: str
) -> None:
    page = salon.open("#/account")
    page.route("**/rpc/newest_orders**", refuse(status, code, details), times=1)
    page.get_by_role("link", name="Pesanan").click()
    expect(page.get_by_role("alert")).to_contain_text(text)
    page.get_by_role("button", name="Coba lagi").click()
    expect(page.get_by_text("Belum ada pesanan.")).to_be_visible()


def test_wrong_password_and_too_many_attempts_are_explained(someone: Person, partner: Partner) -> None:
    page = someone.open()
    page.get_by_label("Email").fill(partner.email)
    page.get_by_label("Kata sandi").fill("salah-sekali")
    page.get_by_role("button", name="Masuk").click()
    expect(page.get_by_role("alert")).to_contain_text("Email atau kata sandi salah")
    page.route("**/rpc/login", refuse(429, "TOO_MANY_ATTEMPTS", "retry_after: 61"), times=1)
    page.get_by_role("button", name="Masuk").click()
    expect(page.get_by_role("alert")).to_contain_text("Tunggu 2 menit")


def test_network_away_is_shown_and_the_page_recovers(salon: Person) -> None:
    page = salon.open("#/account")
    expect(page.get_by_text("Sisa kredit")).to_be_visible()
    salon.context.set_offline(True)
    page.get_by_role("link", name="Pesanan").click()
    expect(page.locator(".offline")).to_be_visible()
    expect(page.get_by_role("button", name="Coba lagi")).to_be_visible()
    salon.context.set_offline(False)
    expect(page.get_by_text("Belum ada pesanan.")).to_be_visible()
    expect(page.locator(".offline")).to_have_count(0)


def test_gateway_away_at_the_start_keeps_the_session(salon: Person) -> None:
    salon.context.route(
        "**/rpc/refresh_session", lambda route: route.fulfill(status=502, body="<html>"), times=1
    )
    page = salon.open()
    expect(page.get_by_role("alert")).to_contain_text("sedang tidak tersedia")
    page.get_by_role("button", name="Coba lagi").click()
    expect(page.locator(".product").first).to_be_visible()


# --- sessions -----------------------------------------------------------------------------------------------


def expire_token_once(page: Page) -> None:
    """The next list of orders is answered as with an expired token."""
    page.route("**/rpc/newest_orders**", refuse(401, "PGRST303"), times=1)


def test_expired_token_is_refreshed_in_two_tabs_at_once(salon: Person) -> None:
    tabs = [salon.open("#/account"), salon.open("#/account")]
    for tab in tabs:
        expect(tab.get_by_text("Sisa kredit")).to_be_visible()
        expire_token_once(tab)
    for tab in tabs:
        tab.get_by_role("link", name="Pesanan").click(no_wait_after=True)
    for tab in tabs:
        expect(tab.get_by_text("Belum ada pesanan.")).to_be_visible()
        tab.reload()
        expect(tab.get_by_text("Belum ada pesanan.")).to_be_visible()


def test_closed_session_leads_to_the_sign_in_with_the_reason(
    salon: Person, site: Site, partner: Partner
) -> None:
    page = salon.open("#/account")
    expect(page.get_by_text("Sisa kredit")).to_be_visible()
    site.rpc(admin_token(site), "revoke_sessions", role="partner", id=partner.id)
    page.get_by_role("link", name="Pesanan").click()
    expect(page.get_by_role("heading", name="Masuk")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Sesi Anda telah ditutup")


def stored(page: Page) -> dict[str, list[str]]:
    """The keys of what the page's origin stores."""
    found: dict[str, list[str]] = page.evaluate(
        "() => ({local: Object.keys(localStorage), tab: Object.keys(sessionStorage)})"
    )
    return found


def stored_baskets(page: Page) -> int:
    """The number of baskets in IndexedDB."""
    count: int = page.evaluate(
        """() => new Promise((resolve) => {
          indexedDB.open('alfa-hub.shop').onsuccess = (opened) => {
            const baskets = opened.target.result.transaction('baskets').objectStore('baskets');
            baskets.count().onsuccess = (counted) => resolve(counted.target.result);
          };
        })"""
    )
    return count


def test_sign_out_leaves_nothing_to_the_next_person(
    someone: Person, site: Site, partners: Iterator[Partner]
) -> None:
    first, second = next(partners), next(partners)
    someone.sign_in(first.email, PASSWORD)
    page = basket_with(someone)
    assert stored(page) == {"local": ["alfa-hub.shop.refresh"], "tab": []}
    assert stored_baskets(page) == 1
    other_tab = someone.open("#/account")
    expect(other_tab.get_by_text(first.name)).to_be_visible()
    # An answer of the first account that comes after the sign-out must not be shown.
    slow: list[Route] = []
    page.route("**/rpc/newest_orders**", lambda route: slow.append(route))  # noqa: PLW0108 - no builtin
    page.get_by_role("link", name="Pesanan").click()
    expect(page).to_have_title(re.compile("^Pesanan"))
    page.get_by_role("link", name="Akun").click()
    page.get_by_role("button", name="Keluar").click()
    expect(page.get_by_role("heading", name="Masuk")).to_be_visible()
    expect(other_tab.get_by_role("heading", name="Masuk")).to_be_visible()
    assert stored(page) == {"local": [], "tab": []}
    assert stored_baskets(page) == 0
    page.get_by_label("Email").fill(second.email)
    page.get_by_label("Kata sandi").fill(PASSWORD)
    page.get_by_role("button", name="Masuk").click()
    expect(page.get_by_text(second.name)).to_be_visible()
    for route in slow:
        route.abort()
    page.unroute("**/rpc/newest_orders**")
    page.get_by_role("link", name="Katalog").click()
    expect(page.locator(".product").first).to_be_visible()
    expect(page.locator(".basket-bar")).to_have_count(0)
    assert first.name not in page.content()
    assert page.evaluate("navigator.serviceWorker.getRegistrations().then(found => found.length)") == 0


def test_password_is_reset_with_the_code_of_the_mail(someone: Person, site: Site, partner: Partner) -> None:
    page = someone.open()
    page.get_by_role("link", name="Lupa kata sandi?").click()
    page.get_by_label("Email").fill(partner.email)
    page.get_by_role("button", name="Kirim kode").click()
    expect(page.get_by_label("Kode")).to_be_visible()
    code = site.value(
        "select variables ->> 'token' from app.messages where template = 'password_reset'"
        " and recipient_id = %s order by created_at desc limit 1",
        partner.id,
    )
    page.goto(f"{site.url}#/reset/{code}")
    expect(page.get_by_label("Kode")).to_have_value(code)
    assert code not in page.url
    page.get_by_label("Kata sandi baru").fill("rahasia-baru-2027")
    page.get_by_role("button", name="Simpan kata sandi").click()
    expect(page.get_by_text("Kata sandi telah diganti")).to_be_visible()
    page.get_by_label("Email").fill(partner.email)
    page.get_by_label("Kata sandi").fill("rahasia-baru-2027")
    page.get_by_role("button", name="Masuk").click()
    expect(page.locator(".product").first).to_be_visible()


def test_staff_are_sent_to_the_console(someone: Person) -> None:
    someone.sign_in("dewi@alfabeauty.example", PASSWORD)
    page = someone.open()
    expect(page.get_by_role("link", name="Buka konsol")).to_be_visible()


# --- an agent orders for a partner --------------------------------------------------------------------------


def shadow_token(site: Site, partner: Partner) -> str:
    agent = site.value("select id from app.agents where email = 'rizky@alfabeauty.example'")
    answer = site.rpc(site.gateway.token("agent", agent), "start_shadow_session", partner_id=partner.id)
    return str(answer["access_token"])


def test_agent_orders_for_a_partner_in_one_tab(
    someone: Person, site: Site, partners_of_rizky: Iterator[Partner]
) -> None:
    own, partner = next(partners_of_rizky), next(partners_of_rizky)
    someone.sign_in(own.email, PASSWORD)
    own_tab = someone.open("#/account")
    expect(own_tab.get_by_text(own.name)).to_be_visible()
    token = shadow_token(site, partner)
    page = someone.open(f"#/shadow/{token}")
    expect(page.get_by_text(f"Anda memesan untuk {partner.name} sebagai agen.")).to_be_visible()
    assert token not in page.url
    assert stored(page) == {"local": ["alfa-hub.shop.refresh"], "tab": ["alfa-hub.shop.shadow"]}
    page.reload()
    expect(page.locator(".shadow")).to_contain_text(partner.name)
    put_in_basket(page)
    page.get_by_role("link", name="Keranjang").click()
    submit_button(page).click()
    order = expect_order_page(page)
    assert site.value("select submission_type::text from app.orders where id = %s", order) == "AGENT_ASSISTED"
    page.locator(".shadow").get_by_role("button", name="Akhiri").click()
    expect(page.locator(".shadow")).to_have_count(0)
    own_tab.reload()
    expect(own_tab.get_by_text(own.name)).to_be_visible()


def test_text_that_is_no_shadow_token_is_refused_and_leaves_the_address(someone: Person) -> None:
    page = someone.open("#/shadow/no-token")
    expect(page.get_by_role("alert")).to_contain_text("Sesi tidak diterima")
    assert "no-token" not in page.url


def test_shadow_token_arrives_from_the_window_that_opened_the_shop(
    someone: Person, site: Site, partners_of_rizky: Iterator[Partner]
) -> None:
    partner = next(partners_of_rizky)
    console = someone.open("config.json")
    token = shadow_token(site, partner)
    with console.expect_popup() as opening:
        console.evaluate(
            """([url, token]) => {
              const opened = open(url);
              addEventListener('message', (event) => {
                if (event.source === opened && event.data.kind === 'shadow-ready')
                  opened.postMessage({kind: 'shadow-token', token}, location.origin);
              });
            }""",
            [f"{site.url}#/shadow", token],
        )
    expect(opening.value.locator(".shadow")).to_contain_text(partner.name)


# --- the sub-distributor's queue ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def submit_order(site: Site, partners: Iterator[Partner]) -> Callable[[], tuple[str, Any]]:
    """A function that submits an order; returns its id and its sub-distributor's."""

    def submit() -> tuple[str, Any]:
        token = site.gateway.token("partner", next(partners).id)
        body = {"items": [{"sku": SKU, "quantity": 1}], "notes": XSS, "idempotency_key": str(uuid4())}
        order = site.rpc(token, "submit_order", **body)
        return order["id"], order["routed_to_subdist_id"] or site.value(
            "select routed_to_subdist_id from app.orders where id = %s", order["id"]
        )

    return submit


def link_code(site: Site, subdist: Any) -> str:
    """Ask for a sign-in link; returns the code of its message."""
    number = site.value("select whatsapp_number from app.sub_distributors where id = %s", subdist)
    answer = httpx.post(
        f"{site.url}api/rpc/request_link", json={"whatsapp_number": number}, trust_env=False, timeout=30
    )
    assert answer.status_code == 200, answer.text
    code = site.value(
        "select variables ->> 'token' from app.messages where template = 'sign_in_link'"
        " and recipient_id = %s order by created_at desc limit 1",
        subdist,
    )
    return str(code)


def card_of(page: Page, site: Site, order: str) -> Any:
    number = site.value("select order_number from app.orders where id = %s", order)
    return page.locator(".card", has_text=number)


def test_subdist_works_off_an_order_from_the_link_to_delivery(
    someone: Person, site: Site, submit_order: Callable[[], tuple[str, Any]]
) -> None:
    order, subdist = submit_order()
    code = link_code(site, subdist)
    page = someone.open(f"#/link/{code}")
    card = card_of(page, site, order)
    expect(card.locator(".clock")).to_contain_text("Jawab dalam 23 jam")
    assert code not in page.url
    card.get_by_role("button", name="Terima").click()
    expect(page.get_by_role("heading", name="Menunggu kantor pusat")).to_be_visible()
    site.rpc(admin_token(site), "approve_order", order_id=order)
    page.reload()
    card.get_by_role("button", name="Masih dikerjakan").click()
    expect(page.get_by_text("Waktu dihitung ulang")).to_be_visible()
    card.get_by_role("button", name="Kirim barang").click()
    page.get_by_role("dialog").get_by_role("button", name="Kirim barang").click()
    expect(page.get_by_role("heading", name="Dalam pengiriman")).to_be_visible()
    card.get_by_role("button", name="Sudah sampai").click()
    page.get_by_role("dialog").get_by_role("button", name="Sudah sampai").click()
    expect(card).to_have_count(0)
    assert site.value("select status::text from app.orders where id = %s", order) == "COMPLETED"


def test_used_link_is_refused_and_another_can_be_requested(
    someone: Person, site: Site, submit_order: Callable[[], tuple[str, Any]]
) -> None:
    _order, subdist = submit_order()
    code = link_code(site, subdist)
    httpx.post(f"{site.url}api/rpc/redeem_link", json={"token": code}, trust_env=False, timeout=30)
    page = someone.open(f"#/link/{code}")
    expect(page.get_by_role("alert")).to_contain_text("Tautan atau kode tidak berlaku lagi")
    number = site.value("select whatsapp_number from app.sub_distributors where id = %s", subdist)
    page.get_by_label("Nomor WhatsApp").fill(number)
    page.get_by_role("button", name="Kirim kode").click()
    expect(page.get_by_label("Kode")).to_be_visible()


@pytest.fixture
def warehouse(someone: Person, site: Site, submit_order: Callable[[], tuple[str, Any]]) -> tuple[Person, str]:
    """A sub-distributor's phone, signed in, and an order that waits for them."""
    order, subdist = submit_order()
    answer = httpx.post(
        f"{site.url}api/rpc/redeem_link",
        json={"token": link_code(site, subdist)},
        trust_env=False,
        timeout=30,
    )
    someone.keep_session(answer.json())
    return someone, order


def test_subdist_declines_with_a_reason(warehouse: tuple[Person, str], site: Site) -> None:
    someone, order = warehouse
    page = someone.open(f"#/orders/{order}")
    page.get_by_role("button", name="Tolak").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Tolak").click()
    expect(dialog).to_be_visible()
    dialog.get_by_label("Alasan (wajib)").fill("Truk rusak")
    dialog.get_by_role("button", name="Tolak").click()
    expect(page.get_by_role("heading", name="tidak lagi di antrean Anda")).to_be_visible()
    note = "select note from app.order_events where order_id = %s and event = 'RESPONSE'"
    assert site.value(note, order) == "DECLINE: Truk rusak"


def test_late_order_shows_that_headquarters_was_notified(warehouse: tuple[Person, str], site: Site) -> None:
    someone, order = warehouse
    with site.connect() as conn, conn.transaction():
        conn.execute("set local role hub_owner")
        conn.execute(
            "update app.orders set routed_at = now() - interval '30 hours', awaiting_since = now()"
            " - interval '30 hours' where id = %s",
            [order],
        )
    page = someone.open()
    expect(card_of(page, site, order).locator(".clock.late")).to_contain_text("1 hari 6 jam")


def test_order_that_was_withdrawn_meanwhile_is_refused_visibly(
    warehouse: tuple[Person, str], site: Site
) -> None:
    someone, order = warehouse
    page = someone.open()
    card = card_of(page, site, order)
    expect(card).to_be_visible()
    site.rpc(admin_token(site), "reject_order", order_id=order, reason="Batal")
    card.get_by_role("button", name="Terima").click()
    expect(card).to_have_count(0)
    expect(page.get_by_role("status").filter(has_text="Status sudah berubah")).to_be_visible()


def test_queue_shows_no_english_while_its_language_is_indonesian(
    warehouse: tuple[Person, str], site: Site
) -> None:
    someone, order = warehouse
    page = someone.open()
    card = card_of(page, site, order)
    expect(card).to_be_visible()
    found = {"queue": english_words(page, "shop")}
    for status, code in (
        (403, "NOT_ALLOWED"),
        (409, "ILLEGAL_TRANSITION"),
        (429, "TOO_MANY_ATTEMPTS"),
        (503, ""),
    ):
        with page.expect_response("**/orders?**"):
            page.route("**/rpc/respond_order", refuse(status, code), times=1)
            card.get_by_role("button", name="Terima").click()
        found[code] = english_words(page, "shop")
    card.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^ORD-"))
    page.get_by_role("button", name="Tolak").click()
    found["dialog"] = english_words(page, "shop")
    page.get_by_label("Alasan (wajib)").fill("Truk rusak")
    page.get_by_role("dialog").get_by_role("button", name="Tolak").click()
    expect(page.get_by_role("heading", name="tidak lagi di antrean Anda")).to_be_visible()
    found["declined"] = english_words(page, "shop")
    page.route("**/orders?**", lambda route: route.fulfill(json=[]))
    page.get_by_role("link", name="Antrean").first.click()
    expect(page.get_by_text("Tidak ada pesanan terbuka.")).to_be_visible()
    found["empty"] = english_words(page, "shop")
    page.get_by_role("link", name="Akun").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Account")).to_be_visible()
    assert english_words(page, "shop")
    assert {state: words for state, words in found.items() if words} == {}


# --- what holds for every page ------------------------------------------------------------------------------


def assert_usable(page: Page, what: str) -> None:
    """Axe finds nothing; on desk and phone nothing is wider than the screen, and no number is broken."""
    assert axe_findings(page) == [], what
    # "Bahasa / Language" is for those who do not read Indonesian; the demo's addresses end in .example.
    assert english_words(page, "shop") <= {"language", "example"}, what
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert not is_wider_than_screen(page), what
        assert broken_numbers(page) == [], what


def test_pages_are_accessible_and_show_markup_as_text(salon: Person, site: Site, partner: Partner) -> None:
    sku = "ARN-EYE-01"
    site.value("update app.partners set business_name = %s where id = %s", XSS, partner.id)
    site.value("update app.products set name = %s, description = %s where sku = %s", XSS, XSS, sku)
    set_price(site, sku, 987_654_321)
    site.value("update app.partners set credit_limit = 9e12 where id = %s", partner.id)
    give_points(site, partner, 5000)
    page = salon.open()
    put_in_basket(page, sku)
    expect(page.locator(".product h2")).to_have_text(XSS)
    assert_usable(page, "catalogue")
    page.get_by_role("link", name="Keranjang").click()
    page.get_by_label("Catatan").fill(XSS)
    expect(submit_button(page)).to_be_enabled()
    assert_usable(page, "basket")
    submit_button(page).click()
    order = expect_order_page(page)
    expect(page.get_by_text(XSS)).to_have_count(2)
    page.get_by_role("button", name="Batalkan pesanan").click()
    page.get_by_label("Alasan").fill(XSS)
    assert_usable(page, "dialog")
    page.get_by_role("dialog").get_by_role("button", name="Batalkan pesanan").click()
    expect(page.get_by_text(f"Alasan: {XSS}")).to_be_visible()
    assert_usable(page, "order")
    settle(
        site,
        site.rpc(
            site.gateway.token("partner", partner.id),
            "submit_order",
            items=[{"sku": sku, "quantity": 3}],
            idempotency_key=str(uuid4()),
        )["id"],
    )
    for path, ready in (
        ("orders", ".card"),
        ("invoices", ".card"),
        ("statement", "tbody td"),
        ("points", "h3"),
        ("account", ".card a"),
    ):
        page.goto(f"{site.url}#/{path}")
        expect(page.locator(ready).first).to_be_visible()
        assert_usable(page, path)
    expect(page.get_by_text(XSS).first).to_be_visible()
    assert order


def test_sign_in_pages_and_queue_are_accessible(warehouse: tuple[Person, str], site: Site) -> None:
    someone, order = warehouse
    page = someone.open()
    expect(card_of(page, site, order)).to_be_visible()
    assert_usable(page, "queue")
    page.goto(f"{site.url}#/orders/{order}")
    expect(page.get_by_text(XSS)).to_be_visible()
    assert_usable(page, "order")
    page.goto(f"{site.url}#/account")
    page.get_by_role("button", name="Keluar").click()
    for path in ("", "reset", "link"):
        page.goto(f"{site.url}#/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert_usable(page, path or "sign-in")


def test_shop_is_operated_by_keyboard(salon: Person) -> None:
    page = salon.open()
    expect(page.locator(".product").first).to_be_visible()
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.keyboard.press("Tab")
    page.keyboard.type(SKU)
    expect(page.locator(".product")).to_have_count(1)
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".basket-bar")).to_be_visible()


def test_first_visit_loads_at_most_40_kb_compressed(salon: Person, site: Site) -> None:
    page = salon.context.new_page()
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - no builtin
    page.goto(site.url)
    expect(page.locator(".product").first).to_be_visible()
    loaded = {
        answer.url.removeprefix(site.url): len(gzip.compress(answer.body()))
        for answer in answers
        if answer.url.startswith(site.url) and not answer.url.startswith(f"{site.url}api/")
    }
    assert {name.rsplit(".", 1)[-1] for name in loaded} >= {"", "js", "css"}
    assert sum(loaded.values()) <= 40_000, loaded


def test_shop_paints_within_two_and_a_half_seconds_on_a_slow_phone(salon: Person, site: Site) -> None:
    page = salon.context.new_page()
    devtools = salon.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    slow = {
        "offline": False,
        "latency": 150,
        "downloadThroughput": 1_600_000 / 8,
        "uploadThroughput": 750_000 / 8,
    }
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", slow)
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    paints = []
    for _ in range(3):  # whatever else the machine does only adds to the time
        page.goto("about:blank")
        page.goto(site.url)
        expect(page.locator(".product").first).to_be_visible()
        paints.append(
            page.evaluate(
                """() => new Promise((resolve) =>
                  new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
                    .observe({type: 'largest-contentful-paint', buffered: true}))"""
            )
        )
        if paints[-1] <= 2500:
            break
    assert min(paints) <= 2500, json.dumps({"largest_paint_ms": paints})
