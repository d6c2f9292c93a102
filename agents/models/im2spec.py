"""Im2spec: from the image around a point to the spectrum measured there.

Kalinin et al., *Predictability as a probe of manifest and latent physics: the case of atomic scale structural, chemical
and polarization behaviors in multiferroic Sm-doped BiFeO3* (Applied Physics Reviews 2021) introduced it; the sizes are
those of Vatsavai et al. (Digital Discovery 2025, doi 10.1039/d5dd00119f): :data:`TABLE_1` of the first workflow, and
:class:`Encoder` as it is for the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from agents.devices import device_of
from agents.models.layers import Dilated, Residual, convolutions, dense


@dataclass(frozen=True)
class Encoder:
    """The layers of an Im2spec's encoder, in the order of the fields.

    Attributes
    ----------
    residual : int
        ResNet blocks.
    convolutions : int
        Plain convolutions, with `slope` and `dropout`.
    dilated : int
        Convolutions of growing dilation.
    pooling : {"none", "max", "average"}
        Over 2×2 px.
    slope : float
        Negative slope of the leaky ReLU.
    dropout : float
        Probability to drop a value of a plain convolution while training.
    width : float
        Filters of this encoder relative to those of the others.
    """

    residual: int = 0
    convolutions: int = 3
    dilated: int = 0
    pooling: Literal["none", "max", "average"] = "none"
    slope: float = 0.1
    dropout: float = 0.5
    width: float = 1.0

    def layers(self, channels: int, filters: int) -> nn.Sequential:
        """Return the network, (n, channels, h, w) → (n, filters, h, w), with h and w halved by pooling."""
        layers = nn.Sequential()
        for block in range(self.residual):
            layers.append(Residual(channels if block == 0 else filters, filters, self.slope))
        before = filters if self.residual else channels
        if self.convolutions:
            layers.extend(convolutions(before, filters, self.convolutions, self.slope, self.dropout))
            before = filters
        if self.dilated:
            layers.append(Dilated(before, filters, self.dilated, self.slope))
        if self.pooling != "none":
            layers.append(nn.MaxPool2d(2) if self.pooling == "max" else nn.AvgPool2d(2))
        return layers


TABLE_1: Mapping[str, Encoder] = MappingProxyType(
    {
        "im2spec": Encoder(slope=0.1, dropout=0.5),
        "im2spec_2": Encoder(slope=0.2, dropout=0.1),
        "im2spec_3": Encoder(slope=0.2, dropout=0.1, dilated=4),
        "im2spec_4": Encoder(residual=3, slope=0.2, dropout=0.2, pooling="max"),
        "im2spec_5": Encoder(residual=3, convolutions=0, slope=0.2, dilated=4, pooling="average", width=0.5),
    }
)
"""The ensemble of the first workflow."""


class Im2spec(nn.Module):
    """Convolutions, a narrow latent space, a fully connected decoder.

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
    encoder : Encoder
        The layers before the latent space.
    """

    def __init__(
        self,
        patch: tuple[int, int, int],
        spectrum: int,
        latent: int = 2,
        filters: int = 64,
        encoder: Encoder = Encoder(),
    ) -> None:
        super().__init__()
        channels, height, width = patch
        if encoder.pooling != "none":
            height, width = height // 2, width // 2
        filters = max(round(filters * encoder.width), 1)
        k = spectrum
        self.convolutions = encoder.layers(channels, filters)
        self.to_latent = nn.Linear(filters * height * width, latent)
        self.decoder = dense(latent, max(k // 4, 1), max(k // 2, 1), max(3 * k // 4, 1), k, k, k)

    def encode(self, patches: Tensor) -> Tensor:
        """(n, C, h, w) → (n, L)."""
        features: Tensor = self.convolutions(patches)  # (n, F, h, w)
        latent: Tensor = self.to_latent(features.flatten(start_dim=1))  # (n, F·h·w) → (n, L)
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
            Number of patches at once, so that they stay in the processor's cache.
        """
        self.eval()
        device = device_of(self)
        latent = torch.cat([self.encode(part.to(device)) for part in torch.split(patches, chunk)])
        return self.decode(latent).cpu(), latent.cpu()
