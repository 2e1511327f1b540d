"""How far a float32 sum of products may be from the exact one.

For ``y = sum of k products`` in any order, with unit roundoff ``u = 2**-24``::

    |error| <= k u * sum|products|                   always              (Higham, 2002, eq. 3.5)
    |error| <= LAMBDA sqrt(k) u * sum|products|      but for a chance    (Higham and Mary, 2019)
                                                     of 2 exp(-LAMBDA^2 / 2) an operation

The smaller of the two is the tolerance: tight enough that one wrong index stands out by orders of
magnitude, in a sum of thousands too.
"""

from __future__ import annotations

import math

UNIT_ROUNDOFF = 2.0**-24
# 2 exp(-LAMBDA^2 / 2) is 3e-8, and sums of signed products stay far below even that bound.
LAMBDA = 6.0
# Beside the k products: the coefficient stored in float32, its multiplication, the bias added.
FURTHER_ROUNDINGS = 4


def relative_tolerance(products_count: int, growth: float) -> float:
    """Return the largest error that passes, relative to the sum of absolute products.

    Args:
        products_count: Terms in the sum.
        growth: The lowering's rounding error over that of a plain sum.
    """
    k = products_count + FURTHER_ROUNDINGS
    return growth * min(k, LAMBDA * math.sqrt(k)) * UNIT_ROUNDOFF
