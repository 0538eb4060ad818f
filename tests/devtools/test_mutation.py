"""hub dev mutate itself: what is rewritten, which mutants die, and that a survivor is told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import mutation
from devtools.mutation.choice import batches, choose, files_of_tests, hints, is_named, own_test
from devtools.mutation.mutants import Mutant
from devtools.mutation.rewrite import rewritings
from hub.cluster import Cluster
from hub.errors import UserError
from tests.support import test_cluster

SAMPLE_TESTS = ["tests/devtools/sample_tests/test_sample.py"]

BODY = """CREATE FUNCTION app.f() RETURNS void LANGUAGE plpgsql AS $$
begin
  -- for update is no lock in a comment
  perform from app.t where a = ' for update ' for no key update skip locked;
  perform from app.t order by id, b for update;
  if x then
    perform app.fail('NO', format('a ) %s', g(1, 2)), 'it''s');
  end if;
  perform pg_advisory_xact_lock(hashtext('x'));
  return app.refuse('LATER');
end $$"""


def test_each_guard_and_lock_is_taken_out_alone() -> None:
    found = {r.what: r.text for r in rewritings(BODY)}
    assert list(found) == [
        "NO:1",
        "LATER:1",
        "for-no-key-update-skip-locked:1",
        "waits:1",
        "for-update:1",
        "any-order:1",
        "advisory:1",
    ]
    assert "    null;\n  end if;" in found["NO:1"]
    assert "\n  null;\nend $$" in found["LATER:1"]
    assert "' for update ';\n" in found["for-no-key-update-skip-locked:1"]
    assert "for no key update;" in found["waits:1"]
    assert "order by id, b;" in found["for-update:1"]
    assert "order by random() for update" in found["any-order:1"]
    assert "perform" not in found["advisory:1"].split("end if;")[1]
    assert all(text.count("-- for update is no lock") == 1 for text in found.values())


@pytest.fixture
def folder() -> Iterator[Path]:
    with test_cluster.scratch_folder() as made:
        yield made


def test_mutants_die_by_the_test_that_knows_their_rule_and_a_survivor_is_told(
    cluster: Cluster, template: str, folder: Path
) -> None:
    work = mutation.Run(cluster, template, folder, files=SAMPLE_TESTS)
    everything = work.all_mutants()
    assert len(everything) > 700
    wanted = {
        "trigger partners._100_normalise_phone": "test_a_phone_number_is_normalised",
        "guard app.tg_regions__acyclic INVALID_REGION:1": "test_a_region_is_not_its_own_ancestor",
        "constraint order_items.order_items_quantity_check": "test_quantities_are_positive",
        "trigger brands._nothing": "",
    }
    chosen = [m for m in everything if m.name in wanted]
    chosen.append(Mutant("trigger brands._nothing", "catalog", "select 1"))
    chosen.append(Mutant("trigger brands._broken", "catalog", "drop trigger nothing on app.brands"))
    work.baseline(chosen)
    assert (len(work.passing), work.failing) == (4, [])

    kept = folder / "verdicts.json"
    report = mutation.Report(mutation.judge_all(work, chosen, processes=2, json_file=kept))
    assert {
        v.name: v.by.split("::")[-1] for v in report.of(mutation.KILLED) + report.of(mutation.SURVIVED)
    } == wanted
    assert [v.name for v in report.of(mutation.SURVIVED)] == ["trigger brands._nothing"]
    assert [v.name for v in report.of(mutation.BROKEN)] == ["trigger brands._broken"]
    told = [json.loads(line) for line in kept.with_suffix(".partial").read_text().splitlines()]
    assert len(told) == len(chosen)

    accepted = {
        "trigger brands.*": "x",
        "trigger partners.*": "x",
        "lock nowhere": "x",
        "trigger regions.*": "x",
    }
    names = {m.name for m in everything} | set(wanted)
    # The second died, the third means nothing; of the fourth not every mutant was asked.
    assert mutation.stale_entries(accepted, report, names - {"trigger partners._900_touch"}) == [
        "lock nowhere"
    ]
    only_phone = {n for n in names if not n.startswith("trigger partners.") or n in wanted}
    assert "trigger partners.*" in mutation.stale_entries(accepted, report, only_phone)


def test_who_fails_by_chance_has_killed_nobody(cluster: Cluster, template: str, folder: Path) -> None:
    work = mutation.Run(cluster, template, folder, files=SAMPLE_TESTS)
    harmless = Mutant("trigger brands._nothing", "catalog", "select 1")
    work.baseline([harmless])
    bad_luck = cluster.folder / "bad-luck"
    bad_luck.touch()
    verdict = work.judge(harmless)
    assert not bad_luck.exists(), "nothing failed: this shows nothing"
    assert (verdict.verdict, verdict.by) == (mutation.SURVIVED, "")


def test_an_accepted_survivor_has_a_sentence(tmp_path: Path) -> None:
    assert all(len(reason) > 20 for reason in mutation.read_accepted().values())
    bad = tmp_path / "accepted.toml"
    bad.write_text('[accepted]\n"lock x" = "because"\n')
    with pytest.raises(UserError, match="needs a sentence"):
        mutation.read_accepted(bad)


def test_the_tests_that_speak_of_a_mutant_go_first() -> None:
    mutant = Mutant("guard app.redeem_reward REWARD_UNAVAILABLE:1", "rewards", "")
    files = ["tests/rules/test_prices.py", "tests/schema/test_x.py", "tests/rules/test_rewards.py"]
    choice = choose(mutant, files, {})
    assert (choice.near, choice.far) == (["tests/rules/test_rewards.py"], ["tests/rules/test_prices.py"])
    assert choose(mutant, files, {}, near=True).far == []
    assert choice.looking == ["tests/schema/test_x.py"]
    nodes = ["tests/a.py::test_the_unavailable_reward", "tests/a.py::test_a_price"]
    assert hints(mutant, nodes) == nodes[:1]
    assert not [file for file in files_of_tests() if "/mutate/" in file or "/crash/" in file]


def test_names_are_matched_by_part_or_pattern() -> None:
    assert mutation.matches("lock app.f for-update:1", "app.f")
    assert mutation.matches("lock app.f for-update:1", "lock *")
    assert not mutation.matches("guard app.f X:1", "lock *")


def test_mutants_of_different_tests_share_a_database() -> None:
    nodes = [
        "tests/tables/test_required.py::test_a_required_column_is_never_empty[app.orders]",
        "tests/tables/test_checks.py::test_a_check_refuses_what_it_is_there_for[orders_clock_check]",
        "tests/tables/test_references.py::test_x[app.orders.agent_id > app.agents]",
    ]
    mutants = [
        Mutant("required orders.status", "orders", ""),
        Mutant("required orders.notes", "orders", ""),
        Mutant("constraint orders.orders_clock_check", "orders", ""),
        Mutant("constraint orders.orders_agent_id_fkey", "orders", ""),
        Mutant("trigger orders._100_guard", "orders", ""),
    ]
    own = {m: node for m in mutants if (node := own_test(m, nodes))}
    assert list(own.values()) == [nodes[0], nodes[0], nodes[1], nodes[2]]
    assert batches(own) == [[mutants[0], *mutants[2:4]], [mutants[1]]]


def test_a_right_is_known_by_its_line_in_the_failure_of_a_test_that_names_each() -> None:
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
    assert {name: is_named(Mutant(name, "", ""), reason) for name in names} == names
