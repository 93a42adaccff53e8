"""Ground: optics in numbers, stacks, results, errors and protocols. Imports no other room."""
