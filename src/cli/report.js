// report.js - the page: what is chosen, and everything that follows it

const element = (id) => document.getElementById(id);

// 'pointed' is the head whose row is pointed at; head -1 is the mean of all.
const state = { layer: 0, head: -1, bin: null, pointed: null };

const has = {
  gap: report.layers.every((layer) => layer.gap)
    && report.layers.some((layer) => layer.gap.divergence !== null),
  sinks: report.layers.some((layer) => layer.sinks),
};

const figures = {
  tokens: new TokenFigure(),
  mass: new MassFigure(),
  gap: has.gap ? new GapFigure() : null,
};
let colours = readColours();

// ---- Drawing ----

function pixelScale() {
  return ROOT.classList.contains("print") ? 3 : Math.min(3, window.devicePixelRatio || 1);
}

function drawMarks(pointed = {}) {
  figures.tokens.drawMark(state);
  figures.mass.drawMark(state, pointed.mass);
  if (figures.gap) figures.gap.drawMark(state, pointed.gap);
}

function drawFigures() {
  for (const figure of Object.values(figures))
    if (figure) figure.draw(state, colours, pixelScale());
  drawMarks();
}

function writeLegends() {
  const { modality, ground } = colours;
  const shown = report.modalities.map((name, m) => [modality[m], name])
    .filter((_, m) => splitOf(0, -1)[m].some((n) => n > 0));
  const one = report.width === 1;
  const held = one && splitOf(0, -1).some((row) => row[1] > 0);
  legend("tokens-legend", [
    ...shown.map(([colour, name]) => [colour, `${name}, kept`]),
    ...(held ? [[mix(ground, modality[0], 0.42), "paler: protected"]]
      : []), [ground, "dropped"]]);
  element("tokens-caption").textContent = ` Importance is ${state.head < 0
    ? "the mean over KV heads" : `that of KV head ${state.head}`}, per token, on a `
    + `logarithmic scale. `
    + (one ? `A bar is pale where ${state.head < 0 ? "most heads drop" : "it drops"} the token. `
      : `A column stands for ${report.width} tokens, and its colour is the stronger the more `
        + `of them are kept. `)
    + (figures.tokens.dots > 0 ? "At the right, the share of each head’s attention that its "
      + "kept tokens hold: filled, intra; open, inter." : "");
}

// A browser may refuse: a page inside another has no address, and some count changes.
function writeAddress() {
  const head = state.head < 0 ? "" : `&head=${state.head}`;
  try {
    history.replaceState(null, "", `#layer=${state.layer}${head}`);
  } catch {
    return;
  }
}

// All that the choice of layer and head changes.
function show(aloud) {
  element("layer").value = String(state.layer);
  element("layer").setAttribute("aria-valuetext",
    `layer ${state.layer}, ${report.n_layers} in all`);
  element("layer-number").textContent = `${state.layer} (0–${report.n_layers - 1})`;
  element("head").value = String(state.head);
  drawFigures();
  writeLegends();
  writeBudget();
  writeTables();
  say(state.bin === null ? layerReadout() : tokenReadout(), aloud);
  writeAddress();
}

// ---- What the reader does ----

function within(x, n) {
  return Math.max(0, Math.min(n - 1, x));
}

function choose(layer, head, aloud) {
  state.layer = within(layer, report.n_layers);
  state.head = head < 0 ? -1 : within(head, report.n_kv_heads);
  state.pointed = null;
  show(aloud);
}

function point(bin, head, aloud) {
  state.bin = bin === null ? null : within(bin, report.n_bins);
  state.pointed = head;
  figures.tokens.drawMark(state);
  say(state.bin === null ? layerReadout() : tokenReadout(), aloud);
}

