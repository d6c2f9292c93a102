"""Predicts how wrong another network will be."""

import torch
from torch import Tensor, nn

from agents.models.layers import Dropout


class ErrorHead(nn.Module):
    """One hidden layer, features (n, F) → error (n,).

    Parameters
    ----------
    features : int
        Number of features F.
    hidden : int
        Width of the hidden layer.
    dropout : float
        Probability to drop a hidden value while training.
    """

    def __init__(self, features: int, hidden: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(n, F) → (n,)."""
        error: Tensor = self.layers(features)  # (n, 1)
        return error.squeeze(1)

    @torch.no_grad()
    def evaluate(self, features: Tensor) -> Tensor:
        """(n, F) → (n,), without dropout."""
        self.eval()
        error: Tensor = self(features)
        return error
