"""The POSIX script ./hub: what it installs for a command, what it asks, and what it leaves behind."""

import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub import paths

ROOT = paths.root()
COPIED = ("hub", "pyproject.toml", *(f"requirements/{name}.lock" for name in ("runtime", "dev", "node")))
TOOLS = (
    *(
        "cat",
        "chmod",
        "cut",
        "dirname",
        "env",
        "flock",
        "grep",
        "head",
        "mkdir",
        "rm",
        "sed",
        "sh",
        "sha256sum",
    ),
    *("sleep", "sort", "tail", "touch", "true"),
)
FAKE_PYTHON = """\
case "$*" in
"-m pip --version") ;;
"-m pip "*) echo "$@" >>"$RECORD" ;;
*) printf '%s|' "$@" ;;
esac
"""
FAKE_APT_CACHE = """\
echo "Package: $2"
[ "$2" != postgresql ] || echo 'Depends: postgresql-17'
"""
SERVERS = (
    "postgresql-17 postgresql-client-17 postgresql-17-cron postgresql-17-plpgsql-check pgbouncer redis-server"
)


SUITE = f"{SERVERS} wrk pgbackrest git openssl chromium-headless-shell curl shellcheck"


@dataclass(frozen=True)
class Checkout:
    """A checkout whose script sees a machine of its own: a Debian with nothing installed."""

    folder: Path
    machine: Path

    @property
    def policy(self) -> Path:
        return self.machine / "policy-rc.d"

    @property
    def drop_in(self) -> Path:
        return self.machine / "postgresql-common/createcluster.d/alfa-hub.conf"

    def program(self, name: str, text: str) -> None:
        """Put a shell script on the machine's PATH."""
        path = self.machine / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": str(self.machine / "bin"), "RECORD": str(self.machine / "record")} | more

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "hub", *arguments],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def recorded(self) -> str:
        """What apt-get and pip were called with, a line each."""
        record = self.machine / "record"
        return record.read_text() if record.exists() else ""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout in a folder whose name has a space; its .venv has a Python, but no packages."""
    made = Checkout(tmp_path / "a checkout", tmp_path / "machine")
    for name in COPIED:
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made.folder / name)
    script = (made.folder / "hub").read_text()
    for real, own in {
        '"$PATH:/usr/local/sbin:/usr/sbin:/sbin"': '"$PATH"',
        "/usr/sbin/policy-rc.d": str(made.policy),
        "/etc/postgresql-common": str(made.machine / "postgresql-common"),
        "/usr/lib/postgresql": str(made.machine / "lib"),
        "/usr/share/postgresql": str(made.machine / "share"),
        "/usr/bin/python3": str(made.machine / "python3"),
    }.items():
        assert real in script
        script = script.replace(real, own)
    (made.folder / "hub").write_text(script)
    (made.machine / "bin").mkdir(parents=True)
    for tool in TOOLS:
        (made.machine / "bin" / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    made.program("id", "echo 0")
    made.program("apt-get", 'echo "apt-get $*" >>"$RECORD"')
    made.program("apt-cache", FAKE_APT_CACHE)
    python = made.folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{FAKE_PYTHON}")
    python.chmod(0o755)
    return made


def installed_debian(checkout: Checkout) -> str:
    """The Debian packages of the one call of `apt-get install`, or nothing."""
    calls = [line for line in checkout.recorded().splitlines() if line.startswith("apt-get")]
    assert len(calls) <= 1
    return calls[0].split("--no-install-recommends ")[1] if calls else ""


@pytest.mark.parametrize("command", [("sh", "-n", "hub"), ("bash", "-n", ".ci/run")])
def test_shell_scripts_parse_and_are_executable(command: tuple[str, ...]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)
    assert os.access(ROOT / command[-1], os.X_OK)


def test_script_uses_no_feature_of_bash() -> None:
    """dash refuses at run time what only bash knows; these it would misinterpret."""
    text = (ROOT / "hub").read_text()
    assert text.startswith("#!/bin/sh\n")
    assert not re.search(r"\[\[|\bfunction \w|\blocal \w|<<<|\$'|&>", text)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    subprocess.run(["shellcheck", "-s", "sh", "hub"], cwd=ROOT, check=True)
    subprocess.run(["shellcheck", ".ci/run"], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("arguments", "packages", "dev"),
    [
        (["--help"], "", False),
        (["--version"], "", False),
        ([], "", False),
        (["up", "--help"], "", False),
        (["test", "--help"], "", False),
        (["token", "partner"], "", False),
        (["migrate", "--database", "postgresql://h/d"], "", False),
        (["check", "--database=postgresql://h/d"], "", False),
        (["seed", "--database", "postgresql://h/d"], "", False),
        (["status"], "", False),
        (["dev", "lock"], "", False),
        (["dev", "release", "1.0.0"], "", False),
        (["psql"], "postgresql-client", False),
        (["up"], SERVERS, False),
        (["demo"], SERVERS, False),
        (["reset", "--yes"], SERVERS, False),
        (["replica", "remove"], SERVERS, False),
        (["seed"], SERVERS, False),
        (["backup"], f"{SERVERS} pgbackrest", False),
        (["restore", "--to", "2026-11-27"], f"{SERVERS} pgbackrest", False),
        (["test"], SUITE, True),
        (["dev", "test"], SUITE, True),
        (["docs"], SERVERS, True),
        (["dev", "bench"], f"{SERVERS} wrk", True),
        (["dev", "mutate"], SERVERS, True),
        (["dev", "long-form"], SUITE, True),
        (["dev", "matrix", "--quick"], SUITE, True),
        (["dev", "failover"], f"{SERVERS} patroni python3-etcd etcd-server haproxy", True),
    ],
)
def test_command_installs_only_what_it_needs(
    checkout: Checkout, arguments: list[str], packages: str, dev: bool
) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == 0, done.stderr
    assert installed_debian(checkout) == packages
    assert ("dev.lock" in checkout.recorded()) == dev
    assert "--require-hashes" in checkout.recorded()


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["psql", "-c", "select 1", ""], "-m|hub|psql|-c|select 1||"),
        (["up", "--yes", "--verbose"], "-m|hub|up|"),
        (["--verbose", "--yes", "up"], "-m|hub|up|"),
        (["reset", "--yes"], "-m|hub|reset|--yes|"),
        (["--yes", "reset"], "-m|hub|reset|--yes|"),
        (["restore", "--to", "2026-11-27", "--yes"], "-m|hub|restore|--to|2026-11-27|--yes|"),
        (["backup", "--yes"], "-m|hub|backup|"),
        (["replica", "promote", "--yes"], "-m|hub|replica|promote|--yes|"),
        (["--yes", "replica", "remove"], "-m|hub|replica|remove|"),
        (["test", "--verbose", "tests/stack"], "-m|devtools|test|--verbose|tests/stack|"),
        (["docs", "--check"], "-m|devtools|docs|--check|"),
        (["dev", "bench", "--quick"], "-m|devtools|bench|--quick|"),
        (["psql", "--", "--yes"], "-m|hub|psql|--|--yes|"),
    ],
)
def test_arguments_reach_the_command(checkout: Checkout, arguments: list[str], passed: str) -> None:
    assert checkout.run(*arguments).stdout == passed


def test_what_is_to_be_installed_is_listed_first(checkout: Checkout) -> None:
    checkout.program("apt-get", 'echo "the list came late" >&2')
    done = checkout.run("test", "--verbose")
    listing, _, after = done.stderr.partition("hub: installing")
    assert f"Debian packages: {SUITE}\n" in listing
    assert "of requirements/runtime.lock, into .venv\n" in listing
    assert "of requirements/dev.lock, into .venv\n" in listing
    assert "the list came late" in after


@pytest.mark.parametrize(
    ("command", "version", "installed"),
    [
        ("up", "", True),
        ("up", "v20.18.9", True),
        ("up", "v20.19.0", False),
        ("demo", "v24.1.0", False),
        ("test", "v18.20.4", True),
        ("status", "", False),
    ],
)
def test_node_is_installed_where_pages_are_built_and_it_is_missing_or_old(
    checkout: Checkout, command: str, version: str, installed: bool
) -> None:
    if version:
        checkout.program("node", f"echo {version}")
        checkout.program("npm", "")
    assert checkout.run(command).returncode == 0
    assert ("node.lock" in checkout.recorded()) == installed
    before = checkout.recorded()
    checkout.run(command)
    assert "node.lock" not in checkout.recorded().removeprefix(before)


def test_command_goes_on_when_node_cannot_be_installed(checkout: Checkout) -> None:
    failing = 'case "$*" in *node.lock*) exit 1 ;; esac\n'
    (checkout.folder / ".venv/bin/python").write_text(f"#!/bin/sh\n{failing}{FAKE_PYTHON}")
    done = checkout.run("up")
    assert (done.returncode, done.stdout) == (0, "-m|hub|up|")
    assert "continuing without Node: the pages are not built" in done.stderr


def test_second_run_installs_nothing(checkout: Checkout) -> None:
    checkout.run("dev", "lock")
    before = checkout.recorded()
    done = checkout.run("status")
    assert (done.stdout, done.stderr) == ("-m|hub|status|", "")
    assert checkout.recorded() == before


@pytest.mark.parametrize(
    ("changed", "command", "again"),
    [
        ("requirements/runtime.lock", "status", True),
        ("pyproject.toml", "status", True),
        ("requirements/dev.lock", "status", False),
        ("requirements/dev.lock", "test", True),
        ("requirements/runtime.lock", "test", True),
    ],
)
def test_changed_lock_is_installed_again_where_it_matters(
    checkout: Checkout, changed: str, command: str, again: bool
) -> None:
    checkout.run("test")
    with (checkout.folder / changed).open("a") as file:
        file.write("# changed\n")
    assert ("Python packages" in checkout.run(command).stderr) == again


def test_ready_machine_needs_no_apt(checkout: Checkout) -> None:
    checkout.program("pgbouncer", "")
    (checkout.machine / "bin" / "apt-get").unlink()
    done = checkout.run("up", HUB_PG_BIN="/anything")
    assert (done.returncode, done.stdout) == (0, "-m|hub|up|")


def test_missing_server_is_named_where_packages_may_not_be_installed(checkout: Checkout) -> None:
    done = checkout.run("up", HUB_NO_INSTALL="1")
    assert done.returncode == 1
    assert "PostgreSQL is missing, and HUB_NO_INSTALL is set" in done.stderr
    assert checkout.recorded() == ""


def test_user_installs_with_sudo(checkout: Checkout) -> None:
    checkout.program("id", "echo 1000")
    checkout.program("sudo", 'echo "sudo $*" >>"$RECORD"; exec "$@"')
    done = checkout.run("psql")
    assert (done.returncode, done.stdout) == (0, "-m|hub|psql|"), done.stderr
    assert installed_debian(checkout) == "postgresql-client"
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get" in checkout.recorded()


def test_user_without_sudo_is_given_the_command_for_root(checkout: Checkout) -> None:
    checkout.program("id", "echo 1000")
    done = checkout.run("psql")
    assert done.returncode == 1
    assert "you are neither root nor have sudo" in done.stderr
    assert "as root: apt-get install postgresql-client" in done.stderr
    assert "apt-get" not in checkout.recorded()


def test_missing_extension_does_not_stop_the_command(checkout: Checkout) -> None:
    initdb = checkout.machine / "lib/17/bin/initdb"
    initdb.parent.mkdir(parents=True)
    initdb.symlink_to("/bin/true")
    checkout.program("pgbouncer", "")
    checkout.program("apt-cache", "")
    done = checkout.run("up")
    assert done.returncode == 0
    assert "continuing without pg_cron: the package postgresql-17-cron is not available" in done.stderr


def test_failing_pip_shows_its_reason_and_is_tried_again(checkout: Checkout) -> None:
    failing = 'case "$*" in *--version) ;; *) echo "no such package"; exit 1 ;; esac\n'
    (checkout.folder / ".venv/bin/python").write_text(f"#!/bin/sh\n{failing}")
    for _ in range(2):
        done = checkout.run("status")
        assert done.returncode == 1
        assert "no such package" in done.stderr
        assert "pip could not install" in done.stderr
    assert not list((checkout.folder / ".venv").glob("hub-*-stamp"))


def test_failing_apt_shows_its_reason_and_restores_the_machine(checkout: Checkout) -> None:
    checkout.program("apt-get", 'echo "no space left"; exit 100\n')
    done = checkout.run("up")
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert not checkout.policy.exists()
    assert not checkout.drop_in.exists()


def at_a_terminal(checkout: Checkout, answer: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the script on a pseudo-terminal; returns its exit code and what it printed."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [checkout.folder / "hub", *arguments],
        env=checkout.environment(**environment),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.write(controller, answer.encode())
    printed, _ = process.communicate(timeout=60)
    os.close(controller)
    os.close(terminal)
    return process.returncode, printed


@pytest.mark.parametrize(
    ("answer", "installs"), [("\n", True), ("y\n", True), ("n\n", False), ("\x04", False)]
)
def test_terminal_is_asked_before_installing(checkout: Checkout, answer: str, installs: bool) -> None:
    code, printed = at_a_terminal(checkout, answer, "psql")
    assert "install them? [Y/n]" in printed
    assert (code == 0) == installs
    assert bool(checkout.recorded()) == installs


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["psql", "--yes"], {}),
        (["--yes", "psql"], {}),
        (["psql"], {"HUB_YES": "1"}),
        (["psql"], {"CI": "true"}),
    ],
)
def test_confirmation_can_be_given_beforehand(
    checkout: Checkout, arguments: Sequence[str], environment: dict[str, str]
) -> None:
    code, printed = at_a_terminal(checkout, "", *arguments, **environment)
    assert code == 0
    assert "[Y/n]" not in printed


@pytest.fixture
def installing(checkout: Checkout) -> Iterator[subprocess.Popen[bytes]]:
    """`./hub up` while apt-get runs."""
    checkout.program("apt-get", 'touch "$RECORD"; exec sleep 60\n')
    process = subprocess.Popen(
        # A shell cannot trap a signal that was ignored when it started, as SIGINT is for background jobs.
        ["env", "--default-signal=HUP,INT,TERM", checkout.folder / "hub", "up"],
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (checkout.machine / "record").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield process
    process.kill()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signal_during_installation_restores_the_machine(
    checkout: Checkout, installing: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    assert checkout.policy.read_text() == "#!/bin/sh\nexit 101\n"
    assert checkout.drop_in.read_text() == "create_main_cluster = false\n"
    installing.send_signal(number)
    assert installing.wait(20) == 128 + number
    assert not checkout.policy.exists()
    assert not checkout.drop_in.exists()


def test_policy_of_the_machine_is_kept(checkout: Checkout) -> None:
    checkout.policy.write_text("the administrator's own\n")
    checkout.run("up")
    assert checkout.policy.read_text() == "the administrator's own\n"


def test_policy_is_written_only_for_servers(checkout: Checkout) -> None:
    checkout.run("psql")
    assert not checkout.drop_in.parent.exists()
