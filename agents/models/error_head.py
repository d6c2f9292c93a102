"""Predicts the error of another network."""

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
        self.first = nn.Linear(features, hidden)
        self.dropout = Dropout(dropout)
        self.last = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, F) → (n,)."""
        error: Tensor = self.last(self.dropout(torch.relu(self.first(features))))  # (n, 1)
        return error.squeeze(1)

    @torch.no_grad()
    def evaluate(self, features: Tensor) -> Tensor:
        """(n, F) → (n,), without dropout."""
        self.eval()
        error: Tensor = self(features)
        return error

    @torch.no_grad()
    def sample(self, features: Tensor, passes: int, generator: torch.Generator) -> Tensor:
        """Return the mean and the standard deviation of the error over networks with dropout, (n, F) → (2, n).

        Gal & Ghahramani, *Dropout as a Bayesian approximation*, ICML 2016. Each pass is one thinned network, the same
        for all places. The passes differ only in the weights of the last layer, and the error is linear in these: its
        mean and variance over the passes follow from the mean and the covariance of the weights.

        Parameters
        ----------
        features : (n, F)
            The error is predicted from these.
        passes : int
            Number of thinned networks S ≥ 2.
        generator : torch.Generator
            Draws the hidden values to drop.
        """
        drawn = torch.rand((passes, self.last.in_features), generator=generator)
        kept = (drawn >= self.dropout.p) / (1 - self.dropout.p)  # (S, H)
        weights = self.last.weight * kept  # (1, H) · (S, H) → (S, H)
        hidden = torch.relu(self.first(features))  # (n, H)
        mean = hidden @ weights.mean(dim=0) + self.last.bias  # (n,)
        variance = ((hidden @ torch.cov(weights.T)) * hidden).sum(dim=1)  # (n, H) @ (H, H) → (n,)
        return torch.stack([mean, variance.clamp_min(0).sqrt()])
