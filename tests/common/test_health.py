"""Health: live and ready are apart; programs end with an exit code that says why."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

import adapters.erp.app
import adapters.erp.settings
import adapters.whatsapp.app
import adapters.whatsapp.settings
from adapters.common.app import create_app
from adapters.common.health import Health
from tests.common.conftest import GatewayServer
from tests.support.test_cluster import JWT_SECRET
from tests.support.waiting import wait_until


def test_failing_check_ends_readiness_but_not_liveness() -> None:
    reasons = {"gateway": ""}
    health = Health(lambda: {"sent": 7})
    health.add("gateway", lambda: reasons["gateway"])
    health.add("tasks", lambda: "")
    with TestClient(create_app("test", health=health)) as client:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        reasons["gateway"] = "refused"
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]["gateway"]) == (
            503,
            {"ok": False, "detail": "refused"},
        )
        assert answer.json()["checks"]["tasks"] == {"ok": True, "detail": ""}
        assert client.get("/health/live").status_code == 200
        whole = client.get("/health")
        assert (whole.status_code, whole.json()["sent"]) == (503, 7)
        metrics = client.get("/metrics").text
        assert 'hub_check_ok{check="gateway"} 0.0' in metrics
        assert 'hub_check_ok{check="tasks"} 1.0' in metrics


def gateway_check(client: TestClient[Litestar]) -> tuple[int, dict[str, Any]]:
    """The status of /health/ready and its check of the gateway."""
    answer = client.get("/health/ready")
    return answer.status_code, answer.json()["checks"]["gateway"]


@pytest.mark.parametrize("adapter", ["whatsapp", "erp"])
def test_unreachable_gateway_ends_readiness_in_time(
    gateway_server: GatewayServer, tmp_path: Path, adapter: str
) -> None:
    values = {"gateway_url": gateway_server.settings.gateway_url, "jwt_secret": JWT_SECRET}
    if adapter == "whatsapp":
        app = adapters.whatsapp.app.create(
            adapters.whatsapp.settings.Settings.model_validate(values | {"delivery": "console"})
        )
    else:
        more = {"erp_kind": "csv", "erp_folder": tmp_path}
        app = adapters.erp.app.create(adapters.erp.settings.Settings.model_validate(values | more))
    gateway_server.answers = [(503, "<html>")]
    with TestClient(app) as client:
        wait_until(lambda: "503" in gateway_check(client)[1]["detail"], 5)
        status, check = gateway_check(client)
        assert (status, check["ok"]) == (503, False)
        assert client.get("/health/live").status_code == 200
        if adapter == "whatsapp":
            gateway_server.answers = [(200, "[]")]
            wait_until(lambda: gateway_check(client)[0] == 200, 20)


@pytest.mark.parametrize(
    ("adapter", "settings", "reason"),
    [
        ("whatsapp", {}, "HUB_JWT_SECRET"),
        ("erp", {"HUB_JWT_SECRET": JWT_SECRET, "HUB_ERP_KIND": "sap"}, "HUB_ERP_KIND"),
        ("whatsapp", {"HUB_JWT_SECRET": JWT_SECRET}, "HUB_WHATSAPP_TOKEN and HUB_SMTP_HOST"),
        ("whatsapp", {"HUB_JWT_SECRET": JWT_SECRET, "HUB_SMTP_HOST": "mail.test"}, "WHATSAPP cannot be"),
    ],
    ids=["missing", "invalid", "no-provider", "one-provider"],
)
def test_wrong_settings_end_the_program_with_code_2(
    adapter: str, settings: dict[str, str], reason: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"adapters.{adapter}"],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
