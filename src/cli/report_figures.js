// report_figures.js - figures of all layers: retained attention, distribution gap

// ---- Retained attention: two heat maps of layers by heads ----

class MassFigure extends Plot {
  constructor() {
    super("mass");
    this.low = { intra: 1, inter: 1 };
    for (const layer of report.layers)
      for (const mass of layer.mass)
        for (const kind of ["intra", "inter"])
          this.low[kind] = Math.min(this.low[kind], retained(mass, kind) ?? 1);
    for (const kind of ["intra", "inter"]) // in tenths, and never the whole
      this.low[kind] = Math.min(0.9, Math.floor(this.low[kind] * 10) / 10);
  }

  layOut() {
    const stacked = this.width < 600;
    const n = report.n_layers;
    this.rowHeight = Math.max(3, Math.min(24, 420 / n));
    const panel = stacked ? this.width : (this.width - 32) / 2;
    const height = 56 + this.rowHeight * n + 30;
    this.panels = ["intra", "inter"].map((kind, i) => {
      const left = stacked ? 40 : i * (panel + 32) + 46;
      const right = stacked ? this.width - 4 : i * (panel + 32) + panel - 3;
      return { kind, left, right, top: 56 + (stacked ? i * (height + 10) : 0) };
    });
    return stacked ? 2 * height + 10 : height;
  }

  cell(panel, layer, head) {
    const width = (panel.right - panel.left) / report.n_kv_heads;
    const x = panel.left + head * width, y = panel.top + layer * this.rowHeight;
    return [x, y, x + width, y + this.rowHeight];
  }

  draw(state, colours, scale) {
    this.begin(this.layOut(), scale, colours);
    for (const panel of this.panels) {
      this.drawHeading(panel, state);
      this.drawCells(panel);
      this.drawAxes(panel);
    }
  }

  shades(kind) {
    return ramp(mixHex(this.colours.paper, this.colours[kind], 0.08), this.colours[kind]);
  }

  part(kind, share) {
    const low = this.low[kind];
    return Math.round(100 * Math.max(0, Math.min(1, (share - low) / (1 - low))));
  }

  drawHeading(panel, state) {
    const { kind, left, right, top } = panel;
    const { ink, soft } = this.colours;
    const name = kind === "intra" ? "Intra" : "Inter";
    this.text(name, left, top - 40, { colour: ink, weight: 600, size: 13 });
    const mass = layerMass(state.layer);
    this.text(`layer ${state.layer}: ${percent(retained(mass, kind))}`, left + 42, top - 40);
    // The scale, in words at both ends.
    const shades = this.shades(kind);
    const low = `${Math.round(this.low[kind] * 100)} %`;
    const x0 = left + this.measure(low) + 6, x1 = Math.min(x0 + 110, right - 60);
    this.text(low, left, top - 20);
    for (let i = 0; i < 50; i++)
      this.box(x0 + ((x1 - x0) * i) / 50, top - 25, x0 + ((x1 - x0) * (i + 1)) / 50, top - 15,
        shades[i * 2]);
    this.text("100 % held", x1 + 6, top - 20, { colour: soft });
  }

  drawCells(panel) {
    const { kind } = panel;
    const shades = this.shades(kind);
    const from = this.colours.paper, to = this.colours[kind];
    report.layers.forEach((layer, l) => layer.mass.forEach((mass, head) => {
      const share = retained(mass, kind);
      const [x0, y0, x1, y1] = this.cell(panel, l, head);
      const gap = x1 - x0 > 8 && y1 - y0 > 8 ? 1 : 0;
      if (share === null) {
        this.line([[x0 + 2, (y0 + y1) / 2], [x1 - 2, (y0 + y1) / 2]], this.colours.line);
        return;
      }
      const part = this.part(kind, share);
      this.box(x0, y0, x1 - gap, y1 - gap, shades[part]);
      if (x1 - x0 >= 30 && y1 - y0 >= 15)
        this.text((100 * share).toFixed(0), (x0 + x1) / 2, (y0 + y1) / 2,
          { align: "center", size: 11,
            colour: inkOn(mixHex(from, to, 0.08 + (0.92 * part) / 100)) });
    }));
  }

