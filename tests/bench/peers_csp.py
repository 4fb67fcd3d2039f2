"""The library's side: peers_job.h through ctypes."""

from __future__ import annotations

import ctypes

import torch

from peers_work import HEAD_DIM, Layer


class _Span(ctypes.Structure):
    """csp_span."""

    _fields_ = [(name, ctypes.c_uint32)
                for name in ("begin", "end", "modality")]


class _Task(ctypes.Structure):
    """peers_task."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("logits", "keys", "values")),
        ("spans", ctypes.POINTER(_Span)),
        *((name, ctypes.c_void_p) for name in (
            "intra", "inter", "kept", "n_kept", "keys_kept", "values_kept")),
        *((name, ctypes.c_uint64) for name in (
            "logits_head_stride", "logits_row_stride")),
        *((name, ctypes.c_uint32) for name in (
            "n_heads", "n_kv_heads", "n_keys", "n_queries", "head_dim",
            "n_spans", "n_intra", "n_inter")),
    ]


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.peers_job_create.argtypes = [ctypes.POINTER(_Task)]
    library.peers_job_create.restype = ctypes.c_void_p
    library.peers_job_run.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(ctypes.c_double)]
    library.peers_job_run.restype = ctypes.c_int
    library.peers_job_destroy.argtypes = [ctypes.c_void_p]
    library.peers_job_destroy.restype = None
    return library


class CspJob:
    """Score, select and gather one layer; outputs are tensors."""

    name = "libcsp"

    def __init__(self, path: str, layer: Layer) -> None:
        work = layer.work
        heads = work.n_kv_heads
        self.work = work
        self.intra = torch.zeros(heads, work.n_keys)
        self.inter = torch.zeros(heads, work.n_keys)
        self.kept = torch.zeros(heads, work.capacity, dtype=torch.int32)
        self.n_kept = torch.zeros(heads, dtype=torch.int32)
        self.keys = torch.zeros(heads, work.capacity, HEAD_DIM)
        self.values = torch.zeros(heads, work.capacity, HEAD_DIM)

        self._layer = layer  # the job points into it
        self._spans = (_Span * len(work.images))(
            *(_Span(begin, end, 1) for begin, end in work.images))
        self._library = _load(path)
        self._job = self._library.peers_job_create(ctypes.byref(self._task()))
        if not self._job:
            raise RuntimeError("libcsp refuses " + work.name)

    def __del__(self) -> None:
        if getattr(self, "_job", None):
            self._library.peers_job_destroy(self._job)

    def _task(self) -> _Task:
        layer, work = self._layer, self.work
        window = layer.window
        size = window.element_size()
        return _Task(
            logits=window.data_ptr(),
            keys=layer.keys.data_ptr(),
            values=layer.values.data_ptr(),
            spans=self._spans,
            intra=self.intra.data_ptr(),
            inter=self.inter.data_ptr(),
            kept=self.kept.data_ptr(),
            n_kept=self.n_kept.data_ptr(),
            keys_kept=self.keys.data_ptr(),
            values_kept=self.values.data_ptr(),
            logits_head_stride=window.stride(0) * size,
            logits_row_stride=window.stride(1) * size,
            n_heads=work.n_kv_heads * work.group,
            n_kv_heads=work.n_kv_heads,
            n_keys=work.n_keys,
            n_queries=work.window,
            head_dim=HEAD_DIM,
            n_spans=len(work.images),
            n_intra=work.n_intra,
            n_inter=work.n_inter)

    def run(self) -> float:
        """Do the job once; seconds by the clock around the verbs."""
        seconds = ctypes.c_double()
        status = self._library.peers_job_run(self._job,
                                             ctypes.byref(seconds))
        if status != 0:
            raise RuntimeError(f"libcsp: status {status}")
        return seconds.value

    def lists(self) -> list[torch.Tensor]:
        """Kept tokens of each head."""
        return [rows[:count].long()
                for rows, count in zip(self.kept, self.n_kept.tolist())]
