"""Per-pixel energies added row by row: the inner loops of the fast focus maps.

Each loop reads image rows ``y0`` up to ``y1`` once and adds its features into row accumulators,
``acc[k, x]`` for feature k at column x. Differences of integers are exact in 32 bits; squares and
sums are exact in float64, being integers below 2^53.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload

# Sums may be reordered, so that loops use vector registers; NaN and infinity keep their meaning.
inlined = njit(inline="always")


@no_type_check
def widen(value):
    """An integer as int32, a float as float64."""
    raise NotImplementedError


@overload(widen, inline="always")
@no_type_check
def _widen(value):
    if isinstance(value, types.Integer):
        return lambda value: np.int32(value)  # noqa: PLW0108  (numba inlines a function, not a type)
    return lambda value: np.float64(value)  # noqa: PLW0108


@inlined
@no_type_check
def add_brenner(image, y0, y1, acc):
    """(I(x+2) - I(x))^2."""
    for y in range(y0, y1):
        row, total = image[y], acc[0]
        for x in range(row.size - 2):
            step = np.float64(widen(widen(row[x + 2]) - widen(row[x])))
            total[x] += step * step


@inlined
@no_type_check
def add_squared_steps(image, y0, y1, acc):
    """(I(x+1) - I(x))^2 and (I(x+2) - I(x))^2."""
    for y in range(y0, y1):
        row, one, two = image[y], acc[0], acc[1]
        for x in range(row.size - 2):
            here = widen(row[x])
            step = np.float64(widen(widen(row[x + 1]) - here))
            leap = np.float64(widen(widen(row[x + 2]) - here))
            one[x] += step * step
            two[x] += leap * leap
        x = row.size - 2
        step = np.float64(widen(widen(row[x + 1]) - widen(row[x])))
        one[x] += step * step


@inlined
@no_type_check
def add_value_and_square(image, y0, y1, acc):
    """I and I^2."""
    for y in range(y0, y1):
        row, total, squares = image[y], acc[0], acc[1]
        for x in range(row.size):
            value = np.float64(row[x])
            total[x] += value
            squares[x] += value * value


@inlined
@no_type_check
def add_values_and_step(image, y0, y1, acc):
    """I, I^2 and (I(x+1) - I(x))^2."""
    add_value_and_square(image, y0, y1, acc)
    for y in range(y0, y1):
        row, total = image[y], acc[2]
        for x in range(row.size - 1):
            step = np.float64(widen(widen(row[x + 1]) - widen(row[x])))
            total[x] += step * step


@inlined
@no_type_check
def add_absolute_steps(image, y0, y1, acc):
    """|I(x+1) - I(x)| and |I(y+1) - I(y)|."""
    last = image.shape[0] - 1
    for y in range(y0, y1):
        row, along_x, along_y = image[y], acc[0], acc[1]
        for x in range(row.size - 1):
            along_x[x] += np.float64(abs(widen(widen(row[x + 1]) - widen(row[x]))))
        if y < last:
            below = image[y + 1]
            for x in range(row.size):
                along_y[x] += np.float64(abs(widen(widen(below[x]) - widen(row[x]))))


@inlined
@no_type_check
def add_product_of_steps(image, y0, y1, acc):
    """|I(x+1) - I(x)| * |I(y+1) - I(y)|."""
    for y in range(y0, y1):
        row, below, total = image[y], image[y + 1], acc[0]
        for x in range(row.size - 1):
            here = widen(row[x])
            along_x = np.float64(abs(widen(widen(row[x + 1]) - here)))
            along_y = np.float64(abs(widen(widen(below[x]) - here)))
            total[x] += along_x * along_y


@inlined
@no_type_check
def _sobel_energy(a, b, c, x):
    left = widen(widen(a[x]) + 2 * widen(b[x]) + widen(c[x]))
    right = widen(widen(a[x + 2]) + 2 * widen(b[x + 2]) + widen(c[x + 2]))
    over = widen(widen(a[x]) + 2 * widen(a[x + 1]) + widen(a[x + 2]))
    under = widen(widen(c[x]) + 2 * widen(c[x + 1]) + widen(c[x + 2]))
    slope_x = np.float64(widen(right - left))
    slope_y = np.float64(widen(under - over))
    return slope_x * slope_x + slope_y * slope_y


@inlined
@no_type_check
def add_sobel_energy(image, y0, y1, acc):
    """Gx^2 + Gy^2 of the 3 x 3 Sobel gradient."""
    for y in range(y0, y1):
        a, b, c, total = image[y], image[y + 1], image[y + 2], acc[0]
        for x in range(a.size - 2):
            total[x] += _sobel_energy(a, b, c, x)


@inlined
@no_type_check
def add_sobel_magnitude(image, y0, y1, acc):
    """|G| and |G|^2 of the 3 x 3 Sobel gradient."""
    for y in range(y0, y1):
        a, b, c, total, squares = image[y], image[y + 1], image[y + 2], acc[0], acc[1]
        for x in range(a.size - 2):
            energy = _sobel_energy(a, b, c, x)
            total[x] += np.sqrt(energy)
            squares[x] += energy


@inlined
@no_type_check
def _bend(a, b, c, x):
    around = widen(b[x]) + widen(b[x + 2]) + widen(a[x + 1]) + widen(c[x + 1])
    return np.float64(widen(around - 4 * widen(b[x + 1])))


@inlined
@no_type_check
def add_bend_modulus(image, y0, y1, acc):
    """|L| of the five-point Laplacian."""
    for y in range(y0, y1):
        a, b, c, total = image[y], image[y + 1], image[y + 2], acc[0]
        for x in range(a.size - 2):
            total[x] += abs(_bend(a, b, c, x))


@inlined
@no_type_check
def add_bend_energy(image, y0, y1, acc):
    """L^2 of the five-point Laplacian."""
    for y in range(y0, y1):
        a, b, c, total = image[y], image[y + 1], image[y + 2], acc[0]
        for x in range(a.size - 2):
            bend = _bend(a, b, c, x)
            total[x] += bend * bend


@inlined
@no_type_check
def add_bend_and_square(image, y0, y1, acc):
    """L and L^2 of the five-point Laplacian."""
    for y in range(y0, y1):
        a, b, c, total, squares = image[y], image[y + 1], image[y + 2], acc[0], acc[1]
        for x in range(a.size - 2):
            bend = _bend(a, b, c, x)
            total[x] += bend
            squares[x] += bend * bend


@inlined
@no_type_check
def _moduli(before, middle, after):
    return abs(np.float64(widen(2 * widen(middle) - widen(before) - widen(after))))


@inlined
@no_type_check
def add_axes_moduli(image, y0, y1, acc):
    """|2 I - I(x-1) - I(x+1)| + |2 I - I(y-1) - I(y+1)|."""
    for y in range(y0, y1):
        a, b, c, total = image[y], image[y + 1], image[y + 2], acc[0]
        for x in range(a.size - 2):
            middle = b[x + 1]
            total[x] += _moduli(b[x], middle, b[x + 2]) + _moduli(a[x + 1], middle, c[x + 1])


@inlined
@no_type_check
def add_axes_and_diagonals(image, y0, y1, acc):
    """The modified Laplacian, with the diagonals over the root of two."""
    weight = 1.0 / np.sqrt(2.0)
    for y in range(y0, y1):
        a, b, c, total = image[y], image[y + 1], image[y + 2], acc[0]
        for x in range(a.size - 2):
            middle = b[x + 1]
            axes = _moduli(b[x], middle, b[x + 2]) + _moduli(a[x + 1], middle, c[x + 1])
            slants = _moduli(a[x], middle, c[x + 2]) + _moduli(c[x], middle, a[x + 2])
            total[x] += axes + weight * slants


@inlined
@no_type_check
def add_haar_energies(image, y0, y1, acc):
    """Four times the energy of the three Haar details, and of the smooth part, of 2 x 2 blocks."""
    for j in range(y0, y1):
        even, odd, high, low = image[2 * j], image[2 * j + 1], acc[0], acc[1]
        for i in range(even.size // 2):
            a, b = widen(even[2 * i]), widen(even[2 * i + 1])
            c, d = widen(odd[2 * i]), widen(odd[2 * i + 1])
            down = np.float64(widen((a - c) + (b - d)))
            across = np.float64(widen((a - b) + (c - d)))
            twist = np.float64(widen((a - b) - (c - d)))
            smooth = np.float64(widen((a + b) + (c + d)))
            high[i] += down * down + across * across + twist * twist
            low[i] += smooth * smooth
