"""A fake Meta server: checks requests and answers like the Graph API, and fails on demand.

docs/whatsapp/contract.md names the public page that documents each fact.
"""

import asyncio
import hashlib
import hmac
import json
import random
import re
import ssl
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from litestar import Litestar, Request, Response, get, post

from hub import paths
from tests.support.test_cluster import free_port

TOKEN = "EAAG-for-tests-only"
PHONE_NUMBER_ID = "106540352242922"
BUSINESS_ACCOUNT_ID = "102290129340398"
APP_SECRET = "app-secret-for-tests-only"
VERIFY_TOKEN = "verify-token-for-tests-only"
VERSION = "24.0"

PER_SECOND = 80
PAIR_SECONDS = 6.0
PAIR_BURST = 45
MAX_TEXT_LENGTH = 1024
MAX_PAYLOAD_LENGTH = 256
MAX_OPAQUE_LENGTH = 512
MAX_TITLE_LENGTH = 20
MAX_CODE_LENGTH = 15
MAX_BUTTONS = 3
WINDOW_SECONDS = 24 * 3600

Json = dict[str, Any]

_NO_TLS = ssl.create_default_context()
"""Shared by all clients, because creating a context is slow; webhooks are sent unencrypted on loopback."""


class MetaError(Exception):
    """An error in the form of the Graph API."""

    def __init__(self, code: int, details: str, *, http: int = 400) -> None:
        super().__init__(details)
        self.code, self.details, self.http = code, details, http

    def body(self) -> Json:
        """The body of the answer."""
        data = {"messaging_product": "whatsapp", "details": self.details}
        return {
            "error": {
                "message": f"(#{self.code}) {self.details}",
                "type": "OAuthException",
                "code": self.code,
                "error_data": data,
                "fbtrace_id": uuid.uuid4().hex[:11],
            }
        }


@dataclass(frozen=True)
class ApprovedTemplate:
    """A template of docs/whatsapp/templates.md, as Meta approves it."""

    text: str
    buttons: int
    is_code: bool = False
    """Category AUTHENTICATION: Meta's own text, and a button that copies the code."""

    @property
    def variables(self) -> int:
        return len(set(re.findall(r"\{\{(\d+)\}\}", self.text)))


CODE_TEXT = "*{{1}}* adalah kode verifikasi Anda. Demi keamanan, jangan bagikan kode ini."


def submitted_templates() -> list[Json]:
    """The templates of the page, in its order."""
    text = (paths.root() / "docs" / "whatsapp" / "templates.md").read_text()
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)]


def stored(template: Json) -> Json:
    """A submitted template as `GET /<WABA_ID>/message_templates` returns it once it is approved."""
    kept = {key: value for key, value in template.items() if key != "message_send_ttl_seconds"}
    kept |= {"id": str(abs(hash(template["name"]))), "status": "APPROVED", "rejected_reason": "NONE"}
    if template["category"] == "AUTHENTICATION":
        body, footer, buttons = json.loads(json.dumps(template["components"]))
        body["text"] = CODE_TEXT
        footer["text"] = f"Kode ini kedaluwarsa dalam {footer['code_expiration_minutes']} menit."
        url = "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"
        buttons["buttons"] = [{"type": "URL", "text": "Salin kode", "url": url}]
        kept["components"] = [body, footer, buttons]
    return kept


def approved_templates() -> dict[tuple[str, str], ApprovedTemplate]:
    """The templates of the page by name and language. Raises ValueError if Meta would refuse one."""
    found = {}
    for template in submitted_templates():
        parts = {part["type"]: part for part in template["components"]}
        if template["category"] == "AUTHENTICATION":
            found[template["name"], template["language"]] = ApprovedTemplate(CODE_TEXT, 1, is_code=True)
            continue
        body = parts["BODY"]["text"]
        _review(template["name"], body)
        buttons = parts.get("BUTTONS", {"buttons": []})["buttons"]
        if any(len(button["text"]) > 25 for button in buttons):
            raise ValueError(f"{template['name']}: a button has more than 25 characters")
        found[template["name"], template["language"]] = ApprovedTemplate(body, len(buttons))
    return found


