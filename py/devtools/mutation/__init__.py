"""hub dev mutate: take one rule away at a time, and see whether a test notices."""

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
    choose,
    files_of_tests,
    hints,
    is_named,
    own_test,
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
    """What became of one mutant."""

    name: str
    domain: str
    verdict: str
    by: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """What a whole run found."""

    verdicts: list[Verdict] = field(default_factory=list)
    already_failing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def of(self, verdict: str) -> list[Verdict]:
        """The mutants with this verdict, by name."""
        return sorted((v for v in self.verdicts if v.verdict == verdict), key=lambda v: v.name)


def read_accepted(file: Path = ACCEPTED_FILE) -> dict[str, str]:
    """The survivors that must survive, by name or pattern, each with its reason.

    Raises UserError for an entry without a sentence.
    """
    entries: dict[str, str] = tomllib.loads(file.read_text()).get("accepted", {})
    for name, reason in entries.items():
        if len(reason.split()) < 4:
            raise UserError(f"{file.name}: {name!r} needs a sentence that says why it survives")
    return entries


def _files(choice: Choice) -> list[str]:
    return choice.near + choice.far + choice.looking


def matches(name: str, pattern: str) -> bool:
    """Whether a name is meant by a pattern: shell wildcards, or a part of the name."""
    return fnmatchcase(name, pattern) or (not set(pattern) & set("*?[") and pattern in name)


def accepted_by(name: str, accepted: dict[str, str]) -> str | None:
    """The entry of accepted.toml that means this mutant."""
    return next((entry for entry in accepted if fnmatchcase(name, entry)), None)


class Run:
    """Mutants against tests, on one cluster. `folder` takes the logs."""

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
        self.files = files if files is not None else files_of_tests()
        self.context = trial.start_server()
        self.seconds: dict[str, float] = {}
        self.failing: list[str] = []
        self.passing: list[str] = []
        self.naming: list[str] = []
        self.killers: dict[str, str] = {}
        self.sharp: dict[str, Counter[str]] = defaultdict(Counter)
        self.patience = 600.0

    def all_mutants(self) -> list[Mutant]:
        """Every mutant of the template."""
        with self._database("look") as name, psycopg.connect(self.cluster.url(name)) as conn:
            return mutants(conn)

    def baseline(self, chosen: list[Mutant]) -> None:
        """Run the tests of these mutants unharmed: what fails already tells nothing; the quick go first."""
        asked = {file for m in chosen for file in _files(choose(m, self.files, {}, near=self.near))}
        self.files = [file for file in self.files if file in asked]
        with self._database("baseline") as name:
            log = self.folder / "baseline.log"
            outcome = trial.run(self.context, name, self.files, first_failure=False, seconds=1800, log=log)
        if outcome.timed_out or (not outcome.passed and self.files):
            raise UserError("the tests do not run on an unharmed database", hint=f"see {log}")
        self.failing, self.seconds, self.passing = outcome.failed, outcome.seconds, outcome.passed
        self.naming = [node for node in outcome.naming if node in outcome.passed]
        self.patience = 120 + 3 * sum(outcome.seconds.values())

    def judge(self, mutant: Mutant) -> Verdict:
        """Make the mutant and ask the tests."""
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
            for tests, meaning in (
                ([*self._first(mutant, choice), *choice.near], KILLED),
                (choice.far, KILLED),
                (choice.looking, CATALOGUE),
            ):
                if not by and tests:
                    verdict, by = self._ask(mutant, name, tests, meaning)
        if verdict == KILLED:
            self.sharp[mutant.kind][by] += 1
        return Verdict(mutant.name, mutant.domain, verdict, by, round(monotonic() - started, 1))

    def own(self, chosen: list[Mutant]) -> dict[Mutant, str]:
        """The mutants that have a test of their very own."""
        found = {mutant: own_test(mutant, self.passing) for mutant in chosen}
        return {mutant: node for mutant, node in found.items() if node}

    def judge_together(self, own: dict[Mutant, str]) -> list[Verdict]:
        """Make many mutants in one database and ask the own test of each; who survives is judged alone."""
        return self._together(
            list(own),
            list(own.values()),
            lambda mutant, outcome: own[mutant] if own[mutant] in outcome.failed else "",
        )

    def judge_named(self, rights: list[Mutant]) -> list[Verdict]:
        """The same for rights that are too many: some tests name each by itself."""

        def by(mutant: Mutant, outcome: Outcome) -> str:
            return next((t for t, reason in outcome.reasons.items() if is_named(mutant, reason)), "")

        return self._together(rights, self.naming, by)

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
                return [self.judge(mutant) for mutant in chosen]
            outcome = trial.run(
                self.context,
                name,
                tests,
                first_failure=False,
                seconds=self.patience,
                log=self.folder / "together.log",
            )
        each = round((monotonic() - started) / len(chosen), 1)
        return [
            Verdict(m.name, m.domain, KILLED, killer, each) if (killer := by(m, outcome)) else self.judge(m)
            for m in chosen
        ]

    def _first(self, mutant: Mutant, choice: Choice) -> list[str]:
        """Single tests to ask before the files.

        Who killed it last time; of rights and policies who killed most others, for one test knows them all;
        of the rest those whose names speak of it.
        """
        last = [node for node in [self.killers.get(mutant.name)] if node in self.passing]
        if mutant.kind in ACCESS_KINDS:
            told = [node for node, _ in self.sharp[mutant.kind].most_common(3) if node in self.passing]
        else:
            # Races held still are quick, crowds are not.
            files = {*choice.near[:1]} if mutant.kind == "lock" else {*choice.near, *choice.far}
            told = hints(mutant, [node for node in self.passing if node.split("::", 1)[0] in files])
        return list(dict.fromkeys([*(node for node in last if node), *told]))

    def _ask(self, mutant: Mutant, database: str, tests: list[str], verdict: str) -> tuple[str, str]:
        log = self.folder / f"{''.join(c if c.isalnum() else '-' for c in mutant.name)[:120]}.log"
        skip = list(self.failing)
        while True:
            outcome: Outcome = trial.run(
                self.context, database, tests, skip=skip, seconds=self.patience, log=log
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
        """A test that failed once may have failed by chance; twice, alone, it saw the mutant."""
        again: Outcome = trial.run(self.context, database, [test], seconds=self.patience, log=log)
        log.unlink(missing_ok=True)
        return again.timed_out or bool(again.failed)

    @contextmanager
    def _database(self, what: str) -> Iterator[str]:
        """A clone that may itself be cloned: nobody stays connected to it."""
        from tests.support import test_cluster  # noqa: PLC0415  the checkout's tests, found once the path is set

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
    """Judge every mutant that `only` means; raises UserError when one survives that is not accepted."""
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
        say(f"{len(chosen)} of {len(everything)} mutants; first the tests on an unharmed database")
        work.baseline(chosen)
        work.killers = _read_killers()
        took = sum(work.seconds.values())
        say(f"{len(work.passing)} tests in {len(work.files)} files pass, in {took:.0f} s")
        report = Report(already_failing=work.failing)
        report.verdicts = judge_all(work, chosen, processes, json_file)
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
    """Which test killed which mutant the last time: it is asked first."""
    file = _killers_file()
    killers: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return killers


def _keep_killers(killers: dict[str, str]) -> None:
    file = _killers_file()
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(killers, indent=0, sort_keys=True) + "\n")


