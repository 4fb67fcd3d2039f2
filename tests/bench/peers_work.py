"""The workloads: shapes, and tensors filled with reproducible numbers.

One layer of a vision-language prompt: text with images in it.  Logits are
normal, of mean 0 and deviation 2, as engines mask them: keys above the
diagonal hold the lowest float.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

HEAD_DIM = 128
SINK = 1.0  # n of the n-softmax


@dataclass(frozen=True)
class Work:
    """One layer; 'window' rows vote and as many tokens are recent."""

    name: str
    n_kv_heads: int
    group: int  # query heads of one KV head
    n_keys: int
    window: int
    images: tuple[tuple[int, int], ...]
    all_rows: bool = False  # logits of every query row, not of the window

    @property
    def n_candidates(self) -> int:
        """Keys before the recent ones."""
        return self.n_keys - self.window

    @property
    def n_inter(self) -> int:
        """A tenth of the tenth of the prompt that is listed."""
        return int(self.n_keys // 10 * 0.1)

    @property
    def n_intra(self) -> int:
        """The rest, but for what the rounding of both loses."""
        return int(self.n_keys // 10 * 0.9)

    @property
    def capacity(self) -> int:
        """Tokens that one head keeps at most."""
        return self.n_intra + self.n_inter + self.window

    def modalities(self) -> torch.Tensor:
        """1 for the tokens of images, 0 for text."""
        modality = torch.zeros(self.n_keys, dtype=torch.int64)
        for begin, end in self.images:
            modality[begin:end] = 1
        return modality


_FIVE = ((112, 688), (717, 1293), (1313, 1889), (1916, 2492), (2513, 2789))
_MANY = tuple((100 + 800 * i, 676 + 800 * i) for i in range(20))

W1 = Work("W1", 32, 1, 1024, 102, ((400, 976),))
W2 = Work("W2", 32, 1, 2789, 278, _FIVE, all_rows=True)
W3 = Work("W3", 8, 4, 16384, 64, _MANY + ((16100, 16350),))
W4 = Work("W4", 32, 1, 2789, 278, _FIVE)


@dataclass(frozen=True)
class Layer:
    """Tensors of a workload: [heads][rows][columns]."""

    work: Work
    logits: torch.Tensor  # every row there is
    keys: torch.Tensor
    values: torch.Tensor

    @property
    def window(self) -> torch.Tensor:
        """Logits of the rows that vote: a view."""
        return self.logits[:, -self.work.window:]


def make_layer(work: Work, seed: int = 1) -> Layer:
    """Draw the tensors of a workload."""
    generator = torch.Generator().manual_seed(seed)
    n_rows = work.n_keys if work.all_rows else work.window
    logits = torch.empty(work.n_kv_heads * work.group, n_rows, work.n_keys)
    logits.normal_(0.0, 2.0, generator=generator)
    hidden = torch.ones(n_rows, work.n_keys, dtype=torch.bool)
    hidden.triu_(work.n_keys - n_rows + 1)
    logits.masked_fill_(hidden, torch.finfo(torch.float32).min)

    cache = torch.empty(2, work.n_kv_heads, work.n_keys, HEAD_DIM)
    cache.normal_(generator=generator)
    return Layer(work, logits, cache[0], cache[1])