def _review(name: str, body: str) -> None:
    """Apply the rules of Meta's automatic review. Raises ValueError with the broken rule."""
    numbers = re.findall(r"\{\{(\w+)\}\}", body)
    words = re.sub(r"\{\{\w+\}\}", " ", body)
    for rule, is_kept in {
        "the name may have lower-case letters, digits and _": re.fullmatch(r"[a-z0-9_]{1,512}", name),
        "variables must be numbered from 1": numbers == [str(n) for n in range(1, len(numbers) + 1)],
        "the text may not start with a variable": not re.match(r"\W*\{\{", body),
        "the text may not end with a variable": not re.search(r"\}\}\W*$", body),
        "two variables may not be adjacent": not re.search(r"\}\}\W*\{\{", body.replace(":\n", " x ")),
        "n variables need 2n + 1 words": len(re.findall(r"\w+", words)) >= 2 * len(numbers) + 1,
        "the text is too long": len(body) <= MAX_TEXT_LENGTH,
        "the text may not have runs of spaces, tabs or empty lines": not re.search(r" {4}|\t|\n{3}", body),
    }.items():
        if not is_kept:
            raise ValueError(f"{name}: {rule}")


@dataclass
class FakeMeta:
    """The state of the fake server and its configured faults."""

    url: str = ""
    webhook_url: str = ""
    templates: dict[tuple[str, str], ApprovedTemplate] = field(default_factory=approved_templates)
    listed: list[Json] = field(default_factory=lambda: [stored(each) for each in submitted_templates()])
    """The templates that it lists."""
    page_size: int = 25
    """Templates of one answer, unless less are asked for."""
    token: str = TOKEN
    per_second: int = PER_SECOND
    callbacks: bool = True
    """Whether status webhooks are sent."""
    callback_copies: int = 1
    """How often each status is sent."""
    shuffled: bool = False
    """Whether the statuses of a message are sent in random order."""
    rejections: deque[MetaError | int] = field(default_factory=deque)
    """Answers to the next requests: an error of Meta, or the HTTP status of a proxy in between."""
    lost_answers: int = 0
    """The next so many messages are accepted without an answer."""
    delay: float = 0
    """Seconds between accepting a message and answering."""
    dead_numbers: dict[str, int] = field(default_factory=dict)
    """Unreachable numbers with the error code of their `failed` status."""
    last_inbound: dict[str, float] = field(default_factory=dict)
    """Unix time of the last message from each number."""
    late_refusals: bool = False
    """Whether a closed window is reported by a `failed` status, as Meta mostly does, or in the answer."""
    accepted: list[Json] = field(default_factory=list)
    """The bodies of accepted messages, with their `id`."""
    accepted_at: dict[str, float] = field(default_factory=dict)
    """Unix time of the first acceptance of each message, by the hub's id."""
    requests: int = 0
    """Number of requests to send, refused ones included."""
    limited: int = 0
    """Requests that exceeded a rate limit."""
    probes: int = 0
    """How often the number was read."""
    outage: int = 0
    """Unless 0, a proxy answers every request with this HTTP status."""
    webhook_client: httpx.AsyncClient | None = None
    """Sends the statuses; belongs to the event loop of the server."""
    _recent: deque[float] = field(default_factory=deque)
    _pairs: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def deliveries(self) -> Counter[str]:
        """How often each message, by the hub's id, was delivered."""
        return Counter(message["biz_opaque_callback_data"] for message in self.accepted)

    def accept(self, version: str, number_id: str, token: str | None, raw: bytes) -> Json:
        """Check a request like Meta and accept its message; returns the answer. Raises MetaError."""
        if not re.fullmatch(r"v\d{2}\.0", version) or float(version[1:]) < 20:
            raise MetaError(2635, "You are calling a deprecated version of the API")
        self.check_token(token)
        if number_id != PHONE_NUMBER_ID:
            raise MetaError(100, f"Object with ID '{number_id}' does not exist")
        try:
            body = json.loads(raw)
        except ValueError:
            raise MetaError(100, "Invalid parameter") from None
        if body.get("messaging_product") != "whatsapp":
            raise MetaError(100, "messaging_product is required")
        to = body.get("to", "")
        if not re.fullmatch(r"[1-9]\d{7,14}", to):
            raise MetaError(131009, "Parameter value is not valid: to")
        if len(body.get("biz_opaque_callback_data", "")) > MAX_OPAQUE_LENGTH:
            raise MetaError(131009, "biz_opaque_callback_data is too long")
        if body.get("type") == "template":
            self._check_template(body["template"])
        elif body.get("type") == "interactive":
            self._check_interactive(body["interactive"])
            if self._window_is_closed(to):
                return self._refuse_window(to, body)
        else:
            raise MetaError(100, f"type '{body.get('type')}' is not supported")
        self._limit(to)
        return self._record(to, body)

    def check_token(self, token: str | None) -> None:
        """Check the header Authorization. Raises MetaError."""
        if token != f"Bearer {self.token}":
            raise MetaError(190, "Error validating access token", http=401)

    def _check_template(self, template: Json) -> None:
        language = template["language"]["code"]
        known = self.templates.get((template["name"], language))
        if known is None:
            raise MetaError(
                132001, f"template name ({template['name']}) does not exist in {language}", http=404
            )
        texts = [p for c in template.get("components", []) if c["type"] == "body" for p in c["parameters"]]
        if len(texts) != known.variables:
            raise MetaError(
                132000, f"body: number of localizable_params ({len(texts)}) does not match {known.variables}"
            )
        length = len(re.sub(r"\{\{\d+\}\}", "", known.text))
        for parameter in texts:
            text = parameter["text"]
            if parameter["type"] != "text" or not text:
                raise MetaError(131008, "Required parameter is missing")
            if re.search(r"[\n\t]| {4}", text):
                raise MetaError(
                    132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
                )
            length += len(text)
        if length > MAX_TEXT_LENGTH:
            raise MetaError(132005, "Translated text too long")
        buttons = [c for c in template.get("components", []) if c["type"] == "button"]
        if known.is_code:
            self._check_code(texts, buttons)
            return
        if sorted(int(b["index"]) for b in buttons) != list(range(known.buttons)):
            raise MetaError(132000, f"buttons: {len(buttons)} do not match {known.buttons}")
        for button in buttons:
            [parameter] = button["parameters"]
            if button["sub_type"] != "quick_reply" or parameter["type"] != "payload":
                raise MetaError(132012, "Template parameter format mismatch")
            if not 0 < len(parameter["payload"]) <= MAX_PAYLOAD_LENGTH:
                raise MetaError(131009, "Parameter value is not valid: payload")

    def _check_code(self, texts: list[Json], buttons: list[Json]) -> None:
        expected = [{"type": "button", "sub_type": "url", "index": "0", "parameters": texts}]
        if buttons != expected:
            raise MetaError(131008, "Required parameter is missing: the code of the button")
        if len(texts[0]["text"]) > MAX_CODE_LENGTH:
            raise MetaError(132005, "The code has more than 15 characters")

    def _check_interactive(self, interactive: Json) -> None:
        replies = [button["reply"] for button in interactive.get("action", {}).get("buttons", [])]
        if interactive.get("type") != "button" or not 1 <= len(replies) <= MAX_BUTTONS:
            raise MetaError(131009, "Parameter value is not valid: interactive.action.buttons")
        if any(button.get("type") != "reply" for button in interactive["action"]["buttons"]):
            raise MetaError(131009, "Parameter value is not valid: interactive.action.buttons.type")
        if not 0 < len(interactive.get("body", {}).get("text", "")) <= MAX_TEXT_LENGTH:
            raise MetaError(131009, "Parameter value is not valid: interactive.body.text")
        for reply in replies:
            if not 0 < len(reply["title"]) <= MAX_TITLE_LENGTH:
                raise MetaError(131009, "Button title length invalid. Min length: 1, Max length: 20")
            if not 0 < len(reply["id"]) <= MAX_PAYLOAD_LENGTH:
                raise MetaError(131009, "Button id length invalid. Min length: 1, Max length: 256")
        if any(len({reply[key] for reply in replies}) < len(replies) for key in ("title", "id")):
            raise MetaError(131009, "Duplicated button titles or ids")

    def _window_is_closed(self, to: str) -> bool:
        return time.time() - self.last_inbound.get(to, 0) > WINDOW_SECONDS

    def _refuse_window(self, to: str, body: Json) -> Json:
        """Refuse a free-form message in the answer, or by a `failed` status after it was accepted."""
        if not self.late_refusals:
            raise MetaError(131047, "More than 24 hours have passed since the recipient last replied")
        message = body | {"id": f"wamid.{uuid.uuid4().hex}"}
        self._spawn(self._send_statuses(message, 131047))
        return _acceptance(to, message)

    def _limit(self, to: str) -> None:
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.per_second:
            self.limited += 1
            raise MetaError(130429, "Rate limit hit")
        free_at = max(self._pairs[to], now)
        if free_at + PAIR_SECONDS - now > PAIR_BURST * PAIR_SECONDS:
            self.limited += 1
            raise MetaError(131056, "(Business Account, Consumer Account) pair rate limit hit")
        self._pairs[to] = free_at + PAIR_SECONDS
        self._recent.append(now)

    def _record(self, to: str, body: Json) -> Json:
        message = body | {"id": f"wamid.{uuid.uuid4().hex}"}
        self.accepted.append(message)
        self.accepted_at.setdefault(message["biz_opaque_callback_data"], time.time())
        if self.callbacks:
            self._spawn(self._send_statuses(message, self.dead_numbers.get(to)))
        return _acceptance(to, message)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_statuses(self, message: Json, error: int | None) -> None:
        statuses = ["sent", "delivered", "read"] if error is None else ["sent", "failed"]
        if self.shuffled:
            statuses = random.sample(statuses, len(statuses))
        for status in statuses * self.callback_copies:
            entry = {
                "id": message["id"],
                "status": status,
                "timestamp": str(int(time.time())),
                "recipient_id": message["to"],
                "biz_opaque_callback_data": message["biz_opaque_callback_data"],
            }
            if status == "failed":
                entry["errors"] = [{"code": error, "title": "Message undeliverable"}]
            self.webhook_client = self.webhook_client or _client()
            await self.send_webhook({"statuses": [entry]}, self.webhook_client)

    async def send_webhook(self, value: Json, client: httpx.AsyncClient | None = None) -> int:
        """Send a webhook until it is answered 200, like Meta but with shorter pauses.

        Returns the number of attempts, 0 if all of them failed.
        """
        self.last_inbound |= {message["from"]: time.time() for message in value.get("messages", [])}
        metadata = {"display_phone_number": "6281100000000", "phone_number_id": PHONE_NUMBER_ID}
        change = {
            "field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": metadata} | value,
        }
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": "1029384756", "changes": [change]}]}
        ).encode()
        async with AsyncExitStack() as stack:
            sender = client if client is not None else await stack.enter_async_context(_client())
            for attempt in range(1, 400):
                try:
                    answer = await sender.post(self.webhook_url, content=body, headers=signed(body))
                    if answer.status_code == 200:
                        return attempt
                except (httpx.HTTPError, AttributeError):
                    pass  # the adapter is away; AttributeError: anyio met a socket that was just closed
                await asyncio.sleep(0.25)
        return 0


