// report_draw.js - the figures, on canvas
//
// Each figure has a canvas of what it shows and one above it for what is pointed at, so
// that pointing redraws nothing.

const ROOT = document.documentElement;

// Colours of the page's style, for what canvas draws.
function readColours() {
  const style = getComputedStyle(ROOT);
  const get = (name) => style.getPropertyValue(name).trim();
  return {
    paper: get("--paper"), ink: get("--ink"), soft: get("--soft"), line: get("--line"),
    ground: get("--ground"), intra: get("--intra"), inter: get("--inter"),
    modality: report.modalities.map((_, m) => get(`--modality-${modalityColour(m)}`)),
    font: getComputedStyle(document.body).fontFamily,
  };
}

// Six colours; later modalities begin again with the second.
function modalityColour(m) {
  return m < 6 ? m : 1 + ((m - 1) % 5);
}

function parseColour(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// Between two colours "#rrggbb"; share 0 is the first.
function mix(a, b, share) {
  const x = parseColour(a), y = parseColour(b);
  return `rgb(${x.map((v, i) => Math.round(v + (y[i] - v) * share)).join(" ")})`;
}

// A hundred and one shades, so that a cell costs no arithmetic.
function ramp(a, b) {
  return Array.from({ length: 101 }, (_, i) => mix(a, b, i / 100));
}

// What to write on a colour: the paper or the ink, whichever is further from it.
function inkOn(colour) {
  const channel = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (hex) => parseColour(hex).map(channel)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const on = light(colour);
  return 1.05 / (on + 0.05) > (on + 0.05) / 0.05 ? "#ffffff" : "#14171b";
}

class Plot {
  constructor(id) {
    this.canvas = document.getElementById(id);
    this.mark = document.getElementById(`${id}-mark`);
    this.scale = 1;
  }

  // On paper it is that of a wide window, whatever the window is.
  get width() {
    return ROOT.classList.contains("print") ? 800
      : Math.max(280, this.canvas.parentElement.clientWidth);
  }

  // Begin a drawing of this height; 'scale' pixels to one of the page's.
  begin(height, scale, colours) {
    this.height = height;
    this.scale = scale;
    this.colours = colours;
    for (const canvas of [this.canvas, this.mark]) {
      canvas.width = Math.round(this.width * scale);
      canvas.height = Math.round(height * scale);
    }
    this.onto(this.canvas);
  }

  onto(canvas) {
    this.c = canvas.getContext("2d");
    this.c.setTransform(this.scale, 0, 0, this.scale, 0, 0);
  }

  // Begin what is chosen and pointed at; on paper, where two canvases cannot be relied on
  // to show through each other, on the drawing itself.
  beginMark() {
    const printed = ROOT.classList.contains("print");
    this.onto(printed ? this.canvas : this.mark);
    if (!printed) this.c.clearRect(0, 0, this.width, this.height);
  }

  snap(v) {
    return Math.round(v * this.scale) / this.scale;
  }

  // A rectangle between whole pixels, so that neighbours leave no seam.
  box(x0, y0, x1, y1, fill) {
    const left = this.snap(x0), top = this.snap(y0);
    this.c.fillStyle = fill;
    this.c.fillRect(left, top, this.snap(x1) - left, this.snap(y1) - top);
  }

  frame(x0, y0, x1, y1, colour, width = 1.5) {
    this.c.strokeStyle = colour;
    this.c.lineWidth = width;
    this.c.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  line(points, colour, width = 1, dash = []) {
    this.c.strokeStyle = colour;
    this.c.lineWidth = width;
    this.c.setLineDash(dash);
    this.c.beginPath();
    points.forEach(([x, y], i) => (i ? this.c.lineTo(x, y) : this.c.moveTo(x, y)));
    this.c.stroke();
    this.c.setLineDash([]);
  }

  text(words, x, y, { align = "left", colour = this.colours.soft, size = 12,
    weight = 400 } = {}) {
    this.c.font = `${weight} ${size}px ${this.colours.font}`;
    this.c.textAlign = align;
    this.c.textBaseline = "middle";
    this.c.fillStyle = colour;
    this.c.fillText(words, x, y);
  }

  measure(words, size = 12, weight = 400) {
    this.c.font = `${weight} ${size}px ${this.colours.font}`;
    return this.c.measureText(words).width;
  }
}

// Steps of 1, 2 or 5 times a power of ten, at most 'most' of them.
function ticks(end, most) {
  let step = 10 ** Math.floor(Math.log10(Math.max(end / most, 1)));
  while (end / step > most)
    step *= String(step)[0] === "2" ? 2.5 : 2;
  const list = [];
  for (let t = 0; t < end; t += step) list.push(t);
  return list;
}

// ---- Tokens: the strip, importance, what each head keeps ----

class TokenFigure extends Plot {
  constructor() {
    super("tokens");
  }

  layOut() {
    const narrow = this.width < 600;
    const heads = report.n_kv_heads;
    this.left = narrow ? 40 : 64;
    this.dots = narrow ? 0 : 100;
    this.right = this.width - (narrow ? 6 : this.dots + 48);
    const most = ROOT.classList.contains("print") ? 270 : 400; // with the heading, a page
    this.rowHeight = Math.max(3, Math.min(18, most / heads));
    this.strip = 4;
    this.curves = { intra: 50, inter: 152 };
    this.curveHeight = 72;
    this.map = 264;
    this.mapEnd = this.map + this.rowHeight * heads;
    return this.mapEnd + 44;
  }

  x(token) {
    return this.left + ((this.right - this.left) * token) / report.n_keys;
  }

  draw(state, colours, scale) {
    this.begin(this.layOut(), scale, colours);
    const layer = layerOf(state.layer);
    this.drawStrip();
    this.drawCurve("intra", layer, state.head);
    this.drawCurve("inter", layer, state.head);
    this.drawMap(layer, state);
    this.drawAxis();
    if (this.dots > 0) this.drawRetained(state);
  }

  drawStrip() {
    const runs = [];
    let at = 0;
    for (const [begin, end, modality] of report.spans) {
      if (begin > at) runs.push([at, begin, 0]);
      runs.push([begin, Math.min(end, report.n_keys), modality]);
      at = end;
    }
    if (at < report.n_keys) runs.push([at, report.n_keys, 0]);
    for (const [begin, end, modality] of runs) {
      const x0 = this.x(begin), x1 = this.x(end);
      const colour = this.colours.modality[modality];
      this.box(x0, this.strip, x1 - x0 > 4 ? x1 - 1 : x1, this.strip + 20, colour);
      const words = report.modalities[modality];
      if (x1 - x0 > this.measure(words) + 8)
        this.text(words, (x0 + x1) / 2, this.strip + 10.5,
          { align: "center", colour: inkOn(colour) });
    }
    if (this.left > 50)
      this.text("prompt", this.left - 8, this.strip + 10.5, { align: "right" });
  }

  drawCurve(kind, layer, head) {
    const top = this.curves[kind], base = top + this.curveHeight;
    const [low, high] = importanceRange(kind, head);
    const y = (value) => base - (this.curveHeight
      * Math.min(1, Math.max(0, (Math.log10(value) - low) / (high - low))));
    const rows = rowsOf(layer, head);
    const { modality, ground, line, ink } = this.colours;
    const shades = modality.map((colour) => ramp(mixHex(ground, colour, 0.3), colour));
    for (let e = Math.ceil(low); e <= high; e++) {
      if ((e - Math.ceil(low)) % Math.ceil((high - low) / 3.5) !== 0) continue;
      const at = this.snap(y(10 ** e)) - 0.5;
      this.line([[this.left, at], [this.right, at]], line, 0.5);
      this.text(`10${superscript(e)}`, this.left - 8, at, { align: "right", size: 11 });
    }
    for (let bin = 0; bin < report.n_bins; bin++) {
      const [begin, end] = binTokens(bin);
      if (!(rows[kind][bin] > 0)) continue;
      this.box(this.x(begin), y(rows[kind][bin]), this.x(end), base,
        shades[binModality[bin]][Math.round(rows.share[bin] * 100)]);
    }
    this.line([[this.left, base], [this.right, base]], line);
    const name = kind === "intra" ? "Intra" : "Inter";
    this.text(name, this.left, top - 10, { colour: ink, weight: 600, size: 13 });
    if (this.width >= 600)
      this.text(`attention from ${kind === "intra" ? "queries of the token’s own modality"
        : "queries of other modalities"}`, this.left + 42, top - 10);
  }

  drawMap(layer, state) {
    const { modality, ground, soft, ink } = this.colours;
    const shades = modality.map((colour) => ramp(ground, colour));
    const faint = modality.map((colour) => mix(ground, colour, 0.42));
    const gap = this.rowHeight >= 6 ? 1 : 0;
    const every = Math.ceil(13 / this.rowHeight);
    for (let head = 0; head < report.n_kv_heads; head++) {
      const y0 = this.map + head * this.rowHeight, y1 = y0 + this.rowHeight - gap;
      this.box(this.left, y0, this.right, y1, ground);
      for (let bin = 0; bin < report.n_bins; bin++) {
        const i = head * report.n_bins + bin;
        if (layer.kept[i] === 0) continue;
        const [begin, end] = binTokens(bin);
        const held = report.width === 1 && layer.kept[i] === 1;
        this.box(this.x(begin), y0, this.x(end), y1, held ? faint[binModality[bin]]
          : shades[binModality[bin]][Math.round(layer.share[i] * 100)]);
      }
      const chosen = head === state.head;
      if (chosen || (head % every === 0 && Math.abs(head - state.head) >= every
          || state.head < 0 && head % every === 0))
        this.text(head === 0 && this.width >= 600 ? "head 0" : String(head),
          this.left - 8, (y0 + y1) / 2 + 0.5,
          { align: "right", size: 11, colour: chosen ? ink : soft,
            weight: chosen ? 700 : 400 });
    }
    this.text("Kept", this.left, this.map - 10, { colour: ink, weight: 600, size: 13 });
    if (this.width >= 600)
      this.text("of each KV head, a row each", this.left + 42, this.map - 10);
  }

  drawAxis() {
    const y = this.mapEnd + 6;
    const most = Math.max(2, Math.floor((this.right - this.left) / 80));
    this.line([[this.left, y], [this.right, y]], this.colours.line);
    for (const t of ticks(report.n_keys, most)) {
      this.line([[this.x(t), y], [this.x(t), y + 4]], this.colours.line);
      this.text(count(t), this.x(t), y + 13, { align: t === 0 ? "left" : "center", size: 11 });
    }
    this.text("token", (this.left + this.right) / 2, y + 29, { align: "center" });
  }

  // What each head retains, beside its row.
  drawRetained(state) {
    const left = this.right + 26, width = this.dots;
    const { line } = this.colours;
    const x = (share) => left + width * share;
    const radius = Math.max(1.5, Math.min(3.5, this.rowHeight / 2 - 0.5));
    for (const share of [0, 0.5, 1])
      this.line([[x(share), this.map - 2], [x(share), this.mapEnd + 2]], line, 0.5);
    report.layers[state.layer].mass.forEach((mass, head) => {
      const y = this.map + (head + 0.5) * this.rowHeight - 0.5;
      for (const kind of ["inter", "intra"]) {
        const share = retained(mass, kind);
        if (share === null) continue;
        this.c.beginPath();
        this.c.arc(x(share), y, radius, 0, 2 * Math.PI);
        this.c.fillStyle = kind === "intra" ? this.colours.intra : this.colours.paper;
        this.c.fill();
        this.c.strokeStyle = this.colours[kind];
        this.c.lineWidth = 1.5;
        this.c.stroke();
      }
    });
    this.text("attention held", left + width / 2, this.map - 10, { align: "center" });
    for (const [share, words, align] of [[0, "0", "center"], [0.5, "50", "center"],
      [1, "100 %", "center"]])
      this.text(words, x(share), this.mapEnd + 19, { align, size: 11 });
  }

  // Which bin and head are at a place of the canvas; null outside.
  at(px, py) {
    if (px < this.left || px > this.right) return null;
    const token = Math.min(report.n_keys - 1,
      Math.floor(((px - this.left) / (this.right - this.left)) * report.n_keys));
    const inMap = py >= this.map && py < this.mapEnd;
    return { bin: Math.floor(token / report.width),
      head: inMap ? Math.floor((py - this.map) / this.rowHeight) : null };
  }

  drawMark(state) {
    this.beginMark();
    const { ink } = this.colours;
    if (state.head >= 0) {
      const y = this.map + state.head * this.rowHeight;
      this.frame(this.left - 1, y - 1, this.right + 1, y + this.rowHeight, ink);
    }
    if (state.bin === null) return;
    const [begin, end] = binTokens(state.bin);
    const x = (this.x(begin) + this.x(end)) / 2;
    for (const [top, bottom] of [[this.curves.intra, this.curves.intra + this.curveHeight],
      [this.curves.inter, this.curves.inter + this.curveHeight], [this.map, this.mapEnd + 6]])
      this.line([[x, top], [x, bottom]], ink, 1, [3, 2]);
    if (state.pointed !== null && state.pointed >= 0) {
      const y = this.map + state.pointed * this.rowHeight;
      const x0 = this.x(begin), x1 = Math.max(this.x(end), this.x(begin) + 3);
      this.frame(x0 - 1, y - 1, x1 + 1, y + this.rowHeight, ink);
    }
  }
}

// Decades that the figure shows of a head, the same for all layers, so that these can be
// compared; at most six.
function importanceRange(kind, head) {
  const coded = report.layers.map((layer) => (head < 0 ? layer[`mean_${kind}`] : layer[kind]));
  const ranges = coded.map(({ ranges: rows }) => rows[Math.max(head, 0)])
    .filter(([low, high]) => low !== 0 || high !== 0); // both 0: nothing at all
  if (ranges.length === 0) return [-1, 0];
  const high = Math.ceil(Math.max(...ranges.map((range) => range[1])) * 2 + 0.2) / 2;
  const low = Math.floor((Math.min(...ranges.map((range) => range[0])) - 0.2) * 2) / 2;
  return [Math.max(Math.min(low, high - 1), high - 6), high];
}

function mixHex(a, b, share) {
  const x = parseColour(a), y = parseColour(b);
  return `#${x.map((v, i) => Math.round(v + (y[i] - v) * share).toString(16)
    .padStart(2, "0")).join("")}`;
}
