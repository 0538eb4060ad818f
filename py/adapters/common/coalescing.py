"""One call for many waiting requests, which begins after each of them has arrived."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from itertools import chain
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
            fail(chain.from_iterable(batch), error)
            if not isinstance(error, Exception):
                raise
            return
        for futures, answer in zip(batch, answers, strict=True):
            succeed(futures, answer)


def succeed(waiting: Iterable[asyncio.Future[Answer]], answer: Answer) -> None:
    """Give the answer to all that still wait."""
    for future in waiting:
        if not future.done():
            future.set_result(answer)


def fail(waiting: Iterable[asyncio.Future[Answer]], error: BaseException) -> None:
    """Raise the error where an answer is still awaited; the end of the program as ConnectionError."""
    failure = error if isinstance(error, Exception) else ConnectionError("the program is stopping")
    for future in waiting:
        if not future.done():
            future.set_exception(failure)
