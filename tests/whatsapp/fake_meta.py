"""A local Graph API: checks what Meta checks, answers as Meta answers, misbehaves on demand.

docs/whatsapp-contract.md says from which public page each fact is.
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
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from litestar import Litestar, Request, Response, post

from hub import paths
from tests.support.test_cluster import free_port

TOKEN = "EAAG-for-tests-only"
PHONE_NUMBER_ID = "106540352242922"
APP_SECRET = "app-secret-for-tests-only"
VERIFY_TOKEN = "verify-token-for-tests-only"
VERSION = "24.0"

PER_SECOND = 80
PAIR_SECONDS = 6.0
PAIR_BURST = 45
LONGEST_TEXT = 1024
LONGEST_PAYLOAD = 256
LONGEST_OPAQUE = 512
LONGEST_TITLE = 20
MOST_BUTTONS = 3
WINDOW_SECONDS = 24 * 3600

Json = dict[str, Any]

_NO_TLS = ssl.create_default_context()
"""One for all clients, since making one takes long; webhooks go over loopback in plain."""


class MetaError(Exception):
    """An error as the Graph API tells it."""

    def __init__(self, code: int, details: str, *, http: int = 400) -> None:
        super().__init__(details)
        self.code, self.details, self.http = code, details, http

    def body(self) -> Json:
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
class Approved:
    """A template that was submitted: docs/whatsapp-templates.md."""

    text: str
    buttons: int

    @property
    def variables(self) -> int:
        return len(set(re.findall(r"\{\{(\d+)\}\}", self.text)))


def approved(page: Path | None = None) -> dict[tuple[str, str], Approved]:
    """All templates of the page, by name and language; a page that Meta would refuse raises ValueError."""
    text = (page or paths.root() / "docs" / "whatsapp-templates.md").read_text()
    found = {}
    for block in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL):
        template = json.loads(block)
        parts = {part["type"]: part for part in template["components"]}
        body = parts["BODY"]["text"]
        _review(template["name"], body)
        buttons = parts.get("BUTTONS", {"buttons": []})["buttons"]
        if any(len(button["text"]) > 25 for button in buttons):
            raise ValueError(f"{template['name']}: a button's text has 25 characters at most")
        found[template["name"], template["language"]] = Approved(body, len(buttons))
    return found


def _review(name: str, body: str) -> None:
    """What Meta's review refuses at once."""
    numbers = re.findall(r"\{\{(\w+)\}\}", body)
    words = re.sub(r"\{\{\w+\}\}", " ", body)
    for rule, kept in {
        "the name is of small letters, digits and _": re.fullmatch(r"[a-z0-9_]{1,512}", name),
        "variables are numbered from 1": numbers == [str(n) for n in range(1, len(numbers) + 1)],
        "no variable at the start": not re.match(r"\W*\{\{", body),
        "no variable at the end": not re.search(r"\}\}\W*$", body),
        "no two variables side by side": not re.search(r"\}\}\W*\{\{", body.replace(":\n", " x ")),
        "words enough for the variables": len(re.findall(r"\w+", words)) >= 2 * len(numbers) + 1,
        "the length": len(body) <= LONGEST_TEXT,
        "no runs of spaces, tabs or empty lines": not re.search(r" {4}|\t|\n{3}", body),
    }.items():
        if not kept:
            raise ValueError(f"{name}: {rule}")


