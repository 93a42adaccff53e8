"""Blind refocusing of 2048 x 2048 px: seconds for each mm^2, and the share of the bfloat16 roof.

``python -m benchmarks.refocus [--quick] [--model NAME]``
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import describe_machine, race, verdict
from parfocal.core.errors import InputError
from parfocal.evaluate.luo2020_beads import SETUP, bead_planes
from parfocal.refocus.blind import DEFAULT_MODEL, load_refocuser
from parfocal.refocus.refocuser import BlindRefocuser

SIZE_PX, TILE_PX = 2048, 512
MOST_SECONDS, SHARE_OF_ROOF = 6.0, 0.8
ROOF_SIDE = 1024
DEFOCUS_UM = 2.0


def work_of(refocuser: BlindRefocuser, size_px: int) -> float:
    """Multiplications and additions of the networks alone, each counted, for one tile."""
    network = refocuser.ensemble.working[0]
    views = torch.zeros(1, network.views, size_px, size_px)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(views, torch.zeros(1, network.optics.in_features))
    return float(counter.get_total_flops()) * len(refocuser.ensemble.working)


def print_refocus(*, quick: bool, model: str = DEFAULT_MODEL) -> None:
    """Print the time of a whole call, of the networks alone, and of the roof, from one run."""
    try:
        refocuser = load_refocuser(model)
    except InputError as error:
        print(f"\nBlind refocusing: {error}")
        return
    size = SIZE_PX // 4 if quick else SIZE_PX
    tile = torch.from_numpy(bead_planes((DEFOCUS_UM,), beads=16, seed=1)[0].image)
    image = tile.repeat(size // tile.shape[0], size // tile.shape[1])
    network = refocuser.ensemble.working[0]
    views = torch.rand(1, network.views, TILE_PX, TILE_PX)
    facts = torch.zeros(1, network.optics.in_features)
    factors = torch.randn(ROOF_SIDE, ROOF_SIDE).bfloat16()
    with torch.inference_mode():
        times = race(
            {
                "whole call": lambda: refocuser.refocus(image, setup=SETUP),
                "network, bfloat16": lambda: refocuser.ensemble.ask(views, facts, is_narrow=True),
                "network, float32": lambda: refocuser.ensemble.ask(views, facts, is_narrow=False),
                "roof": partial(torch.matmul, factors, factors),
            },
            3 if quick else 5,
        )
    work = work_of(refocuser, TILE_PX)
    whole = work * (size / TILE_PX) ** 2
    roof = 2.0 * ROOF_SIDE**3 / times["roof"].wall_ms
    area = (size * SETUP.pixel_um / 1000) ** 2
    print(
        f"\n{refocuser.name}, {size} x {size} px of {SETUP.pixel_um:g} um = {area:.3f} mm^2; "
        f"{whole / 1e9:.0f} GFLOP without overlaps"
    )
    seconds = times["whole call"].wall_ms / 1000
    told = verdict(seconds / area, MOST_SECONDS, at_most=True)
    spent = statistics.median(times["whole call"].cpu_s)
    print(f"whole call    {seconds:8.2f} s, for a mm^2 {told}; {spent:.2f} s of the processor")
    share = whole / times["whole call"].wall_ms / roof
    print(f"  of the roof {verdict(share, SHARE_OF_ROOF, at_most=False)}, all that it does counted")
    for name in ("network, bfloat16", "network, float32"):
        own = work / times[name].wall_ms
        print(f"{name:18}{times[name].wall_ms:8.1f} ms a tile of {TILE_PX} px: {own / roof:.2f} of "
              "the roof")  # fmt: skip
    print(f"roof (bfloat16 matrix product) {roof / 1e6:.0f} GFLOP/s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refocus", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="512 x 512 px and few rounds")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a name or a folder")
    options = parser.parse_args()
    print(describe_machine())
    print_refocus(quick=options.quick, model=options.model)


if __name__ == "__main__":
    main()
