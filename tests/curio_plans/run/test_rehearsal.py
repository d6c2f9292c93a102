import pytest

from curio_plans.plans import curiosity, grid_spectroscopy, image
from curio_plans.run.rehearsal import rehearse


def test_every_step_of_a_plan_is_told_and_nothing_moves(afm, wanderer):
    steps = rehearse(curiosity(afm, {}, 5, build=wanderer, drift={"every_points": 2}), afm)
    texts = [step.text for step in steps]
    assert texts[:2] == ["engage", "image of 32×32 px"]
    assert sum(text.startswith("spectrum of 32 steps") for text in texts) == 5
    assert sum(text.startswith("image") for text in texts) == 3
    assert texts[-1] == "withdraw"
    assert afm.backend.time() == 0
    assert not afm.backend.in_contact()


@pytest.mark.parametrize("plan", [image, lambda afm: grid_spectroscopy(afm, 3, 2, area=(0, 300, 0, 200))])
def test_the_estimate_is_what_the_twin_then_takes(afm, engine, plan):
    steps = rehearse(plan(afm), afm)
    engine(plan(afm))
    assert steps[-1].start + steps[-1].duration == pytest.approx(afm.backend.time(), rel=1e-9)
