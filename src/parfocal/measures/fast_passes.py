"""One pass over images for each measure: row loops between the borders of windows.

Each function takes images (n, y, x); ``jobs``, of which it does those that no other thread has
begun; the windows (``lattice``); accumulators and scratch of its thread (``state``); and
``means`` (k, n, j, i), which it fills with the means of feature k. All but the images are as
``fast_cells`` describes them.
"""

from __future__ import annotations

from typing import no_type_check

from parfocal.measures.fast_cells import FEW_ROWS, advance, begin, gather, is_small, take
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
from parfocal.measures.fast_strips import (
    strip_absolute_steps,
    strip_axes_moduli,
    strip_bend_energy,
    strip_bend_modulus,
    strip_brenner,
    strip_haar_energies,
    strip_product_of_steps,
    strip_small_squared_steps,
    strip_small_value_and_square,
    strip_small_values_and_step,
    strip_sobel_energy,
    strip_squared_steps,
    strip_value_and_square,
    strip_values_and_step,
)


@compiled
@no_type_check
def brenner(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_brenner(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_brenner(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def squared_steps(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    left = strip_small_squared_steps(image, y, stop, state[1])
                    if left < image.shape[1]:
                        add_squared_steps(image, y, stop, state[1], left)
                    gather(stop, job, lattice, state, False)
                else:
                    left = strip_squared_steps(image, y, stop, state[0])
                    if left < image.shape[1]:
                        add_squared_steps(image, y, stop, state[0], left)
                    gather(stop, job, lattice, state, True)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def value_and_square(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    left = strip_small_value_and_square(image, y, stop, state[1])
                    if left < image.shape[1]:
                        add_value_and_square(image, y, stop, state[1], left)
                    gather(stop, job, lattice, state, False)
                else:
                    left = strip_value_and_square(image, y, stop, state[0])
                    if left < image.shape[1]:
                        add_value_and_square(image, y, stop, state[0], left)
                    gather(stop, job, lattice, state, True)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def values_and_step(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                if is_small(image, y, stop):
                    left = strip_small_values_and_step(image, y, stop, state[1])
                    if left < image.shape[1]:
                        add_values_and_step(image, y, stop, state[1], left)
                    gather(stop, job, lattice, state, False)
                else:
                    left = strip_values_and_step(image, y, stop, state[0])
                    if left < image.shape[1]:
                        add_values_and_step(image, y, stop, state[0], left)
                    gather(stop, job, lattice, state, True)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def absolute_steps(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_absolute_steps(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_absolute_steps(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def product_of_steps(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_product_of_steps(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_product_of_steps(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def sobel_energy(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_sobel_energy(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_sobel_energy(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def sobel_magnitude(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_sobel_magnitude(image, y, stop, state[0], 0)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def bend_modulus(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_bend_modulus(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_bend_modulus(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def bend_energy(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_bend_energy(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_bend_energy(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def bend_and_square(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_bend_and_square(image, y, stop, state[0], 0)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def axes_moduli(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_axes_moduli(image, y, stop, state[0])
                if left < image.shape[1]:
                    add_axes_moduli(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def axes_and_diagonals(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                add_axes_and_diagonals(image, y, stop, state[0], 0)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)


@compiled
@no_type_check
def haar_energies(images, jobs, lattice, state, means):
    job = take(jobs)
    while job[0] >= 0:
        image = images[job[0]]
        y = begin(job, lattice, state)
        due = advance(y, job, lattice, state, means)
        while due >= 0:
            while y < due:
                stop = min(y + FEW_ROWS, due)
                left = strip_haar_energies(image, y, stop, state[0])
                if left < image.shape[1] // 2:
                    add_haar_energies(image, y, stop, state[0], left)
                gather(stop, job, lattice, state, False)
                y = stop
            due = advance(y, job, lattice, state, means)
        job = take(jobs)
