"""Network architectures, one a file; no weights, no training."""
