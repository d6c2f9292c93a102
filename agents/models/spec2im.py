"""Spec2im: the inverse problem, from a spectrum to the image around the point where it was measured.

The roles of :mod:`agents.models.im2spec` are exchanged. Several structures can cause the same spectrum, so this problem
is hard in other places than that of Im2spec.
"""

import torch
from torch import Tensor, nn

from agents.devices import device_of
from agents.models.layers import convolutions, dense


class Spec2im(nn.Module):
    """A fully connected encoder, a narrow latent space, convolutions back to the patch.

    Parameters
    ----------
    patch : (C, h, w)
        Shape of a patch.
    spectrum : int
        Number of values K of a spectrum.
    latent : int
        Dimension L of the latent space.
    filters : int
        Width F of the convolutions.
    dropout : float
        Probability to drop a value of a convolution while training.
    """

    def __init__(
        self, patch: tuple[int, int, int], spectrum: int, latent: int = 2, filters: int = 64, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, self.height, self.width = patch
        k = spectrum
        self.encoder = dense(k, k, k, max(3 * k // 4, 1), max(k // 2, 1), max(k // 4, 1), latent)
        self.from_latent = nn.Linear(latent, filters * self.height * self.width)
        self.convolutions = convolutions(filters, filters, layers=3, slope=0.1, dropout=dropout)
        self.to_patch = nn.Conv2d(filters, channels, kernel_size=1)

    def encode(self, spectra: Tensor) -> Tensor:
        """(n, K) → (n, L)."""
        latent: Tensor = self.encoder(spectra)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """(n, L) → (n, C, h, w)."""
        flat: Tensor = self.from_latent(latent)  # (n, F·h·w)
        features = flat.reshape(len(latent), -1, self.height, self.width)  # (n, F, h, w)
        patches: Tensor = self.to_patch(self.convolutions(features))
        return patches

    def forward(self, spectra: Tensor) -> Tensor:
        """(n, K) → (n, C, h, w)."""
        return self.decode(self.encode(spectra))

    @torch.no_grad()
    def evaluate(self, spectra: Tensor, chunk: int = 256) -> Tensor:
        """(n, K) → (n, C, h, w), without dropout."""
        self.eval()
        return torch.cat([self(part.to(device_of(self))).cpu() for part in torch.split(spectra, chunk)])