  drawAxes(panel) {
    const { left, right, top } = panel;
    const bottom = top + this.rowHeight * report.n_layers;
    for (const l of ticks(report.n_layers, Math.min(16, (bottom - top) / 16)))
      if (Number.isInteger(l))
        this.text(panel.left > 100 && this.width >= 600 || l > 0 ? String(l) : "0",
          left - 8, top + (l + 0.5) * this.rowHeight, { align: "right", size: 11 });
    const width = (right - left) / report.n_kv_heads;
    for (const h of ticks(report.n_kv_heads, (right - left) / 34))
      if (Number.isInteger(h))
        this.text(String(h), left + (h + 0.5) * width, bottom + 10,
          { align: "center", size: 11 });
    this.text("KV head", (left + right) / 2, bottom + 25, { align: "center" });
    this.c.save();
    this.c.translate(left - 34, (top + bottom) / 2);
    this.c.rotate(-Math.PI / 2);
    this.text("layer", 0, 0, { align: "center" });
    this.c.restore();
  }

  at(px, py) {
    for (const panel of this.panels) {
      const layer = Math.floor((py - panel.top) / this.rowHeight);
      const head = Math.floor(((px - panel.left) / (panel.right - panel.left))
        * report.n_kv_heads);
      if (layer >= 0 && layer < report.n_layers && head >= 0 && head < report.n_kv_heads)
        return { layer, head };
    }
    return null;
  }

  drawMark(state, pointed) {
    this.beginMark();
    const { ink } = this.colours;
    for (const panel of this.panels) {
      const [x0, y0] = this.cell(panel, state.layer, 0);
      const [, , x1, y1] = this.cell(panel, state.layer, report.n_kv_heads - 1);
      this.frame(x0 - 1.5, y0 - 1.5, x1 + 0.5, y1 + 0.5, ink);
      if (pointed) {
        const cell = this.cell(panel, pointed.layer, pointed.head);
        this.frame(cell[0] - 1, cell[1] - 1, cell[2], cell[3], ink, 2);
      }
    }
  }
}

// ---- Distribution gap: densities of the layer, divergence of all ----

class GapFigure extends Plot {
  constructor() {
    super("gap");
    const gaps = report.layers.map((layer) => layer.gap);
    this.from = Math.min(...gaps.map((gap) => gap.from));
    this.to = Math.max(...gaps.map((gap) => gap.to));
    const most = Math.max(...gaps.map((gap) => gap.divergence ?? 0));
    this.most = Math.min(1, Math.ceil(Math.max(most, 0.05) * 10 + 0.2) / 10);
  }

  layOut() {
    const stacked = this.width < 600;
    const half = stacked ? this.width : (this.width - 40) / 2;
    this.density = { left: 14, right: half - 4, top: 34, base: 200 };
    this.bars = stacked ? { left: 40, right: this.width - 4, top: 288, base: 424 }
      : { left: half + 86, right: this.width - 4, top: 34, base: 200 };
    return stacked ? 470 : 246;
  }

  draw(state, colours, scale) {
    this.begin(this.layOut(), scale, colours);
    this.drawDensity(report.layers[state.layer].gap, state.layer);
    this.drawBars(state.layer);
  }

