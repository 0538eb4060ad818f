"""Brands, categories, products, their prices and their stock."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from hub.seed.identity import JAKARTA, generator, moment, stable_id, utc
from hub.seed.tables import product_lines, rows

Row = tuple[Any, ...]

TIERS = {"SILVER": 4, "GOLD": 8, "PLATINUM": 13}
"""Percentage below the base price, by tier."""

_FOUNDED = utc(2019, 3, 1)
_RETAIL_PERCENT = 138


@dataclass(frozen=True)
class Product:
    """A product; `line` is its entry in products.toml."""

    id: UUID
    sku: str
    name: str
    base_price: int
    created_at: datetime
    line: dict[str, Any]


def brands() -> list[Row]:
    """Rows of id, name, display_order, is_active."""
    return [
        (stable_id("brand", r["name"], _FOUNDED), r["name"], n, r["active"] == "true")
        for n, r in enumerate(rows("brands"), start=1)
    ]


def categories() -> list[Row]:
    """Rows of id, name, slug, parent_id, display_order; parents first."""
    return [
        (_category(r["slug"]), r["name"], r["slug"], _category(r["parent"]) if r["parent"] else None, n)
        for n, r in enumerate(rows("categories"), start=1)
    ]


def _category(slug: str) -> UUID:
    return stable_id("category", slug, _FOUNDED)


def products() -> list[Product]:
    """Every product: each line's variants in each size."""
    return [product for line in product_lines() for product in _of_line(line)]


def _of_line(line: dict[str, Any]) -> Iterator[Product]:
    sizes: dict[str, int] = line["sizes"]
    if line.get("each"):  # `sizes` maps a variant to its price
        for n, (variant, price) in enumerate(sizes.items(), start=1):
            yield _product(line, f"{line['sku']}-{n:02}", variant, "", price)
        return
    for n, variant in enumerate(line["variants"], start=1):
        for size, price in sizes.items():
            suffix = "-" + re.sub(r"[^A-Z0-9]", "", _short(size).upper()) if size else ""
            yield _product(line, f"{line['sku']}-{n:02}{suffix}", variant, size, price)


def _short(size: str) -> str:
    return re.sub(r"Langkah (\d).*", r"L\1", size)


def _product(line: dict[str, Any], sku: str, variant: str, size: str, price: int) -> Product:
    created = moment("product", sku, utc(2021, 1, 4), utc(2026, 3, 1))
    name = line["name"].format(variant=variant, size=size)
    return Product(stable_id("product", sku, created), sku, name, price, created, line)


def product_rows(items: list[Product]) -> list[Row]:
    """Rows of id, sku, name, description, brand_id, category_id, base_price, retail_price, created_at,
    updated_at.
    """
    return [
        (
            p.id,
            p.sku,
            p.name,
            p.line["description"],
            stable_id("brand", p.line["brand"], _FOUNDED),
            _category(p.line["category"]),
            p.base_price,
            _rounded(p.base_price * _RETAIL_PERCENT, 1000),
            p.created_at,
            p.created_at,
        )
        for p in items
    ]


def _rounded(hundredths: int, step: int = 100) -> int:
    """Whole rupiah from hundredths, rounded to a multiple of `step`, as in price lists."""
    return round(hundredths / 100 / step) * step


def tier_price_rows(items: list[Product], today: date) -> list[Row]:
    """Rows of id, product_id, tier, price, min_qty_discount, discount_price, effective_from, effective_until.

    Some prices rose at the turn of the year and some rise next month, both as seen from `today`.
    """
    new_year = _midnight(date(today.year, 1, 1))
    year_before = _midnight(date(today.year - 1, 1, 1))
    next_month = _midnight(date(today.year + today.month // 12, today.month % 12 + 1, 1))
    found: list[Row] = []
    for p in items:
        if not p.line.get("tiers", True):
            continue
        raised, announced = p.line.get("raised", 0), p.line.get("announced", 0)
        periods = [(100, new_year, next_month if announced else None)]
        if raised:
            periods.insert(0, (100 - raised, year_before, new_year))
        if announced:
            periods.append((100 + announced, next_month, None))
        found += [_tier_price(p, tier, *period) for tier in TIERS for period in periods]
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), JAKARTA)


def _tier_price(p: Product, tier: str, percent: int, start: datetime, end: datetime | None) -> Row:
    price = _rounded(p.base_price * (100 - TIERS[tier]) * percent // 100)
    units, off = p.line.get("bulk", (None, 0))
    discounted = _rounded(price * (100 - off)) if units else None
    key = f"{p.sku}:{tier}:{start.date()}"
    return (stable_id("tier_price", key, p.created_at), p.id, tier, price, units, discounted, start, end)


def inventory_rows(items: list[Product], now: datetime) -> list[Row]:
    """Rows of erp_stock, safety_buffer, last_sync_at, product_id; some are out of stock, some scarce."""
    found: list[Row] = []
    for p in items:
        random = generator("stock", p.sku)
        buffer = 0 if p.base_price > 500_000 else 5
        match random.randrange(100):
            case n if n < 6:
                stock = 0
            case n if n < 18:
                stock = buffer + random.randrange(1, 10)
            case _ if p.base_price > 500_000:
                stock = random.randrange(12, 40)
            case _:
                stock = random.randrange(60, 900)
        found.append((stock, buffer, now, p.id))
    return found
