"""What a file of a campaign means, and what is wrong with one."""

import pytest
from support import write_sample

from agents.registry import build
from curio_plans.campaign import Campaign
from ophyd_devices.registry import check_backend


def jobs(tmp_path, text):
    file = tmp_path / "compare.toml"
    file.write_text(text)
    return Campaign.read(file).jobs(lambda config: dict(build(config).config), check_backend)


def test_it_is_every_agent_on_every_sample_with_all_settings_and_seeds(tmp_path):
    write_sample(tmp_path / "map.npz")
    text = """
    agents = ["random", { agent = "halton", label = "H" }, "grid"]
    samples = ["map.npz", "twin", { twin = { seed = 5 }, pixels = 32, label = "five" }]
    settings = [{}, { lookahead = 1, label = "ahead" }]
    seeds = [3, 4]
    run = { points = 7 }
    """
    found = jobs(tmp_path, text)
    assert len(found) == len({job.name for job in found})
    assert str(found[0]) == "random, map, seed 3"
    labels = [(job.labels["agent"], job.labels["sample"], job.labels["settings"], job.labels["seed"]) for job in found]
    assert labels.count(("random", "five", "ahead", 4)) == 1
    assert [job.labels["seed"] for job in found] == sorted(job.labels["seed"] for job in found)
    once = [job for job in found if job.labels["agent"] == "grid" and job.labels["sample"] == "map"]
    assert len(once) == 2 * (1 + ("seed" in once[0].agent))
    ahead = next(job for job in found if job.labels["settings"] == "ahead" and job.labels["sample"] == "five")
    assert (dict(ahead.run), ahead.pixels) == ({"points": 7, "lookahead": 1}, 32)
    assert ahead.options["seed"] == 5
    assert {job.options["seed"] for job in found if job.labels["sample"] == "twin"} == {3, 4}


def test_a_job_is_named_by_what_it_computes(tmp_path):
    text = 'agents = ["random"]\nsamples = ["{}"]\n'
    for name in ("a.npz", "b.npz"):
        write_sample(tmp_path / name)
    (one,), (moved,) = (jobs(tmp_path, text.format(name)) for name in ("a.npz", "b.npz"))
    assert one.name == moved.name
    write_sample(tmp_path / "a.npz", noise=0.1)
    (other,) = jobs(tmp_path, text.format("a.npz"))
    assert other.name != one.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agents = [", "is not TOML"),
        ('samples = ["twin"]', "agents: expected a value, got none"),
        ('agents = ["random"]\nsamples = []', "samples: "),
        ('agents = ["nobody"]\nsamples = ["twin"]', "there is no agent 'nobody'"),
        ('agents = [{ agent = "random", sed = 1 }]\nsamples = ["twin"]', "has no option sed"),
        ('agents = ["random"]\nsamples = ["gone.npz"]', "there is no sample file"),
        ('agents = ["random"]\nsamples = [{ twin = { sed = 1 } }]', "backend 'twin' has no option sed"),
        ('agents = ["random"]\nsamples = [{ pixels = 3 }]', "expected either file or twin"),
        ('agents = ["random"]\nsamples = ["twin"]\nrun = { point = 3 }', "run: point: there is no such key"),
        ('agents = ["random"]\nsamples = ["twin"]\nseed = 3', "seed: there is no such key"),
        ('agents = ["random", "random"]\nsamples = ["twin"]', "expected each run once, got twice"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        jobs(tmp_path, text)
