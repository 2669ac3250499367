"""The time limit and the containment that every call into a provider's code gets."""

from __future__ import annotations

from types import TracebackType

from rfsn_core.contract.errors import contained
from rfsn_core.contract.time_limit import time_limit


class provider_call:
    """Runs a provider's code in its block for at most `seconds`; None sets no limit.

    Raises TimeoutError when it takes longer, EngineError where it would end the process or cancel its task, and what
    the code itself raises. A class, because a generator costs more, and every sentence passes here several times.
    """

    def __init__(self, seconds: float | None) -> None:
        self._limit = time_limit(seconds)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._limit.__aexit__(kind, error, trace)
        if error is not None and not isinstance(error, Exception):
            with contained():
                raise error
