"""A network that answers questions about pictures by attention, after MAC (Hudson and Manning, arXiv:1803.03067).

Every step has the paper's three units in their simplest form: a control state that attends to the words of the
question, a reading that attends to places of the picture by memory and control, and a memory that takes in what was
read. Two convolutions of 3 x 3 are before, as there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Mac(nn.Module):
    """Maps of a picture, and a question, to scores of answers.

    The words of a question travel with the maps, one in a plane of its own behind them, so that a batch is one tensor.

    Args:
        channels: How many maps there are without the question.
        words: How many different words there are in every place of the question.
        answers: How many answers there are.
        width: Of all states.
        steps: How often it looks.
    """

    def __init__(self, channels: int, words: Sequence[int], answers: int, *, width: int = 32, steps: int = 3):
        super().__init__()
        self.words, self.steps = tuple(words), steps
        self.embedded = nn.ModuleList(nn.Embedding(count, width) for count in words)
        self.known = nn.Sequential(
            nn.Conv2d(channels + 2, width, 3, padding=1), nn.ELU(), nn.Conv2d(width, width, 3, padding=1), nn.ELU()
        )
        self.asked = nn.ModuleList(nn.Linear(len(self.words) * width, width) for _ in range(steps))
        self.turned, self.word = nn.Linear(2 * width, width), nn.Linear(width, 1)
        self.recalled, self.seen = nn.Linear(width, width), nn.Linear(width, width)
        self.joined, self.place = nn.Linear(2 * width, width), nn.Linear(width, 1)
        self.written = nn.Linear(2 * width, width)
        self.start = nn.Parameter(torch.zeros(2, width))
        self.answer = nn.Sequential(
            nn.Linear((1 + len(self.words)) * width, width), nn.ELU(), nn.Linear(width, answers)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels + words, height, width] -> [batch, answers]."""
        count = len(self.words)
        spoken = maps[:, -count:, 0, 0].long()
        words = torch.stack([layer(spoken[:, i]) for i, layer in enumerate(self.embedded)], 1)  # [batch, words, width]
        known = self.known(torch.cat([maps[:, :-count], _places(maps)], 1)).flatten(2).mT  # [batch, places, width]
        question, (control, memory) = words.flatten(1), self.start.unsqueeze(1).expand(-1, len(maps), -1)
        for asked in self.asked:
            turned = self.turned(torch.cat([control, asked(question)], 1))
            control = _attend(self.word(turned.unsqueeze(1) * words), words)
            met = self.recalled(memory).unsqueeze(1) * self.seen(known)
            joined = self.joined(torch.cat([met, known], 2))
            memory = self.written(torch.cat([memory, _attend(self.place(control.unsqueeze(1) * joined), known)], 1))
        scores: Tensor = self.answer(torch.cat([memory, question], 1))
        return scores


def _attend(scores: Tensor, values: Tensor) -> Tensor:
    """The mean of values [batch, n, width], weighted by the softmax of scores [batch, n, 1]."""
    return (scores.softmax(1) * values).sum(1)


def _places(maps: Tensor) -> Tensor:
    """Where every place is, [batch, 2, height, width] from -1 to 1."""
    rows, columns = (torch.linspace(-1, 1, side, dtype=maps.dtype, device=maps.device) for side in maps.shape[2:])
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(maps), -1, -1, -1)
