"""Call a driver so that one which hangs does not take the program with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NoReturn

from parfocal.core.errors import DeviceError


class Outcome:
    """What one call gave: a value, or the exception that it raised.

    As a context it keeps the exception for whoever asked for the call, who raises it.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def __enter__(self) -> Outcome:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        self.done.set()
        return True

    def reraise(self, what: str, kind: type[DeviceError]) -> NoReturn:
        """Raise the driver's exception as an error of that kind; Ctrl-C as itself."""
        error = self.error
        if isinstance(error, Exception) and not isinstance(error, kind):
            raise kind(f"The driver failed in {what}: {type(error).__name__}: {error}") from error
        raise error or kind(what)


class Watchdog:
    """One thread that calls the driver while the caller keeps the time.

    The thread is a daemon, so that a driver which never returns does not hold the program.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Callable[[], Any], Outcome] | None] = SimpleQueue()
        self._pending: Outcome | None = None
        self._thread: threading.Thread | None = None

    def call(self, task: Callable[[], Any], timeout_s: float | None) -> Outcome | None:
        """Call and wait; None if it has not returned in time.

        An interrupt (Ctrl-C) during the wait goes to the caller; the call goes on meanwhile.
        """
        outcome = Outcome()
        if timeout_s is None:
            with outcome:
                outcome.value = task()
            return outcome
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="parfocal-drive")
            self._thread.start()
        self._pending = outcome
        self._tasks.put((task, outcome))
        return outcome if self.wait_idle(timeout_s) else None

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until the driver has returned; False if it has not."""
        if self._pending is None or self._pending.done.wait(timeout_s):
            self._pending = None
            return True
        return False

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return self._pending is None or self._pending.done.is_set()

    def close(self) -> None:
        """Let the thread end; one that hangs in its driver is left behind."""
        if self._thread is not None:
            self._tasks.put(None)
            if self.idle:
                self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, outcome = item
            with outcome:
                outcome.value = task()
