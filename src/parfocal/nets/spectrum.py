"""From the spectrum of one image by an off-axis LED to its defocus."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST_SPREAD = 1e-6


class SpectrumPerceptron(nn.Module):
    """The published network: ten layers of 100 units over magnitudes, and one number out.

    Parameters
    ----------
    inputs
        Number of features; 31,314 as published.
    hidden, layers
        Units of each hidden layer, and their number.
    dropout
        Share of the inputs that training drops; no other layer has any.

    Notes
    -----
    Features are z-scored by ``mean`` and ``spread``, which ``learn_scale`` takes from the
    training set. Weights start as in TensorFlow's layers, by Glorot's rule [Pinkard2019]_.

    Examples
    --------
    >>> network = SpectrumPerceptron(inputs=48).eval()
    >>> network(torch.zeros(5, 48)).shape
    torch.Size([5, 1])
    >>> sum(weight.numel() for weight in SpectrumPerceptron(inputs=31_314).parameters())
    3222501
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, *, inputs: int, hidden: int = 100, layers: int = 10, dropout: float = 0.6
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        stages: list[nn.Module] = [nn.Dropout(dropout)]
        for width in (inputs, *[hidden] * (layers - 1)):
            stages += [nn.Linear(width, hidden), nn.ReLU(inplace=True)]
        stages.append(nn.Linear(hidden, 1))
        self.layers = nn.Sequential(*stages)
        for stage in self.layers:
            if isinstance(stage, nn.Linear):
                nn.init.xavier_uniform_(stage.weight)
                nn.init.zeros_(stage.bias)

    def learn_scale(self, features: Float[Tensor, "n f"]) -> None:
        """Take mean and spread of each feature from a training set."""
        _learn_scale(self, features)

    def forward(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b 1"]:
        """Defocus in depths of field, one for each patch."""
        answer: Tensor = self.layers((features - self.mean) / self.spread)
        return answer


class SpectrumNetwork(nn.Module):
    """Convolutions over the logarithm of the power spectrum, then classes of defocus.

    Parameters
    ----------
    bins
        Number of classes.
    rows, columns
        Size of the spectrum, across and along the LED's axis.
    widths
        Channels of the blocks; each halves the sampling.
    hidden
        Units of the head's hidden layer.
    dropout
        Share of the head's inputs that training drops.

    Notes
    -----
    Where the two circles of the objective's aperture overlap, defocus writes fringes into the
    spectrum whose number grows with it; strong phase objects give the sign. Position matters in a
    spectrum, so that the head reads the last feature maps as they lie and pools nothing.

    Examples
    --------
    >>> network = SpectrumNetwork(bins=65, rows=56, columns=64).eval()
    >>> network(torch.zeros(5, 56, 64)).shape
    torch.Size([5, 65])
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        *,
        bins: int,
        rows: int,
        columns: int,
        widths: Sequence[int] = (16, 32, 48, 64),
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(rows, columns))
        self.register_buffer("spread", torch.ones(rows, columns))
        layers: list[nn.Module] = []
        size = (rows, columns)
        for before, after in zip((1, *widths[:-1]), widths, strict=True):
            for stride, channels in ((2, before), (1, after)):
                layers += [
                    nn.Conv2d(channels, after, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(inplace=True),
                ]
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(widths[-1] * size[0] * size[1], hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, bins),
        )

    def learn_scale(self, spectra: Float[Tensor, "n y x"]) -> None:
        """Take mean and spread of each frequency from a training set."""
        _learn_scale(self, spectra)

    def scores(self, spectra: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b y x"]:
        """Spectra as training saw them: less its mean, over its spread."""
        return (spectra - self.mean) / self.spread

    def forward(self, spectra: Float[Tensor, "b y x"]) -> Float[Tensor, "b bins"]:
        """Logits over classes of defocus."""
        logits: Tensor = self.head(self.trunk(self.scores(spectra)[:, None]))
        return logits


def _learn_scale(network: SpectrumPerceptron | SpectrumNetwork, examples: Tensor) -> None:
    spread, mean = torch.std_mean(examples, dim=0, correction=0)
    network.mean.copy_(mean)
    network.spread.copy_(spread.clamp(min=LEAST_SPREAD))
