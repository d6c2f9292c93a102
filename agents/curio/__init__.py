"""Curiosity about reducible error: the project's own agent.

The largest predicted error is often noise, which no measurement removes, and a network that sees only patches ignores
what the neighbours have already said. This agent asks instead how much a spectrum would teach about *all* places.

Model
    Spectra of one sample differ in few ways. :mod:`~agents.curio.spectra` turns each into at most six scores. Each
    score is a Gaussian process over what surrounds a place and where it lies (:mod:`~agents.curio.kernel`)::

        z_c(i) = f_c(rings of the patch) + g_c(position) + noise_c

    f is learned wherever a similar structure was measured and serves everywhere; g fills in from the neighbours what
    the image does not show. How far from the centre of the patch it pays to look, which channels matter, how smooth
    the sample is and how noisy each score are found from the spectra themselves: nothing is set for a sample by hand.
    A spectrum that contradicts its neighbours and its like is trusted less (:mod:`~agents.curio.model`).
Acquisition
    Measure where the expected error of the whole map falls most (:mod:`~agents.curio.posterior`)::

        A(j) = Σ_c λ_c · mean_m cov_c(m, j)² / (var_c(j) + noise_c)

    λ_c is the share of a score in the spectra. Before there is a model the same rule, with the priors of the kernel,
    spreads the first points over the image and over what is seen in it. With ``travel``, A is divided by the time of
    spectrum and way.
Checks
    Every tenth point is drawn at random from a tenth of the candidates that nothing else chooses. These tell how large
    the error is (:mod:`~agents.curio.calibration`): what :meth:`CurioAgent.estimate` says, and the maps
    ``predicted_error``, ``error_low``, ``error_high`` (90 % of single spectra lie between) and ``reducible_error``
    (what is not noise), in the square of the spectrum's unit.
Earlier runs
    Spectra of earlier runs belong to other *areas*: f is correlated between areas, as strongly as the spectra say, g is
    not.

A decision costs a time linear in candidates and observations; only where the model is learned anew, when there are 1.3
times as many spectra, it takes longer.
"""

from agents.curio.agent import CurioAgent

__all__ = ["CurioAgent"]
