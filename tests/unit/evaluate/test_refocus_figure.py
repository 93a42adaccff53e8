"""Where the line of a refocused image's page lies."""

import numpy as np
import pytest

from parfocal.evaluate.refocus_figure import views_of


@pytest.mark.parametrize("sign", [1, -1], ids=["light", "stain"])
def test_the_line_goes_through_what_stands_out(sign):
    image = np.full((1, 64, 64), 500.0)
    image[0, 20, 30] += 50.0 * sign
    image[0, 41, 12] -= 20.0 * sign
    views = views_of(image, image, image)
    assert views.row + views.corner[0] == 20
