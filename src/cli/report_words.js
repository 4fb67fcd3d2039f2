// report_words.js - what the page says of the whole, and of what is pointed at

// ---- Heading ----

function writeHeading() {
  const { n_layers, n_kv_heads, n_heads, n_keys, n_queries } = report;
  element("title").textContent = `What pruning kept of ${report.source}`;
  document.title = `What pruning kept of ${report.source}`;
  const heads = n_heads > n_kv_heads ? ` for ${count(n_heads)} query heads` : "";
  element("shape").textContent = [
    `${count(n_layers)} ${n_layers === 1 ? "layer" : "layers"}`,
    `${count(n_kv_heads)} KV ${n_kv_heads === 1 ? "head" : "heads"}${heads}`,
    `${count(n_keys)} ${n_keys === 1 ? "token" : "tokens"}`,
    ...(n_queries > 0 ? [`${count(n_queries)} query rows`] : []),
  ].join(" · ");
  element("settings").replaceChildren(...report.settings.map(([name, value]) => {
    const row = make("div");
    row.append(make("dt", name),
      make("dd", value.replace(/\d{4,}/g, (digits) => count(Number(digits)))));
    return row;
  }));
  writeAbstract();
}

// One sentence on what was kept and one on what that holds.
function writeAbstract() {
  const splits = report.layers.map((_, l) => splitOf(l, -1));
  const rows = report.n_layers * report.n_kv_heads;
  const parts = report.modalities.map((name, m) => {
    const of = addRows(splits.map((split) => split[m]));
    const all = of.reduce((a, b) => a + b, 0);
    return { name, all: all / rows, kept: keptTokens(of) / rows };
  }).filter((part) => part.all > 0);
  const kept = parts.reduce((sum, part) => sum + part.kept, 0);
  const same = report.layers.every((_, l) => report.layers[l].split.every((split) =>
    split.reduce((sum, row) => sum + keptTokens(row), 0) === kept));
  const mean = same && parts.length < 2 ? "" : "on average ";
  const mass = addRows(report.layers.map((_, l) => layerMass(l)));
  const each = parts.length < 2 || parts.length > 4 ? "" : `: ${parts.map((part) =>
    `${count(part.kept)} of ${count(part.all)} ${part.name}`).join(", ")}`;
  const held = [["intra", "inside a modality"], ["inter", "across modalities"]]
    .filter(([kind]) => retained(mass, kind) !== null)
    .map(([kind, where]) => `${percent(retained(mass, kind))} of the attention ${where}`);
  element("abstract").textContent = `Each KV head keeps ${mean}${count(kept)} of `
    + `${count(report.n_keys)} tokens (${percent(kept / report.n_keys)})${each}.`
    + (held.length > 0 ? ` They hold ${held.join(" and ")}.` : "");
}

// ---- Words on what is pointed at ----

function tokenReadout() {
  const layer = layerOf(state.layer);
  const head = state.pointed ?? state.head;
  const rows = rowsOf(layer, head);
  const bin = state.bin;
  const [begin, end] = binTokens(bin);
  const per = end - begin > 1 ? " per token" : "";
  let kept = `kept by ${count(layer.share.filter((s, i) =>
    i % report.n_bins === bin && s > 0).length)} of ${report.n_kv_heads} heads`;
  if (head >= 0) {
    const digit = layer.kept[head * report.n_bins + bin];
    kept = report.width === 1 ? REASON_WORDS[REASONS[digit]]
      : `keeps ${keptWords(digit, bin)} of ${end - begin}`;
    if (report.width === 1 && digit > 0 && REASONS[digit] !== "kept") kept = `kept, ${kept}`;
  } else if (end - begin > 1) {
    kept = `keeps ${percent(rows.share[bin])}`;
  }
  const precise = head < 0 || report.digits > 1 ? 3 : 2;
  return [tokenWords(bin), binModalityWords(bin), headWords(head), kept,
    `intra ${number(rows.intra[bin], precise)}${per}`,
    `inter ${number(rows.inter[bin], precise)}${per}`];
}

function cellReadout({ layer, head }) {
  const mass = report.layers[layer].mass[head];
  return [`layer ${layer}`, `KV head ${head}`,
    `holds ${percent(retained(mass, "intra"))} of intra`,
    `${percent(retained(mass, "inter"))} of inter`];
}

function gapReadout({ layer }) {
  const { divergence, medians, pairs } = report.layers[layer].gap;
  const median = (x) => (x === null ? "–" : number(10 ** x, 2));
  return [`layer ${layer}`, `divergence ${divergence === null ? "–"
    : `${number(divergence)} bits`}`, `median weight ${median(medians[0])} intra, `
    + `${median(medians[1])} inter`, `${count(pairs[0])} and ${count(pairs[1])} pairs`];
}

function layerReadout() {
  const split = splitOf(state.layer, state.head);
  const all = split.flat().reduce((a, b) => a + b, 0);
  const kept = split.reduce((sum, row) => sum + keptTokens(row), 0);
  const mass = state.head < 0 ? layerMass(state.layer)
    : report.layers[state.layer].mass[state.head];
  return [`layer ${state.layer}`, headWords(state.head), `keeps ${percent(kept / all)}`,
    `holds ${percent(retained(mass, "intra"))} of intra`,
    `${percent(retained(mass, "inter"))} of inter`];
}

// Say it below the controls and, where 'aloud', to who does not see the page.
function say(words, aloud) {
  const [first, ...rest] = words;
  const head = make("b", first[0].toUpperCase() + first.slice(1));
  element("readout").replaceChildren(head, ` · ${rest.join(" · ")}`);
  if (aloud) element("status").textContent = words.join(", ");
}
