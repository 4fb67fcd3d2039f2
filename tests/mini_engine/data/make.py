"""make.py - random checkpoints and what they say, for the tests of examples/mini_engine

Run in this folder: python3 make.py.  The forward pass is plain NumPy in float64, over the
weights as they are stored, so f16 and bf16 have expected logits of their own.
"""
import json
import os
import struct

import numpy as np

VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, DIM, INNER, PATCH = 40, 24, 2, 6, 2, 8, 40, 12
EPSILON, THETA = 1e-5, 500.0


def weights(random, tied):
    def draw(rows, columns, gain=1.5):
        return random.normal(0, gain / columns ** 0.5, (rows, columns))

    w = {"model.embed_tokens.weight": draw(VOCAB, HIDDEN, 4.0),
         "model.mm_projector.weight": draw(HIDDEN, PATCH, 2.0),
         "model.norm.weight": random.uniform(0.5, 1.5, HIDDEN)}
    if not tied:
        w["lm_head.weight"] = draw(VOCAB, HIDDEN)
    for i in range(LAYERS):
        shapes = {"self_attn.q_proj": (HEADS * DIM, HIDDEN),
                  "self_attn.k_proj": (KV_HEADS * DIM, HIDDEN),
                  "self_attn.v_proj": (KV_HEADS * DIM, HIDDEN),
                  "self_attn.o_proj": (HIDDEN, HEADS * DIM),
                  "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
                  "mlp.down_proj": (HIDDEN, INNER)}
        for part, shape in shapes.items():
            w[f"model.layers.{i}.{part}.weight"] = draw(*shape)
        for part in "input_layernorm", "post_attention_layernorm":
            w[f"model.layers.{i}.{part}.weight"] = random.uniform(0.5, 1.5, HIDDEN)
    return w


def store(w, dtype):
    """The bytes of an array as the file has it, and the numbers these bytes mean."""
    if dtype == "BF16":
        bits = w.astype("<f4").view("<u4")
        upper = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
        return upper.tobytes(), (upper.astype("<u4") << 16).view("<f4").astype(float)
    stored = w.astype("<f4" if dtype == "F32" else "<f2")
    return stored.tobytes(), stored.astype(float)


def write(folder, w, dtype, tied):
    header, blobs, place, stored = {"__metadata__": {"format": "np"}}, [], 0, {}
    for name, array in w.items():
        blob, stored[name] = store(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [place, place + len(blob)]}
        place += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    config = {"model_type": "llama", "hidden_act": "silu", "vocab_size": VOCAB,
              "hidden_size": HIDDEN, "intermediate_size": INNER,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "num_key_value_heads": KV_HEADS, "head_dim": DIM, "rms_norm_eps": EPSILON,
              "rope_theta": THETA, "tie_word_embeddings": tied}
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file, indent=1)
        file.write("\n")
    return stored


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * weight


def turn(x):
    """RoPE of [heads][tokens][DIM], channels i and i + DIM / 2 in pairs."""
    angle = np.arange(x.shape[1])[:, None] * THETA ** (-np.arange(0, DIM, 2) / DIM)
    low, high = x[..., :DIM // 2], x[..., DIM // 2:]
    c, s = np.cos(angle), np.sin(angle)
    return np.concatenate([low * c - high * s, high * c + low * s], -1)


def forward(w, tokens, pixels, patches):
    x = w["model.embed_tokens.weight"][tokens]
    x[patches] = (pixels * (2 / 255) - 1) @ w["model.mm_projector.weight"].T
    n = len(tokens)
    for i in range(LAYERS):
        def part(name):
            return w[f"model.layers.{i}.{name}.weight"]

        def heads(name):
            y = norm(x, part("input_layernorm")) @ part(f"self_attn.{name}_proj").T
            return y.reshape(n, -1, DIM).transpose(1, 0, 2)

        group = HEADS // KV_HEADS
        q, k = turn(heads("q")), np.repeat(turn(heads("k")), group, 0)
        v = np.repeat(heads("v"), group, 0)
        logits = np.where(np.tri(n, dtype=bool), q @ k.transpose(0, 2, 1) / DIM ** 0.5,
                          -np.inf)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        out = (p / p.sum(-1, keepdims=True)) @ v
        x = x + out.transpose(1, 0, 2).reshape(n, -1) @ part("self_attn.o_proj").T
        h = norm(x, part("post_attention_layernorm"))
        gate = h @ part("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ part("mlp.up_proj").T)
                 ) @ part("mlp.down_proj").T
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return norm(x, w["model.norm.weight"]) @ head.T


def main():
    random = np.random.default_rng(1)
    tokens = random.integers(0, VOCAB, 48).astype("<i4")
    patches = np.r_[4:12, 20:28].astype("<i4")
    pixels = random.integers(0, 256, (len(patches), PATCH)).astype("u1")
    np.save("tokens.npy", tokens)
    np.save("patches.npy", patches)
    np.save("pixels.npy", pixels)
    for dtype, tied in ("F32", False), ("F16", False), ("BF16", True):
        w = write(dtype.lower(), weights(random, tied), dtype, tied)
        expected = forward(w, tokens, pixels, patches)
        np.save(dtype.lower() + "/logits.npy", expected.astype("<f4"))


if __name__ == "__main__":
    main()
