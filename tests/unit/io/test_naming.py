"""Names: order, which number counts planes, wells."""

from __future__ import annotations

from pathlib import Path

import pytest

from parfocal.io.naming import group_planes, natural_order, well_of


def _ordered(*names: str) -> list[str]:
    return [path.name for path in natural_order([Path(name) for name in sorted(names)])]


def test_signed_names_run_from_minus_to_plus():
    names = [f"{i}.bmp" for i in range(-9, 10)]
    assert _ordered(*names) == names


def test_hyphen_before_every_number_is_no_sign():
    assert _ordered("img-1.png", "img-2.png", "img-10.png") == [
        "img-1.png",
        "img-2.png",
        "img-10.png",
    ]


def test_minus_that_comes_and_goes_is_a_sign():
    names = ["z-10.tif", "z-2.tif", "z-1.tif", "z0.tif", "z1.tif", "z10.tif"]
    assert _ordered(*names) == names


def test_plus_is_a_sign_too():
    names = ["-2.tif", "-1.tif", "0.tif", "+1.tif", "+2.tif"]
    assert _ordered(*names) == names


def _steps(start, stop):
    return [f"{tenths / 10:.1f}" for tenths in range(start, stop, 5)]


@pytest.mark.parametrize("name", ["w_{}.png", "{}.tif", "z_{}.tif", "Defocus {}um.bmp"])
@pytest.mark.parametrize("ends", [(-50, 51), (-50, 0), (-110, -4)])
def test_decimals_with_a_sign_are_numbers(name, ends):
    names = [name.format(number) for number in _steps(*ends)]
    assert _ordered(*names) == names
    (group,) = group_planes([Path(name) for name in sorted(names)])
    assert [path.name for path in group.paths] == names


def test_decimals_after_a_z_tag_are_numbers():
    names = [f"s{site}_z{number}.tif" for site in (1, 2) for number in _steps(0, 110)]
    groups = group_planes([Path(name) for name in sorted(names)])
    assert [path.name for group in groups for path in group.paths] == names
    assert [group.name for group in groups] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ([f"cell{c}.{n}.tif" for c in (1, 2) for n in range(1, 12)], [11, 11]),
        ([f"2024.01.{day:02d}_z{z}.tif" for day in (30, 31) for z in range(12)], [12, 12]),
        ([f"v1.2_z{z}.tif" for z in range(12)], [12]),
        ([f"img_1.4.{n}.tif" for n in range(12)], [12]),
        ([f"run-{r}.{n}.tif" for r in (1, 2) for n in range(12)], [12, 12]),
    ],
)
def test_points_between_other_numbers_are_no_decimal_points(names, sizes):
    groups = group_planes([Path(name) for name in sorted(names)])
    assert [len(group.paths) for group in groups] == sizes
    assert [path.name for group in groups for path in group.paths] == names


GROUPS = {
    "z tag": (["a_z1.tif", "a_z2.tif", "a_z10.tif", "b_z1.tif", "b_z2.tif"], [3, 2]),
    "capital Z": (["p_Z01_C1.tif", "p_Z02_C1.tif", "p_Z01_C2.tif", "p_Z02_C2.tif"], [2, 2]),
    "plate": (
        [f"{w}_s{s}_w{c}_z{z}.tif" for w in ("A01", "B12") for s in (1, 2) for c in (1, 2)
         for z in range(3)],
        [3] * 8,
    ),
    "well without z tag": (
        [f"{w}_{n:03d}.png" for w in ("A01", "A02") for n in range(5)], [5, 5]),
    "last number": ([f"2024_run3_{n}.png" for n in range(7)], [7]),
    "times are no planes": ([f"t{n:03d}.tif" for n in range(4)], [1] * 4),
    "channels are no planes": ([f"cell_ch{n}.tif" for n in range(4)], [1] * 4),
    "fields are no planes": ([f"field_{n}.tif" for n in range(4)], [1] * 4),
    "times and numbers": ([f"t{t}_{n}.tif" for t in range(2) for n in range(3)], [3, 3]),
    "phenix": (
        [f"r02c11f03p{p:02d}-ch{c}sk1fk1fl1.tiff" for p in range(1, 4) for c in (1, 2)], [3, 3]),
    "micro-manager": (
        [f"img_channel000_position00{p}_time000000000_z00{z}.tif" for p in (0, 1)
         for z in range(3)], [3, 3]),
    "cellomics": ([f"AS_09125_D03f00d{n}.tif" for n in range(3)], [1] * 3),
    "dfnn": ([f"cell2G2Dz0p3um_ch0_stack0001_488nm_Abs00{n}.tif" for n in range(32, 40)], [8]),
}  # fmt: skip


@pytest.mark.parametrize("case", GROUPS)
def test_planes_are_grouped_by_the_number_that_counts_them(case):
    names, sizes = GROUPS[case]
    groups = group_planes([Path(name) for name in names])
    assert [len(group.paths) for group in groups] == sizes
    assert len({group.name for group in groups if len(group.paths) > 1}) == sum(
        size > 1 for size in sizes
    )
    for group in groups:
        assert list(group.paths) == natural_order(group.paths)


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("B03_s1", "B03"), ("plate_H12", "H12"), ("a1", None), ("A1", "A01"),
        ("r02c11f03p01", "B11"), ("AF48_z1", "AF48"), ("D03f00d1", "D03"),
        ("GFP_01", None), ("z01", None), ("Z3", None),
        ("exp_T001", None), ("C00", None), ("A01-DAPI", "A01"),
    ],
)  # fmt: skip
def test_wells_are_recognised(name, well):
    assert well_of(name) == well
