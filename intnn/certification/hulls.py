"""Lines below tables: through the edge of the lower convex hull that stands over the middle of an interval."""

import numpy as np

from intnn.machine.jit import compiled
from intnn.values.arrays import IntArray


@compiled
def edges(table: IntArray, first: IntArray, last: IntArray, below: IntArray) -> None:
    """Find the edge of the lower hull of the points (i, table[i]), first <= i <= last, over (first + last) / 2.

    Of all lines below the points, the one through this edge has the least sum of distances to points that lie evenly
    in the interval. Where the middle is a corner of the hull, the edge is the one that ends there. The hull grows point
    by point (Andrew's monotone chain).

    Args:
        table: int64 [size]; differences times ``size`` must fit int64.
        first: int64 [n], indices of the table.
        last: int64 [n], indices of the table, each at least ``first``.
        below: int64 [n, 2], filled with the two ends of every edge; both are ``first`` where the interval is a point.
    """
    corners = np.empty(len(table), np.int64)
    for n in range(len(first)):
        count = 0
        for i in range(first[n], last[n] + 1):
            while count > 1:
                a, b = corners[count - 2], corners[count - 1]
                if (table[b] - table[a]) * (i - a) < (table[i] - table[a]) * (b - a):
                    break
                count -= 1
            corners[count] = i
            count += 1
        k = 0 if count == 1 else 1
        while 2 * corners[k] < first[n] + last[n]:
            k += 1
        below[n, 0], below[n, 1] = corners[max(k - 1, 0)], corners[k]
