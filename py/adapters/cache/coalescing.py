"""One query for many waiting requests, which begins after each of them has arrived."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Coalescer(Generic[Question, Answer]):
    """Asks for all waiting requests at once; what arrives while a query runs waits for the next one.

    An answer is therefore never older than the request that receives it: a transaction that committed before
    the request arrived is seen by a query that began later. Equal questions are asked once.
    """

    def __init__(
        self, ask: Callable[[list[Question]], Awaitable[Sequence[Answer]]], *, limit: int = 500
    ) -> None:
        """`ask` answers a list of at most `limit` questions in their order."""
        self._ask = ask
        self._limit = limit
        self._waiting: dict[Question, list[asyncio.Future[Answer]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def answer(self, question: Question) -> Answer:
        """The answer of a query that begins after this call. Raises what the query raises."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(question, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                questions = list(self._waiting)[: self._limit]
                batch = [self._waiting.pop(question) for question in questions]
                await self._settle(questions, batch)
        finally:
            self._task = None

    async def _settle(self, questions: list[Question], batch: list[list[asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._ask(questions)
        except BaseException as error:
            failure = error if isinstance(error, Exception) else ConnectionError("the cache is stopping")
            for future in (future for futures in batch for future in futures if not future.done()):
                future.set_exception(failure)
            if not isinstance(error, Exception):
                raise
            return
        for futures, answer in zip(batch, answers, strict=True):
            for future in futures:
                if not future.done():
                    future.set_result(answer)
