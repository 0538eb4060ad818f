"""The rights of each role, stated once. test_matrix.py compares these tables with the database, completely.

A word states which rows a role sees. Rights that are not listed here must not exist in the database.

    -         permission denied
    none      may select, but sees no row
    all       every row
    own       rows of the calling partner
    region    rows of live partners in the calling agent's region or below it
    routed    rows of orders that are routed to the calling sub-distributor now
    self      the caller's own account
    live      all but deleted partners
    contacts  active sub-distributors and sales agents of the calling partner's region
    served    sub-distributors of the calling agent's region or below it
    shown     rewards on offer, and those that the calling partner once redeemed
    tier      prices of the calling partner's tier
    trail     changes of everything but the configuration

Only the roles that WRITES names insert, update and delete, only these columns, and no role truncates.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Writes:
    """The roles that write a view of master data, the columns that they write, and whether they delete."""

    roles: str
    columns: str
    delete: bool = False
    insert: bool = True
    table: str | None = None
    """The table below, if its name is another one; empty: another view has all rights of the table."""

    @property
    def privileges(self) -> list[str]:
        return [*(["INSERT"] if self.insert else []), "UPDATE", *(["DELETE"] if self.delete else [])]

    def relations(self, view: str) -> list[str]:
        """The view, and the table to which psql has the same rights."""
        table = view if self.table is None else self.table
        return [f"api.{view}", *([f"app.{table}"] if table else [])]


TOKEN_ROLES = ("anon", "partner", "agent", "subdist", "admin", "superadmin", "erp", "messenger")
"""The roles that the gateway switches to: the columns of the tables below."""

ROLES = (*TOKEN_ROLES, "cache", "monitor")
"""And those that have only what CACHE and MONITOR name: the login of the cache, and monitoring."""

MONITOR = {"api", "auth", "api.metrics", "auth.request_guard", "auth.reports_guard"}

CACHE = {
    *("app", "app.cache_state", "app.cache_catalogue", "app.cache_configs", "app.cache_stock"),
    "app.cache_standbys",
}

VIEWS = """
schema api                    anon  partner  agent   subdist  admin  superadmin  erp    messenger
me                            -     self     self    self     self   self        self   self
products                      -     all      all     all      all    all         -      -
product_master                -     -        -       -        all    all         -      -
brands                        -     all      all     all      all    all         -      -
categories                    -     all      all     all      all    all         -      -
tier_prices                   -     -        -       -        all    all         -      -
inventory                     -     -        -       -        all    all         -      -
orders                        -     own      region  routed   all    all         -      -
order_counts                  -     all      all     all      all    all         -      -
order_items                   -     own      region  routed   all    all         -      -
order_events                  -     own      region  routed   all    all         -      -
delivery_contacts             -     -        -       routed   -      -           -      -
invoices                      -     own      region  -        all    all         -      -
invoice_payments              -     own      region  -        all    all         -      -
overdue_invoices              -     own      region  -        all    all         -      -
receivables                   -     -        region  -        all    all         -      -
receivables_by_age            -     all      all     -        all    all         -      -
credit_notes                  -     own      region  -        all    all         -      -
credit_note_items             -     own      region  -        all    all         -      -
invoice_credits               -     own      region  -        all    all         -      -
point_transactions            -     own      -       -        all    all         -      -
redemption_catalog            -     shown    -       -        all    all         -      -
redemptions                   -     own      -       -        all    all         -      -
partner_statistics            -     own      region  -        all    all         -      -
my_contacts                   -     contacts -       -        -      -           -      -
partners                      -     -        region  -        live   live        -      -
partner_removals              -     -        -       -        all    all         -      -
agents                        -     -        -       -        all    all         -      -
staff                         -     -        all     -        all    all         -      -
regions                       -     -        all     -        all    all         -      -
sub_distributors              -     -        served  -        all    all         -      -
system_configs                -     -        -       -        all    all         -      -
system_config_history         -     -        -       -        -      all         -      -
audit_logs                    -     -        -       -        trail  all         -      -
agent_sessions                -     -        -       -        all    all         -      -
impersonation_notifications   -     -        -       -        all    all         -      -
sla_escalation_logs           -     -        region  -        all    all         -      -
work_queue                    -     -        -       -        all    all         -      -
messages                      -     -        -       -        all    all         -      -
job_health                    -     -        -       -        all    all         -      -
erp_quarantine                 -     -        -       -        all    all         -      -
consistency                   -     -        -       -        all    all         -      -
"""

TABLES = """
with psql and the role        anon  partner  agent   subdist  admin  superadmin  erp    messenger
app.products                  -     all      all     all      all    all         -      -
app.brands                    -     all      all     all      all    all         -      -
app.categories                -     all      all     all      all    all         -      -
app.inventory                 -     all      all     none     all    all         -      -
app.tier_prices               -     tier     none    none     all    all         -      -
app.orders                    -     own      region  routed   all    all         -      -
app.order_items               -     own      region  routed   all    all         -      -
app.order_events              -     own      region  routed   all    all         -      -
app.invoices                  -     own      region  -        all    all         -      -
app.invoice_payments          -     own      region  -        all    all         -      -
app.credit_notes              -     own      region  -        all    all         -      -
app.credit_note_items         -     own      region  routed   all    all         -      -
app.invoice_credits           -     own      region  -        all    all         -      -
app.idempotency_keys          -     -        -       -        -      -           -      -
app.point_transactions        -     own      -       -        all    all         -      -
app.redemption_catalog        -     shown    -       -        all    all         -      -
app.redemptions               -     own      -       -        all    all         -      -
app.partners                  -     self     region  routed   live   live        -      -
app.partner_removals          -     -        -       -        all    all         -      -
app.partner_former_contacts   -     -        -       -        -      -           -      -
app.agents                    -     -        all     -        all    all         -      -
app.regions                   -     -        all     -        all    all         -      -
app.sub_distributors          -     -        served  -        all    all         -      -
app.system_configs            -     -        -       -        all    all         -      -
app.system_config_history     -     -        -       -        -      all         -      -
app.order_rules               -     -        -       -        -      -           -      -
app.audit_logs                -     -        -       -        trail  all         -      -
app.agent_sessions            -     -        -       -        all    all         -      -
app.impersonation_notifications -   -        -       -        all    all         -      -
app.sla_escalation_logs       -     -        region  -        all    all         -      -
app.unbilled_orders           -     -        -       -        all    all         -      -
app.headquarters_tasks        -     -        -       -        all    all         -      -
app.headquarters_recipients   -     -        -       -        -      -           -      -
app.partner_tables            -     -        -       -        -      -           -      -
app.task_escalations          -     -        -       -        -      -           -      -
app.messages                  -     -        -       -        all    all         -      -
app.erp_quarantine             -     -        -       -        all    all         -      -
app.erp_streams               -     -        -       -        -      -           -      -
app.erp_cancellations         -     -        -       -        -      -           -      -
app.audit_logs_*              -     -        -       -        -      -           -      -
app.audit_buffer              -     -        -       -        -      -           -      -
app.audited_rows              -     -        -       -        -      -           -      -
app.account_bookings          -     -        -       -        -      -           -      -
app.consistency_*             -     -        -       -        -      -           -      -
app.inbound_messages          -     -        -       -        -      -           -      -
app.conversations             -     -        -       -        -      -           -      -
app.purged_provider_ids       -     -        -       -        -      -           -      -
app.messages_period           -     -        -       -        -      -           -      -
app.inbound_events            -     -        -       -        -      -           -      -
app.partner_monthly_statistics -    -        -       -        -      -           -      -
app.partner_recent_months     -     -        -       -        -      -           -      -
app.partner_counted_months    -     -        -       -        -      -           -      -
app.statistics_period         -     -        -       -        -      -           -      -
app.statistics_changes        -     -        -       -        -      -           -      -
app.region_late_months        -     -        -       -        -      -           -      -
app.late_clocks               -     -        -       -        -      -           -      -
app.point_queue               -     -        -       -        -      -           -      -
app.cache_versions            -     -        -       -        -      -           -      -
app.cache_changes             -     -        -       -        -      -           -      -
app.catalogue_bodies          -     -        -       -        -      -           -      -
app.catalogue_documents       -     -        -       -        -      -           -      -
app.config_document           -     -        -       -        -      -           -      -
auth.jwt_secret               -     -        -       -        -      -           -      -
auth.login_attempts           -     -        -       -        -      -           -      -
auth.password_codes           -     -        -       -        -      -           -      -
auth.refresh_tokens           -     -        -       -        -      -           -      -
auth.sessions                 -     -        -       -        -      -           -      -
auth.sign_in_links            -     -        -       -        -      -           -      -
jobs.runs                     -     -        -       -        -      -           -      -
jobs.schedule                 -     -        -       -        -      -           -      -
"""

# Tables of which a role reads only these columns.
COLUMNS = {
    ("app.partners", "partner agent admin superadmin"): (
        "id email phone business_name tier salon_type chair_count specialization region_id credit_limit"
        " credit_used point_balance is_active address created_at updated_at deleted_at"
    ),
    ("app.partners", "subdist"): "id business_name phone address region_id deleted_at tier",
    ("app.partner_removals", "admin superadmin"): "id partner_id kind reason agent_id created_at",
    ("app.agents", "admin superadmin"): (
        "id email full_name phone role region_id is_active created_at updated_at"
    ),
    ("app.agents", "agent"): "id full_name role region_id is_active",
    ("app.credit_note_items", "subdist"): "id order_item_id quantity",
    ("app.inventory", "partner agent subdist"): "id product_id display_stock last_sync_at",
    ("app.messages", "admin superadmin"): (
        "id template channel recipient_type recipient_id order_id status attempts next_attempt_at lease_until"
        " provider_id error_code sent_at delivered_at created_at priority expires_at unknown_since repeats"
        " request_id"
    ),
}

# Columns of a view that are always null for a role, although it reads the view.
HIDDEN = {
    ("orders", "subdist"): (
        "point_discount points_earned points_used is_eligible_for_points is_over_limit"
        " over_limit_reason released_at release_reason rules_applied due_days"
    ),
    ("orders", "partner"): "release_reason",
}

# Master data: who writes through which view, and with psql to the table below it. Columns are inserted and
# updated alike; all other columns are refused.
WRITES = {
    "partners": Writes(
        "admin superadmin",
        "email phone business_name tier salon_type chair_count specialization region_id credit_limit address"
        " is_active",
    ),
    "agents": Writes("superadmin", "email full_name phone role region_id is_active"),
    "sub_distributors": Writes(
        "admin superadmin",
        "id region_id business_name whatsapp_number email contact_person status",
        delete=True,
    ),
    "regions": Writes("admin superadmin", "id name code parent_region_id time_zone", delete=True),
    "brands": Writes("admin superadmin", "id name logo_url display_order is_active", delete=True),
    "categories": Writes("admin superadmin", "id name slug parent_id display_order", delete=True),
    "products": Writes(
        "admin superadmin",
        "sku name description brand_id category_id image_url is_active",
        insert=False,
        table="",
    ),
    "product_master": Writes(
        "admin superadmin",
        "id sku name description brand_id category_id base_price retail_price image_url is_active",
        delete=True,
        table="products",
    ),
    "inventory": Writes("admin superadmin", "id product_id safety_buffer erp_stock"),
    "tier_prices": Writes(
        "admin superadmin",
        "id product_id tier price min_qty_discount discount_price effective_from effective_until",
        delete=True,
    ),
    "redemption_catalog": Writes(
        "admin superadmin",
        "id name description image_url points_required stock_available is_active",
        delete=True,
    ),
}

# Every function that anyone may execute; no role may execute any other of schemas api, app, auth, jobs.
# No role may execute functions of other schemas (extensions, public, ...).
FUNCTIONS = """
function                      anon  partner  agent   subdist  admin  superadmin  erp    messenger
api.login                     yes   yes      yes     yes      yes    yes         -      -
api.refresh_session           yes   yes      yes     yes      yes    yes         -      -
api.request_link              yes   yes      yes     yes      yes    yes         -      -
api.redeem_link               yes   yes      yes     yes      yes    yes         -      -
api.request_password_reset    yes   yes      yes     yes      yes    yes         -      -
api.reset_password            yes   yes      yes     yes      yes    yes         -      -
api.me                        -     yes      yes     yes      yes    yes         yes    yes
api.logout                    -     yes      yes     yes      yes    yes         yes    yes
api.change_password           -     yes      yes     -        yes    yes         -      -
api.quote_order               -     yes      -       -        -      -           -      -
api.save_draft                -     yes      -       -        -      -           -      -
api.update_draft              -     yes      -       -        -      -           -      -
api.submit_order              -     yes      -       -        -      -           -      -
api.submit_draft              -     yes      -       -        -      -           -      -
api.cancel_order              -     yes      -       -        -      -           -      -
api.update_profile            -     yes      -       -        -      -           -      -
api.newest_orders             -     yes      yes     yes      yes    yes         -      -
api.newest_order_events       -     yes      yes     yes      yes    yes         -      -
api.newest_invoices           -     yes      yes     -        yes    yes         -      -
api.newest_credit_notes       -     yes      yes     -        yes    yes         -      -
api.newest_payments           -     yes      yes     -        yes    yes         -      -
api.earliest_due_invoices     -     yes      yes     -        yes    yes         -      -
api.monthly_totals            -     yes      yes     -        yes    yes         -      -
api.sla_lateness              -     -        yes     -        yes    yes         -      -
api.redeem_reward             -     yes      -       -        -      -           -      -
api.start_shadow_session      -     -        yes     -        yes    yes         -      -
api.end_shadow_session        -     -        yes     -        yes    yes         -      -
api.respond_order             -     -        -       yes      -      -           -      -
api.release_order             -     -        -       -        yes    yes         -      -
api.approve_order             -     -        -       -        yes    yes         -      -
api.reject_order              -     -        -       -        yes    yes         -      -
api.reroute_order             -     -        -       -        yes    yes         -      -
api.ship_order                -     -        -       yes      yes    yes         -      -
api.complete_order            -     -        -       yes      yes    yes         -      -
api.record_payment            -     -        -       -        yes    yes         -      -
api.cancel_invoice            -     -        -       -        yes    yes         -      -
api.account_statement         -     yes      yes     -        yes    yes         -      -
api.issue_invoice             -     -        -       -        yes    yes         -      -
api.reverse_payment           -     -        -       -        yes    yes         -      -
api.record_refund             -     -        -       -        yes    yes         -      -
api.write_off                 -     -        -       -        yes    yes         -      -
api.return_items              -     -        -       -        yes    yes         -      -
api.expire_points             -     -        -       -        yes    yes         -      -
api.adjust_points             -     -        -       -        yes    yes         -      -
api.advance_redemption        -     -        -       -        yes    yes         -      -
api.acknowledge_escalation    -     -        yes     -        yes    yes         -      -
api.agents                    -     -        -       -        yes    yes         -      -
api.staff                     -     -        yes     -        yes    yes         -      -
api.partners                  -     -        yes     -        yes    yes         -      -
api.invite                    -     -        -       -        yes    yes         -      -
api.revoke_sessions           -     -        -       -        yes    yes         -      -
api.delete_partner            -     -        -       -        yes    yes         -      -
api.erase_partner             -     -        -       -        -      yes         -      -
api.export_partner            -     -        -       -        -      yes         -      -
api.export_agent              -     -        -       -        -      yes         -      -
api.export_subdist            -     -        -       -        -      yes         -      -
api.catalogue                 -     yes      yes     yes      yes    yes         -      -
api.app_configs               -     yes      yes     yes      yes    yes         -      -
api.set_config                -     -        -       -        yes    yes         -      -
api.metrics                   -     -        -       -        yes    yes         -      -
api.erp_stream                -     -        -       -        -      -           yes    -
api.erp_report                -     -        -       -        -      -           yes    -
api.erp_pending_cancellations -     -        -       -        -      -           yes    -
api.erp_ack_cancellation      -     -        -       -        -      -           yes    -
api.erp_apply_stock           -     -        -       -        -      -           yes    -
api.erp_apply_products        -     -        -       -        -      -           yes    -
api.erp_pending_orders        -     -        -       -        -      -           yes    -
api.erp_ack_order             -     -        -       -        -      -           yes    -
api.erp_apply_payments        -     -        -       -        -      -           yes    -
api.claim_messages            -     -        -       -        -      -           -      yes
api.message_sent              -     -        -       -        -      -           -      yes
api.messages_sent             -     -        -       -        -      -           -      yes
api.message_failed            -     -        -       -        -      -           -      yes
api.release_messages          -     -        -       -        -      -           -      yes
api.message_status            -     -        -       -        -      -           -      yes
api.inbound_message           -     -        -       -        -      -           -      yes
api.inbound_messages          -     -        -       -        -      -           -      yes
api.process_inbox             -     -        -       -        -      -           -      yes
auth.reports_guard            yes   yes      yes     yes      yes    yes         yes    yes
auth.request_guard            yes   yes      yes     yes      yes    yes         yes    yes
auth.current_user_id          yes   yes      yes     yes      yes    yes         yes    yes
auth.caller_role              yes   yes      yes     yes      yes    yes         yes    yes
auth.me                       -     yes      yes     yes      yes    yes         yes    yes
auth.current_subdist_id       -     yes      yes     yes      yes    yes         -      -
auth.current_tier             -     yes      yes     yes      yes    yes         -      -
auth.agent_regions            -     yes      yes     -        yes    yes         -      -
auth.current_agent_region     -     -        yes     -        -      -           -      -
app.my_contacts               -     yes      -       -        -      -           -      -
app.newest_order_ids          -     yes      yes     yes      yes    yes         -      -
app.has_many_partners         -     yes      yes     -        yes    yes         -      -
app.newest_order_event_ids    -     yes      yes     yes      yes    yes         -      -
app.newest_invoice_ids        -     yes      yes     -        yes    yes         -      -
app.newest_credit_note_ids    -     yes      yes     -        yes    yes         -      -
app.newest_payment_ids        -     yes      yes     -        yes    yes         -      -
app.earliest_due_invoice_ids  -     yes      yes     -        yes    yes         -      -
app.leading_partners          -     yes      yes     yes      yes    yes         -      -
app.page_start                -     yes      yes     yes      yes    yes         -      -
app.check_cursor              -     yes      yes     yes      yes    yes         -      -
app.is_agent_of_few_partners  -     yes      yes     yes      yes    yes         -      -
app.allowed_actions           -     yes      yes     yes      yes    yes         -      -
app.order_allows              -     yes      yes     yes      yes    yes         -      -
app.is_legal_transition       -     yes      yes     yes      yes    yes         -      -
app.order_counts              -     yes      yes     yes      yes    yes         -      -
app.check_page                -     yes      yes     yes      yes    yes         -      -
app.uuid_v7                   -     -        -       -        yes    yes         -      -
app.stock_stale_before        -     yes      yes     yes      yes    yes         -      -
app.due_before                -     yes      yes     -        yes    yes         -      -
app.days_overdue              -     yes      yes     -        yes    yes         -      -
app.headquarters_due_at       -     -        -       -        yes    yes         -      -
app.unbilled_amount           -     -        -       -        yes    yes         -      -
app.invariants                -     -        -       -        yes    yes         -      -
app.check_consistency         -     -        -       -        yes    yes         -      -
app.cache_state               -     -        -       -        -      -           -      -
app.cache_catalogue           -     -        -       -        -      -           -      -
app.cache_configs             -     -        -       -        -      -           -      -
app.cache_stock               -     -        -       -        -      -           -      -
app.cache_standbys            -     -        -       -        -      -           -      -
jobs.health                   -     -        -       -        yes    yes         -      -
"""

# Functions of schema api that are no calls: PostgREST embeds what they return.
RELATIONS = ("agents", "staff", "partners")

# Extensions grant their functions to PUBLIC, so no role may use their schema.
SCHEMAS = """
usage                         anon  partner  agent   subdist  admin  superadmin  erp    messenger
api                           yes   yes      yes     yes      yes    yes         yes    yes
app                           yes   yes      yes     yes      yes    yes         yes    yes
auth                          yes   yes      yes     yes      yes    yes         yes    yes
"""


def table(text: str) -> dict[str, dict[str, str]]:
    """{row: {role: word}} of one of the tables above."""
    head, *rows = [line.split() for line in text.strip().splitlines()]
    assert tuple(head[-len(TOKEN_ROLES) :]) == TOKEN_ROLES
    for row in rows:
        assert len(row) == 1 + len(TOKEN_ROLES), row
    return {
        name: dict(
            zip(ROLES, [*words, *("yes" if name in own else "-" for own in (CACHE, MONITOR))], strict=True)
        )
        for name, *words in rows
    }
