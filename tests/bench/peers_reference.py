"""What the published code does with a layer, step by step, in torch.

It gives the n-softmax of every query row, not only of those that vote, builds
masks of modalities for all pairs of tokens, multiplies the voting rows by
them, sums, ranks twice, and joins gathered and recent rows.  Each step makes
new tensors, as such code does.  Its copy of the logits is not counted.
"""

from __future__ import annotations

import time

import torch

from peers_work import HEAD_DIM, SINK, Layer, Work


def _n_softmax(logits: torch.Tensor) -> torch.Tensor:
    """exp(x) / (n + sum exp(x)) of each row, shifted by its maximum."""
    shift = logits.amax(-1, keepdim=True)
    exps = torch.exp(logits - shift)
    return exps / (SINK * torch.exp(-shift) + exps.sum(-1, keepdim=True))


def _masks(work: Work) -> tuple[torch.Tensor, torch.Tensor]:
    """1 where query and key share a modality, and 1 where they do not."""
    modality = work.modalities()
    intra = (modality[:, None] == modality[None, :]).float()
    return intra, 1.0 - intra


class ReferenceJob:
    """The published code's work on one layer of [1][heads][rows][keys]."""

    name = "reference, all rows"

    def __init__(self, layer: Layer) -> None:
        self.work = layer.work
        self._logits = layer.logits[None]
        self._keys = layer.keys[None]
        self._values = layer.values[None]

    def _score(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Importance [1][heads][candidates] within and across modalities."""
        window, n = self.work.window, self.work.n_candidates
        weights = _n_softmax(self._logits)[:, :, -window:]
        within, across = (mask[-window:] for mask in _masks(self.work))
        intra = (weights * within).sum(-2)[..., :n]
        inter = (weights * across).sum(-2)[..., :n]
        return intra, inter

    def _select(self, intra: torch.Tensor,
                inter: torch.Tensor) -> torch.Tensor:
        best_inter = inter.topk(self.work.n_inter, -1).indices
        best_intra = intra.topk(self.work.n_intra, -1).indices
        return torch.cat([best_inter, best_intra], -1)

    def _gather(self, rows: torch.Tensor,
                listed: torch.Tensor) -> torch.Tensor:
        index = listed[..., None].expand(-1, -1, -1, HEAD_DIM)
        recent = rows[:, :, -self.work.window:]
        return torch.cat([rows.gather(2, index), recent], 2)

    def run(self) -> float:
        """Do it once; seconds."""
        begin = time.perf_counter()
        intra, inter = self._score()
        listed = self._select(intra, inter)
        keys = self._gather(self._keys, listed)
        values = self._gather(self._values, listed)
        seconds = time.perf_counter() - begin

        self.intra, self.inter = intra[0], inter[0]
        self.keys, self.values = keys[0], values[0]
        self._listed = listed[0]
        return seconds

    def lists(self) -> list[torch.Tensor]:
        """Kept tokens of each head."""
        recent = torch.arange(self.work.n_candidates, self.work.n_keys)
        return [torch.unique(torch.cat([rows, recent]))
                for rows in self._listed]
