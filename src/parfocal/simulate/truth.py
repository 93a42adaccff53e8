"""What is true of a virtual microscope, which its user cannot know."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from parfocal.core.setup import defocus_um
from parfocal.simulate.optical_path import OpticalPath
from parfocal.simulate.stages import Axis


class Truth:
    """What no microscope knows: for tests, benchmarks and training only.

    Parameters
    ----------
    path
        What its light goes through.
    axes
        Its z, x and y.
    now_s
        Its clock.
    """

    def __init__(
        self, path: OpticalPath, axes: tuple[Axis, Axis, Axis], now_s: Callable[[], float]
    ) -> None:
        self._path, self._now_s = path, now_s
        self._z, self._x, self._y = axes

    def focus_um(
        self, x_um: float | None = None, y_um: float | None = None, time_s: float | None = None
    ) -> float:
        """Carriage z that focuses the specimen's reference at a point, now unless told when.

        Without a point: in the middle of the field, in the channel in use.
        """
        now_s = self._now_s() if time_s is None else time_s
        here_x, here_y = self._x.carriage_um(now_s), self._y.carriage_um(now_s)
        point_x = here_x if x_um is None else x_um
        point_y = here_y if y_um is None else y_um
        return self._path.focus_um(point_x, point_y, now_s)

    def carriage_um(self) -> float:
        """Where the objective really is, backlash and creep included."""
        return self._z.carriage_um(self._now_s())

    def defocus_um(self) -> float:
        """Signed defocus in the middle of the field: carriage z minus z of focus."""
        return defocus_um(self.carriage_um(), self.focus_um())

    def focus_map_um(self) -> Float[Tensor, "y x"]:
        """Carriage z that focuses the specimen's reference at each pixel of the field."""
        now_s = self._now_s()
        return self._path.scenery.height_um(self._place(now_s)) + self._path.shift_um(now_s)

    def brightness_left(self) -> Float[Tensor, "y x"]:
        """Share of the fluorescence that bleaching has left at each pixel."""
        return self._path.remains(self._place(self._now_s()))

    def sheet_offset_um(self) -> float:
        """z of the light sheet minus z of the focal plane, as it really is: 0 is in focus."""
        return self._path.true_offset_um

    def push_um(self, by_um: float) -> None:
        """Turn the focus knob by hand, or let another program move the stage."""
        self._z.push(by_um, now_s=self._now_s())

    def _place(self, now_s: float) -> tuple[int, int]:
        return self._path.scenery.place(self._x.carriage_um(now_s), self._y.carriage_um(now_s))
