"""The same job by torch, as fast as it gets: several formulations.

Only window rows are looked at, head by head, so that what one operation
leaves is still in cache for the next; every buffer and every view is made
beforehand and every result goes to an out=.  The lists need no order, and a
token that is in both is gathered twice: to find it would cost more.

A formulation says how rows become weights, how these are summed over the
rows, and how many rows are done at a time:

exp        exp of the logits as they are, as the n in the denominator needs no
           shift; where a sum overflows, the rows are done again by 'max'
max        the row's maximum is subtracted first
softmax    torch's own, over rows with one more column: the sink's logit
logsumexp  exp(x - logaddexp(logsumexp(x), log n))

mv         a matrix-vector product for each run of rows of one modality
mm         one product with a matrix of two rows, a modality each
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Callable

import torch

from peers_work import HEAD_DIM, SINK, Layer


@dataclass(frozen=True)
class Formulation:
    """How torch does it; 'rows' = 0 is all rows of the window at a time."""

    weights: str
    sums: str
    rows: int

    def __str__(self) -> str:
        rows = f"{self.rows} rows" if self.rows else "all rows"
        return f"torch {self.weights}, {self.sums}, {rows}"


MAXIMUM_FIRST = (
    Formulation("max", "mv", 0),
    Formulation("max", "mv", 96),
    Formulation("max", "mm", 96),
)

FORMULATIONS = (
    Formulation("exp", "mv", 0),
    Formulation("exp", "mv", 48),
    Formulation("exp", "mv", 32),
    Formulation("exp", "mm", 0),
    Formulation("exp", "mm", 96),
    *MAXIMUM_FIRST,
    Formulation("softmax", "mv", 0),
    Formulation("softmax", "mv", 96),
    Formulation("logsumexp", "mv", 96),
)


class _Scratch:
    """What every block writes to."""

    def __init__(self, rows: int, n_keys: int) -> None:
        self.exps = torch.zeros(rows * (n_keys + 1))
        self.wide = torch.zeros(rows * (n_keys + 1))
        self.shift = torch.zeros(rows)
        self.sums = torch.zeros(rows)
        self.scale = torch.ones(rows)


class _Block:
    """Views of some rows of a head, and of the scratch they share."""

    def __init__(self, logits: torch.Tensor, scratch: _Scratch,
                 modality: torch.Tensor, n_candidates: int,
                 has_sink_column: bool) -> None:
        n, n_keys = logits.shape
        self.logits = logits
        self.exps = scratch.exps[:n * n_keys].view(n, n_keys)
        self.shift = scratch.shift[:n].view(n, 1)
        self.sums = scratch.sums[:n].view(n, 1)
        self.scale = scratch.scale[:n]
        # Of the softmax form: column 0 is the sink's.
        self.wide = scratch.wide[:n * (n_keys + 1)].view(n, n_keys + 1)
        self.wide_exps = scratch.exps[:n * (n_keys + 1)].view(n, n_keys + 1)

        exps = self.wide_exps[:, 1:] if has_sink_column else self.exps
        self.numerators = exps[:, :n_candidates]
        self.of_modality = torch.stack([modality == 0, modality == 1]).float()
        self.scaled = torch.zeros(2, n)
        self.runs = [
            (value, self.numerators[begin:end].t(), self.scale[begin:end])
            for begin, end, value in _runs(modality)]


def _runs(modality: torch.Tensor) -> list[tuple[int, int, int]]:
    """Runs [begin, end) of equal modality."""
    values = modality.tolist()
    cuts = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    return [(begin, end, values[begin])
            for begin, end in zip([0, *cuts], [*cuts, len(values)])]


# ---- Rows to weights: numerators in a matrix, one factor a row ----

def _weights_max(block: _Block) -> None:
    torch.amax(block.logits, 1, keepdim=True, out=block.shift)
    block.shift.clamp_min_(math.log(SINK))  # E1: the sink's logit counts
    torch.sub(block.logits, block.shift, out=block.exps).exp_()
    torch.sum(block.exps, 1, keepdim=True, out=block.sums)
    sink = block.shift.neg_().exp_().mul_(SINK)
    torch.reciprocal(block.sums.add_(sink).view(-1), out=block.scale)


def _weights_exp(block: _Block) -> None:
    torch.exp(block.logits, out=block.exps)
    torch.sum(block.exps, 1, keepdim=True, out=block.sums)
    if not math.isfinite(block.sums.max()):
        _weights_max(block)
        return
    torch.reciprocal(block.sums.add_(SINK).view(-1), out=block.scale)


def _weights_softmax(block: _Block) -> None:
    block.wide[:, 0] = math.log(SINK)
    block.wide[:, 1:].copy_(block.logits)
    torch.softmax(block.wide, 1, out=block.wide_exps)


def _weights_logsumexp(block: _Block) -> None:
    torch.logsumexp(block.logits, 1, keepdim=True, out=block.sums)
    sink = torch.full_like(block.sums, math.log(SINK))
    torch.logaddexp(block.sums, sink, out=block.sums)
    torch.sub(block.logits, block.sums, out=block.exps).exp_()


_WEIGHTS: dict[str, Callable[[_Block], None]] = {
    "exp": _weights_exp,
    "max": _weights_max,
    "softmax": _weights_softmax,
    "logsumexp": _weights_logsumexp,
}


# ---- Weights to sums over the rows of each modality ----

def _sums_mv(block: _Block, sums: torch.Tensor) -> None:
    for modality, numerators, scale in block.runs:
        sums[modality].addmv_(numerators, scale)


def _sums_mm(block: _Block, sums: torch.Tensor) -> None:
    torch.mul(block.of_modality, block.scale, out=block.scaled)
    sums.addmm_(block.scaled, block.numerators)


_SUMS: dict[str, Callable[[_Block, torch.Tensor], None]] = {
    "mv": _sums_mv,
    "mm": _sums_mm,
}


class TorchJob:
    """Score, select and gather one layer; outputs are tensors."""

    def __init__(self, layer: Layer, formulation: Formulation) -> None:
        work = layer.work
        heads = work.n_kv_heads
        self.name = str(formulation)
        self.work = work
        self.intra = torch.zeros(heads, work.n_candidates)
        self.inter = torch.zeros(heads, work.n_candidates)
        self.kept = torch.arange(work.n_keys - work.capacity, work.n_keys)
        self.kept = self.kept.repeat(heads, 1)
        self.keys = torch.zeros(heads, work.capacity, HEAD_DIM)
        self.values = torch.zeros(heads, work.capacity, HEAD_DIM)

        self._weights = _WEIGHTS[formulation.weights]
        self._add = _SUMS[formulation.sums]
        self._sums = torch.zeros(2, work.n_candidates)
        self._of_image = work.modalities()[:work.n_candidates] == 1
        self._best = (torch.zeros(work.n_intra), torch.zeros(work.n_inter))
        self._blocks = _make_blocks(layer, formulation)
        self._rows = [self._row_views(layer, head) for head in range(heads)]

    def _row_views(self, layer: Layer, head: int) -> list[tuple]:
        """For K and V: source, listed and recent rows, and where they go."""
        listed = self.work.capacity - self.work.window
        return [
            (source[head], self.kept[head, :listed], kept[head, :listed],
             source[head, -self.work.window:], kept[head, listed:])
            for source, kept in ((layer.keys, self.keys),
                                 (layer.values, self.values))]

    def _score(self, head: int) -> None:
        self._sums.zero_()
        for block in self._blocks[head]:
            self._weights(block)
            self._add(block, self._sums)
        text, image = self._sums
        torch.where(self._of_image, image, text, out=self.intra[head])
        torch.where(self._of_image, text, image, out=self.inter[head])

    def _select(self, head: int) -> None:
        n_intra, n_inter = self.work.n_intra, self.work.n_inter
        kept = self.kept[head]
        torch.topk(self.intra[head], n_intra, sorted=False,
                   out=(self._best[0], kept[:n_intra]))
        torch.topk(self.inter[head], n_inter, sorted=False,
                   out=(self._best[1], kept[n_intra:n_intra + n_inter]))

    def _gather(self, head: int) -> None:
        for rows, listed, to_listed, recent, to_recent in self._rows[head]:
            torch.index_select(rows, 0, listed, out=to_listed)
            to_recent.copy_(recent)

    def run(self) -> float:
        """Do the job once; seconds."""
        begin = time.perf_counter()
        for head in range(self.work.n_kv_heads):
            self._score(head)
            self._select(head)
            self._gather(head)
        return time.perf_counter() - begin

    def lists(self) -> list[torch.Tensor]:
        """Kept tokens of each head."""
        return [torch.unique(rows) for rows in self.kept]


def _make_blocks(layer: Layer, formulation: Formulation) -> list[list[_Block]]:
    """Blocks of rows of all query heads of each KV head."""
    work = layer.work
    rows = min(formulation.rows or work.window, work.window)
    scratch = _Scratch(rows, work.n_keys)
    modality = work.modalities()[-work.window:]
    heads = layer.window.split(work.group)
    return [[_Block(logits[first:first + rows], scratch,
                    modality[first:first + rows], work.n_candidates,
                    formulation.weights == "softmax")
             for logits in group
             for first in range(0, work.window, rows)]
            for group in heads]
