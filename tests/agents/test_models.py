import itertools

import lazy_loader
import numpy as np
import pytest

from agents import models
from agents.scaling import Scaling

torch = lazy_loader.load("torch")  # imported by the first test that uses it, not by the collection


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("patch", [(1, 9, 9), (3, 16, 16), (2, 3, 5)])
@pytest.mark.parametrize("steps", [1, 50, 256])
def test_im2spec_maps_patches_to_spectra(patch, steps):
    model = models.create(lambda: models.Im2spec(patch, steps, filters=3), seeded())
    spectra, latent = model.evaluate(torch.randn(7, *patch, generator=seeded()), chunk=3)
    assert spectra.shape == (7, steps)
    assert latent.shape == (7, 2)


def test_im2spec_of_the_paper_has_its_size():
    """Three convolutions of 64 filters on 9 × 9 pixels, latent 2, decoder 12-25-37-50-50-50."""
    weights = sum(parameter.numel() for parameter in models.Im2spec((1, 9, 9), 50).parameters())
    convolutions = (9 * 64 + 64) + 2 * (9 * 64 * 64 + 64) + 3 * 2 * 64
    widths = [2, 12, 25, 37, 50, 50, 50]
    decoder = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    assert weights == convolutions + (64 * 81 * 2 + 2) + decoder


@pytest.mark.parametrize("name", ["im2spec", "im2spec_2", "im2spec_3", "im2spec_4", "im2spec_5"])
def test_the_ensemble_of_the_paper_maps_patches_to_spectra(name):
    assert len(models.TABLE_1) == 5
    model = models.create(
        lambda: models.Im2spec((2, 9, 7), 16, latent=3, filters=4, encoder=models.TABLE_1[name]), seeded()
    )
    spectra, latent = model.evaluate(torch.randn(5, 2, 9, 7, generator=seeded()))
    assert (spectra.shape, latent.shape) == ((5, 16), (5, 3))


def test_spec2im_maps_spectra_to_patches():
    model = models.create(lambda: models.Spec2im((2, 9, 7), 16, filters=4), seeded())
    assert model.evaluate(torch.randn(5, 16, generator=seeded()), chunk=2).shape == (5, 2, 9, 7)


def test_mean_and_spread_over_thinned_networks_are_those_of_so_many_passes():
    head, features = (
        models.create(lambda: models.ErrorHead(3, hidden=16, dropout=0.3), seeded()),
        torch.randn(9, 3, generator=seeded()),
    )
    mean, spread = head.sample(features, 50, seeded(5))
    kept = torch.rand((50, 16), generator=seeded(5)) >= 0.3
    passes = []
    for mask in kept:
        hidden = torch.relu(head.first(features)) * mask / 0.7
        passes.append(head.last(hidden).squeeze(1).detach())
    torch.testing.assert_close(mean, torch.stack(passes).mean(dim=0))
    torch.testing.assert_close(spread, torch.stack(passes).std(dim=0))


def test_an_averaged_network_is_the_mean_of_its_last_epochs_and_resumes_exactly():
    from agents.surrogates.ensemble import Member

    patches, targets = torch.randn(20, 1, 5, 5, generator=seeded()), torch.randn(20, 6, generator=seeded(1))
    members = [Member(lambda: models.Im2spec((1, 5, 5), 6, filters=3), seeded(2), window=4) for _ in range(2)]
    members[0].train(patches, targets, 8, seeded(3))
    assert not torch.equal(members[0].averaged.to_latent.weight, members[0].model.to_latent.weight)
    assert members[0].validation > 0
    members[1].load_state(members[0].state())
    for member in members:
        member.train(patches, targets, 2, seeded(4))
    assert members[0].validation == members[1].validation
    assert torch.equal(members[0].averaged.evaluate(patches)[0], members[1].averaged.evaluate(patches)[0])


