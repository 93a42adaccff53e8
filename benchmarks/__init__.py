"""Speed, as ratios from one run: ``python -m benchmarks`` from the repository root."""
