"""Exit status of the command, and the error that means the call itself is wrong."""

from __future__ import annotations

from parfocal.core.errors import ParfocalError

DONE = 0
SOME_FAILED = 1
CALL_IS_WRONG = 2
INTERRUPTED = 130


class CallError(ParfocalError):
    """The command was called in a way that cannot work, whatever the inputs hold."""
