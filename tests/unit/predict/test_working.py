from __future__ import annotations

import torch

from parfocal.nets.fast import MOST_SHIFT
from parfocal.nets.pair import PairNetwork
from parfocal.predict.working import probe_pairs, working_copies


def test_probes_are_normalised_pairs_that_differ_in_sharpness():
    pairs = probe_pairs()
    assert torch.equal(pairs, probe_pairs())
    torch.testing.assert_close(pairs.mean((1, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
    steps = pairs.diff(dim=-1).square().mean((2, 3))
    assert bool((steps[:, 0] > steps[:, 1]).all())


def test_working_copies_answer_as_their_networks_do():
    torch.manual_seed(0)
    networks = [PairNetwork(bins=9, widths=(4, 4, 6, 6, 8)).eval() for _ in range(2)]
    working = working_copies(networks, torch.device("cpu"))
    assert len(working.networks) == 2
    assert working.gate.shift <= working.gate.bound == MOST_SHIFT
    pairs, facts = probe_pairs(), torch.zeros(8, 4)
    with torch.inference_mode():
        for quick, network in zip(working.networks, networks, strict=True):
            one, other = (each(pairs, facts).softmax(-1) for each in (quick, network))
            torch.testing.assert_close(one, other, atol=0.02, rtol=0)
