"""Features of integer pixels, added up 32 columns by a few rows at a time, in registers.

Each function adds image rows ``y0`` up to ``y1`` into accumulators ``acc`` (2 k, x), as its
namesake ``add_...`` of ``fast_rows`` does, and returns the first column that it left to that one:
0 in images of floats; else only the last rows have any left, beyond whose end nothing may be
read. Columns of accumulators beyond the features are filled with what means nothing.

Sums of shorts: with p the sum of all ``pairs`` and q that of the ``odd`` ones, q holds the odd
columns and p - 2^16 q the even ones, modulo 2^32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

from numba import njit, types
from numba.extending import overload

from parfocal.measures.fast_lanes import (
    LANES,
    ask,
    deposit,
    deposit_row,
    even,
    gap,
    high_square,
    load,
    low_square,
    minus,
    modulus,
    no_reals,
    no_words,
    odd,
    pairs,
    plus,
    reals,
    small_even,
    small_odd,
    times,
    up,
)

inlined = njit(inline="always")

ROWS = 8
"""Rows added up in registers; as many are fetched ahead from memory meanwhile, or twice as many."""


@inlined
@no_type_check
def _loadable(image, y, reach_px, width):
    """Columns that may be loaded, ``width`` at a time and ``reach_px`` further, from row y."""
    left_px = (image.shape[0] - y) * image.shape[1] - reach_px
    return min(left_px // width, (image.shape[1] + width - 1) // width) * width


def _in_strips(
    add: Callable[..., Any], reach_y: int = 0, reach_x: int = 0, *, pitch_px: int = 1
) -> Any:
    """Call ``add(image, y, rows, x, acc)`` for every few rows of every 32 columns of integers."""
    many, few = ROWS // pitch_px, 2 // pitch_px

    @no_type_check
    def stub(image, y0, y1, acc):
        raise NotImplementedError

    @overload(stub, inline="always")
    @no_type_check
    def choose(image, y0, y1, acc):
        if not isinstance(image.dtype, types.Integer):
            return lambda image, y0, y1, acc: 0

        def strips(image, y0, y1, acc):
            last = min(pitch_px * y1 - 1 + reach_y, image.shape[0] - 1)
            stop = _loadable(image, last, reach_x, LANES)
            y = y0
            # Numbers of rows are constants, so that the compiler unrolls the loops over them.
            while y + many <= y1:
                for x in range(0, stop, LANES):
                    add(image, y, many, x, acc)
                y += many
            while y + few <= y1:
                for x in range(0, stop, LANES):
                    add(image, y, few, x, acc)
                y += few
            if y < y1:
                for x in range(0, stop, LANES):
                    add(image, y, 1, x, acc)
            return stop // pitch_px

        return strips

    return stub


@inlined
@no_type_check
def _brenner(image, y0, rows, x, acc):
    evens, odds = no_reals(), no_reals()
    for y in range(y0, y0 + rows):
        ask(image, y + ROWS, x)
        step = gap(load(image, y, x + 2), load(image, y, x))
        one, other = reals(even(step)), reals(odd(step))
        evens = plus(evens, times(one, one))
        odds = plus(odds, times(other, other))
    deposit(acc, 0, x, evens, odds)


strip_brenner = _in_strips(_brenner, 0, 2)


@inlined
@no_type_check
def _small_squared_steps(image, y0, rows, x, acc):
    evens, odds, evens_2, odds_2 = no_words(), no_words(), no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + 2 * ROWS, x)
        here = load(image, y, x)
        step, leap = gap(load(image, y, x + 1), here), gap(load(image, y, x + 2), here)
        one, other = small_even(step), small_odd(step)
        evens, odds = plus(evens, times(one, one)), plus(odds, times(other, other))
        one, other = small_even(leap), small_odd(leap)
        evens_2, odds_2 = plus(evens_2, times(one, one)), plus(odds_2, times(other, other))
    deposit(acc, 0, x, evens, odds)
    deposit(acc, 2, x, evens_2, odds_2)


strip_small_squared_steps = _in_strips(_small_squared_steps, 0, 2)


@inlined
@no_type_check
def _squared_steps(image, y0, rows, x, acc):
    p, q, r, s = no_words(), no_words(), no_words(), no_words()
    p_2, q_2, r_2, s_2 = no_words(), no_words(), no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + 2 * ROWS, x)
        here = load(image, y, x)
        step, leap = gap(load(image, y, x + 1), here), gap(load(image, y, x + 2), here)
        low, high = low_square(step), high_square(step)
        p, q, r, s = (
            plus(p, pairs(low)),
            plus(q, odd(low)),
            plus(r, pairs(high)),
            plus(s, odd(high)),
        )
        low, high = low_square(leap), high_square(leap)
        p_2, q_2 = plus(p_2, pairs(low)), plus(q_2, odd(low))
        r_2, s_2 = plus(r_2, pairs(high)), plus(s_2, odd(high))
    deposit(acc, 0, x, minus(p, up(q)), q)
    deposit(acc, 1, x, minus(r, up(s)), s)
    deposit(acc, 2, x, minus(p_2, up(q_2)), q_2)
    deposit(acc, 3, x, minus(r_2, up(s_2)), s_2)


strip_squared_steps = _in_strips(_squared_steps, 0, 2)


@inlined
@no_type_check
def _small_value_and_square(image, y0, rows, x, acc):
    p, q, evens, odds = no_words(), no_words(), no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + ROWS, x)
        here = load(image, y, x)
        one, other = small_even(here), small_odd(here)
        p, q = plus(p, one), plus(q, other)
        evens, odds = plus(evens, times(one, one)), plus(odds, times(other, other))
    deposit(acc, 0, x, p, q)
    deposit(acc, 2, x, evens, odds)


strip_small_value_and_square = _in_strips(_small_value_and_square)


@inlined
@no_type_check
def _value_and_square(image, y0, rows, x, acc):
    p, q, r, s, t, u = no_words(), no_words(), no_words(), no_words(), no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + ROWS, x)
        here = load(image, y, x)
        low, high = low_square(here), high_square(here)
        p, q = plus(p, pairs(here)), plus(q, odd(here))
        r, s = plus(r, pairs(low)), plus(s, odd(low))
        t, u = plus(t, pairs(high)), plus(u, odd(high))
    deposit(acc, 0, x, minus(p, up(q)), q)
    deposit(acc, 2, x, minus(r, up(s)), s)
    deposit(acc, 3, x, minus(t, up(u)), u)


strip_value_and_square = _in_strips(_value_and_square)


@inlined
@no_type_check
def _small_values_and_step(image, y0, rows, x, acc):
    p, q, evens, odds = no_words(), no_words(), no_words(), no_words()
    evens_2, odds_2 = no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + 2 * ROWS, x)
        here = load(image, y, x)
        step = gap(load(image, y, x + 1), here)
        one, other = small_even(here), small_odd(here)
        p, q = plus(p, one), plus(q, other)
        evens, odds = plus(evens, times(one, one)), plus(odds, times(other, other))
        one, other = small_even(step), small_odd(step)
        evens_2, odds_2 = plus(evens_2, times(one, one)), plus(odds_2, times(other, other))
    deposit(acc, 0, x, p, q)
    deposit(acc, 2, x, evens, odds)
    deposit(acc, 4, x, evens_2, odds_2)


strip_small_values_and_step = _in_strips(_small_values_and_step, 0, 1)


@inlined
@no_type_check
def _values_and_step(image, y0, rows, x, acc):
    p, q, r, s, t, u = no_words(), no_words(), no_words(), no_words(), no_words(), no_words()
    r_2, s_2, t_2, u_2 = no_words(), no_words(), no_words(), no_words()
    for y in range(y0, y0 + rows):
        ask(image, y + 2 * ROWS, x)
        here = load(image, y, x)
        step = gap(load(image, y, x + 1), here)
        low, high = low_square(here), high_square(here)
        p, q = plus(p, pairs(here)), plus(q, odd(here))
        r, s = plus(r, pairs(low)), plus(s, odd(low))
        t, u = plus(t, pairs(high)), plus(u, odd(high))
        low, high = low_square(step), high_square(step)
        r_2, s_2 = plus(r_2, pairs(low)), plus(s_2, odd(low))
        t_2, u_2 = plus(t_2, pairs(high)), plus(u_2, odd(high))
    deposit(acc, 0, x, minus(p, up(q)), q)
    deposit(acc, 2, x, minus(r, up(s)), s)
    deposit(acc, 3, x, minus(t, up(u)), u)
    deposit(acc, 4, x, minus(r_2, up(s_2)), s_2)
    deposit(acc, 5, x, minus(t_2, up(u_2)), u_2)


strip_values_and_step = _in_strips(_values_and_step, 0, 1)


@inlined
@no_type_check
def _absolute_steps(image, y0, rows, x, acc):
    p, q, p_2, q_2 = no_words(), no_words(), no_words(), no_words()
    here = load(image, y0, x)
    for y in range(y0, y0 + rows):
        ask(image, y + 1 + ROWS, x)
        step = gap(load(image, y, x + 1), here)
        below = load(image, min(y + 1, image.shape[0] - 1), x)
        fall = gap(below, here)
        here = below
        p, q = plus(p, pairs(step)), plus(q, odd(step))
        p_2, q_2 = plus(p_2, pairs(fall)), plus(q_2, odd(fall))
    deposit(acc, 0, x, minus(p, up(q)), q)
    deposit(acc, 2, x, minus(p_2, up(q_2)), q_2)


strip_absolute_steps = _in_strips(_absolute_steps, 1, 1)


@inlined
@no_type_check
def _product_of_steps(image, y0, rows, x, acc):
    evens, odds = no_reals(), no_reals()
    here = load(image, y0, x)
    for y in range(y0, y0 + rows):
        ask(image, y + 1 + ROWS, x)
        step = gap(load(image, y, x + 1), here)
        below = load(image, y + 1, x)
        fall = gap(below, here)
        here = below
        evens = plus(evens, times(reals(even(step)), reals(even(fall))))
        odds = plus(odds, times(reals(odd(step)), reals(odd(fall))))
    deposit(acc, 0, x, evens, odds)


strip_product_of_steps = _in_strips(_product_of_steps, 1, 1)


@inlined
@no_type_check
def _sobel_energy(image, y0, rows, x, acc):
    evens, odds = no_reals(), no_reals()
    # Columns x, x + 1, x + 2 and x + 3, for x even: a and b of the row before last, then the last.
    one, other = load(image, y0, x), load(image, y0, x + 2)
    a, b, c, d = even(one), odd(one), even(other), odd(other)
    one, other = load(image, y0 + 1, x), load(image, y0 + 1, x + 2)
    e, f, g, h = even(one), odd(one), even(other), odd(other)
    for y in range(y0 + 2, y0 + rows + 2):
        ask(image, y + ROWS, x)
        one, other = load(image, y, x), load(image, y, x + 2)
        i, j, k, m = even(one), odd(one), even(other), odd(other)
        along_x = minus(plus(plus(c, k), plus(g, g)), plus(plus(a, i), plus(e, e)))
        down, down_1, down_2 = minus(i, a), minus(j, b), minus(k, c)
        across = plus(down_1, down_2)
        along_y = plus(plus(down, down_1), across)
        evens = plus(evens, times(reals(along_x), reals(along_x)))
        evens = plus(evens, times(reals(along_y), reals(along_y)))
        along_x = minus(plus(plus(d, m), plus(h, h)), plus(plus(b, j), plus(f, f)))
        along_y = plus(across, plus(down_2, minus(m, d)))
        odds = plus(odds, times(reals(along_x), reals(along_x)))
        odds = plus(odds, times(reals(along_y), reals(along_y)))
        a, b, c, d, e, f, g, h = e, f, g, h, i, j, k, m
    deposit(acc, 0, x, evens, odds)


strip_sobel_energy = _in_strips(_sobel_energy, 2, 2)


@inlined
@no_type_check
def _bend(sides, middle):
    return minus(sides, plus(plus(middle, middle), plus(middle, middle)))


@inlined
@no_type_check
def _bend_modulus(image, y0, rows, x, acc):
    evens, odds = no_words(), no_words()
    above, here = load(image, y0, x + 1), load(image, y0 + 1, x + 1)
    a, b, c, d = even(above), odd(above), even(here), odd(here)
    for y in range(y0 + 1, y0 + rows + 1):
        ask(image, y + 1 + ROWS, x)
        left, right, below = load(image, y, x), load(image, y, x + 2), load(image, y + 1, x + 1)
        e, f = even(below), odd(below)
        sides = plus(plus(even(left), even(right)), plus(a, e))
        evens = plus(evens, modulus(_bend(sides, c)))
        sides = plus(plus(odd(left), odd(right)), plus(b, f))
        odds = plus(odds, modulus(_bend(sides, d)))
        a, b, c, d = c, d, e, f
    deposit(acc, 0, x, evens, odds)


strip_bend_modulus = _in_strips(_bend_modulus, 2, 2)


@inlined
@no_type_check
def _bend_energy(image, y0, rows, x, acc):
    evens, odds = no_reals(), no_reals()
    above, here = load(image, y0, x + 1), load(image, y0 + 1, x + 1)
    a, b, c, d = even(above), odd(above), even(here), odd(here)
    for y in range(y0 + 1, y0 + rows + 1):
        ask(image, y + 1 + ROWS, x)
        left, right, below = load(image, y, x), load(image, y, x + 2), load(image, y + 1, x + 1)
        e, f = even(below), odd(below)
        sides = plus(plus(even(left), even(right)), plus(a, e))
        bend = reals(_bend(sides, c))
        evens = plus(evens, times(bend, bend))
        sides = plus(plus(odd(left), odd(right)), plus(b, f))
        bend = reals(_bend(sides, d))
        odds = plus(odds, times(bend, bend))
        a, b, c, d = c, d, e, f
    deposit(acc, 0, x, evens, odds)


strip_bend_energy = _in_strips(_bend_energy, 2, 2)


@inlined
@no_type_check
def _axes_moduli(image, y0, rows, x, acc):
    evens, odds = no_words(), no_words()
    above, here = load(image, y0, x + 1), load(image, y0 + 1, x + 1)
    a, b, c, d = even(above), odd(above), even(here), odd(here)
    for y in range(y0 + 1, y0 + rows + 1):
        ask(image, y + 1 + ROWS, x)
        left, right, below = load(image, y, x), load(image, y, x + 2), load(image, y + 1, x + 1)
        e, f, middle = even(below), odd(below), plus(c, c)
        evens = plus(evens, modulus(minus(middle, plus(even(left), even(right)))))
        evens = plus(evens, modulus(minus(middle, plus(a, e))))
        middle = plus(d, d)
        odds = plus(odds, modulus(minus(middle, plus(odd(left), odd(right)))))
        odds = plus(odds, modulus(minus(middle, plus(b, f))))
        a, b, c, d = c, d, e, f
    deposit(acc, 0, x, evens, odds)


strip_axes_moduli = _in_strips(_axes_moduli, 2, 2)


@inlined
@no_type_check
def _haar_energies(image, y0, rows, x, acc):
    steps, twists, smooth = no_reals(), no_reals(), no_reals()
    for j in range(y0, y0 + rows):
        y = 2 * j
        ask(image, y + ROWS, x)
        ask(image, y + 1 + ROWS, x)
        upper, lower = load(image, y, x), load(image, y + 1, x)
        a, b, c, d = even(upper), odd(upper), even(lower), odd(lower)
        fall, rise = reals(minus(a, d)), reals(minus(b, c))
        steps = plus(steps, times(fall, fall))
        steps = plus(steps, times(rise, rise))
        one, other = plus(a, d), plus(b, c)
        twist, total = reals(minus(one, other)), reals(plus(one, other))
        twists = plus(twists, times(twist, twist))
        smooth = plus(smooth, times(total, total))
    # (fall + rise)^2 + (fall - rise)^2 are twice the squares of both.
    deposit_row(acc, 0, x // 2, plus(plus(steps, steps), twists))
    deposit_row(acc, 2, x // 2, smooth)


strip_haar_energies = _in_strips(_haar_energies, pitch_px=2)
