"""Whether two sides found the same."""

from __future__ import annotations

import torch

from peers_csp import CspJob
from peers_work import Layer, Work

TOLERANCE = 1e-4  # relative, of importance


def _distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest relative difference; zero is near zero only."""
    tiny = torch.finfo(torch.float32).tiny
    scale = torch.maximum(ours.abs(), theirs.abs()).clamp_min(tiny)
    return float(((ours - theirs).abs() / scale).max())


def _is_tie(scores: torch.Tensor, k: int, token: int) -> bool:
    """Whether a token stands at the boundary of the k best."""
    boundary = float(scores.topk(k).values[-1])
    return abs(float(scores[token]) - boundary) <= TOLERANCE * boundary


def _check_lists(csp: CspJob, peer, work: Work) -> int:
    """Tokens that only one side keeps; each has to be a tie."""
    ties = 0
    for head, (ours, theirs) in enumerate(zip(csp.lists(), peer.lists())):
        odd = set(ours.tolist()) ^ set(theirs.tolist())
        for token in odd:
            if not (_is_tie(peer.intra[head], work.n_intra, token)
                    or _is_tie(peer.inter[head], work.n_inter, token)):
                raise SystemExit(f"{work.name}: {peer.name} and libcsp "
                                 f"differ in token {token} of head {head}")
        ties += len(odd)
    return ties


def _check_rows(csp: CspJob, layer: Layer) -> None:
    """The gathered rows are those of the kept tokens."""
    for head, kept in enumerate(csp.lists()):
        for source, rows in ((layer.keys, csp.keys),
                             (layer.values, csp.values)):
            if not torch.equal(rows[head, :len(kept)], source[head, kept]):
                raise SystemExit(f"{layer.work.name}: wrong rows gathered")


def check(csp: CspJob, peer, layer: Layer) -> str:
    """Compare what both jobs left; one line, or the end of the program."""
    work = layer.work
    n = work.n_candidates
    distance = max(_distance(csp.intra[:, :n], peer.intra),
                   _distance(csp.inter[:, :n], peer.inter))
    if not distance <= TOLERANCE:
        raise SystemExit(f"{work.name}: importance by {peer.name} and libcsp "
                         f"differs by {distance:.1e}")
    ties = _check_lists(csp, peer, work)
    _check_rows(csp, layer)
    return (f"{work.name}: importance within {distance:.1e}, "
            f"same tokens but for {ties} at ties: {peer.name}")
