"""Networks compute where the config says: the same weights at first, the same bits again on the same device."""

import pytest
import torch

from agents.devices import DeviceError, check_device, deterministic
from agents.models.im2spec import Im2spec
from agents.models.layers import create
from agents.registry import build, configure, known_agents, options

SMALL = {"initial": 5, "filters": 4, "epochs": 6, "autoencoder_epochs": 2}
GPUS = [
    pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"this computer has no {name}"))
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()))
]
NETWORKS = [name for name in known_agents() if "device" in options(name)]


def test_every_agent_with_networks_has_the_option():
    assert set(NETWORKS) == {
        "paper-latent", "paper-latent-mcd", "paper-spec2im", "paper-ensemble", "latent-careful", "theory",
    }  # fmt: skip
    assert options("paper-latent")["device"] == "cpu"
    assert "device" not in configure("paper-latent", device="cpu")  # it is that of a run before there was the option


def test_a_device_that_is_not_there_is_refused_before_anything_is_learned():
    missing = next(name for name, there in (("cuda", torch.cuda.is_available()), ("mps", False)) if not there)
    with pytest.raises(DeviceError, match=rf"cannot compute on '{missing}' here, but on cpu.*curio think"):
        configure("paper-latent", device=missing)
    with pytest.raises(ValueError, match="device must be one of cpu, cuda, mps"):
        configure("paper-latent", device="tpu")


@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_run_again_on_a_gpu_is_the_same_bit_for_bit(name, device, world, explore):
    small = {key: value for key, value in SMALL.items() if key in options(name)}
    config = configure(name, device=device, **small)
    runs = [explore(world, 9, config) for _ in range(2)]
    said = [[repr((one.index, one.score, sorted(one.parts.items()))) for one in suggestions] for _, suggestions in runs]
    assert said[0] == said[1]
    again = build(config)
    again.load_state(runs[0][0].state())
    assert repr(again.suggest(1)) == repr(runs[1][0].suggest(1))


@pytest.mark.parametrize("device", GPUS)
def test_a_network_on_a_gpu_has_the_weights_and_nearly_the_values_of_one_on_the_processor(device):
    check_device(device)
    networks = [create(lambda: Im2spec((2, 9, 9), 16), torch.Generator().manual_seed(3), on) for on in ("cpu", device)]
    patches = torch.rand((50, 2, 9, 9), generator=torch.Generator().manual_seed(1))
    with deterministic(device):
        here, there = (network.evaluate(patches)[0] for network in networks)
    assert there.device.type == "cpu"
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)
    assert not torch.are_deterministic_algorithms_enabled()
