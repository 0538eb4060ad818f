"""`hub dev mutate`: remove one rule at a time and verify that a test fails."""

import json
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic

import psycopg
from psycopg import sql
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devtools.mutation import trial
from devtools.mutation.choice import (
    ACCESS_KINDS,
    Choice,
    batches,
    candidate_files,
    choose,
    dedicated_test,
    hinted_tests,
    names_grant,
)
from devtools.mutation.mutants import Mutant, mutants
from devtools.mutation.trial import Outcome
from hub import paths
from hub.cluster import Cluster
from hub.console import err, out, say
from hub.errors import UserError

KILLED, CATALOGUE, SURVIVED, ACCEPTED, BROKEN = "killed", "catalogue", "survived", "accepted", "broken"

ACCEPTED_FILE = Path(__file__).with_name("accepted.toml")


@dataclass
class Verdict:
    """The result for one mutant; `by` is the test that killed it."""

    name: str
    domain: str
    verdict: str
    by: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """The result of a whole run."""

    verdicts: list[Verdict] = field(default_factory=list)
    already_failing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def of(self, verdict: str) -> list[Verdict]:
        """The mutants with this verdict, by name."""
        return sorted((v for v in self.verdicts if v.verdict == verdict), key=lambda v: v.name)


def read_accepted(file: Path = ACCEPTED_FILE) -> dict[str, str]:
    """The accepted survivors by name or pattern, each with its reason.

    Raises UserError for an entry whose reason is not a sentence.
    """
    entries: dict[str, str] = tomllib.loads(file.read_text()).get("accepted", {})
    for name, reason in entries.items():
        if len(reason.split()) < 4:
            raise UserError(f"{file.name}: {name!r} needs a sentence that says why it survives")
    return entries


