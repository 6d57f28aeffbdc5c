"""Sine, cosine and tangent in plain arithmetic: for numbers, `geometry.lanes` and CUDA threads, with the same bits.

The maths library of each of the three differs in the last bit, and numba's wheels have no vector version of it.
"""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import any_lane, select

TWO_PI = 2.0 * math.pi
INVERSE_TWO_PI = 1.0 / TWO_PI
TWO_OVER_PI = 2.0 / math.pi
# pi / 2 in three parts, the first two of 33 bits: their products with a whole number below 2^20 are exact (fdlibm).
HALF_PI_HIGH = float.fromhex("0x1.921fb544p+0")
HALF_PI_MIDDLE = float.fromhex("0x1.0b4611a6p-34")
HALF_PI_LOW = float.fromhex("0x1.3198a2e037073p-69")
# 1.5 * 2^52: adding it and taking it away rounds numbers below 2^51 to the nearest whole number, ties to even.
ROUNDING = 6755399441055744.0


@kernel
def nearest(x):
    """Nearest whole number, ties to even; |x| < 2^51."""
    return (x + ROUNDING) - ROUNDING


@kernel
def wrap(angle):
    """Angle in [-pi, pi); unchanged if it lies there already."""
    outside = (angle < -math.pi) | (angle >= math.pi)
    if any_lane(outside):  # seldom; else the processor need not wait for it
        angle = select(outside, angle - TWO_PI * math.floor((angle + math.pi) * INVERSE_TWO_PI), angle)
    return angle


@kernel
def sincos(x):
    """Sine and cosine, each within 2 units of the last place for |x| < 1e4.

    Reduced to |r| <= pi / 4 and a number of quarter turns; minimax polynomials of fdlibm's `__kernel_sin` and
    `__kernel_cos`.
    """
    quarters = nearest(x * TWO_OVER_PI)
    r = ((x - quarters * HALF_PI_HIGH) - quarters * HALF_PI_MIDDLE) - quarters * HALF_PI_LOW
    z = r * r
    s = z * 1.58969099521155010221e-10 - 2.50507602534068634195e-08
    s = z * s + 2.75573137070700676789e-06
    s = z * s - 1.98412698298579493134e-04
    s = z * s + 8.33333333332248946124e-03
    s = z * s - 1.66666666666666324348e-01
    s = r + r * (z * s)
    c = 2.08757232129817482790e-09 - z * 1.13596475577881948265e-11
    c = z * c - 2.75573143513906633035e-07
    c = z * c + 2.48015872894767294178e-05
    c = z * c - 1.38888888888741095749e-03
    c = z * c + 4.16666666666666019037e-02
    c = 1.0 - (0.5 * z - z * (z * c))
    halves = nearest(quarters * 0.5 - 0.25)
    odd = quarters != halves + halves
    turned = halves != 2.0 * nearest(halves * 0.5 - 0.25)
    sign = select(turned, -1.0, 1.0)
    return sign * select(odd, c, s), sign * select(odd, -s, c)


@kernel
def tan_small(x):
    """Tangent within 2 units of the last place for |x| <= 1.1.

    x plus what the tenth convergent of Lambert's continued fraction x / (1 - x^2 / (3 - x^2 / (5 - ...))) adds to it.
    """
    z = x * x
    beyond = z - 1430.0
    beyond = z * beyond + 289575.0
    beyond = z * beyond - 16081065.0
    beyond = z * beyond + 218243025.0
    below = 1485.0 - z
    below = z * below - 315315.0
    below = z * below + 18918900.0
    below = z * below - 310134825.0
    below = z * below + 654729075.0
    return x + x * (z * beyond) / below