def test_the_chunks_of_an_evaluation_do_not_matter_but_for_rounding():
    model = models.create(lambda: models.Im2spec((1, 5, 5), 8, filters=4), seeded())
    patches = torch.randn(20, 1, 5, 5, generator=seeded(1))
    torch.testing.assert_close(model.evaluate(patches, chunk=3)[0], model.evaluate(patches, chunk=20)[0])


def test_the_same_generator_gives_the_same_weights():
    made = [models.create(lambda: models.Autoencoder((1, 5, 5)), seeded(seed)) for seed in (1, 1, 2)]
    first, same, other = (torch.cat([p.flatten() for p in model.parameters()]) for model in made)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_initial_weights_have_the_spread_that_pytorch_gives():
    layer = models.create(lambda: torch.nn.Linear(400, 300), seeded())
    assert layer.weight.abs().max() <= 1 / 20
    assert layer.weight.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.02)


def test_dropout_keeps_the_mean_and_does_nothing_when_evaluated():
    layer = models.Dropout(0.5)
    ones = torch.ones(200, 200)
    with pytest.raises(RuntimeError, match="dropout has no generator"):
        layer(ones)
    layer.generator = seeded()
    dropped = layer(ones)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(ones), ones)


def test_a_learner_learns_and_resumes_exactly():
    from agents.learner import Learner

    inputs = torch.randn(40, 3, generator=seeded())
    targets = inputs.square().sum(dim=1)

    def make():
        return Learner(
            lambda: models.ErrorHead(3), lambda p: torch.optim.Adam(p, lr=1e-2), first=200, later=5, generator=seeded(3)
        )

    learner, restored = make(), make()
    before = ((learner.model.evaluate(inputs) - targets) ** 2).mean()
    learner.train(inputs, targets, seeded(4))
    assert ((learner.model.evaluate(inputs) - targets) ** 2).mean() < 0.1 * before
    restored.load_state(learner.state())
    assert learner.train(inputs, targets, seeded(5)) == restored.train(inputs, targets, seeded(5))
    assert torch.equal(learner.model.evaluate(inputs), restored.model.evaluate(inputs))


def test_batches_see_everything_once_an_epoch():
    from agents.training import fit

    class Count(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen = []

        def forward(self, x):
            self.seen += x.flatten().tolist()
            return x * self.weight

    model = Count()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    inputs = torch.arange(10.0).reshape(-1, 1)
    loss = fit(model, optimizer, inputs, inputs, epochs=2, batch=4, generator=seeded())
    assert sorted(model.seen) == sorted(2 * inputs.flatten().tolist())
    assert model.seen[:10] != model.seen[10:]
    assert loss == pytest.approx((inputs**2).mean().item())


def test_threads_are_given_back():
    from agents.threaded import threads

    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_scaling_there_and_back():
    values = np.random.default_rng(0).normal(size=(5, 3, 4)) * 7 + 100
    scaling = Scaling.of(values, axis=(0, 2))
    scaled = scaling.scale(values)
    assert scaled.min(axis=(0, 2)) == pytest.approx(-1)
    assert scaled.max(axis=(0, 2)) == pytest.approx(1)
    assert scaling.restore(scaled) == pytest.approx(values, rel=1e-5)


def test_scaling_keeps_zero_where_there_are_both_signs():
    assert Scaling.keeping_zero(np.array([-2.0, 4.0])).scale(np.array([-4.0, 0.0, 4.0])).tolist() == [-1, 0, 1]
    assert Scaling.keeping_zero(np.array([2.0, 4.0])).scale(np.array([2.0, 3.0, 4.0])).tolist() == [-1, 0, 1]


def test_scaling_of_a_constant_is_zero_and_comes_back():
    scaling = Scaling.of(np.full((4, 2), 3.0), axis=(0, 1))
    assert (scaling.scale(np.full((4, 2), 3.0)) == 0).all()
    assert (scaling.restore(np.zeros((4, 2))) == 3).all()
