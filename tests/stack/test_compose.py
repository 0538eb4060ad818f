"""docker-compose.yml: the same stack as `./hub up`, from official images."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.erp.settings import Settings as ErpSettings
from devtools.failover import configs
from hub import paths
from hub.settings import Settings
from hub.stack import pgbouncer, postgrest

ROOT = paths.root()
HIGH_AVAILABILITY = {"etcd1", "etcd2", "etcd3", "node1", "node2", "haproxy"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml, parsed, and validated by docker where it is installed."""
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


def test_compose_runs_every_part_of_the_stack(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {
        "postgres",
        "migrate",
        "pgbouncer",
        "postgrest",
        "redis",
        "cache",
        "whatsapp",
        "web",
        "erp",
        "replica",
        "reports",
        *HIGH_AVAILABILITY,
    }
    assert services["postgrest"]["image"] == f"postgrest/postgrest:v{postgrest.VERSION}"
    assert services["migrate"]["command"] == ["hub", "migrate", "--require-cron"]
    for name, service in services.items():
        assert ("image" in service) != ("build" in service), name
        build = service.get("build")
        if build:
            context = Path(build if isinstance(build, str) else build["context"])
            dockerfile = context / "Dockerfile" if isinstance(build, str) else context / build["dockerfile"]
            assert (ROOT / dockerfile).exists(), name


def test_compose_runs_the_erp_adapter_in_a_profile(compose: dict[str, Any]) -> None:
    """Its settings are those of the adapter, and every required one can be set."""
    service = compose["services"]["erp"]
    assert (service["profiles"], service["command"]) == (["erp"], ["adapters.erp"])
    names = {f"HUB_{name.upper()}" for name in ErpSettings.model_fields}
    assert set(service["environment"]) <= names
    required = {"HUB_ERP_KIND", "HUB_ERP_URL", "HUB_ERP_DATABASE", "HUB_ERP_LOGIN", "HUB_ERP_PASSWORD"}
    assert required | {"HUB_ERP_FOLDER", "HUB_JWT_SECRET", "HUB_LISTEN_URL"} <= set(service["environment"])
    assert service["volumes"] == ["${HUB_ERP_FOLDER:-erp-folder}:/erp"]
    assert "erp-folder" in compose["volumes"]


def test_compose_service_waits_for_the_health_of_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert name == "migrate" or "healthcheck" in service, name
        for other, how in service.get("depends_on", {}).items():
            once = other == "migrate"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), name


