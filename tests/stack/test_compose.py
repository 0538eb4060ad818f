"""docker-compose.yml: the same stack as `./hub up`, from official images."""

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.erp.settings import Settings as ErpSettings
from adapters.pages.proxy import AWAY
from devtools.failover import configs
from hub import paths
from hub.settings import Settings
from hub.stack import pgbouncer, postgrest

ROOT = paths.root()
WEB = ROOT / "docker" / "web"
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


def dockerfiles(compose: dict[str, Any]) -> dict[Path, Path]:
    """Each Dockerfile that a service is built from, with the folder of its context."""
    found = {}
    for service in compose["services"].values():
        match service.get("build"):
            case str(context):
                found[ROOT / context / "Dockerfile"] = ROOT / context
            case {"context": context, "dockerfile": name}:
                found[ROOT / context / name] = (ROOT / context).resolve()
    return found


def copies(dockerfile: str) -> list[tuple[str, list[str]]]:
    """The mode that each COPY from the context states, or nothing, and what it copies."""
    found = re.findall(r"^COPY (?!--from)(?:--chmod=(\S+) )?(.+)$", dockerfile, re.MULTILINE)
    return [(mode, arguments.split()[:-1]) for mode, arguments in found]


def test_what_images_copy_exists_and_is_all_that_the_context_has(compose: dict[str, Any]) -> None:
    """The context names what goes in, so that a file of secrets beside it never does."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(rule for rule in rules if not rule.startswith("#")) == "*"
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = set()
    for dockerfile, context in dockerfiles(compose).items():
        for _mode, sources in copies(dockerfile.read_text()):
            for source in sources:
                assert (context / source).exists(), f"{dockerfile}: {source}"
                if context == ROOT:
                    copied.add(source)
    assert len(copied) > 10
    for source in copied:
        assert any(Path(source).is_relative_to(rule) for rule in let_in), source
    for rule in let_in:
        assert any(Path(source).is_relative_to(rule) for source in copied), rule


def test_files_of_images_can_be_read_whatever_umask_the_checkout_was_made_with(
    compose: dict[str, Any],
) -> None:
    """Servers that are not root read them: each COPY of the last stage states modes, or a RUN gives them."""
    seen = 0
    for dockerfile, context in dockerfiles(compose).items():
        stage = dockerfile.read_text().split("\nFROM ")[-1]
        before, opened, after = stage.partition("\nRUN chmod -R a+rX .\n")
        for mode, sources in copies(after if opened else before):
            for source in sources:
                executable = os.access(context / source, os.X_OK)
                assert mode == ("755" if executable else "644"), f"{dockerfile}: {source}"
                seen += 1
        assert "\nUSER" not in before, "the account could not change modes"
    assert seen > 9


def test_drop_folder_of_the_erp_adapter_belongs_to_the_user_of_the_image(compose: dict[str, Any]) -> None:
    """A new volume takes its owner from the folder of the image; root's would refuse the adapter."""
    text = (ROOT / "docker/adapters/Dockerfile").read_text()
    folder = compose["services"]["erp"]["environment"]["HUB_ERP_FOLDER"]
    assert f"install --directory --owner=hub --group=hub {folder}\n" in text.split("USER hub")[0]
    assert "\nUSER hub\n" in text


def test_health_checks_and_migrations_write_no_errors_to_the_logs(compose: dict[str, Any]) -> None:
    """PgBouncer logs an error for an unknown user; PostgreSQL a file for each that waits for others."""
    services = compose["services"]
    check = services["pgbouncer"]["healthcheck"]["test"]
    user = services["pgbouncer"]["environment"]["DB_USER"]
    assert {f"--username={user}", "--dbname=hub"} <= set(check)
    assert services["migrate"]["environment"]["PGOPTIONS"] == "-c log_min_messages=fatal"


def test_nginx_logs_no_query_and_compresses_enough_for_the_shop() -> None:
    """A query names whom someone searched for. At nginx's level 1 the shop has more than 40 kB."""
    text = (WEB / "nginx.conf").read_text()
    logged = re.search(r"log_format hub [^;]+;", text)
    assert logged
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer)\b", logged[0])
    assert "$request_id" in logged[0]
    assert "access_log /var/log/nginx/access.log hub if=$logged;" in text
    assert "error_log /var/log/nginx/error.log crit;" in text
    level = re.search(r"gzip_comp_level (\d);", text)
    assert level
    assert int(level[1]) >= 6


def test_nginx_answers_for_an_absent_gateway_as_the_pages_of_a_machine_do() -> None:
    text = (WEB / "nginx.conf").read_text()
    body = re.search(r"return 502 '([^']+)';", text)
    assert body
    assert json.loads(body[1]) == json.loads(AWAY)
    assert "error_page 502 504 = @away;" in text


def tls(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs what the image runs before nginx, on a copy of nginx's folder."""
    shutil.copy(WEB / "tls.conf.template", folder)
    script = WEB / "tls.sh"
    assert os.access(script, os.X_OK)
    path = os.environ["PATH"]
    return subprocess.run(
        [script, folder], env={"PATH": path} | settings, capture_output=True, text=True, check=False
    )


def test_nginx_without_a_certificate_has_no_tls(tmp_path: Path) -> None:
    done = tls(tmp_path, HUB_TLS_CERTIFICATE="", HUB_TLS_KEY="", HUB_WEB_TLS_PORT="18165")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "server.d").exists()


