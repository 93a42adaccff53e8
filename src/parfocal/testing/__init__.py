"""Contract suites for authors of drivers and searches: subclass one, give a fixture, run pytest.

This package needs pytest and is imported by tests alone.
"""

from parfocal.testing.devices import CameraContract, MicroscopeContract, StageContract
from parfocal.testing.searches import SearchContract

__all__ = ["CameraContract", "MicroscopeContract", "SearchContract", "StageContract"]