def test_compose_binds_loopback_and_holds_no_secret(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for service in compose["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"\$\{(HUB_\w+)", text):
        assert f"{name}=" in example
    for name in re.findall(r"\$\{(HUB_\w+):\?", text):
        assert f"{name}=\n" in example, "a secret has no default"


def test_compose_and_hub_up_configure_postgrest_alike(compose: dict[str, Any]) -> None:
    from hub.stack.gateway import GatewayConfig  # noqa: PLC0415

    text = GatewayConfig("", "", 1, 2).text()
    environment = compose["services"]["postgrest"]["environment"]
    for key in (
        "db-schemas",
        "db-anon-role",
        "db-pre-request",
        "db-prepared-statements",
        "db-pool",
        "db-pool-acquisition-timeout",
        "db-pool-max-idletime",
        "db-max-rows",
        "log-level",
        "server-trace-header",
    ):
        value = environment["PGRST_" + key.upper().replace("-", "_")]
        assert re.search(rf'^{key} = "?{re.escape(value)}"?$', text, re.MULTILINE), key


def test_compose_prepares_statements_through_a_pgbouncer_that_keeps_them(compose: dict[str, Any]) -> None:
    """PgBouncer keeps prepared statements from version 1.21, but no session for LISTEN."""
    services = compose["services"]
    postgrest_settings, pooler = services["postgrest"]["environment"], services["pgbouncer"]
    assert "@pgbouncer:" in postgrest_settings["PGRST_DB_URI"]
    assert postgrest_settings["PGRST_DB_CHANNEL_ENABLED"] == "false"
    version = re.search(r":v(\d+)\.(\d+)\.", pooler["image"])
    assert version
    assert (int(version[1]), int(version[2])) >= (1, 21)
    assert pooler["environment"]["POOL_MODE"] == "transaction"
    assert int(pooler["environment"]["MAX_PREPARED_STATEMENTS"]) > 0


def test_compose_and_hub_up_configure_pgbouncer_alike(compose: dict[str, Any], tmp_path: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(pgbouncer.ini(Settings(), tmp_path / "users.txt", prepared=True))
    environment = compose["services"]["pgbouncer"]["environment"]
    for key in (
        "pool_mode",
        "max_client_conn",
        "default_pool_size",
        "server_login_retry",
        "query_wait_timeout",
        "max_prepared_statements",
        "ignore_startup_parameters",
    ):
        assert environment[key.upper()] == parser["pgbouncer"][key], key


def test_requests_wait_in_the_gateway_and_not_behind_it(compose: dict[str, Any]) -> None:
    """A wait in PgBouncer would end with a closed connection, one in the gateway with 504 PGRST003."""
    services = compose["services"]
    pools = [
        int(services["postgrest"]["environment"]["PGRST_DB_POOL"]),
        int(services["pgbouncer"]["environment"]["DEFAULT_POOL_SIZE"]),
    ]
    assert pools == sorted(pools)


def test_compose_runs_a_standby_and_its_gateway_in_a_profile(compose: dict[str, Any]) -> None:
    services = compose["services"]
    optional = {name for name, service in services.items() if service.get("profiles") == ["replica"]}
    assert optional == {"replica", "reports"}
    assert services["replica"]["command"] == services["postgres"]["command"]
    reports, main = services["reports"], services["postgrest"]
    assert reports["image"] == main["image"]
    uri = reports["environment"]["PGRST_DB_URI"]
    assert uri.endswith(
        "@replica:5432,postgres:5432/hub?target_session_attrs=prefer-standby&connect_timeout=2"
    )
    own = {"PGRST_DB_URI", "PGRST_DB_PRE_REQUEST", "PGRST_DB_CHANNEL_ENABLED", "PGRST_DB_POOL_MAX_LIFETIME"}
    shared = {name: value for name, value in reports["environment"].items() if name not in own}
    assert shared == {name: value for name, value in main["environment"].items() if name not in own}
    assert reports["environment"]["PGRST_DB_PRE_REQUEST"] == "auth.reports_guard"
    assert reports["environment"]["PGRST_DB_CHANNEL_ENABLED"] == "true"


def test_entry_point_of_the_compose_standby_is_valid_and_executable() -> None:
    script = ROOT / "docker" / "postgres" / "replica.sh"
    assert os.access(script, os.X_OK)
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_runs_patroni_etcd_and_haproxy_in_a_profile(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name for name, one in services.items() if one.get("profiles") == ["ha"]} == HIGH_AVAILABILITY
    for name in ("migrate", "cache", "whatsapp"):
        environment = " ".join(services[name]["environment"].values())
        assert "${HUB_POSTGRES_HOST:-postgres}:5432" in environment, name
    assert services["pgbouncer"]["environment"]["DB_HOST"] == "${HUB_POSTGRES_HOST:-postgres}"
    assert services["postgres"]["scale"] == "${HUB_POSTGRES_SCALE:-1}"
    assert {services["migrate"]["depends_on"][name]["required"] for name in ("postgres", "haproxy")} == {
        False
    }
    for name in ("etcd1", "etcd2", "etcd3"):
        environment = services[name]["environment"]
        assert not {"command", "entrypoint"} & set(services[name]), "the image has no shell"
        assert (services[name]["hostname"], environment["ETCD_NAME"]) == (name, name)
        assert environment["ETCD_ADVERTISE_CLIENT_URLS"] == f"http://{name}:2379"
        peer = environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"]
        assert f"{name}={peer}" in environment["ETCD_INITIAL_CLUSTER"].split(",")
    nodes = [services[name] for name in ("node1", "node2")]
    assert [node["environment"]["PATRONI_NAME"] for node in nodes] == ["node1", "node2"]
    assert len({node["volumes"][0] for node in nodes}) == 2


def test_compose_and_the_failover_drill_configure_patroni_alike(compose: dict[str, Any]) -> None:
    node = yaml.safe_load((ROOT / "docker/patroni/patroni.yml").read_text())
    dynamic = dict(node["bootstrap"]["dcs"])
    settings = dynamic.pop("postgresql")["parameters"]
    assert dynamic == configs.DYNAMIC
    command = compose["services"]["postgres"]["command"]
    single = dict(part.split("=", 1) for part in command if "=" in part)
    for name in (
        "shared_preload_libraries",
        "cron.database_name",
        "cron.use_background_workers",
        "max_worker_processes",
        "max_slot_wal_keep_size",
    ):
        assert str(settings[name]) == single[name], name
    drill = configs.haproxy(1, [])
    shared = (ROOT / "docker/patroni/haproxy.cfg").read_text()
    for line in (
        "option httpchk",
        "http-check send meth OPTIONS uri /primary",
        "http-check expect status 200",
    ):
        assert line in drill, line
        assert line in shared, line
    assert "on-marked-down shutdown-sessions" in drill
    assert "on-marked-down shutdown-sessions" in shared


@pytest.mark.parametrize("name", ["entrypoint.sh", "create-database.sh"])
def test_scripts_of_the_patroni_image_are_valid_and_executable(name: str) -> None:
    script = ROOT / "docker" / "patroni" / name
    assert os.access(script, os.X_OK)
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