def stale_entries(accepted: dict[str, str], report: Report, names: set[str]) -> list[str]:
    """Entries that mean no mutant at all, or only mutants that did not survive."""
    survived = {v.name for v in report.of(SURVIVED)}
    asked = {v.name for v in report.verdicts}
    stale = []
    for entry in accepted:
        meant = {name for name in names if fnmatchcase(name, entry)}
        if not meant or (meant <= asked and not meant & survived):
            stale.append(entry)
    return stale


def judge_all(
    work: Run, chosen: list[Mutant], processes: int, json_file: Path | None = None
) -> list[Verdict]:
    """Judge in parallel, with a progress bar; what is known so far is kept beside `json_file`."""
    verdicts: list[Verdict] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    own = work.own(chosen)
    with Progress(*columns, console=err) as progress, ThreadPoolExecutor(processes) as pool:
        bar = progress.add_task("mutants", total=len(chosen))
        tasks = [pool.submit(work.judge_together, {m: own[m] for m in batch}) for batch in batches(own)]
        rights = [m for m in chosen if m.kind == "grant"] if work.naming else []
        tasks += [pool.submit(work.judge_named, rights[i : i + 40]) for i in range(0, len(rights), 40)]
        alone = (m for m in chosen if m not in own and m not in rights)
        tasks += [pool.submit(lambda m: [work.judge(m)], mutant) for mutant in alone]
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
            (KILLED, "killed"), (CATALOGUE, "noticed only by the catalogue's tests"),
            (ACCEPTED, "accepted"), (SURVIVED, "survived"), (BROKEN, "could not be made"),
        ) if counts[v]
    ))  # fmt: skip
    for title, verdict in (("survived", SURVIVED), ("could not be made", BROKEN)):
        if found := report.of(verdict):
            out.rule(title, style="red")
            for one in found:
                say(f"  {one.name}  {one.by}")
    if found := report.of(CATALOGUE):
        out.rule("noticed only by the catalogue's tests", style="dim")
        for one in found:
            say(f"  {one.name}  by {one.by}")
    for entry in report.stale:
        say(f"stale in accepted.toml: {entry}")
    if report.already_failing:
        say(f"not asked, for they fail without any mutant: {', '.join(report.already_failing)}")
