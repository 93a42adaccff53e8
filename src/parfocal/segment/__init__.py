"""Which pixels of a stack are in focus."""
