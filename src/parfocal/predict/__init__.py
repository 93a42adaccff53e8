"""Signed defocus from one image or a few."""
