"""The Fréchet distance between two sets of features, each taken as a Gaussian.

Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", section 3:

    d² = |mu1 - mu2|² + tr(S1 + S2 - 2 (S1 S2)^(1/2))

On Inception features this number is the FID; on any other features it is not and must not be called so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from sg3x.metrics.arrays import checked_features


def feature_statistics(features: np.ndarray, *, ddof: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a set of features, in float64.

    Args:
        features: float[N, D], one row per image.
        ddof: the covariance's divisor is ``N - ddof``. 1 is clean-fid's (``np.cov``) and is what every score of ours
            uses; 0 is that of NVIDIA's StyleGAN code. At N = 2,000 the two move a FID by about 0.05 % of tr(S).

    Returns:
        ``(mu float64[D], sigma float64[D, D])``.

    Raises:
        ValueError: if ``features`` is not a finite matrix of more than ``ddof`` rows.
    """
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof!r}; allowed are 1 (divisor N-1, as clean-fid) and 0 (divisor N, as NVIDIA)")
    features = checked_features(features, minimum=1 + ddof)
    mu = features.mean(axis=0)
    centred = features - mu
    return mu, centred.T @ centred / (len(features) - ddof)


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """Squared Fréchet (2-Wasserstein) distance between N(mu1, sigma1) and N(mu2, sigma2).

    Equal to clean-fid's ``frechet_distance`` to rounding where that converges, but never complex, and accurate for
    singular covariances (fewer images than feature dimensions): see `trace_of_product_sqrt`.

    Args:
        mu1, mu2: float[D].
        sigma1, sigma2: float[D, D], symmetric positive semidefinite.

    Returns:
        d² >= 0.

    Raises:
        ValueError: if the shapes do not belong together or a value is not finite.
    """
    mu1, mu2 = (np.atleast_1d(np.asarray(mu, np.float64)) for mu in (mu1, mu2))
    sigma1, sigma2 = (np.atleast_2d(np.asarray(sigma, np.float64)) for sigma in (sigma1, sigma2))
    dim = len(mu1)
    if mu1.shape != mu2.shape or mu1.ndim != 1 or sigma1.shape != (dim, dim) or sigma2.shape != (dim, dim):
        shapes = f"mu {mu1.shape} and {mu2.shape}, sigma {sigma1.shape} and {sigma2.shape}"
        raise ValueError(f"shapes do not belong together: {shapes}; needed are [D], [D] and [D, D], [D, D]")
    if not all(np.isfinite(a).all() for a in (mu1, mu2, sigma1, sigma2)):
        raise ValueError("mean or covariance holds NaN or infinity; allowed are finite numbers")
    one, other = (FrechetTarget(m, float(np.trace(s)), _factor(s)) for m, s in ((mu1, sigma1), (mu2, sigma2)))
    return one.distance_between(other)


@dataclass(frozen=True)
class FrechetTarget:
    """A set of features as a Gaussian, ready to be measured against many others: its half of the work is done once.

    Attributes:
        mu: float64[D].
        trace: of the covariance.
        factor: float64[D, rank], F Fᵀ = covariance.
    """

    mu: np.ndarray
    trace: float
    factor: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> FrechetTarget:
        """The target of features float[N, D], statistics as `feature_statistics`."""
        mu, factor = _mean_and_factor(features)
        return cls(mu, float((factor**2).sum()), factor)

    def distance(self, features: np.ndarray) -> float:
        """`frechet_distance` of features float[M, D] to the target."""
        return self.distance_between(FrechetTarget.of(features))

    def distance_between(self, other: FrechetTarget) -> float:
        """d² of the two Gaussians."""
        difference = self.mu - other.mu
        trace = self.trace + other.trace - 2.0 * _root_trace(self.factor, other.factor)
        # Both terms are non-negative in exact arithmetic; identical sets may round to -1e-12.
        return float(difference @ difference + max(trace, 0.0))


def _mean_and_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean float64[D] and a factor of the covariance: of fewer rows than columns, the centred rows themselves."""
    features = checked_features(features)
    if len(features) > features.shape[1]:
        mu, sigma = feature_statistics(features)
        return mu, _factor(sigma)
    mu = features.mean(axis=0)
    return mu, (features - mu).T / np.sqrt(len(features) - 1)


def trace_of_product_sqrt(sigma1: np.ndarray, sigma2: np.ndarray) -> float:
    """tr (S1 S2)^(1/2) for symmetric positive semidefinite S1, S2.

    With S = F Fᵀ from the symmetric eigenvalue problem of each, (S1 S2) has the eigenvalues of (F1ᵀ F2)(F1ᵀ F2)ᵀ, so
    the trace of its root is the sum of the singular values of F1ᵀ F2. All of it is real, and each singular value is
    exact to rounding; roots of the eigenvalues of S1^(1/2) S2 S1^(1/2) would turn a rounding of 1e-16 into 1e-8.

    Args:
        sigma1, sigma2: float64[D, D].
    """
    return _root_trace(_factor(sigma1), _factor(sigma2))


def _root_trace(factor1: np.ndarray, factor2: np.ndarray) -> float:
    return float(np.linalg.svd(factor1.T @ factor2, compute_uv=False).sum())


def _factor(sigma: np.ndarray) -> np.ndarray:
    """F float64[D, rank] with F Fᵀ = sigma, leaving out the eigenvalues that are only the rounding of a zero."""
    eigenvalues, vectors = scipy.linalg.eigh((sigma + sigma.T) / 2)
    # Kept, rounding of the zeros of a singular covariance (about 1e-16 of the largest) would come out as 1e-8.
    keep = eigenvalues > len(sigma) * np.finfo(np.float64).eps * max(eigenvalues[-1], 0.0)
    return vectors[:, keep] * np.sqrt(eigenvalues[keep])
