"""The small U-Net: what a pixel is told reaches no farther than it says."""

import torch

from parfocal.nets.focus_unet import FocusUnet


def network(each_side=1):
    torch.manual_seed(0)
    return FocusUnet(widths=(4, 6, 8), each_side=each_side).eval()


def test_a_pixel_reaches_as_far_as_is_stated_and_no_farther():
    made, facts = network(each_side=2), torch.randn(1, 12)
    planes = torch.randn(1, 5, 128, 128)
    changed = planes.clone()
    changed[:, :, 64, 64] += 100.0
    with torch.no_grad():
        moved = (made(planes, facts) - made(changed, facts))[0].abs() > 0
    reached = (moved.nonzero() - 64).abs().max()
    assert made.reach_px // 2 < reached <= made.reach_px


def test_the_facts_have_a_say():
    made, planes = network(), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        one, other = (made(planes, value * torch.ones(1, made.facts)) for value in (0.0, 1.0))
    assert not torch.allclose(one, other)


def test_a_batch_says_the_same_as_its_planes_alone():
    made, planes, facts = network(), torch.randn(3, 3, 32, 32), torch.randn(3, 8)
    with torch.no_grad():
        together = made(planes, facts)
        alone = torch.cat([made(planes[k : k + 1], facts[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
