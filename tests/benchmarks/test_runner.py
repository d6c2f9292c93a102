import dataclasses
from contextlib import closing

import lazy_loader
import numpy as np
import pytest
from support import measure, microscope, write_sample

from agents.base import BaseAgent
from agents.protocols import Estimate, Observation, Past, Suggestion
from agents.registry import build
from curio_plans.documents.history import History
from curio_plans.plans import curiosity
from ophyd_devices.twin import recorded

problems = lazy_loader.load("benchmarks.problems", suppress_warning=True)
runner = lazy_loader.load("benchmarks.runner", suppress_warning=True)

SMALL = "twin:pixels=20,steps=12"


@pytest.fixture
def sample(tmp_path):
    """A recorded sample in a file: 16 × 18 pixels, 10 steps."""
    return write_sample(tmp_path / "sample.npz", (16, 18), steps=10, noise=0.1, extent_nm=[160.0, 180.0])


@pytest.mark.parametrize("agent", ["random", "paper-latent:filters=2,choice=best-ten,random_probability=0.2"])
def test_it_decides_exactly_as_a_run_of_the_plan(sample, agent):
    config = runner.parse_agent(agent, seed=3, initial=6)
    with closing(microscope(recorded(sample))) as afm:
        history = History(measure(curiosity, config, 12, afm=afm, build=build, window=5))
    outcome = runner.explore(problems.open_problem(str(sample), 5), build(config), 12)
    assert outcome["chosen"].tolist() == [decision.candidate for decision in history.decisions]
    assert outcome["phases"].tolist() == [decision.phase for decision in history.decisions]
    final = history.maps[-1] if history.maps else None
    if final is not None:
        mse = ((final.prediction - history.reference) ** 2).mean()
        assert outcome["pool_mse"][-1] == pytest.approx(mse)
        np.testing.assert_array_equal(outcome["map_predicted_error"], final.maps["predicted_error"])


def test_an_agent_learns_from_earlier_runs_first():
    class Follower(BaseAgent):
        """Measures where an earlier run did."""

        learns_from_past = True

        def choose(self, n, context):
            return [Suggestion(self.past[0].observations[len(self.measured)].index, "like")]

    problem = problems.open_problem(SMALL, 5)
    seen = [
        Observation(index, problem.pool.positions[index], problem.pool.positions[index], problem.spectra[index], 0.0)
        for index in (7, 3, 11)
    ]
    outcome = runner.explore(problem, Follower({}), 3, [Past("before", problem.pool, tuple(seen))])
    assert outcome["chosen"].tolist() == [7, 3, 11]


def test_errors_are_those_of_places_never_measured():
    problem = problems.open_problem(SMALL, 5)
    outcome = runner.explore(problem, build(runner.parse_agent("paper-latent:filters=2", 0, 5)), 8)
    assert outcome["counts"].tolist() == [5, 6, 7, 8]
    left = np.delete(np.arange(len(problem.pool)), outcome["chosen"])
    assert outcome["unmeasured_mse"][-1] == pytest.approx(outcome["place_mse"][left].mean())
    assert outcome["worst_mse"][-1] == pytest.approx(np.sort(outcome["place_mse"])[-10:].mean())


def test_what_an_agent_believes_of_its_error_stands_beside_the_truth(sample):
    problem = problems.open_problem(str(sample), 5)
    outcome = runner.explore(problem, build(runner.parse_agent("curio", 0, 5)), 9)
    assert outcome["estimate"].shape == (len(outcome["counts"]), len(dataclasses.fields(Estimate)))
    left = np.delete(np.arange(len(problem.pool)), outcome["chosen"])
    found = outcome["place_mse"][left]  # a recorded sample has no noise beside that of its spectra
    assert outcome["true_error"][-1] == pytest.approx(found.mean() / problem.spectra.var(axis=0).mean())
    covered = (outcome["map_error_low"][left] <= found) & (found <= outcome["map_error_high"][left])
    assert outcome["covered"][-1] == covered.mean()


def test_a_measurement_has_noise_and_the_truth_has_none():
    problem = problems.open_problem(SMALL, 5)
    again = problems.open_problem.__wrapped__(SMALL, 5)
    np.testing.assert_array_equal(problem.spectra, again.spectra)
    noise = (problem.spectra - problem.truth).std()
    assert 0.01 < noise < 0.2


def test_finished_jobs_are_kept_and_skipped(tmp_path):
    job = runner.Job(SMALL, 5, 6, runner.parse_agent("random", 1))
    path = runner.run_job(job, tmp_path)
    before = path.stat().st_mtime_ns
    runner.run_jobs([job], tmp_path)
    assert path.stat().st_mtime_ns == before
    assert [found.name for found in tmp_path.iterdir()] == [job.name]
    facts, arrays = runner.load(job, tmp_path)
    assert facts["agent"] == {"agent": "random", "seed": 1}
    assert len(arrays["chosen"]) == 6


def test_other_jobs_have_other_names_and_a_moved_file_has_the_same(sample, tmp_path):
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes(sample.read_bytes())
    config = runner.parse_agent("random", 0)
    assert runner.Job(str(sample), 5, 9, config).name == runner.Job(str(moved), 5, 9, config).name
    jobs = [
        runner.Job(str(sample), 5, 9, config),
        runner.Job(str(sample), 7, 9, config),
        runner.Job(str(sample), 5, 8, config),
        runner.Job(SMALL, 5, 9, config),
        runner.Job(str(sample), 5, 9, runner.parse_agent("random", 1)),
    ]
    assert len({job.name for job in jobs}) == 5


def test_jobs_run_in_processes_of_their_own(tmp_path):
    jobs = [runner.Job(SMALL, 5, 6, runner.parse_agent("random", seed)) for seed in range(2)]
    runner.run_jobs(jobs, tmp_path, workers=2)
    assert {found.name for found in tmp_path.iterdir()} == {job.name for job in jobs}


def test_an_agent_is_given_as_text():
    config = runner.parse_agent("paper-latent:start=random,random_probability=0.5", seed=2, initial=9)
    assert (config["start"], config["random_probability"], config["seed"], config["initial"]) == ("random", 0.5, 2, 9)
    assert runner.parse_agent("paper-latent:seed=7", seed=2)["seed"] == 7
    assert runner.parse_agent("grid", seed=2, initial=9) == {"agent": "grid"}
    with pytest.raises(ValueError, match="expected NAME:option=value"):
        runner.parse_agent("random:seed", 0)


def test_a_wrong_twin_is_refused():
    with pytest.raises(ValueError, match="expected a twin with seed, pixels, steps"):
        problems.open_problem("twin:size=3", 5)