  drawDensity(gap, index) {
    const { left, right, top, base } = this.density;
    const { ink, line } = this.colours;
    const x = (log) => left + ((right - left) * (log - this.from)) / (this.to - this.from);
    const most = Math.max(gap.intra.top, gap.inter.top) || 1;
    const y = (density) => base - ((base - top - 12) * density) / most;
    this.text("Density of weights", left, 8, { colour: ink, weight: 600, size: 13 });
    this.text(`layer ${index}`, left + this.measure("Density of weights", 13, 600) + 8, 8);
    const labels = [];
    for (const kind of ["intra", "inter"]) {
      const levels = levelsOf(gap[kind].levels, 2);
      if (gap.pairs[kind === "intra" ? 0 : 1] === 0) continue;
      const points = Array.from(levels, (level, i) => [
        x(gap.from + ((gap.to - gap.from) * i) / (levels.length - 1)),
        y((level / 4095) * gap[kind].top)]);
      this.c.beginPath();
      points.forEach(([px, py], i) => (i ? this.c.lineTo(px, py) : this.c.moveTo(px, py)));
      this.c.lineTo(points[points.length - 1][0], base);
      this.c.lineTo(points[0][0], base);
      this.c.globalAlpha = 0.12;
      this.c.fillStyle = this.colours[kind];
      this.c.fill();
      this.c.globalAlpha = 1;
      this.line(points, this.colours[kind], 2, kind === "inter" ? [6, 3] : []);
      const peak = points.reduce((best, point) => (point[1] < best[1] ? point : best));
      labels.push({ kind, x: peak[0], y: peak[1] - 9 });
    }
    this.placeLabels(labels, left, right);
    this.line([[left, base], [right, base]], line);
    const step = Math.max(1, Math.ceil((this.to - this.from) / ((right - left) / 52)));
    for (let e = Math.ceil(this.from); e <= this.to; e += step) {
      this.line([[x(e), base], [x(e), base + 4]], line);
      this.text(e === 0 ? "1" : `10${superscript(e)}`, x(e), base + 14,
        { align: "center", size: 11 });
    }
    this.text("attention weight", (left + right) / 2, base + 31, { align: "center" });
  }

  // Names at the peaks; where these are close, one to each side.
  placeLabels(labels, left, right) {
    const close = labels.length === 2 && Math.abs(labels[0].x - labels[1].x) < 56;
    const first = close && labels[0].x <= labels[1].x ? 0 : 1;
    labels.forEach(({ kind, x, y }, i) => {
      const align = !close ? "center" : i === first ? "right" : "left";
      const at = Math.max(left + 18, Math.min(right - 18, x));
      this.text(kind, close ? at + (align === "right" ? -4 : 4) : at, y,
        { align, colour: this.colours[kind], weight: 600 });
    });
  }

  drawBars(chosen) {
    const { left, right, top, base } = this.bars;
    const { ink, line, soft } = this.colours;
    const n = report.n_layers;
    const y = (bits) => base - ((base - top) * bits) / this.most;
    this.text("Jensen–Shannon divergence", left, top - 26,
      { colour: ink, weight: 600, size: 13 });
    this.text("bits", left - 8, top - 26, { align: "right" });
    for (const bits of [0, this.most / 2, this.most]) {
      this.line([[left, y(bits)], [right, y(bits)]], line, 0.5);
      this.text(String(+bits.toFixed(2)), left - 8, y(bits), { align: "right", size: 11 });
    }
    const width = (right - left) / n;
    const gap = Math.max(width > 5 ? width * 0.25 : 0, width - 36);
    report.layers.forEach((layer, l) => {
      const bits = layer.gap.divergence;
      if (bits === null) return;
      const x0 = left + l * width + gap / 2;
      this.box(x0, y(bits), x0 + width - gap, base,
        l === chosen ? ink : mixHex(this.colours.paper, soft, 0.5));
    });
    for (const l of ticks(n, (right - left) / 34))
      if (Number.isInteger(l))
        this.text(String(l), left + (l + 0.5) * width, base + 14, { align: "center", size: 11 });
    this.text("layer", (left + right) / 2, base + 31, { align: "center" });
  }

  at(px, py) {
    const { left, right, top, base } = this.bars;
    const layer = Math.floor(((px - left) / (right - left)) * report.n_layers);
    return py >= top - 10 && py <= base + 20 && layer >= 0 && layer < report.n_layers
      ? { layer } : null;
  }

  drawMark(state, pointed) {
    this.beginMark();
    if (!pointed) return;
    const { left, right, top, base } = this.bars;
    const width = (right - left) / report.n_layers;
    this.frame(left + pointed.layer * width, top - 2, left + (pointed.layer + 1) * width,
      base + 1, this.colours.ink, 1);
  }
}
