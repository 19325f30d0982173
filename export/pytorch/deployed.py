"""What a graph has around the network: several clips per video, softmax, the mean over the clips."""

from __future__ import annotations

from torch import Tensor, nn

from clip2om.export.pytorch.networks import clip_of
from clip2om.pipeline.card import Card


class Deployed(nn.Module):
    """A network of clips as the card's graph gives it; only Reshape, Softmax and ReduceMean are added.

    The targets of the reshapes are constants with one open extent: arithmetic on sizes would become nodes that neither
    onnxsim nor a converter gets rid of. ``export.softmax`` acts on each clip, before the mean of
    ``export.average_clips``: means of probabilities and of logits are different functions.
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        self.network = network
        self.clip = clip_of(card)
        self.count = card.input.shape[0] if "K" in card.input.layout else 0
        self.classes = card.model.classes
        self.softmax = card.export.softmax
        self.average = card.export.average_clips

    def forward(self, x: Tensor) -> Tensor:
        """Map float clips (N, C, T, H, W) to (N, classes), or (N, K, C, T, H, W) to (N, K, classes).

        With ``export.average_clips`` the K rows of a video become one: (N, classes).
        """
        x = self.network(x.reshape(-1, *self.clip) if self.count else x)
        x = x.softmax(1) if self.softmax else x
        if not self.count:
            return x
        x = x.reshape(-1, self.count, self.classes)
        return x.mean(1) if self.average else x
