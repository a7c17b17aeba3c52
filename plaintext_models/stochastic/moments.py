"""What random weights do to a linear model's error on average."""

from __future__ import annotations

from torch import Tensor


def expected_squared_error(inputs: Tensor, outputs: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """The mean of ||y - Xw||^2 over weights of any distribution: ||y - X mu||^2 + tr(X Sigma X^T).

    Random weights cost what ridge-like decay of their deviations would: the second term does not know the outputs.

    Args:
        inputs: X, [n, features].
        outputs: y, [n].
        mean: The weights' mean mu, [features].
        covariance: Their covariance Sigma, [features, features].

    Returns:
        One number.
    """
    error = (outputs - inputs @ mean).square().sum()
    return error + (inputs @ covariance * inputs).sum()
