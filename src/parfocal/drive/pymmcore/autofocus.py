"""A software autofocus device, for code that calls ``core.fullFocus()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pymmcore_plus import DeviceType
from pymmcore_plus.experimental.unicore import Device, GenericDevice, UniMMCore, pymm_property

from parfocal.core.errors import ParfocalError
from parfocal.core.setup import OpticalSetup
from parfocal.drive.auto import AutoSearch
from parfocal.drive.chain import parse_search
from parfocal.drive.limits import Limits
from parfocal.drive.loop import autofocus
from parfocal.drive.pymmcore.connect import CoreMicroscope, connect
from parfocal.drive.record import FocusReport
from parfocal.drive.search import Search
from parfocal.drive.shots import Sharpness

KINDS = (
    "auto",
    "bayes",
    "coarse-fine",
    "sweep",
    "early-stop",
    "brent",
    "golden",
    "hill-climb",
    "chain",
)


class Autofocus(GenericDevice):
    """Settings of the autofocus of an ``AutofocusCore``.

    In a configuration file::

        #py pyDevice,Autofocus,parfocal.drive.pymmcore.autofocus,Autofocus
        #py Property,Autofocus,ZMin_um,-20
        #py Property,Autofocus,ZMax_um,20
        #py Property,Core,AutoFocus,Autofocus

    Parameters
    ----------
    limits
        The envelope; without it nothing moves until ZMin_um and ZMax_um are set.
    search, measure, setup
        As in ``drive.autofocus``; property Search names one with its defaults.
    """

    _TYPE = DeviceType.AutoFocus

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        search: Search | None = None,
        measure: str = "tenengrad",
        setup: OpticalSetup | None = None,
    ) -> None:
        super().__init__()
        self.limits = limits or Limits(z_min_um=0.0, z_max_um=0.0)
        self.search: Search = search or AutoSearch()
        self.sharpness = Sharpness(measure, setup)
        self.last: FocusReport | None = None

    def focus(self, scope: CoreMicroscope) -> FocusReport:
        """Search focus once."""
        sharpness = self.sharpness
        self.last = autofocus(
            scope,
            search=self.search,
            limits=self.limits,
            measure=sharpness.measure,
            setup=sharpness.setup,
        )
        return self.last

    @pymm_property(name="ZMin_um", property_type=float)
    def z_min(self) -> float:
        """Lowest stage z."""
        return self.limits.z_min_um

    @z_min.setter
    def _set_z_min(self, z_um: float | int | str) -> None:
        self._limit(z_min_um=float(z_um), z_max_um=max(float(z_um), self.limits.z_max_um))

    @pymm_property(name="ZMax_um", property_type=float)
    def z_max(self) -> float:
        """Highest stage z."""
        return self.limits.z_max_um

    @z_max.setter
    def _set_z_max(self, z_um: float | int | str) -> None:
        self._limit(z_max_um=float(z_um), z_min_um=min(float(z_um), self.limits.z_min_um))

    @pymm_property(name="MaxStep_um", property_type=float)
    def max_step(self) -> float:
        """Greatest single move; 0 is any."""
        return self.limits.max_step_um or 0.0

    @max_step.setter
    def _set_max_step(self, step_um: float | int | str) -> None:
        self._limit(max_step_um=float(step_um) or None)

    @pymm_property(name="MaxImages", property_type=int)
    def max_images(self) -> int:
        """Budget of one run; 0 is any number."""
        return self.limits.max_images or 0

    @max_images.setter
    def _set_max_images(self, count: float | int | str) -> None:
        self._limit(max_images=int(float(count)) or None)

    @pymm_property(name="Search", allowed_values=KINDS, property_type=str)
    def kind(self) -> str:
        """How to look."""
        return str(getattr(self.search, "kind", type(self.search).__name__))

    @kind.setter
    def _set_kind(self, kind: str) -> None:
        self.search = parse_search({"kind": str(kind)})

    @pymm_property(name="Measure", property_type=str)
    def measure(self) -> str:
        """Name of the focus measure."""
        return self.sharpness.name

    @measure.setter
    def _set_measure(self, name: str) -> None:
        self.sharpness = Sharpness(str(name), self.sharpness.setup)

    def _limit(self, **changes: Any) -> None:
        try:
            self.limits = Limits(**self.limits.model_dump() | changes)
        except ValidationError as error:
            raise ValueError(f"{changes}: {error.errors()[0]['msg']}") from error


if TYPE_CHECKING:
    _Core = UniMMCore
else:
    _Core = object


class AutofocusCalls(_Core):
    """The autofocus calls of a core, answered by an ``Autofocus`` device if one is chosen.

    Mix it in before the class of the core; ``AutofocusCore`` is one. With another device, or
    none, the calls go on to the core below. A run that finds no focus raises RuntimeError with
    the reason, as a Micro-Manager device does, and leaves the stage where the limits say.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._focusers: dict[str, Autofocus] = {}
        self._focuser = ""
        self._offset_um = 0.0
        super().__init__(*args, **options)

    def loadPyDevice(self, label: str, device: Device) -> None:  # noqa: N802
        """Load a Python device, and remember it if it focuses."""
        super().loadPyDevice(label, device)
        if isinstance(device, Autofocus):
            self._focusers[label] = device

    def setAutoFocusDevice(self, focusLabel: str) -> None:  # noqa: N802, N803
        """Choose the device; an empty label chooses none."""
        if focusLabel in self._focusers:
            self._focuser = focusLabel
            return
        super().setAutoFocusDevice(focusLabel)
        self._focuser = ""

    def getAutoFocusDevice(self) -> Any:  # noqa: N802
        """Label of the device."""
        return self._focuser if self._chosen() else super().getAutoFocusDevice()

    def fullFocus(self) -> None:  # noqa: N802
        """Search focus in all that the limits allow, and go there."""
        device = self._chosen()
        if device is None:
            super().fullFocus()
            return
        try:
            report = device.focus(connect(self))
            if report.found and report.z_um is not None and self._offset_um:
                device.limits.require(report.z_um + self._offset_um, "focus with its offset is")
                connect(self).move_to_um(report.z_um + self._offset_um)
        except ParfocalError as error:
            raise RuntimeError(f"Autofocus failed: {error}") from error
        if not report.found:
            raise RuntimeError(
                f"Autofocus found no focus ({report.status}): {report.reason}. {report.ending}."
            )

    def incrementalFocus(self) -> None:  # noqa: N802
        """As ``fullFocus``: how far to look is a matter of the search."""
        if self._chosen() is None:
            super().incrementalFocus()
        else:
            self.fullFocus()

    def getLastFocusScore(self) -> float:  # noqa: N802
        """Highest sharpness of the last run; 0 before the first."""
        device = self._chosen()
        if device is None:
            return float(super().getLastFocusScore())
        curve = None if device.last is None else device.last.curve
        return 0.0 if curve is None else float(curve.scores.max())

    def getCurrentFocusScore(self) -> float:  # noqa: N802
        """Sharpness of an image that is taken now."""
        device = self._chosen()
        if device is None:
            return float(super().getCurrentFocusScore())
        try:
            return device.sharpness.read(connect(self).snap()).score
        except ParfocalError as error:
            raise RuntimeError(str(error)) from error

    def setAutoFocusOffset(self, offset: float) -> None:  # noqa: N802
        """How far from focus ``fullFocus`` shall leave the stage, in um."""
        if self._chosen() is None:
            super().setAutoFocusOffset(offset)
        else:
            self._offset_um = float(offset)

    def getAutoFocusOffset(self) -> float:  # noqa: N802
        """That offset, in um."""
        chosen = self._chosen() is not None
        return self._offset_um if chosen else float(super().getAutoFocusOffset())

    def enableContinuousFocus(self, enable: bool) -> None:  # noqa: N802
        """Refused when switched on: images cost light, so that nothing focuses by itself."""
        if self._chosen() is None:
            super().enableContinuousFocus(enable)
        elif enable:
            raise RuntimeError(
                "This autofocus takes images and does not run by itself: call fullFocus(), or "
                "parfocal.drive.hold to keep a field in focus."
            )

    def isContinuousFocusEnabled(self) -> bool:  # noqa: N802
        """Never, for a device of parfocal."""
        return self._chosen() is None and bool(super().isContinuousFocusEnabled())

    def isContinuousFocusLocked(self) -> bool:  # noqa: N802
        """Never, for a device of parfocal."""
        return self._chosen() is None and bool(super().isContinuousFocusLocked())

    def _chosen(self) -> Autofocus | None:
        loaded = bool(self._focuser) and self._focuser in self.getLoadedDevices()
        return self._focusers.get(self._focuser) if loaded else None


class AutofocusCore(AutofocusCalls, UniMMCore):
    """A core for C++ and Python devices that can focus by images.

    Examples
    --------
    >>> from parfocal.simulate.pymmcore import config_path
    >>> from parfocal.drive.pymmcore.connect import load
    >>> core = load(config_path(), kind=AutofocusCore)
    >>> core.loadPyDevice("Autofocus", Autofocus(Limits(z_min_um=-8, z_max_um=8)))
    >>> core.initializeDevice("Autofocus")
    >>> core.setAutoFocusDevice("Autofocus")
    >>> core.setZPosition(3.0)
    >>> core.fullFocus()
    >>> abs(core.getZPosition()) < 1.0, core.getLastFocusScore() > 0
    (True, True)
    >>> core.unloadAllDevices()
    """
