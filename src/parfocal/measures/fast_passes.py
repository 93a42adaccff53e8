"""One pass over images for each measure: row loops between the borders of windows.

Each function takes images (n, y, x); starts and stops of windows along y (``down``) and along x
(``across``); accumulators and scratch (``state``); and ``windows`` (n, k, j, i), which it fills
with the sums of feature k. All but the images are as ``fast_cells.advance`` describes them.
"""

from __future__ import annotations

from typing import no_type_check

from parfocal.measures.fast_cells import FEW_ROWS, advance, gather, is_small, restart
from parfocal.measures.fast_compile import compiled
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


@compiled
@no_type_check
def brenner(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_brenner(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def squared_steps(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    add_squared_steps(image, y, stop, state[1])
                    gather(state, across[0], False)
                else:
                    add_squared_steps(image, y, stop, state[0])
                    gather(state, across[0], True)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def value_and_square(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    add_value_and_square(image, y, stop, state[1])
                    gather(state, across[0], False)
                else:
                    add_value_and_square(image, y, stop, state[0])
                    gather(state, across[0], True)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def values_and_step(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    add_values_and_step(image, y, stop, state[1])
                    gather(state, across[0], False)
                else:
                    add_values_and_step(image, y, stop, state[0])
                    gather(state, across[0], True)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def absolute_steps(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_absolute_steps(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def product_of_steps(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_product_of_steps(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def sobel_energy(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_sobel_energy(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def sobel_magnitude(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_sobel_magnitude(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def bend_modulus(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_bend_modulus(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def bend_energy(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_bend_energy(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def bend_and_square(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_bend_and_square(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def axes_moduli(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_axes_moduli(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def axes_and_diagonals(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_axes_and_diagonals(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)


@compiled
@no_type_check
def haar_energies(images, down, across, state, windows):
    for number in range(images.shape[0]):
        image, own = images[number], windows[number]
        restart(state)
        y = advance(-1, state, down, across, own)
        due = advance(y, state, down, across, own)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_haar_energies(image, y, stop, state[0])
                gather(state, across[0], False)
                y = stop
            due = advance(y, state, down, across, own)
