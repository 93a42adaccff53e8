"""The two-image predictor against eager torch, patch by patch and run over a whole field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.timing import Timing, race, verdict
from parfocal.core.setup import OpticalSetup
from parfocal.models import ModelCard, find_model, load_model
from parfocal.models.catalog import model_rows
from parfocal.nets.fast import gated_copies
from parfocal.nets.li2021 import Li2021Network
from parfocal.nets.pair import PairNetwork
from parfocal.predict.dense import defocus_map
from parfocal.predict.pair_predictor import PairPredictor
from parfocal.predict.pairs import is_blank, normalised, pair_facts, swapped
from parfocal.predict.working import probe_pairs

MODEL = "pair-fluorescence"
PATCHES, PATCH_PX, FIELD_PX = 32, 128, 1024
SETUP = OpticalSetup(na=0.5, wavelength_nm=500, pixel_um=0.5)  # nothing is resampled
SPACING_UM = 3.0
FASTER_THAN_EAGER, SHARE_OF_ROOF, FASTER_PER_POSITION = 4.0, 0.6, 60.0
ROOF_SIDE = 1024


def operations(network: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    """Multiplications and additions of convolutions and dense layers, for one input of a batch."""
    counts: list[float] = []

    def count(layer: nn.Module, _: object, made: Tensor) -> None:
        weights = layer.get_parameter("weight")
        places = made[0, 0].numel() if made.ndim == 4 else 1
        counts.append(2.0 * weights.numel() * places)

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    with torch.inference_mode():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def the_predictor() -> tuple[PairPredictor, str]:
    """The model of that name, or where there is none an untrained ensemble of the same size."""
    if MODEL in [row.name for row in model_rows()]:
        networks, card = load_model(find_model(MODEL).folder)
        return PairPredictor(networks, card), f"model {card.name}"
    card = ModelCard(
        name=MODEL, task="", architecture="parfocal.nets.pair:PairNetwork", settings={}, members=3,
        recipe={}, commit="", seed=0, data="", seconds=0.0, machine="", metrics={}, coverage={},
        limits=(),
    )  # fmt: skip
    torch.manual_seed(0)
    return PairPredictor([PairNetwork(bins=34) for _ in range(3)], card), "an untrained ensemble"


def eager_patches(networks: Sequence[nn.Module], patches: Tensor, bins: int) -> Tensor:
    """What the predictor does with patches, as a user would write it: float32, 32 at a time."""
    parts = []
    with torch.no_grad():
        for some in torch.split(patches, PATCHES):
            pairs, one = normalised(some), torch.ones(len(some))
            facts = pair_facts(pixel=0.5 * one, spacing=one, ratio=0.5 * one)
            total = torch.zeros(len(some), bins + 1)
            for network in networks:
                total += network(pairs, facts).softmax(-1)
                shares = network(swapped(pairs), facts).softmax(-1)
                total += torch.cat([shares[:, :bins].flip(-1), shares[:, bins:]], -1)
            total[is_blank(some)] = 1 / (bins + 1)
            parts.append(total / total.sum(-1, keepdim=True))
    return torch.cat(parts)


def _answer(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.inference_mode():
        answers: Tensor = network(*inputs)
        return answers


def _eager(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        answers: Tensor = network(*inputs)
        return answers


def _product(factors: Tensor) -> Tensor:
    return factors @ factors


def print_predictor(*, quick: bool) -> None:
    """One network against itself, then the predictor over a field."""
    rounds = 5 if quick else 21
    _print_networks(rounds)
    _print_field(3 if quick else 11)


def _print_networks(rounds: int) -> None:
    torch.manual_seed(0)
    networks: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
        "li2021": (Li2021Network().eval(), (torch.rand(PATCHES, 2, PATCH_PX, PATCH_PX),)),
        "pair": (
            the_predictor()[0].networks[0],
            (probe_pairs().repeat(PATCHES // 8, 1, 1, 1), torch.zeros(PATCHES, 4)),
        ),
    }
    factors = torch.randn(ROOF_SIDE, ROOF_SIDE)
    contenders: dict[str, Callable[[], object]] = {
        "float32 roof": partial(_product, factors),
        "bfloat16 roof": partial(_product, factors.bfloat16()),
    }
    gates = {}
    for name, (network, inputs) in networks.items():
        contenders[f"{name} eager"] = partial(_eager, network, inputs)
        for kind in (torch.float32, torch.bfloat16):
            (copy,), gate = gated_copies([network], inputs, dtype=kind)
            contenders[f"{name} {kind}"] = partial(_answer, copy, inputs)
        gates[name] = gate
    times = race(contenders, rounds)
    roof = _speed(2.0 * ROOF_SIDE**3, times["bfloat16 roof"])
    print(f"\nNetworks, {PATCHES} patches of {PATCH_PX} px at once; ratios in processor time")
    print(f"roofs: float32 {_speed(2.0 * ROOF_SIDE**3, times['float32 roof']):.0f}, ", end="")
    print(f"bfloat16 {roof:.0f} GFLOP in a second of one processor")
    for name, (network, inputs) in networks.items():
        work, eager = PATCHES * operations(network, inputs), times[f"{name} eager"]
        gate = gates[name]
        state = "passed" if gate.is_passed else "FAILED: float32 is used"
        print(
            f"{name}: {work / PATCHES / 1e6:.0f} MFLOP a patch; eager {_rate(eager):.0f} patches/s"
        )
        print(f"  gate: {gate.shift:.1g} of a distribution moves, <= {gate.bound:g}: {state}")
        for kind in (torch.float32, torch.bfloat16):
            own = times[f"{name} {kind}"]
            ratio, share = eager.over(own), _speed(work, own) / roof
            faster, told = f"{ratio:7.2f}", f"{share:7.2f}"
            if name == "li2021" and kind == torch.bfloat16:  # the targets are for this one
                faster = verdict(ratio, FASTER_THAN_EAGER, at_most=False)
                told = verdict(share, SHARE_OF_ROOF, at_most=False)
            print(f"  {kind!s:15}{_rate(own):6.0f} patches/s  {faster} x eager", end="")
            print(f"  {told} of the bfloat16 roof")


def _print_field(rounds: int) -> None:
    predictor, what = the_predictor()
    scene = torch.randn(1, 2, FIELD_PX, FIELD_PX, generator=torch.Generator().manual_seed(0))
    images = 500 + 100 * torch.nn.functional.avg_pool2d(scene, 5, 1, 2)[0]
    patches = images.unfold(1, PATCH_PX, PATCH_PX).unfold(2, PATCH_PX, PATCH_PX)
    patches = patches.permute(1, 2, 0, 3, 4).reshape(-1, 2, PATCH_PX, PATCH_PX)[: 2 * PATCHES]
    mapping = partial(defocus_map, predictor, images, spacing_um=SPACING_UM, setup=SETUP)
    bins = predictor.calibration.bins
    times = race(
        {
            "eager": partial(eager_patches, predictor.networks, patches, bins),
            "patches": partial(predictor.predict, images, spacing_um=SPACING_UM, setup=SETUP),
            "map": mapping,
        },
        rounds,
    )
    positions = mapping().defocus_um.size
    gate, members = predictor.working.gate, len(predictor.networks)
    each = {
        "eager": times["eager"].wall_ms / len(patches),
        "patches": times["patches"].wall_ms / 64,
        "map": times["map"].wall_ms / positions,
    }
    print(f"\nA field of {FIELD_PX} x {FIELD_PX} px, {what}: {members} networks, each asked twice")
    print(f"gate: {gate.shift:.1g} of a distribution moves, <= {gate.bound:g}: {gate.dtype}")
    counts = {"eager": len(patches), "patches": 64, "map": positions}
    names = {
        "eager": "eager torch, patch by patch",
        "patches": "predict, 64 patches and all",
        "map": f"defocus_map, {positions} windows",
    }
    for name, title in names.items():
        ratio = times["eager"].over(times[name]) * counts[name] / counts["eager"]
        told = f"{ratio:7.2f}"
        if name == "map":
            told = verdict(ratio, FASTER_PER_POSITION, at_most=False)
        print(f"  {title:30}{each[name]:8.3f} ms a position  {told} x eager")


def _speed(work: float, timing: Timing) -> float:
    """GFLOP in a second of processor time."""
    return work / _seconds(timing) / 1e9


def _rate(timing: Timing) -> float:
    return PATCHES / _seconds(timing)


def _seconds(timing: Timing) -> float:
    return sorted(timing.cpu_s)[len(timing.cpu_s) // 2]
