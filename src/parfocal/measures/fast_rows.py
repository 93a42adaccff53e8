"""Features of pixels, added row by row: the inner loops of the fast focus maps.

Each function adds image rows ``y0`` up to ``y1`` into accumulators ``acc`` (2 k, x), two rows for
each feature k. Differences of integers are exact in 32 bits.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload

inlined = njit(inline="always")


@no_type_check
def widen(value):
    """An integer as int32, a float as float64."""
    raise NotImplementedError


@overload(widen, inline="always")
@no_type_check
def _widen(value):
    if isinstance(value, types.Integer):
        return lambda value: np.int32(value)  # noqa: PLW0108  (numba inlines functions, not types)
    return lambda value: np.float64(value)  # noqa: PLW0108


@no_type_check
def add_value(low, high, x, value):
    """Add a value, not negative and below 2^20 where sums are integers."""
    raise NotImplementedError


@overload(add_value, inline="always")
@no_type_check
def _add_value(low, high, x, value):
    if low.dtype == types.uint32:

        def add(low, high, x, value):
            low[x] += np.uint32(value)
    else:

        def add(low, high, x, value):
            low[x] += np.float64(value)

    return add


@no_type_check
def add_product(low, high, x, one, other):
    """Add a product, below 2^32 where sums are integers and then in two halves."""
    raise NotImplementedError


@overload(add_product, inline="always")
@no_type_check
def _add_product(low, high, x, one, other):
    if low.dtype == types.uint32:

        def add(low, high, x, one, other):
            product = np.uint32(one * other)
            low[x] += product & np.uint32(0xFFFF)
            high[x] += product >> np.uint32(16)
    else:

        def add(low, high, x, one, other):
            low[x] += np.float64(one) * np.float64(other)

    return add


@inlined
@no_type_check
def add_brenner(image, y0, y1, acc):
    """(I(x+2) - I(x))^2."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        row = image[y]
        for x in range(row.size - 2):
            step = widen(widen(row[x + 2]) - widen(row[x]))
            add_product(low, high, x, step, step)


@inlined
@no_type_check
def add_squared_steps(image, y0, y1, acc):
    """(I(x+1) - I(x))^2 and (I(x+2) - I(x))^2."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        for x in range(row.size - 2):
            step = widen(widen(row[x + 1]) - widen(row[x]))
            add_product(low, high, x, step, step)
            leap = widen(widen(row[x + 2]) - widen(row[x]))
            add_product(low_2, high_2, x, leap, leap)
        x = row.size - 2
        step = widen(widen(row[x + 1]) - widen(row[x]))
        add_product(low, high, x, step, step)


@inlined
@no_type_check
def add_value_and_square(image, y0, y1, acc):
    """I and I^2."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        for x in range(row.size):
            value = widen(row[x])
            add_value(low, high, x, value)
            add_product(low_2, high_2, x, value, value)


@inlined
@no_type_check
def add_values_and_step(image, y0, y1, acc):
    """I, I^2 and (I(x+1) - I(x))^2."""
    low, high, low_2, high_2, low_3, high_3 = acc[0], acc[1], acc[2], acc[3], acc[4], acc[5]
    for y in range(y0, y1):
        row = image[y]
        for x in range(row.size - 1):
            value = widen(row[x])
            add_value(low, high, x, value)
            add_product(low_2, high_2, x, value, value)
            step = widen(widen(row[x + 1]) - value)
            add_product(low_3, high_3, x, step, step)
        x = row.size - 1
        value = widen(row[x])
        add_value(low, high, x, value)
        add_product(low_2, high_2, x, value, value)


@inlined
@no_type_check
def add_absolute_steps(image, y0, y1, acc):
    """|I(x+1) - I(x)| and |I(y+1) - I(y)|."""
    low, high, low_2, high_2 = acc[0], acc[1], acc[2], acc[3]
    for y in range(y0, y1):
        row = image[y]
        below = image[min(y + 1, image.shape[0] - 1)]
        for x in range(row.size - 1):
            here = widen(row[x])
            add_value(low, high, x, abs(widen(widen(row[x + 1]) - here)))
            add_value(low_2, high_2, x, abs(widen(widen(below[x]) - here)))
        x = row.size - 1
        add_value(low_2, high_2, x, abs(widen(widen(below[x]) - widen(row[x]))))


