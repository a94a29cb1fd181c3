"""The classifier that judges reconstructions, as in the seed's test."""
from mxnet.gluon import HybridBlock, nn


class LeNet(HybridBlock):
    """LeNet-5's layout with ReLU: digits (N, 1, 28, 28) in [0, 1] -> scores (N, 10).

    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998).
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(
                nn.Conv2D(20, 5, in_channels=1, activation="relu"),
                nn.MaxPool2D(),
                nn.Conv2D(50, 5, in_channels=20, activation="relu"),
                nn.MaxPool2D(),
                nn.Dense(128, in_units=50 * 4 * 4, activation="relu"),
                nn.Dense(10, in_units=128),
            )

    def hybrid_forward(self, F, data):
        return self.layers(data)


class ReadingNetwork(HybridBlock):
    """What is exported as ``LeNetNetwork``: (N, 1, 28, 28) in [0, 1] -> head ``softmax`` (N, 10), probabilities."""

    def __init__(self, lenet: LeNet) -> None:
        super().__init__(prefix="")
        self.lenet = lenet

    def hybrid_forward(self, F, data):
        return F.softmax(self.lenet(data), name="softmax")