def _files(choice: Choice) -> list[str]:
    return choice.near + choice.far + choice.catalogue


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern matches a name: shell wildcards, or a part of the name."""
    return fnmatchcase(name, pattern) or (not set(pattern) & set("*?[") and pattern in name)


def accepted_by(name: str, accepted: dict[str, str]) -> str | None:
    """The entry of accepted.toml that matches this mutant."""
    return next((entry for entry in accepted if fnmatchcase(name, entry)), None)


class Run:
    """Evaluates mutants on one cluster. `folder` takes the logs."""

    def __init__(
        self,
        cluster: Cluster,
        template: str,
        folder: Path,
        *,
        files: list[str] | None = None,
        near: bool = False,
    ) -> None:
        self.cluster, self.template, self.folder, self.near = cluster, template, folder, near
        self.files = files if files is not None else candidate_files()
        self.context = trial.start_server()
        self.seconds: dict[str, float] = {}
        self.failing: list[str] = []
        self.passing: list[str] = []
        self.naming: list[str] = []
        self.killers: dict[str, str] = {}
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)
        self.timeout = 600.0

    def all_mutants(self) -> list[Mutant]:
        """List every mutant of the template."""
        with self._database("list") as name, psycopg.connect(self.cluster.url(name)) as conn:
            return mutants(conn)

    def baseline(self, chosen: list[Mutant]) -> None:
        """Run the tests without a mutant, to learn which fail anyway and how long each file takes."""
        chosen_files = {file for m in chosen for file in _files(choose(m, self.files, {}, near=self.near))}
        self.files = [file for file in self.files if file in chosen_files]
        with self._database("baseline") as name:
            log = self.folder / "baseline.log"
            outcome = trial.run(self.context, name, self.files, first_failure=False, seconds=1800, log=log)
        if outcome.timed_out or (not outcome.passed and self.files):
            raise UserError("the tests do not run on a database without a mutant", hint=f"see {log}")
        self.failing, self.seconds, self.passing = outcome.failed, outcome.seconds, outcome.passed
        self.naming = [node for node in outcome.naming if node in outcome.passed]
        self.timeout = 120 + 3 * sum(outcome.seconds.values())

    def evaluate(self, mutant: Mutant) -> Verdict:
        """Apply the mutant to a clone and run the tests on it."""
        started = monotonic()
        choice = choose(mutant, self.files, self.seconds, near=self.near)
        with self._database("mutant") as name:
            try:
                with psycopg.connect(self.cluster.url(name), autocommit=True) as conn:
                    conn.execute("set client_min_messages = error")
                    conn.execute(mutant.statement.encode())
            except psycopg.Error as error:
                return Verdict(mutant.name, mutant.domain, BROKEN, str(error).strip().splitlines()[0])
            verdict, by = SURVIVED, ""
            for tests, if_failed in (
                ([*self._first_tests(mutant, choice), *choice.near], KILLED),
                (choice.far, KILLED),
                (choice.catalogue, CATALOGUE),
            ):
                if not by and tests:
                    verdict, by = self._run_tests(mutant, name, tests, if_failed)
        if verdict == KILLED:
            self.kills[mutant.kind][by] += 1
        return Verdict(mutant.name, mutant.domain, verdict, by, round(monotonic() - started, 1))

    def dedicated(self, chosen: list[Mutant]) -> dict[Mutant, str]:
        """The mutants that have a dedicated test."""
        found = {mutant: dedicated_test(mutant, self.passing) for mutant in chosen}
        return {mutant: node for mutant, node in found.items() if node}

    def evaluate_together(self, dedicated: dict[Mutant, str]) -> list[Verdict]:
        """Apply many mutants to one database and run the dedicated test of each.

        A survivor is evaluated alone.
        """
        return self._together(
            list(dedicated),
            list(dedicated.values()),
            lambda mutant, outcome: dedicated[mutant] if dedicated[mutant] in outcome.failed else "",
        )

    def evaluate_grants(self, grants: list[Mutant]) -> list[Verdict]:
        """Apply many excess grants to one database: some tests list each offender on a line of its own."""

        def by(mutant: Mutant, outcome: Outcome) -> str:
            return next((t for t, reason in outcome.reasons.items() if names_grant(mutant, reason)), "")

        return self._together(grants, self.naming, by)

    def _together(
        self, chosen: list[Mutant], tests: list[str], by: Callable[[Mutant, Outcome], str]
    ) -> list[Verdict]:
        started = monotonic()
        with self._database("mutants") as name:
            try:
                with psycopg.connect(self.cluster.url(name)) as conn:
                    conn.execute("set client_min_messages = error")
                    for mutant in chosen:
                        conn.execute(mutant.statement.encode())
            except psycopg.Error:
                return [self.evaluate(mutant) for mutant in chosen]
            outcome = trial.run(
                self.context,
                name,
                tests,
                first_failure=False,
                seconds=self.timeout,
                log=self.folder / "together.log",
            )
        each = round((monotonic() - started) / len(chosen), 1)
        return [
            Verdict(m.name, m.domain, KILLED, killer, each)
            if (killer := by(m, outcome))
            else self.evaluate(m)
            for m in chosen
        ]

    def _first_tests(self, mutant: Mutant, choice: Choice) -> list[str]:
        """Single tests to run before whole files.

        The test that killed the mutant last time; for grants and policies the tests that killed most others,
        because one test covers them all; for the rest those whose names share words with the mutant.
        """
        last = [node for node in [self.killers.get(mutant.name)] if node in self.passing]
        if mutant.kind in ACCESS_KINDS:
            likely = [node for node, _ in self.kills[mutant.kind].most_common(3) if node in self.passing]
        else:
            # Chosen interleavings are quick, random load is not.
            files = {*choice.near[:1]} if mutant.kind == "lock" else {*choice.near, *choice.far}
            likely = hinted_tests(mutant, [node for node in self.passing if node.split("::", 1)[0] in files])
        return list(dict.fromkeys([*(node for node in last if node), *likely]))

    def _run_tests(self, mutant: Mutant, database: str, tests: list[str], verdict: str) -> tuple[str, str]:
        log = self.folder / f"{''.join(c if c.isalnum() else '-' for c in mutant.name)[:120]}.log"
        skip = list(self.failing)
        while True:
            outcome: Outcome = trial.run(
                self.context, database, tests, skip=skip, seconds=self.timeout, log=log
            )
            if outcome.timed_out:
                return verdict, "timeout"
            log.unlink(missing_ok=True)
            if not outcome.failed:
                return SURVIVED, ""
            [by, *_] = outcome.failed
            if by == self.killers.get(mutant.name) or self._fails_again(database, by, log):
                return verdict, by
            skip.append(by)

    def _fails_again(self, database: str, test: str, log: Path) -> bool:
        """Whether a failed test fails again alone: one failure can be chance."""
        again: Outcome = trial.run(self.context, database, [test], seconds=self.timeout, log=log)
        log.unlink(missing_ok=True)
        return again.timed_out or bool(again.failed)

    @contextmanager
    def _database(self, what: str) -> Iterator[str]:
        """A clone of the template that tests can clone in turn: no connection to it stays open."""
        from tests.support import test_cluster  # noqa: PLC0415  found once the path is set

        name = test_cluster.fresh_name(what)
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            identifier = sql.Identifier(name)
            with test_cluster.locked(self.cluster.folder / "mutate-clone"):
                conn.execute(
                    sql.SQL("create database {} template {}").format(
                        identifier, sql.Identifier(self.template)
                    )
                )
            try:
                yield name
            finally:
                conn.execute(sql.SQL("drop database if exists {} with (force)").format(identifier))


def run(
    *,
    only: list[str],
    list_only: bool,
    json_file: Path | None,
    processes: int = 2,
    near: bool = False,
) -> None:
    """Evaluate every mutant that `only` matches; raises UserError if one survives that is not accepted."""
    sys.path.insert(0, str(paths.root()))
    try:
        from tests.support import test_cluster  # noqa: PLC0415
    except ModuleNotFoundError:
        raise UserError("hub dev mutate needs the tests of a checkout") from None

    started = monotonic()
    accepted = read_accepted()
    with test_cluster.running_cluster() as cluster, test_cluster.scratch_folder() as folder:
        work = Run(cluster, test_cluster.ensure_template(cluster), folder, near=near)
        everything = work.all_mutants()
        chosen = [m for m in everything if not only or any(matches(m.name, p) for p in only)]
        if list_only:
            for mutant in chosen:
                say(mutant.name)
            return
        say(f"{len(chosen)} of {len(everything)} mutants; first the tests without a mutant")
        work.baseline(chosen)
        work.killers = _read_killers()
        took = sum(work.seconds.values())
        say(f"{len(work.passing)} tests in {len(work.files)} files pass, in {took:.0f} s")
        report = Report(already_failing=work.failing)
        report.verdicts = evaluate_all(work, chosen, processes, json_file)
        _keep_killers(work.killers | {v.name: v.by for v in report.verdicts if v.verdict == KILLED})
    names = {m.name for m in everything}
    report.stale = stale_entries(accepted, report, names)
    for verdict in report.of(SURVIVED):
        entry = accepted_by(verdict.name, accepted)
        if entry:
            verdict.verdict, verdict.by = ACCEPTED, accepted[entry]
    report.seconds = round(monotonic() - started, 1)
    if json_file:
        json_file.write_text(json.dumps(asdict(report), indent=1) + "\n")
    _print(report)
    survivors = len(report.of(SURVIVED)) + len(report.of(BROKEN))
    if survivors or report.stale:
        raise UserError(
            f"{survivors} mutants survived, {len(report.stale)} entries of accepted.toml are stale"
        )


def _killers_file() -> Path:
    return paths.root() / ".cache" / "mutate-killers.json"


def _read_killers() -> dict[str, str]:
    """The test that killed each mutant last time."""
    file = _killers_file()
    killers: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return killers


def _keep_killers(killers: dict[str, str]) -> None:
    file = _killers_file()
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(killers, indent=0, sort_keys=True) + "\n")


def stale_entries(accepted: dict[str, str], report: Report, names: set[str]) -> list[str]:
    """Entries that match no mutant, or only mutants that did not survive."""
    survived = {v.name for v in report.of(SURVIVED)}
    evaluated = {v.name for v in report.verdicts}
    stale = []
    for entry in accepted:
        matched = {name for name in names if fnmatchcase(name, entry)}
        if not matched or (matched <= evaluated and not matched & survived):
            stale.append(entry)
    return stale


def evaluate_all(
    work: Run, chosen: list[Mutant], processes: int, json_file: Path | None = None
) -> list[Verdict]:
    """Evaluate in parallel with a progress bar; verdicts so far are appended to a file beside `json_file`."""
    verdicts: list[Verdict] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    dedicated = work.dedicated(chosen)
    with Progress(*columns, console=err) as progress, ThreadPoolExecutor(processes) as pool:
        bar = progress.add_task("mutants", total=len(chosen))
        tasks = [
            pool.submit(work.evaluate_together, {m: dedicated[m] for m in batch})
            for batch in batches(dedicated)
        ]
        grants = [m for m in chosen if m.kind == "grant"] if work.naming else []
        tasks += [pool.submit(work.evaluate_grants, grants[i : i + 40]) for i in range(0, len(grants), 40)]
        alone = (m for m in chosen if m not in dedicated and m not in grants)
        tasks += [pool.submit(lambda m: [work.evaluate(m)], mutant) for mutant in alone]
        for future in as_completed(tasks):
            for verdict in future.result():
                verdicts.append(verdict)
                if verdict.verdict in {SURVIVED, BROKEN}:
                    progress.console.print(f"{verdict.verdict}: {verdict.name} {verdict.by}", markup=False)
                alive = sum(v.verdict == SURVIVED for v in verdicts)
                progress.update(bar, advance=1, description=f"mutants, {alive} alive")
                if json_file:
                    with json_file.with_suffix(".partial").open("a") as partial:
                        partial.write(json.dumps(asdict(verdict)) + "\n")
    return verdicts


def _print(report: Report) -> None:
    counts: Counter[str] = Counter(v.verdict for v in report.verdicts)
    say(f"{len(report.verdicts)} mutants in {report.seconds:.0f} s: " + ", ".join(
        f"{counts[v]} {text}" for v, text in (
            (KILLED, "killed"), (CATALOGUE, "noticed only by tests of the catalogue"),
            (ACCEPTED, "accepted"), (SURVIVED, "survived"), (BROKEN, "could not be applied"),
        ) if counts[v]
    ))  # fmt: skip
    for title, verdict in (("survived", SURVIVED), ("could not be applied", BROKEN)):
        if found := report.of(verdict):
            out.rule(title, style="red")
            for one in found:
                say(f"  {one.name}  {one.by}")
    if found := report.of(CATALOGUE):
        out.rule("noticed only by tests of the catalogue", style="dim")
        for one in found:
            say(f"  {one.name}  by {one.by}")
    for entry in report.stale:
        say(f"stale in accepted.toml: {entry}")
    if report.already_failing:
        say(f"skipped, because they fail without a mutant: {', '.join(report.already_failing)}")
