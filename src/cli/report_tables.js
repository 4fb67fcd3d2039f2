// report_tables.js - budgets and numbers as tables, and what they are made of

function make(tag, text, attributes = {}) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

function key(colour) {
  const e = make("span", undefined, { class: "key" });
  e.style.background = colour;
  return e;
}

function legend(id, entries) {
  element(id).replaceChildren(...entries.map(([colour, words]) => {
    const item = make("li");
    item.append(key(colour), words);
    return item;
  }));
}

// ---- Budget ----

function reasonColours() {
  const style = getComputedStyle(ROOT);
  return Object.fromEntries(REASONS.slice(1).map((reason) => [reason,
    style.getPropertyValue(`--${reason === "kept" ? "both" : reason}`).trim()]));
}

function stackOf(row, all, colourOf) {
  const width = element("budget").clientWidth * (innerWidth > 640 ? 0.58 : 1);
  const stack = make("div", undefined, { class: "stack", role: "presentation" });
  DRAWN_REASONS.forEach((reason) => {
    if (row[reason] === 0) return;
    const share = row[reason] / all;
    const colour = colourOf[REASONS[reason]];
    const part = make("span", share * width > 48 ? percent(share) : "",
      { title: `${REASON_WORDS[REASONS[reason]]}: ${count(row[reason])} (${percent(share)})` });
    part.style.width = `${100 * share}%`;
    part.style.background = colour;
    part.style.color = inkOn(colour);
    stack.append(part);
  });
  return stack;
}

function writeBudget() {
  const split = splitOf(state.layer, state.head);
  const colourOf = reasonColours();
  const present = DRAWN_REASONS.filter((reason) => split.some((row) => row[reason] > 0));
  const body = make("tbody");
  const total = addRows(split);
  const rows = split.map((row, m) => [report.modalities[m], row]);
  if (rows.filter(([, row]) => row.some((n) => n > 0)).length > 1) rows.push(["all", total]);
  for (const [name, row] of rows) {
    const all = row.reduce((a, b) => a + b, 0);
    if (all === 0) continue;
    const line = make("tr");
    const stack = make("td", undefined, { class: "bar" });
    stack.append(stackOf(row, all, colourOf));
    line.append(make("th", name, { scope: "row" }),
      make("td", count(all), { class: "count", "data-label": "tokens" }),
      make("td", `${count(keptTokens(row))} (${percent(keptTokens(row) / all)})`,
        { class: "count", "data-label": "kept" }), stack);
    for (const reason of present)
      line.append(make("td", count(row[reason]), { class: "unseen" }));
    body.append(line);
  }
  const head = make("thead"), line = make("tr");
  line.append(make("th", "Modality", { scope: "col", class: "words" }),
    make("th", "Tokens", { scope: "col" }), make("th", "Kept", { scope: "col" }),
    make("th", "Share of the modality’s tokens, by why they were kept",
      { scope: "col", class: "words" }));
  for (const reason of present)
    line.append(make("th", REASON_WORDS[REASONS[reason]], { scope: "col", class: "unseen" }));
  head.append(line);
  const where = state.head < 0 ? `summed over ${report.n_kv_heads} KV heads` : headWords(state.head);
  element("budget").replaceChildren(
    make("caption", `Why tokens of layer ${state.layer} were kept`, { class: "unseen" }),
    head, body);
  element("budget-caption").textContent = `Tokens of layer ${state.layer}, ${where}; what is `
    + "left empty was dropped.";
  legend("budget-legend", present.map((reason) =>
    [colourOf[REASONS[reason]], REASON_WORDS[REASONS[reason]]]));
}

// ---- Tables ----

function fillTable(id, caption, columns, rows) {
  const head = make("thead"), line = make("tr"), body = make("tbody");
  line.append(...columns.map((name) => make("th", name, { scope: "col" })));
  head.append(line);
  for (const [name, ...cells] of rows) {
    const row = make("tr");
    row.append(make("th", name, { scope: "row" }), ...cells.map((cell) => make("td", cell)));
    body.append(row);
  }
  element(id).replaceChildren(make("caption", caption), head, body);
}

function writeHeadsTable() {
  const layer = report.layers[state.layer];
  const group = report.n_heads / report.n_kv_heads;
  const names = report.modalities.filter((_, m) => splitOf(state.layer, -1)[m]
    .some((n) => n > 0));
  const rows = layer.mass.map((mass, head) => {
    const split = splitOf(state.layer, head);
    const kept = names.map((name) => count(keptTokens(split[report.modalities.indexOf(name)])));
    const sinks = (layer.sinks ?? []).slice(head * group, (head + 1) * group);
    return [String(head), ...kept, percent(retained(mass, "intra")),
      percent(retained(mass, "inter")),
      ...(has.sinks ? [sinks.map((x) => (x === null ? "none" : x.toFixed(2))).join(", ")] : [])];
  });
  fillTable("heads-table", `KV heads of layer ${state.layer}`,
    ["KV head", ...names.map((name) => `Kept ${name}`), "Intra held", "Inter held",
      ...(has.sinks ? ["Sink logits of its query heads"] : [])], rows);
}

function writeTokensTable() {
  const layer = layerOf(state.layer);
  const rows = rowsOf(layer, state.head);
  const heads = state.head < 0 ? report.n_kv_heads : 1;
  fillTable("tokens-table", `Tokens of layer ${state.layer}, ${headWords(state.head)}; `
    + `importance per token`, ["Tokens", "Modality", "Kept", "Intra", "Inter"],
  Array.from({ length: report.n_bins }, (_, bin) => {
    const [begin, end] = binTokens(bin);
    return [end - begin === 1 ? count(begin) : `${count(begin)}–${count(end - 1)}`,
      binModalityWords(bin), heads === 1 && report.width === 1
        ? REASON_WORDS[REASONS[layer.kept[state.head * report.n_bins + bin]]]
        : percent(rows.share[bin]),
      number(rows.intra[bin]), number(rows.inter[bin])];
  }));
}

function writeLayersTable() {
  fillTable("layers-table", "All layers",
    ["Layer", "Kept", "Intra held", "Inter held",
      ...(has.gap ? ["Divergence, bits", "Median intra weight", "Median inter weight"] : [])],
    report.layers.map((layer, l) => {
      const split = splitOf(l, -1);
      const all = split.flat().reduce((a, b) => a + b, 0);
      const mass = layerMass(l);
      const gap = has.gap ? [number(layer.gap.divergence),
        ...layer.gap.medians.map((x) => (x === null ? "–" : number(10 ** x)))] : [];
      return [String(l), percent(split.reduce((sum, row) => sum + keptTokens(row), 0) / all),
        percent(retained(mass, "intra")), percent(retained(mass, "inter")), ...gap];
    }));
}

// Tables are long, so only those that are open are filled.
const tableWriters = { "heads-table": writeHeadsTable, "tokens-table": writeTokensTable,
  "layers-table": writeLayersTable };

function writeTables() {
  for (const [id, write] of Object.entries(tableWriters))
    if (element(id).closest("details").open) write();
}