@inlined
@no_type_check
def add_product_of_steps(image, y0, y1, acc):
    """|I(x+1) - I(x)| * |I(y+1) - I(y)|."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        row, below = image[y], image[y + 1]
        for x in range(row.size - 1):
            here = widen(row[x])
            along_x = abs(widen(widen(row[x + 1]) - here))
            along_y = abs(widen(widen(below[x]) - here))
            add_product(low, high, x, along_x, along_y)


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
    total = acc[0]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            total[x] += _sobel_energy(a, b, c, x)


@inlined
@no_type_check
def add_sobel_magnitude(image, y0, y1, acc):
    """|G| and |G|^2 of the 3 x 3 Sobel gradient."""
    total, squares = acc[0], acc[2]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            energy = _sobel_energy(a, b, c, x)
            total[x] += np.sqrt(energy)
            squares[x] += energy


@inlined
@no_type_check
def _bend(a, b, c, x):
    around = widen(b[x]) + widen(b[x + 2]) + widen(a[x + 1]) + widen(c[x + 1])
    return widen(around - 4 * widen(b[x + 1]))


@inlined
@no_type_check
def add_bend_modulus(image, y0, y1, acc):
    """|L| of the five-point Laplacian."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            add_value(low, high, x, abs(_bend(a, b, c, x)))


@inlined
@no_type_check
def add_bend_energy(image, y0, y1, acc):
    """L^2 of the five-point Laplacian."""
    total = acc[0]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            bend = np.float64(_bend(a, b, c, x))
            total[x] += bend * bend


@inlined
@no_type_check
def add_bend_and_square(image, y0, y1, acc):
    """L and L^2 of the five-point Laplacian."""
    total, squares = acc[0], acc[2]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            bend = np.float64(_bend(a, b, c, x))
            total[x] += bend
            squares[x] += bend * bend


@inlined
@no_type_check
def _bent(before, middle, after):
    return abs(widen(2 * widen(middle) - widen(before) - widen(after)))


@inlined
@no_type_check
def add_axes_moduli(image, y0, y1, acc):
    """|2 I - I(x-1) - I(x+1)| + |2 I - I(y-1) - I(y+1)|."""
    low, high = acc[0], acc[1]
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            along_x = _bent(b[x], b[x + 1], b[x + 2])
            along_y = _bent(a[x + 1], b[x + 1], c[x + 1])
            add_value(low, high, x, along_x + along_y)


@inlined
@no_type_check
def add_axes_and_diagonals(image, y0, y1, acc):
    """The modified Laplacian, with the diagonals over the root of two."""
    total = acc[0]
    weight = 1.0 / np.sqrt(2.0)
    for y in range(y0, y1):
        a, b, c = image[y], image[y + 1], image[y + 2]
        for x in range(a.size - 2):
            along_x = _bent(b[x], b[x + 1], b[x + 2])
            along_y = _bent(a[x + 1], b[x + 1], c[x + 1])
            falling = _bent(a[x], b[x + 1], c[x + 2])
            rising = _bent(c[x], b[x + 1], a[x + 2])
            total[x] += np.float64(along_x + along_y) + weight * np.float64(falling + rising)


@inlined
@no_type_check
def add_haar_energies(image, y0, y1, acc):
    """Four times the energy of the three Haar details, and of the smooth part, of 2 x 2 blocks."""
    high, low = acc[0], acc[2]
    for j in range(y0, y1):
        even, odd = image[2 * j], image[2 * j + 1]
        for i in range(even.size // 2):
            a, b = widen(even[2 * i]), widen(even[2 * i + 1])
            c, d = widen(odd[2 * i]), widen(odd[2 * i + 1])
            down = np.float64(widen((a - c) + (b - d)))
            across = np.float64(widen((a - b) + (c - d)))
            twist = np.float64(widen((a - b) - (c - d)))
            smooth = np.float64(widen((a + b) + (c + d)))
            high[i] += down * down + across * across + twist * twist
            low[i] += smooth * smooth