def _client() -> httpx.AsyncClient:
    """A client that sends webhooks over loopback."""
    return httpx.AsyncClient(trust_env=False, verify=_NO_TLS, timeout=10)


def _acceptance(to: str, message: Json) -> Json:
    """The answer to a message that was accepted."""
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": to, "wa_id": to}],
        "messages": [{"id": message["id"], "message_status": "accepted"}],
    }


def payloads(message: Json) -> list[str]:
    """The payloads of an accepted message's buttons, which a tap sends back."""
    if message["type"] == "interactive":
        return [button["reply"]["id"] for button in message["interactive"]["action"]["buttons"]]
    parts = [part for part in message["template"].get("components", []) if part["type"] == "button"]
    return [part["parameters"][0]["payload"] for part in parts]


def signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """The headers of a webhook, with the signature of its body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


def tap(sender: str, payload: str) -> Json:
    """The `value` of a webhook after a tap on a template's button."""
    message = {
        "from": sender.removeprefix("+"),
        "id": f"wamid.{uuid.uuid4().hex}",
        "timestamp": str(int(time.time())),
        "type": "button",
        "button": {"payload": payload, "text": "Terima"},
    }
    return {"contacts": [{"wa_id": message["from"], "profile": {"name": "CV"}}], "messages": [message]}


