"""Time for a simulation: as fast as it computes, or as slow as it really is."""

from __future__ import annotations

import threading
import time


class SimulatedClock:
    """Time that passes only when someone waits, and then at once.

    Examples
    --------
    >>> clock = SimulatedClock()
    >>> clock.wait_s(3600.0)
    >>> clock.now_s()
    3600.0
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self._now_s

    def wait_s(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now_s += max(0.0, seconds)

    def interrupt(self) -> None:
        """Nothing: nobody waits."""


class RealClock:
    """Time of the wall, from the moment the clock was made.

    A wait can be interrupted from another thread; it then ends early.
    """

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._bell = threading.Condition()

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start_s

    def wait_s(self, seconds: float) -> None:
        """Sleep, or until ``interrupt``."""
        if seconds > 0:
            with self._bell:
                self._bell.wait(seconds)

    def interrupt(self) -> None:
        """End every wait."""
        with self._bell:
            self._bell.notify_all()
