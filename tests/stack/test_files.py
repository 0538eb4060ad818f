"""Files that no Python imports: the shell script, the lock, docker-compose.yml."""

import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub import paths
from hub.stack import postgrest

ROOT = paths.root()


@pytest.mark.parametrize("command", [("sh", "-n", "hub"), ("bash", "-n", ".ci/run")])
def test_shell_syntax(command: tuple[str, ...]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)
    assert os.access(ROOT / command[-1], os.X_OK)


def test_hub_is_posix_shell() -> None:
    """Debian's sh is dash: it refuses what only bash knows at run time, these it would misread."""
    text = (ROOT / "hub").read_text()
    assert text.startswith("#!/bin/sh\n")
    assert not re.search(r"\[\[|\bfunction \w|\blocal \w|<<<|\$'|&>", text)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "sh", "hub"], cwd=ROOT, check=True)


def _checkout(folder: Path, python: str) -> Path:
    """A checkout in small: the script, the lock, and a .venv whose Python is a shell script."""
    for name in ("hub", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    venv = folder / ".venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text(f"#!/bin/sh\n{python}\n")
    (venv / "python").chmod(0o755)
    return folder


def test_a_ready_checkout_goes_straight_to_the_command(tmp_path: Path) -> None:
    checkout = _checkout(tmp_path, 'printf "%s|" "$@"')
    text = (checkout / "requirements.lock").read_bytes() + (checkout / "pyproject.toml").read_bytes()
    stamp = hashlib.sha256(text).hexdigest() + "\n"
    (checkout / ".venv" / "hub-stamp").write_text(stamp)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pgbouncer").symlink_to("/bin/true")
    done = subprocess.run(
        [checkout / "hub", "psql", "-c", "select 1", ""],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HUB_PG_BIN": "/anything", "HUB_NO_INSTALL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "-m|hub|psql|-c|select 1||", "")


def test_a_failing_pip_shows_its_reason_and_is_tried_again(tmp_path: Path) -> None:
    checkout = _checkout(tmp_path, 'case "$*" in *--version) ;; *) echo "no such package"; exit 1 ;; esac')
    for _ in range(2):
        done = subprocess.run([checkout / "hub", "up"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "no such package" in done.stderr
        assert "pip could not install" in done.stderr
    assert not (checkout / ".venv" / "hub-stamp").exists()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_every_dependency_exactly() -> None:
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    ]
    pins = dict(line.split("==") for line in lines)
    assert not [line for line in lines if "/" in line or "@" in line], "no registry, no path"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {_canonical(re.split(r"[\[<>=~! ]", one)[0]) for one in wanted}
    assert names <= {_canonical(name) for name in pins}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml, parsed; by docker itself where it can."""
    path = ROOT / "docker-compose.yml"
    if shutil.which("docker"):
        known = (
            subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        )
        if known:
            secrets = dict.fromkeys(re.findall(r"\$\{(HUB_\w+):\?", path.read_text()), "x" * 40)
            subprocess.run(
                ["docker", "compose", "-f", path, "config", "--quiet"], env=os.environ | secrets, check=True
            )
    parsed: dict[str, Any] = yaml.safe_load(path.read_text())
    return parsed


def test_compose_has_the_parts_of_the_stack(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "pgbouncer", "postgrest", "redis", "whatsapp"}
    assert services["postgrest"]["image"] == f"postgrest/postgrest:v{postgrest.VERSION}"
    assert services["migrate"]["command"] == ["hub", "migrate", "--require-cron"]
    for name, service in services.items():
        assert ("image" in service) != ("build" in service), name
        build = service.get("build")
        if build:
            context = Path(build if isinstance(build, str) else build["context"])
            dockerfile = context / "Dockerfile" if isinstance(build, str) else context / build["dockerfile"]
            assert (ROOT / dockerfile).exists(), name


def test_compose_services_are_healthy_in_order(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert name == "migrate" or "healthcheck" in service, name
        for other, how in service.get("depends_on", {}).items():
            once = other == "migrate"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), name


def test_compose_shows_itself_to_this_machine_alone_and_holds_no_secret(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for service in compose["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"\$\{(HUB_\w+)", text):
        assert f"{name}=" in example
    for name in re.findall(r"\$\{(HUB_\w+):\?", text):
        assert f"{name}=\n" in example, "a secret has no default"


def test_compose_and_hub_up_tell_postgrest_the_same(compose: dict[str, Any]) -> None:
    from hub.stack.gateway import GatewayConfig  # noqa: PLC0415

    told = GatewayConfig("", "", "", 1, 2).text("postgrest")
    environment = compose["services"]["postgrest"]["environment"]
    for key in (
        "db-schemas",
        "db-anon-role",
        "db-pre-request",
        "db-prepared-statements",
        "db-channel-enabled",
    ):
        value = environment["PGRST_" + key.upper().replace("-", "_")]
        assert re.search(rf'^{key} = "?{re.escape(value)}"?$', told, re.MULTILINE), key
