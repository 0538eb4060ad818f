"""`hub dev mutate`: what is rewritten, which tests run for a mutant, and what is reported."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import mutation
from devtools.domains import domain_of, object_domains
from devtools.mutation.choice import (
    batches,
    candidate_files,
    choose,
    dedicated_test,
    hinted_tests,
    names_grant,
)
from devtools.mutation.mutants import Mutant
from devtools.mutation.rewrite import rewritings
from hub import paths
from hub.cluster import Cluster
from hub.errors import UserError
from tests.support import test_cluster

SAMPLE_TESTS = ["tests/devtools/sample_tests/test_sample.py"]

BODY = """CREATE FUNCTION app.f() RETURNS void LANGUAGE plpgsql AS $$
begin
  -- for update in a comment is no lock in a comment
  perform from app.t where a = ' for update ' for no key update skip locked;
  perform from app.t order by id, b for update;
  if x then
    perform app.fail('NO', format('a ) %s', g(1, 2)), 'it''s');
  end if;
  perform pg_advisory_xact_lock(hashtext('x'));
  perform app.lock_order(p_order_id);
  perform app.close_order(p_order_id, (select 1));
  return app.refuse('LATER');
end $$"""


def test_each_guard_and_lock_is_removed_alone() -> None:
    found = {r.what: r.text for r in rewritings(BODY)}
    assert [f"{r.kind} {r.what}" for r in rewritings(BODY)] == [
        "guard NO:1",
        "guard LATER:1",
        "lock lock_order:1",
        "call close_order:1",
        "lock for-no-key-update-skip-locked:1",
        "lock waits:1",
        "lock for-update:1",
        "lock any-order:1",
        "lock advisory:1",
    ]
    assert "    null;\n  end if;" in found["NO:1"]
    assert "\n  null;\nend $$" in found["LATER:1"]
    assert "' for update ';\n" in found["for-no-key-update-skip-locked:1"]
    assert "for no key update;" in found["waits:1"]
    assert "order by id, b;" in found["for-update:1"]
    assert "order by random() for update" in found["any-order:1"]
    assert "pg_advisory" not in found["advisory:1"]
    assert "  null;\n  perform app.close_order" in found["lock_order:1"]
    assert "  null;\n  return" in found["close_order:1"]
    assert all(text.count("-- for update in a comment is no lock") == 1 for text in found.values())


@pytest.fixture
def folder() -> Iterator[Path]:
    with test_cluster.scratch_folder() as path:
        yield path


@pytest.mark.long_form
def test_mutant_is_killed_by_the_test_of_its_rule_and_survivor_is_reported(
    cluster: Cluster, template: str, folder: Path
) -> None:
    work = mutation.Run(cluster, template, folder, files=SAMPLE_TESTS)
    everything = work.all_mutants()
    assert len(everything) > 700
    wanted = {
        "trigger partners._100_normalise_phone": "test_phone_number_is_normalised",
        "guard app.tg_regions__acyclic INVALID_REGION:1": "test_region_is_not_its_own_ancestor",
        "constraint quantity.quantity_check": "test_quantities_are_positive",
        "trigger brands._nothing": "",
    }
    chosen = [m for m in everything if m.name in wanted]
    chosen.append(Mutant("trigger brands._nothing", "catalog", "select 1"))
    chosen.append(Mutant("trigger brands._broken", "catalog", "drop trigger nothing on app.brands"))
    work.baseline(chosen)
    assert (len(work.passing), work.failing) == (4, [])

    json_file = folder / "verdicts.json"
    report = mutation.Report(mutation.evaluate_all(work, chosen, processes=2, json_file=json_file))
    assert {
        v.name: v.by.split("::")[-1] for v in report.of(mutation.KILLED) + report.of(mutation.SURVIVED)
    } == wanted
    assert [v.name for v in report.of(mutation.SURVIVED)] == ["trigger brands._nothing"]
    assert [v.name for v in report.of(mutation.BROKEN)] == ["trigger brands._broken"]
    partial = [json.loads(line) for line in json_file.with_suffix(".partial").read_text().splitlines()]
    assert len(partial) == len(chosen)

    accepted = {
        "trigger brands.*": "x",
        "trigger partners.*": "x",
        "lock nowhere": "x",
        "trigger regions.*": "x",
    }
    names = {m.name for m in everything} | set(wanted)
    # The second was killed, the third matches nothing, and not every mutant of the fourth was evaluated.
    assert mutation.stale_entries(accepted, report, names - {"trigger partners._900_touch"}) == [
        "lock nowhere"
    ]
    only_phone = {n for n in names if not n.startswith("trigger partners.") or n in wanted}
    assert "trigger partners.*" in mutation.stale_entries(accepted, report, only_phone)


@pytest.mark.long_form
def test_failure_by_chance_does_not_kill_a_mutant(cluster: Cluster, template: str, folder: Path) -> None:
    work = mutation.Run(cluster, template, folder, files=SAMPLE_TESTS)
    everything = work.all_mutants()
    assert len(everything) > 700
    [phone] = [m for m in everything if m.name == "trigger partners._100_normalise_phone"]
    harmless = Mutant("trigger brands._nothing", "catalog", "select 1")
    work.baseline([phone, harmless])
    fail_once = cluster.folder / "fail-once"
    fail_once.touch()
    verdict = work.evaluate(harmless)
    assert not fail_once.exists(), "no test failed, so the run proves nothing"
    assert (verdict.verdict, verdict.by) == (mutation.SURVIVED, "")
    verdict = work.evaluate(phone)
    assert verdict.verdict == mutation.KILLED
    assert verdict.by.endswith("::test_phone_number_is_normalised")


def test_accepted_survivor_without_a_sentence_is_refused(tmp_path: Path) -> None:
    assert all(len(reason) > 20 for reason in mutation.read_accepted().values())
    bad = tmp_path / "accepted.toml"
    bad.write_text('[accepted]\n"lock x" = "because"\n')
    with pytest.raises(UserError, match="needs a sentence"):
        mutation.read_accepted(bad)


FILES = [
    "tests/api/test_order_life.py",
    "tests/api/test_wrong_input.py",
    "tests/concurrency/test_deadlocks.py",
    "tests/concurrency/test_lock_interleavings.py",
    "tests/concurrency/test_orders.py",
    "tests/constraints/test_checks.py",
    "tests/constraints/test_triggers.py",
    "tests/conventions/test_conventions.py",
    "tests/conventions/test_error_codes.py",
    "tests/domain/loyalty/test_rewards.py",
    "tests/domain/orders/test_order_states.py",
    "tests/domain/partners/test_credit.py",
    "tests/rls/test_matrix.py",
]


@pytest.mark.parametrize(
    ("name", "domain", "near"),
    [
        (
            "guard app.redeem_reward REWARD_UNAVAILABLE:1",
            "loyalty",
            ["domain/loyalty/test_rewards", "api/test_wrong_input"],
        ),
        (
            "call app.redeem_reward require_text:1",
            "loyalty",
            ["domain/loyalty/test_rewards", "api/test_wrong_input"],
        ),
        (
            "trigger orders._100_guard",
            "orders",
            [
                *("api/test_order_life", "domain/orders/test_order_states", "domain/partners/test_credit"),
                "constraints/test_triggers",
            ],
        ),
        (
            "constraint orders.orders_check",
            "orders",
            ["constraints/test_checks", "constraints/test_triggers"],
        ),
        ("policy orders.partner dropped", "orders", ["rls/test_matrix"]),
        ("grant app.f()", "", ["rls/test_matrix"]),
        ("lock app.f for-update:1", "", ["concurrency/test_lock_interleavings"]),
        (
            "lock app.submit_order for-update:1",
            "orders",
            ["concurrency/test_lock_interleavings", "concurrency/test_orders"],
        ),
    ],
)
def test_tests_of_kind_and_domain_run_first(name: str, domain: str, near: list[str]) -> None:
    mutant = Mutant(name, domain, "")
    choice = choose(mutant, FILES, {})
    assert choice.near == [f"tests/{file}.py" for file in near]
    assert choose(mutant, FILES, {}, near=True).far == []
    lock = mutant.kind == "lock"
    assert choice.catalogue == ([] if lock else ["tests/conventions/test_conventions.py"])
    others = {f for f in FILES if f.startswith("tests/concurrency/") == lock}
    assert {*choice.near, *choice.far, *choice.catalogue} == others


def test_quick_tests_run_before_slow_ones() -> None:
    files = ["tests/domain/loyalty/test_a.py", "tests/domain/loyalty/test_b.py"]
    choice = choose(Mutant("guard app.f X:1", "loyalty", ""), files, {files[0]: 2.0, files[1]: 1.0})
    assert choice.near == [files[1], files[0]]


def test_audit_trigger_is_tested_by_the_audit_domain_whatever_its_table() -> None:
    files = ["tests/domain/audit/test_audit.py", "tests/domain/orders/test_order_states.py"]
    assert choose(Mutant("trigger orders._800_audit_row", "orders", ""), files, {}).near == files[:1]


def test_single_tests_that_share_words_with_a_mutant_are_hinted() -> None:
    mutant = Mutant("guard app.redeem_reward REWARD_UNAVAILABLE:1", "loyalty", "")
    nodes = ["tests/a.py::test_the_unavailable_reward", "tests/a.py::test_a_price"]
    assert hinted_tests(mutant, nodes) == nodes[:1]


def test_only_tests_of_the_mutated_database_are_run() -> None:
    folders = {file.split("/")[1] for file in candidate_files()}
    assert folders == {"api", "concurrency", "constraints", "conventions", "domain", "erp", "rls"}


def test_every_folder_of_domain_tests_is_near_some_object() -> None:
    tests = paths.root() / "tests" / "domain"
    folders = {path.name for path in tests.iterdir() if any(path.glob("test_*.py"))}
    assert folders <= set(object_domains().values())


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("app.partners", "partners"),
        ("app.submit_order", "orders"),
        ("app.sub_distributors", "subdistributors"),
        ("app.claim_messages", "messaging"),
        ("api.products", "catalog"),
        ("app.fail", ""),
        ("app.no_such_function", ""),
        ("app.check_partner_settled", "partners"),
        ("api.receivables", "invoices"),
    ],
)
def test_object_belongs_to_the_domain_of_its_file(name: str, domain: str) -> None:
    assert domain_of(name) == domain


def test_mutants_are_selected_by_part_of_name_or_pattern() -> None:
    assert mutation.matches("lock app.f for-update:1", "app.f")
    assert mutation.matches("lock app.f for-update:1", "lock *")
    assert not mutation.matches("guard app.f X:1", "lock *")


def test_mutants_with_different_dedicated_tests_share_a_database() -> None:
    nodes = [
        "tests/constraints/test_required.py::test_x[app.orders]",
        "tests/constraints/test_checks.py::test_x[orders_clock_check]",
        "tests/constraints/test_references.py::test_x[app.orders.agent_id > app.agents]",
    ]
    mutants = [
        Mutant("required orders.status", "orders", ""),
        Mutant("required orders.notes", "orders", ""),
        Mutant("constraint orders.orders_clock_check", "orders", ""),
        Mutant("constraint orders.orders_agent_id_fkey", "orders", ""),
        Mutant("trigger orders._100_guard", "orders", ""),
    ]
    dedicated = {m: node for m in mutants if (node := dedicated_test(m, nodes))}
    assert list(dedicated.values()) == [nodes[0], nodes[0], nodes[1], nodes[2]]
    assert batches(dedicated) == [[mutants[0], *mutants[2:4]], [mutants[1]]]


def test_excess_grant_is_found_in_a_failure_that_lists_each_offender() -> None:
    reason = """tests/x.py:1: in test_x
E   AssertionError: assert {('app.h', 'anon'), ...} == set()
E     Extra items in the left set:
E     ('app.f', 'anon')
E     ('app', 'anon', 'CREATE')
E     ('app.orders', 'erp', 'total')"""
    names = {
        "grant app.f(p_id uuid)": True,
        "grant app.g()": False,
        "grant app.h()": False,
        "grant app.orders": True,
        "grant schema app": True,
        "grant schema auth": False,
        "grant orders.total to erp": True,
        "grant orders.total to admin": False,
        "grant orders.status to erp": False,
    }
    assert {name: names_grant(Mutant(name, "", ""), reason) for name in names} == names
