"""The command line: one short file per verb; parses, calls, prints."""