def _app(meta: FakeMeta) -> Litestar:
    @post("/{version:str}/{number_id:str}/messages", status_code=200)
    async def messages(request: Request[Any, Any, Any]) -> Response[Any]:
        meta.requests += 1
        if meta.outage:
            return _page(meta.outage)
        version, number_id = request.path_params["version"], request.path_params["number_id"]
        raw = await request.body()
        if meta.rejections:
            rejection = meta.rejections.popleft()
            if isinstance(rejection, int):
                return _page(rejection)
            raise rejection
        answer = meta.accept(version, number_id, request.headers.get("authorization"), raw)
        if meta.lost_answers:
            meta.lost_answers -= 1
            await asyncio.sleep(3600)
        await asyncio.sleep(meta.delay)
        return Response(answer)

    @get("/{version:str}/{number_id:str}")
    async def number(request: Request[Any, Any, Any]) -> Response[Any]:
        meta.probes += 1
        if meta.outage:
            return _page(meta.outage)
        meta.check_token(request.headers.get("authorization"))
        return Response({"id": request.path_params["number_id"]})

    @get("/{version:str}/{account_id:str}/message_templates")
    async def templates(request: Request[Any, Any, Any]) -> Response[Any]:
        if meta.outage:
            return _page(meta.outage)
        meta.check_token(request.headers.get("authorization"))
        if request.path_params["account_id"] != BUSINESS_ACCOUNT_ID:
            raise MetaError(100, "Unsupported get request")
        first = int(request.query_params.get("after", 0))
        until = first + min(meta.page_size, int(request.query_params.get("limit", meta.page_size)))
        paging: Json = {"cursors": {"before": str(first), "after": str(until)}}
        if until < len(meta.listed):
            paging["next"] = f"{meta.url}/next"
        return Response({"data": meta.listed[first:until], "paging": paging})

    return Litestar(
        [messages, number, templates],
        exception_handlers={MetaError: _refuse},
        openapi_config=None,
        logging_config=None,
    )


def _refuse(_: Request[Any, Any, Any], error: MetaError) -> Response[Any]:
    return Response(error.body(), status_code=error.http)


def _page(status: int) -> Response[Any]:
    """The answer of a proxy in between."""
    return Response("<html>Bad Gateway</html>", status_code=status, media_type="text/html")


@contextmanager
def running() -> Iterator[FakeMeta]:
    """A fake Meta server on a loopback port."""
    meta = FakeMeta()
    port = free_port(27400)
    config = uvicorn.Config(
        _app(meta),
        host="127.0.0.1",
        port=port,
        log_config=None,
        timeout_graceful_shutdown=0,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    meta.url = f"http://127.0.0.1:{port}"
    try:
        yield meta
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
