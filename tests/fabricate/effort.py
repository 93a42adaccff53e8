"""How many cases the laws of moving a stage are tried on."""

from __future__ import annotations

import os

THOROUGH = int(os.environ.get("PARFOCAL_LAWS", "1"))
"""Multiplies the cases; `make laws` sets it."""
