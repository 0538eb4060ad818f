"""What a request needs: who asks, what is current, and the body that shows it."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.cache.bearer import Verifier
from adapters.cache.bodies import Body
from adapters.cache.copies import Copies
from adapters.cache.database import CONFIGS, Caller, Database, Family, State
from adapters.cache.errors import RefusedError
from adapters.cache.shared_store import SharedStore
from adapters.cache.stock import StockCopies
from adapters.common.coalescing import Coalescer

_LARGEST_VERSION = 2**53


@dataclass(frozen=True)
class Seen:
    """What a query that began after the request arrived says of the caller and of the versions."""

    state: State
    caller: Caller


@dataclass(frozen=True)
class Source:
    """A body with the way it came: `memory`, or `fill` if it had to be read."""

    body: Body
    source: str


class CacheService:
    """Answers for callers; holds no rule of its own."""

    def __init__(self, database: Database, verifier: Verifier, store: SharedStore | None) -> None:
        self._database = database
        self._verifier = verifier
        self._ask: Coalescer[str, Seen] = Coalescer(self._see)
        self._copies = Copies(database.body, store)
        self._stock = StockCopies(database.stock)

    async def catalogue(self, authorization: str | None, version: str | None) -> Source:
        """The catalogue of the caller's price list. Raises RefusedError."""
        seen = await self._seen(authorization, version, lambda state: state.catalogue)
        return await self._body(seen.caller.admitted(), seen.state.catalogue)

    async def configs(self, authorization: str | None, version: str | None) -> Source:
        """The configuration that frontends need. Raises RefusedError."""
        seen = await self._seen(authorization, version, lambda state: state.configs)
        seen.caller.admitted()
        return await self._body(CONFIGS, seen.state.configs)

    async def stock(self, authorization: str | None) -> tuple[bytes, dict[str, str]]:
        """Display stock, at most `cache.stock_seconds` old, and headers with its age. Raises RefusedError."""
        seen = await self._ask.answer(self._verifier.claims(authorization))
        seen.caller.admitted()
        copy = await self._stock.copy(seen.state.stock_seconds)
        return copy.body, self._stock.headers(copy)

    async def _body(self, name: str, family: Family) -> Source:
        if present := self._copies.present(name, family.state):
            return Source(present, "memory")
        return Source(await self._copies.body(name, family.state), "fill")

    async def _seen(
        self, authorization: str | None, version: str | None, family: Callable[[State], Family]
    ) -> Seen:
        claims = self._verifier.claims(authorization)
        wanted = _version(version)
        seen = await self._ask.answer(claims)
        if wanted > family(seen.state).version:
            # The client has seen a commit that this server has not: it is a former primary, unless the
            # database was restored from a backup, in which case the commit is gone.
            await self._database.reconnect()
            seen = await self._ask.answer(claims)
        return seen

    async def _see(self, callers: list[str]) -> list[Seen]:
        state = await self._database.state(callers)
        return [Seen(state, caller) for caller in state.callers]


def _version(text: str | None) -> int:
    """The version that a client has seen, 0 if it sends none. Raises RefusedError (400)."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) >= _LARGEST_VERSION:
        raise RefusedError(
            400,
            "INVALID_ARGUMENT",
            "Hub-Version is not a version",
            hint="Send the version of the last body, or no such header",
        )
    return int(text)
