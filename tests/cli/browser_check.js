// browser_check.js - what a reader would do with a report, done by a script
//
// browser.sh puts it behind the page; 'problems' comes from before the page and holds
// whatever the console said.  The results are lines of an element with the id "check".

(async () => {
  const lines = [];
  const check = (name, good, found) =>
    lines.push(`${good ? "ok" : "FAILED"} ${name}${good || found === undefined ? "" : `: ${found}`}`);
  const get = (id) => document.getElementById(id);
  const settle = () => new Promise((done) => setTimeout(done, 100));
  const key = (id, name, shiftKey = false) => get(id).dispatchEvent(
    new KeyboardEvent("keydown", { key: name, shiftKey, bubbles: true, cancelable: true }));
  const pointer = (id, type, x, y) => {
    const box = get(id).getBoundingClientRect();
    get(id).dispatchEvent(new PointerEvent(type, { bubbles: true,
      clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  };
  const pixels = (id) => {
    const canvas = get(id);
    return new Uint32Array(canvas.getContext("2d")
      .getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  };
  const painted = (id) => pixels(id).reduce((n, pixel) => n + (pixel !== 0), 0);
  const sum = (id) => pixels(id).reduce((h, pixel) => (Math.imul(h, 31) + pixel) | 0, 7);
  const text = (id) => get(id).textContent;

  await settle();
  check("draws at once", performance.getEntriesByName("drawn").length === 1);

  // Figures.
  for (const id of ["tokens", "mass", "gap"]) {
    const all = pixels(id);
    check(`${id} is drawn`, new Set(all).size > 20 && painted(id) > all.length / 50,
      `${new Set(all).size} colours, ${painted(id)} of ${all.length} pixels`);
    check(`${id} has a name and takes the focus`,
      get(id).getAttribute("aria-label") !== "" && get(id).tabIndex === 0);
  }

  // Slider and choice of heads.
  const last = report.n_layers - 1;
  const before = ["tokens", "gap"].map(sum);
  const slider = get("layer");
  check("slider is labelled", slider.labels.length === 1 && get("head").labels.length === 1);
  slider.value = String(last);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await settle();
  check("slider chooses the layer", text("layer-number").startsWith(String(last))
    && text("budget-caption").includes(`layer ${last}`) && text("readout").includes(`ayer ${last}`));
  check("slider redraws", ["tokens", "gap"].every((id, i) => sum(id) !== before[i]));
  check("slider tells its value", slider.getAttribute("aria-valuetext").includes(`layer ${last}`));
  const mean = sum("tokens");
  get("head").value = "1";
  get("head").dispatchEvent(new Event("change", { bubbles: true }));
  check("a head can be chosen", sum("tokens") !== mean && text("readout").includes("KV head 1"));
  check("the address follows", location.hash === `#layer=${last}&head=1`, location.hash);

  // Pointer.
  pointer("tokens", "pointermove", 0.3, 0.8);
  check("hover tells of tokens", /^Tokens? [\d,]+/.test(text("readout")), text("readout"));
  check("hover marks the place", painted("tokens-mark") > 100);
  pointer("tokens", "pointerleave", 0, 0);
  check("leaving ends it", text("readout").startsWith("Layer"), text("readout"));
  pointer("mass", "pointermove", 0.2, 0.4);
  check("hover tells of a head's mass", /KV head \d+ · holds [\d.]+ %/.test(text("readout")),
    text("readout"));
  const [x0, y0, x1, y1] = figures.mass.cell(figures.mass.panels[0], 1, 2);
  pointer("mass", "click", (x0 + x1) / 2 / figures.mass.width, (y0 + y1) / 2 / figures.mass.height);
  check("a click chooses layer and head", state.layer === 1 && state.head === 2,
    `${state.layer}, ${state.head}`);
  pointer("gap", "pointermove", innerWidth < 600 ? 0.5 : 0.8, innerWidth < 600 ? 0.8 : 0.5);
  check("hover tells of the gap", text("readout").includes("bits"), text("readout"));

  // Keyboard.
  get("tokens").focus();
  key("tokens", "Home");
  check("home is the first token", /^tokens? 0/.test(text("status")), text("status"));
  key("tokens", "ArrowRight");
  key("tokens", "ArrowRight", true);
  check("arrows move along tokens", state.bin === 11, state.bin);
  key("tokens", "End");
  check("end is the last token", text("status").includes((report.n_keys - 1).toLocaleString("en")),
    text("status"));
  for (let i = 0; i <= report.n_kv_heads; i++) key("tokens", "ArrowUp");
  check("arrows go up to the mean", state.head === -1 && text("status").includes("mean of heads"));
  key("tokens", "ArrowDown");
  check("arrows go down to a head", text("status").includes("KV head 0"));
  for (let i = 0; i <= report.n_layers; i++) key("tokens", "PageUp");
  key("tokens", "PageDown");
  check("pages go through layers", state.layer === 1, state.layer);
  key("tokens", "Escape");
  check("escape lets go", text("status").startsWith("layer 1"), text("status"));
  key("mass", "ArrowDown");
  check("arrows go through the masses", state.layer === 2, state.layer);
  key("gap", "End");
  check("arrows go through the gap", state.layer === last, state.layer);

  // Tables.
  const rows = { "heads-table": report.n_kv_heads, "tokens-table": report.n_bins,
    "layers-table": report.n_layers };
  for (const details of document.querySelectorAll("details")) details.open = true;
  await settle();
  await settle();
  for (const [id, n] of Object.entries(rows)) {
    check(`${id} is full`, get(id).tBodies[0].rows.length === n
      && ![...get(id).rows].some((row) => /NaN|undefined/.test(row.textContent)));
    check(`${id} has a caption and headings`, get(id).caption.textContent !== ""
      && get(id).querySelectorAll("th[scope=col]").length >= 4
      && get(id).querySelectorAll("th[scope=row]").length === n);
  }
  const parts = [...get("budget").querySelectorAll("tbody td.count")].map((e) => e.textContent);
  check("budget has numbers", parts.length >= 4 && parts.every((part) => /\d/.test(part)));
  check("nothing is wider than the window",
    document.documentElement.scrollWidth <= innerWidth, document.documentElement.scrollWidth);

  // Paper.
  window.dispatchEvent(new Event("beforeprint"));
  check("paper is white", getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)"
    && get("tokens").width === 2400);
  window.dispatchEvent(new Event("afterprint"));
  check("the screen comes back", !document.documentElement.classList.contains("print"));

  // Nothing from outside, and nothing that the policy does not name.
  check("nothing is loaded", performance.getEntriesByType("resource").length === 0);
  check("the title is text", document.title.includes(report.source)
    && document.querySelectorAll("script").length === 4);
  check("the console is silent", problems.length === 0, problems.join(" | "));
  const smuggled = document.createElement("script");
  smuggled.textContent = "window.smuggled = true";
  document.body.append(smuggled);
  check("the policy holds", window.smuggled === undefined);
  smuggled.remove();

  lines.push(`paper ${getComputedStyle(document.body).backgroundColor}`, "end");
  const result = document.createElement("pre");
  result.id = "check";
  result.textContent = lines.join("\n");
  document.body.append(result);
})();
