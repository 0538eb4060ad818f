"""The files for Prometheus and Grafana: each metric that they name exists, each alert says what to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import adapters.cache.app
import adapters.cache.shared_store
import adapters.common.health
import adapters.common.tasks
import adapters.whatsapp.worker  # noqa: F401  the modules declare their metrics
from hub import paths, settings
from hub.commands.metrics import MACHINE
from standin.app import Gateway
from standin.config import Config
from tests.support.context import Connection

FOLDER = paths.root() / "docker" / "monitoring"
NAME = re.compile(r"\b(?:hub|pgrst)_[a-z0-9_]+\b")


@pytest.fixture(scope="module")
def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def adapters_metrics() -> set[str]:
    found = set()
    for family in REGISTRY.collect():
        found.add(f"{family.name}_total" if family.type == "counter" else family.name)
    return found


def gateway_metrics() -> set[str]:
    text = Gateway(Config("postgresql://"))._metrics().decode()
    return set(re.findall(r"^(\w+) ", text, re.MULTILINE))


def test_each_metric_that_alerts_and_dashboard_name_exists(
    db: Connection, alerts: list[dict[str, Any]]
) -> None:
    described = {row[0] for row in db.execute("select name from app.metric_descriptions()")}
    known = described | set(MACHINE) | adapters_metrics() | gateway_metrics()
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for text in [*panels, *(rule["expr"] for rule in alerts)] for name in NAME.findall(text)}
    assert named - known == set()
    assert len(named) > 25
    assert set(MACHINE) <= named, "what only the machine knows is watched"
    unused = described - named
    assert unused <= {"hub_transaction_id_age", "hub_wal_archiving", "hub_standby_lag_bytes"}, unused


def test_each_alert_says_what_it_means_and_what_to_do(alerts: list[dict[str, Any]]) -> None:
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    pages = {path.relative_to(paths.root()).as_posix() for path in (paths.root() / "docs").rglob("*.md")}
    for rule in alerts:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        for page in re.findall(r"docs/[\w/-]+\.md", rule["annotations"]["description"]):
            assert page in pages, rule["alert"]


def test_every_alert_is_documented(alerts: list[dict[str, Any]]) -> None:
    text = (paths.root() / "docs/operations/monitoring.md").read_text()
    for rule in alerts:
        assert f"`{rule['alert']}`" in text


def test_prometheus_scrapes_the_default_ports() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    ports = settings.DEFAULT_PORTS
    assert targets["hub"] == [f"127.0.0.1:{ports['gateway_port']}"]
    assert targets["gateway"] == [f"127.0.0.1:{ports['gateway_admin_port']}"]
    assert targets["adapters"] == [
        f"127.0.0.1:{ports[name]}" for name in ("whatsapp_port", "erp_port", "cache_port", "pages_port")
    ]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize(("what", "name"), [("rules", "alerts.yml"), ("config", "prometheus.yml")])
def test_promtool_accepts_the_files(tmp_path: Path, what: str, name: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "monitoring")
    text = (tmp_path / "monitoring/prometheus.yml").read_text()
    (tmp_path / "monitoring/prometheus.yml").write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"))
    (tmp_path / "hub-monitor.jwt").touch()
    done = subprocess.run(
        ["promtool", "check", what, name],
        cwd=tmp_path / "monitoring",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