def test_certificate_without_a_key_is_refused(tmp_path: Path) -> None:
    done = tls(tmp_path, HUB_TLS_CERTIFICATE="a.pem", HUB_TLS_KEY="")
    assert done.returncode != 0
    assert "HUB_TLS_KEY" in done.stderr
    assert not (tmp_path / "server.d").exists()


@pytest.mark.parametrize(("port", "shown"), [("443", ""), ("18165", ":18165")])
def test_nginx_with_a_certificate_listens_with_tls(
    compose: dict[str, Any], tmp_path: Path, port: str, shown: str
) -> None:
    done = tls(
        tmp_path, HUB_TLS_CERTIFICATE="live/h/a.pem", HUB_TLS_KEY="live/h/k.pem", HUB_WEB_TLS_PORT=port
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = set((tmp_path / "server.d/tls.conf").read_text().splitlines())
    assert lines >= {
        "listen 8443 ssl;",
        "http2 on;",
        "ssl_certificate /tls/live/h/a.pem;",
        "ssl_certificate_key /tls/live/h/k.pem;",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls:10m;",
        f"  return 308 https://$host{shown}$request_uri;",
    }
    server = (WEB / "nginx.conf").read_text().split("\nserver {")[1]
    assert "\n  include /etc/nginx/server.d/*.conf;\n" in server
    service = compose["services"]["web"]
    assert service["volumes"] == [
        "${HUB_TLS_FOLDER:-tls-folder}:/tls:ro",
        "${HUB_ACME_FOLDER:-acme-folder}:/acme:ro",
    ]
    assert {"tls-folder", "acme-folder"} <= set(compose["volumes"])
    assert "    root /acme;\n" in server.split("location ^~ /.well-known/acme-challenge/ {")[1]
    assert {"HUB_TLS_CERTIFICATE", "HUB_TLS_KEY", "HUB_WEB_TLS_PORT"} <= set(service["environment"])
    assert [port.rsplit(":", 1)[1] for port in service["ports"]] == ["8080", "8443"]


def mapped(text: str, value: str) -> str:
    """What a `map` of nginx with these lines gives: equal texts first, then expressions in their order."""
    lines: dict[str, str] = {}
    for key, to in re.findall(r'^  (".+?"|\S+) (\S+);$', text, re.MULTILINE):
        lines[key.strip('"')] = to.strip('"')
    if value in lines:
        return lines[value]
    return next(
        (to for key, to in lines.items() if key.startswith("~") and re.search(key[1:], value)),
        lines["default"],
    )


@pytest.mark.parametrize(
    ("request_line", "moves"),
    [
        ("http /", True),
        ("http /api/rpc/login", True),
        ("http /config.json/x", True),
        ("http /x/.well-known/acme-challenge/x", True),
        ("http /config.json", False),
        ("http /.well-known/acme-challenge/x", False),
        ("https /", False),
        ("https /api/rpc/login", False),
    ],
)
def test_plain_http_moves_to_tls_but_for_the_health_check_and_acme(
    compose: dict[str, Any], request_line: str, moves: bool
) -> None:
    text = (WEB / "nginx.conf").read_text()
    lines = re.search(r'^map "\$scheme \$uri" \$moves \{\n(.+?)^\}', text, re.MULTILINE | re.DOTALL)
    assert lines
    assert (mapped(lines[1], request_line) not in ("", "0")) == moves
    assert "\nif ($moves) {\n  return 308 " in (WEB / "tls.conf.template").read_text()
    check = compose["services"]["web"]["healthcheck"]["test"][-1]
    assert check == "http://127.0.0.1:8080/config.json"


def test_nginx_sends_hsts_with_every_answer_over_tls_and_no_other() -> None:
    """An add_header of a location drops those of the server, so that both have it."""
    text = (WEB / "nginx.conf").read_text()
    lines = re.search(r"^map \$scheme \$hsts \{\n(.+?)^\}", text, re.MULTILINE | re.DOTALL)
    assert lines
    assert mapped(lines[1], "https") == "max-age=31536000"
    assert mapped(lines[1], "http") == ""
    header = "add_header Strict-Transport-Security $hsts always;\n"
    assert f"\n  {header}" in text
    assert f"\n{header}" in (WEB / "headers.conf").read_text()


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
    example = (ROOT / ".env.example").read_text()
    for name, service in compose["services"].items():
        address = "${HUB_WEB_ADDRESS:-127.0.0.1}:" if name == "web" else "127.0.0.1:"
        assert all(str(port).startswith(address) for port in service.get("ports", [])), name
    assert "\nHUB_WEB_ADDRESS=127.0.0.1\n" in example
    assert "\nCOMPOSE_PROFILES=\n" in example, "without it, each command has to name the profiles"
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
    # A copy that waits for a spread checkpoint takes a minute, in which one node is alone.
    assert node["postgresql"]["basebackup"] == {"checkpoint": "fast"}
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
