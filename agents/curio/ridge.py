"""A kernel of the whole patch and the position that leaving one out chooses: kernel ridge regression as a process.

Fitting a likelihood (:mod:`agents.curio.fit`) learns much from few spectra if its assumptions hold. This does not need
them: of a list of kernels it takes the one that predicts each measured spectrum best from the others. One
eigendecomposition gives all ridges of a kernel (Rasmussen & Williams, *Gaussian Processes for Machine Learning*, MIT
Press 2006, section 5.4.2), so that the whole list takes a fraction of a second.
"""

import itertools
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from agents.curio.kernel import Kernel, Shape
from agents.curio.sites import Sites
from agents.curio.spectra import Scored

Values = NDArray[np.float64]

PATCH = (0.25, 0.5, 1.0, 2.0, inf)
"""Lengths of the patch, in typical distances; ∞ leaves it out."""

POSITION = (0.1, 0.2, 0.4, 0.8, 1.6, inf)
"""Lengths in the image, in typical distances; ∞ leaves the position out."""

NOISE = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of the noise relative to that of the process: the ridge."""

TRANSFER = 0.7
"""The correlation of structure between areas."""

SHAPE: Shape = "gaussian"


def choose(sites: Sites, scored: Scored, importance: Values, *, position: bool = True) -> Kernel:
    """Return the kernel that predicts each of the spectra best from the others.

    Parameters
    ----------
    sites : Sites
    scored : Scored
        n spectra.
    importance : (r,)
        What a squared error of each score adds to the spectral error.
    position : bool
        Whether nearness counts, or only structure.
    """
    here, weight = scored.sites, np.sqrt(1 / scored.inflation)  # (n,)
    scores = weight[:, None] * scored.scores  # (n, r)
    best, least = None, inf
    for unit in kernels(len(sites.groups), position=position):
        covariance = unit(sites, here, here)[0] * weight * weight[:, None]
        values, vectors = eigh(covariance, driver="evd")
        rotated, squares = vectors.T @ scores, vectors**2
        for noise in NOISE:
            # What is left of a spectrum that is predicted from the others: C⁻¹ y over the diagonal of C⁻¹; with the
            # noise of each spectrum, C = W^½ (W^-½ K W^-½ + σ²) W^½, W that noise.
            inverse = 1 / (np.maximum(values, 0) + noise)
            own = squares @ inverse  # (n,)
            off = vectors @ (inverse[:, None] * rotated) / own[:, None]  # in units of √W
            error = float((off**2).sum(axis=0) @ importance)
            if error < least:
                best, least = (unit, noise, (off**2 * own[:, None]).mean(axis=0)), error
    if best is None:
        raise ValueError("expected finite scores")
    unit, noise, amplitude = best
    return unit.scaled(np.maximum(amplitude, np.finfo(float).tiny), noise)


def kernels(groups: int, *, position: bool) -> list[Kernel]:
    """Return the kernels to choose from, of one score and with variance 1."""
    found = []
    for form, patch, reach in itertools.product(("product", "sum"), PATCH, POSITION):
        finite = np.isfinite([patch, reach])
        if (form == "sum" and not finite.all()) or (np.isfinite(reach) and not position):
            continue  # the product has the kernels of one of the two already
        parts = {"sum": (0.5, 0.5, 0.0), "product": (0.0, 0.0, 1.0) if finite[1] else (1.0, 0.0, 0.0)}[form]
        structure, near, local = (np.array([part]) for part in parts)
        lengths = np.full(groups, patch * np.sqrt(max(groups, 1)))
        found.append(Kernel(lengths, reach, reach, structure, near, local, np.zeros(1), TRANSFER, SHAPE))
    return found
