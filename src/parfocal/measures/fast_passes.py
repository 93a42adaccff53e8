"""One pass over an image for each measure: its row loop, then ``flush``, for each row of cells.

Each function takes an image (y, x); the borders of cells along y (``cuts``), of which it does
rows ``first`` up to ``last``; the borders of cells along x with the starts and stops of windows
among them (``across``); and ``sums`` (1 + n, k, i), of which it fills rows first + 1 to last.
"""

from __future__ import annotations

from typing import no_type_check

from numba import njit

from parfocal.measures.fast_cells import flush, new_rows
from parfocal.measures.fast_rows import (
    add_absolute_steps,
    add_axes_and_diagonals,
    add_axes_moduli,
    add_bend_and_square,
    add_bend_energy,
    add_bend_modulus,
    add_brenner,
    add_haar_energies,
    add_product_of_steps,
    add_sobel_energy,
    add_sobel_magnitude,
    add_squared_steps,
    add_value_and_square,
    add_values_and_step,
)

compiled = njit(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
)


@compiled
@no_type_check
def brenner(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_brenner(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def squared_steps(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_squared_steps(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def value_and_square(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_value_and_square(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def values_and_step(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_values_and_step(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def absolute_steps(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_absolute_steps(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def product_of_steps(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_product_of_steps(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def sobel_energy(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_sobel_energy(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def sobel_magnitude(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_sobel_magnitude(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def bend_modulus(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_bend_modulus(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def bend_energy(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_bend_energy(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def bend_and_square(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_bend_and_square(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def axes_moduli(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_axes_moduli(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def axes_and_diagonals(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_axes_and_diagonals(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])


@compiled
@no_type_check
def haar_energies(image, cuts, first, last, across, sums):
    acc, running = new_rows(image, across, sums)
    for j in range(first, last):
        add_haar_energies(image, cuts[j], cuts[j + 1], acc)
        flush(acc, across, running, sums[j + 1])
