"""Im2spec: from the image around a point to the spectrum measured there.

Kalinin et al., *Predictability as a probe of manifest and latent physics: the case of atomic scale structural, chemical
and polarization behaviors in multiferroic Sm-doped BiFeO3* (Applied Physics Reviews 2021) introduced it; the sizes are
those of Vatsavai et al. (Digital Discovery 2025, doi 10.1039/d5dd00119f), second workflow.
"""

import torch
from torch import Tensor, nn

from agents.models.layers import convolutions, dense


class Im2spec(nn.Module):
    """Three convolutions, a narrow latent space, a fully connected decoder.

    Parameters
    ----------
    patch : (C, h, w)
        Shape of a patch.
    spectrum : int
        Number of values K of a spectrum.
    latent : int
        Dimension L of the latent space.
    filters : int
        Width of the convolutions.
    dropout : float
        Probability to drop a value of a convolution while training.
    """

    def __init__(
        self, patch: tuple[int, int, int], spectrum: int, latent: int = 2, filters: int = 64, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, height, width = patch
        k = spectrum
        self.convolutions = convolutions(channels, filters, layers=3, slope=0.1, dropout=dropout)
        self.to_latent = nn.Linear(filters * height * width, latent)
        self.decoder = dense(latent, max(k // 4, 1), max(k // 2, 1), max(3 * k // 4, 1), k, k, k)

    def encode(self, patches: Tensor) -> Tensor:
        """(n, C, h, w) → (n, L)."""
        features: Tensor = self.convolutions(patches)  # (n, filters, h, w)
        latent: Tensor = self.to_latent(features.flatten(start_dim=1))
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """(n, L) → (n, K)."""
        spectra: Tensor = self.decoder(latent)
        return spectra

    def forward(self, patches: Tensor) -> Tensor:
        """(n, C, h, w) → (n, K)."""
        return self.decode(self.encode(patches))

    @torch.no_grad()
    def evaluate(self, patches: Tensor, chunk: int = 256) -> tuple[Tensor, Tensor]:
        """Return spectra (n, K) and latent coordinates (n, L), without dropout.

        Parameters
        ----------
        patches : (n, C, h, w)
            Scaled like those of the training.
        chunk : int
            As many patches at once as stay in the processor's cache.
        """
        self.eval()
        latent = torch.cat([self.encode(part) for part in torch.split(patches, chunk)])
        return self.decode(latent), latent