function place(event, figure) {
  const box = figure.canvas.getBoundingClientRect();
  const scale = figure.width / box.width;
  return figure.at((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
}

const tokenKeys = {
  ArrowLeft: (step) => point((state.bin ?? 1) - step, state.pointed, true),
  ArrowRight: (step) => point((state.bin ?? -1) + step, state.pointed, true),
  ArrowUp: () => choose(state.layer, state.head - 1, true),
  ArrowDown: () => choose(state.layer, state.head + 1, true),
  Home: () => point(0, state.pointed, true),
  End: () => point(report.n_bins - 1, state.pointed, true),
  PageUp: () => choose(state.layer - 1, state.head, true),
  PageDown: () => choose(state.layer + 1, state.head, true),
  Escape: () => point(null, null, true),
};

const massKeys = {
  ArrowLeft: () => choose(state.layer, state.head - 1, true),
  ArrowRight: () => choose(state.layer, state.head + 1, true),
  ArrowUp: () => choose(state.layer - 1, state.head, true),
  ArrowDown: () => choose(state.layer + 1, state.head, true),
};

const gapKeys = {
  ArrowLeft: () => choose(state.layer - 1, state.head, true),
  ArrowRight: () => choose(state.layer + 1, state.head, true),
  Home: () => choose(0, state.head, true),
  End: () => choose(report.n_layers - 1, state.head, true),
};

function listenKeys(figure, keys) {
  figure.canvas.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act(event.shiftKey ? 10 : 1);
  });
}

function listenTokens() {
  const { canvas } = figures.tokens;
  canvas.addEventListener("pointermove", (event) => {
    const at = place(event, figures.tokens);
    if (at) point(at.bin, at.head, false);
  });
  canvas.addEventListener("pointerleave", () => point(null, null, false));
  canvas.addEventListener("click", (event) => {
    const at = place(event, figures.tokens);
    if (!at || at.head === null) return;
    state.bin = at.bin;
    choose(state.layer, at.head === state.head ? -1 : at.head, true);
  });
  canvas.addEventListener("focus", () => {
    if (state.bin === null && canvas.matches(":focus-visible")) point(0, null, true);
  });
  listenKeys(figures.tokens, tokenKeys);
}

// A figure of layers, and maybe heads: pointing tells, a click chooses.
function listenLayers(name, keys, words, headOf) {
  const figure = figures[name];
  figure.canvas.addEventListener("pointermove", (event) => {
    const at = place(event, figure);
    drawMarks({ [name]: at });
    say(at ? words(at) : layerReadout(), false);
  });
  figure.canvas.addEventListener("pointerleave", () => {
    drawMarks();
    say(layerReadout(), false);
  });
  figure.canvas.addEventListener("click", (event) => {
    const at = place(event, figure);
    if (at) choose(at.layer, headOf(at), true);
  });
  listenKeys(figure, keys);
}

function listenControls() {
  element("layer").max = String(report.n_layers - 1);
  element("layer").addEventListener("input", (event) =>
    choose(Number(event.target.value), state.head, false));
  element("head").replaceChildren(make("option", "mean of heads", { value: "-1" }),
    ...Array.from({ length: report.n_kv_heads }, (_, h) =>
      make("option", `head ${h}`, { value: String(h) })));
  element("head").addEventListener("change", (event) =>
    choose(state.layer, Number(event.target.value), true));
  for (const [id, write] of Object.entries(tableWriters))
    element(id).closest("details").addEventListener("toggle", (event) => {
      if (event.target.open) write();
    });
}

function redraw() {
  colours = readColours();
  drawFigures();
  writeLegends();
  writeBudget();
}

function listenWindow() {
  let waiting = false;
  new ResizeObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; redraw(); });
  }).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const print = (on) => () => { ROOT.classList.toggle("print", on); redraw(); };
  window.addEventListener("beforeprint", print(true));
  window.addEventListener("afterprint", print(false));
}

// "#layer=3&head=1", so that a link can lead to what it is about.
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const numberOf = (name, other) => {
    const text = asked.get(name);
    return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : other;
  };
  state.layer = within(numberOf("layer", 0), report.n_layers);
  const head = numberOf("head", -1);
  state.head = head < 0 ? -1 : within(head, report.n_kv_heads);
}

readAddress();
writeHeading();
listenControls();
listenTokens();
listenLayers("mass", massKeys, cellReadout, (at) => at.head);
if (has.gap) {
  element("gap-figure").hidden = false;
  element("gap-caption").append(" Left: how often a query and a key of its own modality "
    + "(intra) or of two (inter) have a weight, by a Gaussian kernel on the logarithm. Right: "
    + "how far the two distributions are apart; 0 bits are the same, with 1 bit a weight tells "
    + "which of them it is from.");
  listenLayers("gap", gapKeys, gapReadout, () => state.head);
}
listenWindow();
show(false);
performance.mark("drawn");
