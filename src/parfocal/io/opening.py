"""Open any focal stack: one function that finds the reader and the metadata."""


def open_stack() -> None: ...
