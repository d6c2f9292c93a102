"""How well the spectra of a sample can be predicted from all data: five-fold cross-validation of some models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from agents import process
from agents.curio.model import learn_model
from agents.curio.sites import Sites
from benchmarks.problems import Problem
from benchmarks.runner import Arrays, Job
from curio_plans.study.floors import mean_spectrum_mse

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

FOLDS = 5

KERNEL_FROM = 512
"""Number of spectra from which the kernel of the baseline is chosen."""

TREES, LEAF = 100, 3


@dataclass(frozen=True)
class Folds(Job):
    """The cross-validation, as a job that is kept; its outcome has ``models`` and ``nmse`` (3,)."""

    folds: int = FOLDS

    def outcome(self) -> Arrays:
        """Predict each spectrum from those of the other folds, with each model."""
        problem = self.problem()
        numbers = np.random.default_rng(0)
        prediction = {name: np.empty_like(problem.truth) for name in MODELS}
        for test in np.array_split(numbers.permutation(len(problem.pool)), self.folds):
            train = np.setdiff1d(np.arange(len(problem.pool)), test)
            for name, predict in MODELS.items():
                prediction[name][test] = predict(problem, train, test, numbers)
        floor = mean_spectrum_mse(problem.truth)
        errors = [((found - problem.truth) ** 2).mean() / floor for found in prediction.values()]
        return {"models": np.array(list(MODELS)), "nmse": np.array(errors)}


def folds(sample: str, window: int) -> Folds:
    """Return the job for a sample. Its file is named like those of the agent, whose model it uses."""
    return Folds(sample, window, 0, {"agent": "curio-folds"})


def _curio(problem: Problem, train: Indices, test: Indices, numbers: np.random.Generator) -> Values:
    """Fit the agent's model twice: the second time with the weights that the first found for the spectra."""
    views = [Sites.of(problem.pool, view=view) for view in ("rings", "scales")]
    spectra = problem.spectra[train]
    inflation, model = np.ones(len(train)), None
    for _ in range(2):
        mean = np.average(spectra, axis=0, weights=1 / inflation)
        model = learn_model(views, train, spectra - mean, mean=mean, inflation=inflation, before=model, numbers=numbers)
        inflation = model.scored.inflation
    assert model is not None
    return model.basis.compose(model.posterior(views, tracked=test, integration=np.arange(1)).mean.T)


def _gaussian(problem: Problem, train: Indices, test: Indices, numbers: np.random.Generator) -> Values:
    """Use the kernel of `gp-variance`, chosen from more spectra than the agent uses."""
    patches = problem.pool.patches.reshape(len(problem.pool), -1).astype(np.float64)
    features = process.Features(patches, problem.pool.positions)
    some = np.sort(numbers.permutation(train)[:KERNEL_FROM])
    kernel, _ = process.leave_one_out(features, some, problem.spectra[some], process.Choices())
    return process.Posterior(features, kernel, train, problem.spectra[train], integration=test[:1]).mean[test]


def _trees(problem: Problem, train: Indices, test: Indices, _: np.random.Generator) -> Values:
    """Use extremely randomised trees of patch and position."""
    features = np.hstack([problem.pool.patches.reshape(len(problem.pool), -1), problem.pool.positions])
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, max_features=1 / 3, random_state=0)
    return np.asarray(forest.fit(features[train], problem.spectra[train]).predict(features[test]))


MODELS = {"curio": _curio, "gp-variance": _gaussian, "extra trees": _trees}