@dataclass
class Double:
    """What it has seen, and how it is to behave."""

    url: str = ""
    webhook_url: str = ""
    templates: dict[tuple[str, str], Approved] = field(default_factory=approved)
    token: str = TOKEN
    per_second: int = PER_SECOND
    callbacks: bool = True
    """Whether statuses are sent back."""
    callback_copies: int = 1
    shuffled: bool = False
    rejections: deque[MetaError | int] = field(default_factory=deque)
    """For the next requests: an error, or an HTTP status of something on the way."""
    swallow: int = 0
    """So many messages are taken, and the answer is lost."""
    delay: float = 0
    dead_numbers: dict[str, int] = field(default_factory=dict)
    """Numbers to which nothing can be delivered, with the code of the `failed` status."""
    wrote: dict[str, float] = field(default_factory=dict)
    """When each number last wrote to us, by Unix time."""
    late_refusals: bool = False
    """Whether a closed window is told by a `failed` status, as Meta mostly does, or at once."""
    seen: list[Json] = field(default_factory=list)
    """Messages that were taken, as they came, with their `id`."""
    requests: int = 0
    messenger: httpx.AsyncClient | None = None
    """Brings the statuses; of the double's own event loop."""
    _recent: deque[float] = field(default_factory=deque)
    _pairs: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def readers(self) -> Counter[str]:
        """How often each message (by our id) reached its reader."""
        return Counter(message["biz_opaque_callback_data"] for message in self.seen)

    def take(self, version: str, number_id: str, token: str | None, raw: bytes) -> Json:
        """Check a request as Meta does; returns the answer. Raises MetaError."""
        if not re.fullmatch(r"v\d{2}\.0", version) or float(version[1:]) < 20:
            raise MetaError(2635, "You are calling a deprecated version of the API")
        if token != f"Bearer {self.token}":
            raise MetaError(190, "Error validating access token", http=401)
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
        if len(body.get("biz_opaque_callback_data", "")) > LONGEST_OPAQUE:
            raise MetaError(131009, "biz_opaque_callback_data is too long")
        if body.get("type") == "template":
            self._check_template(body["template"])
        elif body.get("type") == "interactive":
            self._check_interactive(body["interactive"])
            if self._window_is_closed(to):
                return self._refuse_window(to, body)
        else:
            raise MetaError(100, f"type '{body.get('type')}' is not ours")
        self._limit(to)
        return self._accept(to, body)

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
        if length > LONGEST_TEXT:
            raise MetaError(132005, "Translated text too long")
        buttons = [c for c in template.get("components", []) if c["type"] == "button"]
        if sorted(int(b["index"]) for b in buttons) != list(range(known.buttons)):
            raise MetaError(132000, f"buttons: {len(buttons)} do not match {known.buttons}")
        for button in buttons:
            [parameter] = button["parameters"]
            if button["sub_type"] != "quick_reply" or parameter["type"] != "payload":
                raise MetaError(132012, "Template parameter format mismatch")
            if not 0 < len(parameter["payload"]) <= LONGEST_PAYLOAD:
                raise MetaError(131009, "Parameter value is not valid: payload")

    def _check_interactive(self, interactive: Json) -> None:
        replies = [button["reply"] for button in interactive.get("action", {}).get("buttons", [])]
        if interactive.get("type") != "button" or not 1 <= len(replies) <= MOST_BUTTONS:
            raise MetaError(131009, "Parameter value is not valid: interactive.action.buttons")
        if any(button.get("type") != "reply" for button in interactive["action"]["buttons"]):
            raise MetaError(131009, "Parameter value is not valid: interactive.action.buttons.type")
        if not 0 < len(interactive.get("body", {}).get("text", "")) <= LONGEST_TEXT:
            raise MetaError(131009, "Parameter value is not valid: interactive.body.text")
        for reply in replies:
            if not 0 < len(reply["title"]) <= LONGEST_TITLE:
                raise MetaError(131009, "Button title length invalid. Min length: 1, Max length: 20")
            if not 0 < len(reply["id"]) <= LONGEST_PAYLOAD:
                raise MetaError(131009, "Button id length invalid. Min length: 1, Max length: 256")
        if any(len({reply[key] for reply in replies}) < len(replies) for key in ("title", "id")):
            raise MetaError(131009, "Duplicated button titles or ids")

    def _window_is_closed(self, to: str) -> bool:
        return time.time() - self.wrote.get(to, 0) > WINDOW_SECONDS

    def _refuse_window(self, to: str, body: Json) -> Json:
        """At once, or by a `failed` status after the message was taken: it reaches nobody."""
        if not self.late_refusals:
            raise MetaError(131047, "More than 24 hours have passed since the recipient last replied")
        message = body | {"id": f"wamid.{uuid.uuid4().hex}"}
        self._spawn(self._report(message, 131047))
        return _taken(to, message)

    def _limit(self, to: str) -> None:
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.per_second:
            raise MetaError(130429, "Rate limit hit")
        free_at = max(self._pairs[to], now)
        if free_at + PAIR_SECONDS - now > PAIR_BURST * PAIR_SECONDS:
            raise MetaError(131056, "(Business Account, Consumer Account) pair rate limit hit")
        self._pairs[to] = free_at + PAIR_SECONDS
        self._recent.append(now)

    def _accept(self, to: str, body: Json) -> Json:
        message = body | {"id": f"wamid.{uuid.uuid4().hex}"}
        self.seen.append(message)
        if self.callbacks:
            self._spawn(self._report(message, self.dead_numbers.get(to)))
        return _taken(to, message)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, message: Json, error: int | None) -> None:
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
            self.messenger = self.messenger or _client()
            await self.send_webhook({"statuses": [entry]}, self.messenger)

    async def send_webhook(self, value: Json, by: httpx.AsyncClient | None = None) -> int:
        """Bring it until it is taken, as Meta does (only quicker); returns how often it was brought."""
        self.wrote |= {message["from"]: time.time() for message in value.get("messages", [])}
        metadata = {"display_phone_number": "6281100000000", "phone_number_id": PHONE_NUMBER_ID}
        change = {
            "field": "messages",
            "value": {"messaging_product": "whatsapp", "metadata": metadata} | value,
        }
        body = json.dumps(
            {"object": "whatsapp_business_account", "entry": [{"id": "1029384756", "changes": [change]}]}
        ).encode()
        async with AsyncExitStack() as stack:
            client = by if by is not None else await stack.enter_async_context(_client())
            for attempt in range(1, 400):
                try:
                    answer = await client.post(self.webhook_url, content=body, headers=signed(body))
                    if answer.status_code == 200:
                        return attempt
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.25)
        return 0


