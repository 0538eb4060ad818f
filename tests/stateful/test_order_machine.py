"""Random sequences of API calls: after every step the invariants hold and the reference model agrees.

CI always runs the same sequences; a failure prints its steps. To run more, or to replay and shorten one:

    ./hub dev stateful --steps 20000 --seed 7
    HUB_STATEFUL_SHRINK=1 ./hub test --no-lint tests/stateful

The same seed, numbers and checkout give the same sequences; the printed blob goes into @reproduce_failure.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_postgresql.janitor import DatabaseJanitor

from hub.cluster import Cluster
from tests.stateful.corrections import CorrectionMachine
from tests.support import test_cluster

EXAMPLES = int(os.environ.get("HUB_STATEFUL_EXAMPLES", "16"))
STEPS = int(os.environ.get("HUB_STATEFUL_STEPS", "80"))
SHRINK = os.environ.get("HUB_STATEFUL_SHRINK", "")
SEED = os.environ.get("HUB_STATEFUL_SEED", "")

MUST_HAPPEN = {
    "submit_order", "submit_order OUT_OF_STOCK", "submit_order CREDIT_LIMIT_EXCEEDED", "submit_draft",
    "submit_order IDEMPOTENCY_CONFLICT", "quote_order", "save_draft", "cancel_order", "reject_order",
    "release_order", "reroute_order", "respond_order", "approve_order", "ship_order", "complete_order",
    "record_payment", "erp_apply_payments", "cancel_invoice", "redeem_reward", "advance_redemption",
    "erp_ack_order", "erp_ack_cancellation", "erp_apply_stock of a reading", "erp_apply_stock outdated",
    "point-queue", "sla-sweep", "audit-flush", "issue_invoice", "reverse_payment", "return_items",
    "write_off", "expire_points", "adjust_points", "adjust_points repeated", "submit_order PRICE_CHANGED",
    "update_draft", "delete_partner", "delete_partner PARTNER_NOT_SETTLED",
    "erase_partner", "erase_partner PARTNER_NOT_SETTLED", "update_profile", "invite", "revoke_sessions",
}  # fmt: skip
"""Operations and refusals that the daily run must reach, or it would prove little.

What is rare is left to long runs: Hypothesis draws constants from the modules that are imported, so that a
run of all tests has other sequences than one of this file.
"""

MUST_HAPPEN_IN_LONG_RUNS = MUST_HAPPEN | {
    "ship_order NOT_BILLED", "record_refund", "record_payment repeated", "issue_invoice repeated",
    "reverse_payment repeated", "return_items repeated", "write_off repeated", "expire_points repeated",
    "issue_invoice INVOICE_EXCEEDS_ORDER", "record_refund REFUND_EXCEEDS_DUE", "record_refund repeated",
    "reverse_payment PAYMENT_NOT_REVERSIBLE", "return_items RETURN_EXCEEDS_SHIPPED",
    "issue_invoice NOT_BILLABLE", "complete_order NOT_BILLED", "record_payment IDEMPOTENCY_CONFLICT",
    "cancel_invoice INVOICE_CLOSED",
}  # fmt: skip


@pytest.mark.timeout(max(1800, EXAMPLES * 20))
def test_random_call_sequences_keep_invariants_and_model(cluster: Cluster, template: str) -> None:
    def new_database() -> tuple[str, Callable[[], None]]:
        janitor = DatabaseJanitor(
            user=cluster.superuser,
            password=cluster.password,
            host=cluster.host,
            port=cluster.port,
            dbname=test_cluster.fresh_name("machine"),
            template_dbname=template,
        )
        janitor.init()
        return cluster.url(janitor.dbname), janitor.drop

    class Machine(CorrectionMachine):
        pass

    Machine.new_database = staticmethod(new_database)
    Machine.steps.clear()
    run_state_machine_as_test(
        seed(int(SEED))(Machine) if SEED else Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not SEED,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    happened = Machine.steps
    print(f"{happened.total()} operations: {dict(sorted(happened.items()))}")
    if EXAMPLES >= 200 or (EXAMPLES >= 40 and not SEED):
        missing = (MUST_HAPPEN_IN_LONG_RUNS if EXAMPLES >= 200 else MUST_HAPPEN) - set(happened)
        assert not missing, f"no sequence reached {missing}"
