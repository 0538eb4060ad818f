"""Regions, sub-distributors, agents, partners and rewards."""

from datetime import datetime
from typing import Any
from uuid import UUID

from hub.seed.identity import moment, phone, slug, stable_id, utc
from hub.seed.tables import rows

Row = tuple[Any, ...]

PASSWORD = "rahasia-2026"  # noqa: S105 - documented, for the demo only
"""The password of every account of the demo data."""

_FOUNDED = utc(2019, 3, 1)


def region_id(code: str) -> UUID | None:
    """Id of the region with this code; None for an empty code."""
    return stable_id("region", code, _FOUNDED) if code else None


def person_id(kind: str, key: str) -> UUID:
    """Id of a "partner" or "subdist" by business name, or of an "agent" by e-mail."""
    return stable_id(kind, key, _joined(kind, key))


def _joined(kind: str, key: str) -> datetime:
    first, last = {"partner": (2021, 2026), "agent": (2019, 2022), "subdist": (2019, 2023)}[kind]
    return moment(kind, key, utc(first, 6, 1), utc(last, 6, 1))


def region_rows() -> list[Row]:
    """Rows of id, name, code, parent_region_id, time_zone, created_at; parents first."""
    return [
        (region_id(r["code"]), r["name"], r["code"], region_id(r["parent"]), r["time_zone"] or None, _FOUNDED)
        for r in rows("regions")
    ]


def subdist_rows() -> list[Row]:
    """Rows of id, region_id, business_name, whatsapp_number, email, contact_person, status,
    created_at, updated_at.
    """
    found: list[Row] = []
    for n, r in enumerate(rows("sub_distributors"), start=1):
        joined = _joined("subdist", r["business_name"])
        found.append(
            (
                person_id("subdist", r["business_name"]),
                region_id(r["region"]),
                r["business_name"],
                phone(200, n),
                f"{slug(r['business_name'])}@subdist.example",
                r["contact_person"],
                r["status"],
                joined,
                joined,
            )
        )
    return found


def agent_rows(password_hash: str) -> list[Row]:
    """Rows of id, email, password_hash, full_name, phone, role, region_id, created_at, updated_at."""
    found: list[Row] = []
    for n, r in enumerate(rows("agents"), start=1):
        joined = _joined("agent", r["email"])
        found.append(
            (
                person_id("agent", r["email"]),
                r["email"],
                password_hash,
                r["full_name"],
                phone(300, n),
                r["role"],
                region_id(r["region"]),
                joined,
                joined,
            )
        )
    return found


def partner_rows(password_hash: str) -> list[Row]:
    """Rows of id, email, phone, password_hash, business_name, tier, salon_type, chair_count, specialization,
    region_id, credit_limit, address, created_at, updated_at.
    """
    found: list[Row] = []
    for n, r in enumerate(rows("partners"), start=1):
        joined = _joined("partner", r["business_name"])
        found.append(
            (
                person_id("partner", r["business_name"]),
                partner_email(r["business_name"]),
                phone(100, n),
                password_hash,
                r["business_name"],
                r["tier"],
                r["salon_type"],
                int(r["chairs"]),
                r["specialization"],
                region_id(r["region"]),
                int(r["credit_juta"]) * 1_000_000,
                r["address"],
                joined,
                joined,
            )
        )
    return found


def partner_email(business_name: str) -> str:
    """A partner's login; the domain is reserved (RFC 2606), so no mail is ever delivered."""
    return f"{slug(business_name)}@salon.example"


def reward_rows() -> list[Row]:
    """Rows of id, name, description, points_required, stock_available, is_active, created_at."""
    return [
        (
            stable_id("reward", r["name"], utc(2024, 1, 1)),
            r["name"],
            r["description"],
            int(r["points_required"]),
            int(r["stock_available"]),
            r["is_active"] == "true",
            utc(2024, 1, 1),
        )
        for r in rows("rewards")
    ]