def _client() -> httpx.AsyncClient:
    """One that brings webhooks, over loopback."""
    return httpx.AsyncClient(trust_env=False, verify=_NO_TLS, timeout=10)


def _taken(to: str, message: Json) -> Json:
    """The answer to a message that was accepted."""
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": to, "wa_id": to}],
        "messages": [{"id": message["id"], "message_status": "accepted"}],
    }


def payloads(seen: Json) -> list[str]:
    """What the buttons of a message bring back when they are tapped."""
    if seen["type"] == "interactive":
        return [button["reply"]["id"] for button in seen["interactive"]["action"]["buttons"]]
    parts = [part for part in seen["template"].get("components", []) if part["type"] == "button"]
    return [part["parameters"][0]["payload"] for part in parts]


def signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """Headers of a webhook."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}


def tap(sender: str, payload: str) -> Json:
    """The `value` of a webhook: somebody tapped a template's button."""
    message = {
        "from": sender.removeprefix("+"),
        "id": f"wamid.{uuid.uuid4().hex}",
        "timestamp": str(int(time.time())),
        "type": "button",
        "button": {"payload": payload, "text": "Terima"},
    }
    return {"contacts": [{"wa_id": message["from"], "profile": {"name": "CV"}}], "messages": [message]}


def _app(double: Double) -> Litestar:
    @post("/{version:str}/{number_id:str}/messages", status_code=200)
    async def messages(request: Request[Any, Any, Any]) -> Response[Any]:
        double.requests += 1
        version, number_id = request.path_params["version"], request.path_params["number_id"]
        raw = await request.body()
        if double.rejections:
            rejection = double.rejections.popleft()
            if isinstance(rejection, int):
                return Response("<html>Bad Gateway</html>", status_code=rejection, media_type="text/html")
            return Response(rejection.body(), status_code=rejection.http)
        try:
            answer = double.take(version, number_id, request.headers.get("authorization"), raw)
        except MetaError as error:
            return Response(error.body(), status_code=error.http)
        if double.swallow:
            double.swallow -= 1
            await asyncio.sleep(3600)
        await asyncio.sleep(double.delay)
        return Response(answer)

    return Litestar([messages], openapi_config=None, logging_config=None)


@contextmanager
def running() -> Iterator[Double]:
    """The double on a loopback port."""
    double = Double()
    port = free_port(27400)
    config = uvicorn.Config(
        _app(double),
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
    double.url = f"http://127.0.0.1:{port}"
    try:
        yield double
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
