"""Damaged files: only ParfocalError comes out, in one line, whatever byte is wrong."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import parfocal as pf
from parfocal.core.errors import ParfocalError
from parfocal.io.finding import find_stacks
from tests.fabricate import stacks

CASES_PER_FORM = 28
MOST_BYTES = 64 * 2**20  # a damaged size must not make the test read gigabytes


def _forms(folder: Path) -> dict[str, Path]:
    """One small valid stack of every form; single files and folders."""
    images = stacks.bead_stack((4, 24, 20))
    made = {
        form: write(folder / form / name, images, step_um=0.5, pixel_um=0.1)
        for form, (write, name, _) in stacks.WRITERS.items()
        if not (folder / form).mkdir()
    }
    small = images.astype("uint8")
    made["plain"] = stacks.write_plain(folder / "plain.tif", images)
    made["zlib"] = stacks.write_plain(folder / "zlib.tif", images, compression="zlib")
    made["tiled"] = stacks.write_plain(folder / "tiled.tif", images, tile=(16, 16))
    for ending in ("png", "bmp", "jpg"):
        made[ending] = stacks.write_planes(folder / ending, small, ending)[0]
    return made


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> dict[str, Path]:
    return _forms(tmp_path_factory.mktemp("whole"))


FORMS = [*stacks.WRITERS, "plain", "zlib", "tiled", "png", "bmp", "jpg"]


def _damage(path: Path, chance: random.Random) -> None:
    """Cut a file short, or change some of its bytes, mostly in its header."""
    data = bytearray(path.read_bytes())
    if not data:
        return
    if chance.random() < 0.3:
        data = data[: chance.randrange(len(data))]
    else:
        reach = len(data) if chance.random() < 0.4 else min(len(data), 400)
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(reach)] = chance.randrange(256)
    path.write_bytes(data)


def _damaged(whole: Path, place: Path, seed: int) -> Path:
    """A copy of a file or folder with one of its files damaged."""
    chance = random.Random(seed)
    copy = place / whole.name
    if whole.is_file():
        shutil.copy(whole, copy)
        _damage(copy, chance)
    else:
        shutil.copytree(whole, copy)
        files = sorted(file for file in copy.rglob("*") if file.is_file())
        heads = [file for file in files if file.name[0] in ".zN"]
        _damage(chance.choice(heads if heads and chance.random() < 0.6 else files), chance)
    return copy


def _blocks(stack: pf.FocalStack) -> Iterator[None]:
    """Read a stack plane by plane, as far as it is of sane size."""
    plane_bytes = stack.shape[1] * stack.shape[2] * stack.dtype.itemsize
    if plane_bytes <= MOST_BYTES:
        for number in range(min(stack.shape[0], 8)):
            stack.read_counts(number)
            yield


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("form", FORMS)
def test_only_our_errors_come_out_of_damaged_files(form, forms, tmp_path):
    refusals = []
    for seed in range(CASES_PER_FORM):
        place = tmp_path / str(seed)
        place.mkdir()
        path = _damaged(forms[form], place, seed)
        try:
            for _ in _blocks(pf.open_stack(path, z_in_planes=True)):
                pass
        except ParfocalError as error:
            refusals.append(str(error))
        for source in find_stacks([place], z_in_planes=True):
            assert source.name
    assert len(refusals) >= CASES_PER_FORM // 6  # the damage is real
    assert not [text for text in refusals if "\n" in text or forms[form].name not in text]


def test_undamaged_files_of_every_form_are_read(forms):
    for path in forms.values():
        assert len([*_blocks(pf.open_stack(path, z_in_planes=True))]) in (1, 4)
