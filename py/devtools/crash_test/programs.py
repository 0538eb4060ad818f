"""The programs around a database, as child processes: PgBouncer, Redis, gateways and adapters."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from hub import paths, processes
from hub.errors import UserError
from hub.osuser import server_account
from hub.ports import HOST
from hub.settings import Settings
from hub.stack import gateway as gateways
from hub.stack import pgbouncer, redis
from hub.stack.programs import compile_sources, python_account

KINDS = ("pooler", "redis", "gateway", "reports", "messenger", "erp", "cache", "pages")

_WAIT_SECONDS = 60
_ADAPTERS = ("messenger", "erp", "cache", "pages")
_PAGE = "<!doctype html><title>Digital Hub</title>"


class Programs:
    """The programs, in `folder`. `url` is the database as superuser; `settings` has ports and secrets.

    Messages are delivered to the file `delivered`, orders to the folder `orders_folder`. `variables` override
    those of the adapters.
    """

    messenger_module = "adapters.whatsapp"
    """What runs as the WhatsApp adapter."""

    def __init__(
        self, folder: Path, url: str, settings: Settings, variables: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.url, self.settings = folder, url, settings
        self.account = server_account()
        self.jwt_secret = settings.jwt_secret.get_secret_value()
        self._choice = gateways.choose("auto", paths.root() / ".cache" / "postgrest")
        self._variables = variables or {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._starts: dict[str, Callable[[], subprocess.Popen[bytes]]] = {
            "pooler": self._start_pooler,
            "redis": self._start_redis,
            "gateway": self._start_gateway,
            "reports": self._start_reports,
            "messenger": self._start_messenger,
            "erp": self._start_erp,
            "cache": self._start_cache,
            "pages": self._start_pages,
        }

    @property
    def caller_url(self) -> str:
        """URL of the database for callers that use PgBouncer instead of the gateway."""
        return self.settings.pooled_url

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return self.settings.gateway_url

    @property
    def cache_url(self) -> str:
        """Base URL of the cache."""
        return f"http://{HOST}:{self.settings.cache_port}"

    @property
    def reports_url(self) -> str:
        """Base URL of the gateway for reports."""
        return self.settings.reports_url

    @property
    def pages_url(self) -> str:
        """Base URL of the pages."""
        return self.settings.pages_url

    @property
    def delivered(self) -> Path:
        """The file to which the adapter appends each delivered message as a JSON line."""
        return self.folder / "delivered.jsonl"

    @property
    def orders_folder(self) -> Path:
        """The folder in which the ERP adapter places a file for each approved order."""
        return self.folder / "erp" / "orders"

    def start_all(self) -> None:
        """Start every program; the adapters after what they need."""
        compile_sources()
        python_account().make_folder(self.orders_folder.parent)
        shop = self.folder / "pages" / "shop" / "dist"
        python_account().make_folder(shop)
        (shop / "index.html").write_text(_PAGE)
        with ThreadPoolExecutor() as threads:
            list(threads.map(self.start, [kind for kind in KINDS if kind not in _ADAPTERS]))
            list(threads.map(self.start, _ADAPTERS))

    def start(self, kind: str) -> None:
        """Start a program, and wait until it answers. Raises UserError if it does not."""
        self._children[kind] = self._starts[kind]()

    def await_ready(self, kind: str) -> None:
        """Wait until a program that needs others is ready: they may be recovering from an earlier kill.

        Raises UserError if it does not become ready.
        """
        ports = {
            "messenger": self.settings.whatsapp_port,
            "erp": self.settings.erp_port,
            "cache": self.settings.cache_port,
        }
        urls = {name: f"http://{HOST}:{port}/health/ready" for name, port in ports.items()}
        urls |= {"gateway": self.gateway_url, "reports": self.reports_url}
        if kind in urls:
            log = self.folder / f"{'whatsapp' if kind == 'messenger' else kind}.log"
            _await_http(self._children[kind], log, urls[kind], kind)

    def stop(self, kind: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop a program with a signal, and wait. Raises UserError if it has ended by itself."""
        child = self._children[kind]
        if child.poll() is not None:
            raise UserError(f"{kind} has ended by itself", hint=f"see the logs in {self.folder}")
        processes.end(child, 10, number)

    def tear_down(self) -> None:
        """Stop every program that runs."""
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            processes.end(child, 10)

    def _start_redis(self) -> subprocess.Popen[bytes]:
        program = redis.program()
        if program is None:
            raise UserError("redis-server is not installed", hint="apt-get install redis-server")
        account = self.account
        config = redis.write(self.folder, self.settings, account)
        with (self.folder / "redis.log").open("ab") as log:
            child = subprocess.Popen(
                [str(program), str(config)],
                cwd="/",
                env=account.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **account.popen_arguments(),
            )
        return _once(child, self._await_redis)

    @retry(
        retry=retry_if_exception_type(RedisError),
        stop=stop_after_delay(_WAIT_SECONDS),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    def _await_redis(self) -> None:
        with Redis.from_url(self.settings.redis_url, socket_timeout=5) as client:
            client.ping()

    def _start_pooler(self) -> subprocess.Popen[bytes]:
        child = pgbouncer.start(self.folder, self.settings, self.account)
        return _once(child, lambda: pgbouncer.wait_ready(self.settings, _WAIT_SECONDS))

    def _start_gateway(self) -> subprocess.Popen[bytes]:
        settings = self.settings
        config = gateways.GatewayConfig(
            settings.authenticator_url, self.jwt_secret, settings.gateway_port, settings.gateway_admin_port
        )
        return self._start_a_gateway("gateway", config, self.gateway_url)

    def _start_reports(self) -> subprocess.Popen[bytes]:
        """As in a stack whose standby is down: it reads from the primary."""
        settings = self.settings
        config = gateways.GatewayConfig(
            settings.reports_database_url,
            self.jwt_secret,
            settings.reports_port,
            settings.reports_admin_port,
            pre_request="auth.reports_guard",
        )
        return self._start_a_gateway("reports", config, self.reports_url)

    def _start_a_gateway(
        self, name: str, config: gateways.GatewayConfig, url: str
    ) -> subprocess.Popen[bytes]:
        file, log = self.folder / f"{name}.conf", self.folder / f"{name}.log"
        config.write(file, gateways.account_for(self._choice))
        child = gateways.start(self._choice, file, log)
        return _once(child, lambda: _await_http(child, log, url, name))

    def _start_pages(self) -> subprocess.Popen[bytes]:
        variables = {
            "HUB_GATEWAY_URL": self.gateway_url,
            "HUB_PAGES_PORT": str(self.settings.pages_port),
            "HUB_PAGES_ROOT": str(self.folder / "pages"),
        }
        return start_adapter("pages", self.folder, self.settings.pages_port, variables, ready="/")

    def _start_cache(self) -> subprocess.Popen[bytes]:
        variables = {
            "HUB_JWT_SECRET": self.jwt_secret,
            "HUB_CACHE_PORT": str(self.settings.cache_port),
            "HUB_CACHE_DATABASE_URL": self.settings.cache_url,
            "HUB_REDIS_URL": self.settings.redis_url,
        }
        return start_adapter("cache", self.folder, self.settings.cache_port, variables)

    def _start_messenger(self) -> subprocess.Popen[bytes]:
        return start_whatsapp(
            self.folder,
            gateway_url=self.gateway_url,
            jwt_secret=self.jwt_secret,
            port=self.settings.whatsapp_port,
            delivered=self.delivered,
            variables=self._variables,
            module=self.messenger_module,
        )

    def _start_erp(self) -> subprocess.Popen[bytes]:
        variables = {
            "HUB_GATEWAY_URL": self.gateway_url,
            "HUB_JWT_SECRET": self.jwt_secret,
            "HUB_LISTEN_URL": self.settings.authenticator_url,
            "HUB_ERP_KIND": "csv",
            "HUB_ERP_FOLDER": str(self.orders_folder.parent),
            "HUB_ERP_PORT": str(self.settings.erp_port),
            "HUB_ERP_POLL_SECONDS": "0.2",
            **self._variables,
        }
        return start_adapter("erp", self.folder, self.settings.erp_port, variables)


def start_whatsapp(
    folder: Path,
    *,
    gateway_url: str,
    jwt_secret: str,
    port: int,
    delivered: Path,
    variables: Mapping[str, str] | None = None,
    module: str = "adapters.whatsapp",
) -> subprocess.Popen[bytes]:
    """Start the WhatsApp adapter; it appends each message of a channel without provider to `delivered`."""
    all_variables = {
        "HUB_GATEWAY_URL": gateway_url,
        "HUB_JWT_SECRET": jwt_secret,
        "HUB_WHATSAPP_PORT": str(port),
        "HUB_DELIVERY": "console",
        "HUB_WHATSAPP_FILE": str(delivered),
        "HUB_WHATSAPP_LEASE_SECONDS": "3",
        "HUB_WHATSAPP_POLL_SECONDS": "0.1",
        **(variables or {}),
    }
    return start_adapter("whatsapp", folder, port, all_variables, module)


def start_adapter(
    name: str,
    folder: Path,
    port: int,
    variables: Mapping[str, str],
    module: str = "",
    *,
    ready: str = "/health/ready",
) -> subprocess.Popen[bytes]:
    """Start an adapter, or `module` in its place, as a child process; wait until `ready` answers."""
    account, file = python_account(), folder / f"{name}.log"
    with file.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", module or f"adapters.{name}"],
            cwd="/",
            env=account.environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **account.popen_arguments(),
        )
    url = f"http://{HOST}:{port}{ready}"
    return _once(child, lambda: _await_http(child, file, url, f"adapter {name}"))


def _await_http(child: subprocess.Popen[bytes], log: Path, url: str, what: str) -> None:
    gateways.wait_ready(url, log, lambda: gateways.check_running(child, log, what), what, _WAIT_SECONDS)


def _once(child: subprocess.Popen[bytes], ready: Callable[[], None]) -> subprocess.Popen[bytes]:
    """The child once `ready` returns; where it raises, the child is ended."""
    try:
        ready()
    except BaseException:
        processes.end(child, 10)
        raise
    return child
