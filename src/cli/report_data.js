"use strict";
// report_data.js - the data in the page, as numbers
//
// Bins hold base-64 digits: levels of a logarithmic scale for importance, counts for
// kept tokens.  A layer is decoded when it is first looked at.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LEVEL_OF = new Uint8Array(128);
for (let i = 0; i < 64; i++) LEVEL_OF[DIGITS.charCodeAt(i)] = i;

// Why a token was kept, as the library numbers it; 0 is dropped, the last unknown.  And
// the order in which they are drawn.
const REASONS = ["dropped", "protected", "intra", "inter", "both", "filled", "claimed", "kept"];
const DRAWN_REASONS = [1, 6, 2, 4, 3, 5, 7];
const REASON_WORDS = {
  dropped: "dropped",
  protected: "protected: a sink or recent",
  intra: "best by intra",
  inter: "best by inter",
  both: "best by both",
  filled: "filled up to the budget",
  claimed: "best of its span",
  kept: "kept",
};

const report = JSON.parse(document.getElementById("data").textContent);

function levelsOf(text, digits) {
  const levels = new Uint16Array(text.length / digits);
  for (let i = 0, at = 0; i < levels.length; i++)
    for (let d = 0; d < digits; d++)
      levels[i] = levels[i] * 64 + LEVEL_OF[text.charCodeAt(at++)];
  return levels;
}

// Rows of importance, one for each range.
function importanceOf(coded, digits) {
  const levels = levelsOf(coded.levels, digits);
  const values = new Float64Array(levels.length);
  const n = report.n_bins;
  coded.ranges.forEach(([low, high], row) => {
    const step = (high - low) / (64 ** digits - 2);
    for (let i = row * n; i < (row + 1) * n; i++)
      values[i] = levels[i] === 0 ? 0 : 10 ** (low + (levels[i] - 1) * step);
  });
  return values;
}

// Tokens [begin, end) of a bin.
function binTokens(bin) {
  const begin = bin * report.width;
  return [begin, Math.min(begin + report.width, report.n_keys)];
}

// How many tokens of each modality a bin has.
const binModalities = (() => {
  const n = report.modalities.length;
  const counts = new Uint32Array(report.n_bins * n);
  for (let bin = 0; bin < report.n_bins; bin++) {
    const [begin, end] = binTokens(bin);
    counts[bin * n] = end - begin;
  }
  for (const [begin, end, modality] of report.spans) {
    const last = Math.min(end, report.n_keys);
    for (let t = begin; t < last;) {
      const bin = Math.floor(t / report.width);
      const stop = Math.min(last, binTokens(bin)[1]);
      counts[bin * n] -= stop - t;
      counts[bin * n + modality] += stop - t;
      t = stop;
    }
  }
  return counts;
})();

// The modality that most of a bin's tokens have.
const binModality = Uint8Array.from({ length: report.n_bins }, (_, bin) => {
  const n = report.modalities.length;
  let most = 0;
  for (let m = 1; m < n; m++)
    if (binModalities[bin * n + m] > binModalities[bin * n + most]) most = m;
  return most;
});

function binModalityWords(bin) {
  const n = report.modalities.length;
  const words = [];
  for (let m = 0; m < n; m++)
    if (binModalities[bin * n + m] > 0) words.push(report.modalities[m]);
  return words.join(" and ");
}

// How many of a bin's tokens a digit stands for, and the share of them.
function keptOf(digit, bin) {
  const [begin, end] = binTokens(bin);
  const size = end - begin;
  if (report.width === 1) return digit > 0 ? 1 : 0;
  return size <= 63 ? digit : Math.round((digit / 63) * size);
}

// A share of more than 63 tokens is not exact, but for nothing and everything.
function keptWords(digit, bin) {
  const [begin, end] = binTokens(bin);
  const exact = end - begin <= 63 || digit === 0 || digit === 63;
  return `${exact ? "" : "about "}${keptOf(digit, bin)}`;
}

const decoded = new Map();

function layerOf(index) {
  if (decoded.has(index)) return decoded.get(index);
  const raw = report.layers[index];
  const kept = levelsOf(raw.kept, 1);
  const share = new Float32Array(kept.length);
  const meanShare = new Float32Array(report.n_bins);
  for (let i = 0; i < kept.length; i++) {
    const bin = i % report.n_bins;
    const [begin, end] = binTokens(bin);
    share[i] = keptOf(kept[i], bin) / (end - begin);
    meanShare[bin] += share[i] / report.n_kv_heads;
  }
  const layer = {
    raw, kept, share, meanShare,
    intra: importanceOf(raw.intra, report.digits),
    inter: importanceOf(raw.inter, report.digits),
    meanIntra: importanceOf(raw.mean_intra, 2),
    meanInter: importanceOf(raw.mean_inter, 2),
  };
  decoded.set(index, layer);
  return layer;
}

// Rows of a layer's chosen head; head -1 is the mean of all.
function rowsOf(layer, head) {
  if (head < 0)
    return { intra: layer.meanIntra, inter: layer.meanInter, share: layer.meanShare };
  const begin = head * report.n_bins, end = begin + report.n_bins;
  return {
    intra: layer.intra.subarray(begin, end),
    inter: layer.inter.subarray(begin, end),
    share: layer.share.subarray(begin, end),
  };
}

// ---- Sums ----

// Retained share of intra or inter; null where there is nothing to retain.
function retained(mass, kind) {
  const at = kind === "intra" ? 0 : 2;
  return mass[at] > 0 ? mass[at + 1] / mass[at] : null;
}

function addRows(rows) {
  return rows.reduce((sum, row) => sum.map((x, i) => x + row[i]));
}

function layerMass(index) {
  return addRows(report.layers[index].mass);
}

// [modality][reason] tokens of a head, or of all heads of a layer.
function splitOf(index, head) {
  const split = report.layers[index].split;
  return head < 0 ? report.modalities.map((_, m) => addRows(split.map((s) => s[m])))
    : split[head];
}

function keptTokens(row) {
  return row.slice(1).reduce((a, b) => a + b, 0);
}

// ---- Words ----

function count(n) {
  return Math.round(n).toLocaleString("en");
}

function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

// Three significant digits, in powers of ten where they are shorter.
function number(x, digits = 3) {
  if (x === null || !Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  if (Math.abs(x) >= 0.001 && Math.abs(x) < 1e5) return String(+x.toPrecision(digits));
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  return `${mantissa} × 10${superscript(+exponent)}`;
}

function superscript(n) {
  return String(n).replace(/[-0-9]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
}

function tokenWords(bin) {
  const [begin, end] = binTokens(bin);
  return end - begin === 1 ? `token ${count(begin)}`
    : `tokens ${count(begin)}–${count(end - 1)}`;
}

function headWords(head) {
  return head < 0 ? "mean of heads" : `KV head ${head}`;
}
