"""Bring a blurred image into focus after capture."""
