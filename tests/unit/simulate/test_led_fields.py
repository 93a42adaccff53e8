from __future__ import annotations

import pytest
import torch

from parfocal.core.errors import InputError
from parfocal.simulate.led_fields import (
    FeatureSet,
    LedFields,
    LedScene,
    gather_features,
    simulate_led_stack,
)

FIELDS = LedFields(size_px=64, planes=4)


def test_a_seed_gives_one_stack_and_another_seed_another():
    one, two, other = (simulate_led_stack(FIELDS, "blood_smear", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, two.images)
    assert not torch.equal(one.images, other.images)


def test_planes_are_spread_over_the_whole_reach():
    defocus = simulate_led_stack(FIELDS, "glass_beads", seed=0).defocus_um
    assert defocus[0] < -15 < 15 < defocus[-1]
    assert bool((defocus.abs() <= FIELDS.reach_um).all())


def test_lights_add_up_as_they_do_on_a_camera():
    scene = LedScene.draw(FIELDS, "blood_smear", seed=1)
    leds = [(0.0, 0.3), (0.2, 0.0)]
    both = scene.light(leds)
    single = torch.stack([scene.light([led]) for led in leds]).mean(0)
    torch.testing.assert_close(both, single, atol=1e-3, rtol=1e-3)


def test_what_only_glows_is_refused():
    with pytest.raises(InputError, match="shows nothing by LEDs"):
        simulate_led_stack(FIELDS, "microtubules", seed=0)


def test_sets_are_chosen_by_stack_and_joined():
    def means(stack):
        return stack.images.mean((1, 2))[:, None]

    made = gather_features(FIELDS, [("glass_beads", 0), ("blood_smear", 1)], means)
    assert made.features.shape == (2, 4, 1)
    assert made.of_kind("blood_smear").kinds == ("blood_smear",)
    both = FeatureSet.joined([made.chosen([1]), made.chosen(slice(0, 1))])
    assert both.kinds == ("blood_smear", "glass_beads")
    assert torch.equal(both.defocus_um[0], made.defocus_um[1])
