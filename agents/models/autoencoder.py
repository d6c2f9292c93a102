"""An autoencoder of patches: the image alone tells which places are alike."""

import torch
from torch import Tensor, nn

from agents.devices import device_of
from agents.models.layers import convolutions, create, dense
from agents.training import fit


class Autoencoder(nn.Module):
    """Convolutions to a narrow latent space, and a fully connected decoder back to the patch.

    Parameters
    ----------
    patch : (C, h, w)
        Shape of a patch.
    latent : int
        Dimension L of the latent space.
    filters : int
        Width of the convolutions.
    """

    def __init__(self, patch: tuple[int, int, int], latent: int = 3, filters: int = 32) -> None:
        super().__init__()
        channels, height, width = patch
        self.patch = patch
        self.convolutions = convolutions(channels, filters, layers=2, slope=0.1, dropout=0.0)
        self.to_latent = nn.Linear(filters * height * width, latent)
        self.decoder = dense(latent, 64, 128, channels * height * width)

    def encode(self, patches: Tensor) -> Tensor:
        """(n, C, h, w) → (n, L)."""
        features: Tensor = self.convolutions(patches)  # (n, filters, h, w)
        latent: Tensor = self.to_latent(features.flatten(start_dim=1))
        return latent

    def forward(self, patches: Tensor) -> Tensor:
        """(n, C, h, w) → (n, C, h, w)."""
        flat: Tensor = self.decoder(self.encode(patches))
        return flat.reshape(-1, *self.patch)

    @torch.no_grad()
    def evaluate(self, patches: Tensor, chunk: int = 256) -> Tensor:
        """(n, C, h, w) → latent coordinates (n, L), as after training."""
        self.eval()
        return torch.cat([self.encode(part.to(device_of(self))).cpu() for part in torch.split(patches, chunk)])


def train_autoencoder(
    patches: Tensor, generator: torch.Generator, epochs: int = 30, batch: int = 64, device: str = "cpu"
) -> Autoencoder:
    """Return an autoencoder trained with `patches` (N, C, h, w), with Adam at a rate of 1e-3."""
    channels, height, width = patches.shape[1:]
    model = create(lambda: Autoencoder((channels, height, width)), generator, device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    fit(model, optimizer, patches, patches, epochs=epochs, batch=batch, generator=generator)
    return model
