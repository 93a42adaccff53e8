"""Print every table: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse

from benchmarks.deconvolution import print_speed
from benchmarks.led import print_led
from benchmarks.maps import print_maps
from benchmarks.predictor import print_predictor
from benchmarks.refocus import print_refocus
from benchmarks.segment import print_segment
from benchmarks.simulation import print_simulation
from benchmarks.spectra import print_spectra
from benchmarks.timing import describe_machine
from parfocal.core.memory import keep_freed_memory


def main() -> None:
    """Run all benchmarks and print them as tables, each ratio from one run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: about a minute")
    tables = (
        "maps", "spectra", "simulation", "predictor", "led", "segment", "deconvolution", "refocus",
    )  # fmt: skip
    parser.add_argument("--only", choices=tables, help="one table")
    options = parser.parse_args()
    print(describe_machine(keeps=keep_freed_memory()))
    if options.only in (None, "maps"):
        print_maps(quick=options.quick)
    if options.only in (None, "spectra"):
        print_spectra(quick=options.quick)
    if options.only in (None, "simulation"):
        print_simulation(quick=options.quick)
    if options.only in (None, "predictor"):
        print_predictor(quick=options.quick)
    if options.only in (None, "led"):
        print_led(quick=options.quick)
    if options.only in (None, "segment"):
        print_segment(quick=options.quick)
    if options.only in (None, "deconvolution"):
        print_speed(quick=options.quick)
    if options.only in (None, "refocus"):
        print_refocus(quick=options.quick)


if __name__ == "__main__":
    main()
