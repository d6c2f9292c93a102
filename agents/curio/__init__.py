"""Curiosity about reducible error: the project's own agent.

A large predicted error is often noise, which no measurement removes, and a network that sees only patches ignores the
neighbours. This agent asks instead how much a spectrum would teach about *all* places.

Model
    Spectra of one sample differ in few ways. :mod:`~agents.curio.spectra` turns each into at most eight scores. Each
    score is a Gaussian process of the surroundings of a place and of its position (:mod:`~agents.curio.kernel`)::

        z_c(i) = f_c(rings of the patch) + g_c(position) + noise_c

    f is learned wherever a similar structure was measured, and predicts everywhere; g interpolates between neighbours
    what the image does not show. The agent learns from the spectra (:mod:`~agents.curio.fit`) how far from the centre
    of the patch the surroundings matter, which channels matter, how smooth the sample is and how noisy each score is.
    Nothing is set by hand for a sample. Three such models are averaged (:mod:`~agents.curio.committee`): of rings of
    the patch, of means and gradients at several scales, and of all its pixels, with a kernel that leaving one out
    chooses (:mod:`~agents.curio.ridge`). Spectra that contradict the others are trusted less if that pays
    (:mod:`~agents.curio.trust`).
Acquisition
    Measure where the expected error of the whole map falls most (:mod:`~agents.curio.posterior`)::

        A(j) = Σ_c λ_c · mean_m cov_c(m, j)² / (var_c(j) + noise_c)

    λ_c is the contribution of a score to the spectra. Before there is a model, the same rule with the prior kernel
    spreads the first points over the image and over what it shows. With ``travel``, A is divided by the time for the
    move and the spectrum.
Checks
    Every tenth point is drawn at random from a tenth of the candidates, which are reserved for this. The checks tell
    how large the error is (:mod:`~agents.curio.calibration`). The agent's estimate rests on them, and so do the maps
    ``predicted_error``, ``error_low``, ``error_high`` (90 % of single spectra lie between) and ``reducible_error``
    (without noise), in the square of the spectrum's unit.
Prior runs
    Spectra of prior runs belong to other *areas* (:mod:`~agents.curio.lessons`): f is correlated between areas, as
    strongly as the spectra say, g is not.

A decision takes a time that is linear in candidates and observations, except where the model is learned again: each
time the number of spectra has grown by a factor of 1.35.
"""
