// The language switch, the sorting of tables, and the charts in the chosen language. Nothing here draws a chart.
(() => {
  "use strict";
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const views = new Map();
  const language = () => (root.lang.startsWith("zh") ? 1 : 0);

  // "@key" is a text of the page; data, names of classes and of videos are left as they are.
  const OPAQUE = new Set(["datasets", "data", "params", "labelExpr", "transform", "usermeta"]);
  const spoken = (node, key) => {
    if (typeof node === "string") {
      const text = node.startsWith("@") && page.texts[node.slice(1)];
      return text ? text[language()] : node;
    }
    if (OPAQUE.has(key) || node === null || typeof node !== "object") return node;
    if (Array.isArray(node)) return node.map((item) => spoken(item, key));
    return Object.fromEntries(Object.entries(node).map(([name, item]) => [name, spoken(item, name)]));
  };

  // A drawing in SVG follows the colours of the page by itself, also when it is printed. A canvas cannot: it is drawn in
  // colours that can be read on both papers.
  const config = (canvas) => {
    const names = canvas ? ["mid", "mid", "mid", "mid-accent", "mid"] : ["ink", "muted", "line", "accent", "warm"];
    const value = (name) => (canvas ? getComputedStyle(root).getPropertyValue(`--${name}`).trim() : `var(--${name})`);
    const [ink, muted, line, accent, warm] = names.map(value);
    return {
      font: getComputedStyle(document.body).fontFamily,
      background: "transparent",
      view: { stroke: line },
      axis: {
        labelColor: muted, titleColor: ink, domainColor: line, tickColor: line, gridColor: line,
        labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal",
      },
      legend: { labelColor: ink, labelFontSize: 12, orient: "top" },
      range: { category: [accent, warm] },
      mark: { color: accent },
      rule: { color: accent },
      text: { color: ink },
    };
  };

  async function draw(id) {
    const spec = page.charts[id];
    const place = document.getElementById(id);
    const { renderer } = spec.usermeta;
    const old = views.get(id);
    const result = await vegaEmbed(place, spoken(spec, ""), {
      actions: false,
      ast: true,
      renderer,
      config: config(renderer === "canvas"),
      tooltip: { theme: "page" },
    });
    if (old) old.finalize();
    views.set(id, result);
  }
  async function drawAll() {
    for (const id of Object.keys(page.charts)) {
      try {
        await draw(id);
      } catch (error) {
        console.error(id, error);
      }
    }
    root.dataset.drawn = root.lang;
  }

  // Zooming by buttons: the same signals that the wheel sets.
  const zooms = { in: 0.5, out: 2, all: 0 };
  function zoom(id, factor) {
    const { view } = views.get(id);
    for (const axis of ["x", "y"]) {
      const signal = `zoom_${axis}0`;
      const [low, high] = view.scale(axis).domain().slice().sort((a, b) => a - b);
      const middle = (low + high) / 2;
      const half = ((high - low) / 2) * factor;
      const domain = [middle - half, middle + half];
      view.signal(signal, factor ? (axis === "y" ? domain.reverse() : domain) : null);
    }
    // While it is zoomed, a finger moves the chart instead of the page.
    document.getElementById(id).style.touchAction = factor ? "none" : "";
    view.runAsync();
  }

  function speak(lang) {
    root.lang = lang;
    document.title = page.title[language()];
    for (const button of document.querySelectorAll("button[data-lang]")) {
      button.setAttribute("aria-pressed", String(button.dataset.lang === lang));
    }
    for (const node of document.querySelectorAll("[data-label-en]")) {
      node.setAttribute("aria-label", language() ? node.dataset.labelZh : node.dataset.labelEn);
    }
    for (const node of document.querySelectorAll(".wide")) {
      node.setAttribute("role", "group");
      node.setAttribute("aria-label", node.closest("section").querySelector("h2").innerText);
    }
    drawAll();
  }

  function sort(button) {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const upwards = head.getAttribute("aria-sort") === "descending";
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[column];
      const value = cell.dataset.v;
      return { row, value: value === undefined ? cell.textContent : value === "" ? null : Number(value) };
    });
    rows.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
      const order = typeof a.value === "number" ? a.value - b.value : a.value.localeCompare(b.value);
      return upwards ? order : -order;
    });
    body.append(...rows.map((item) => item.row));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.lang) speak(button.dataset.lang);
    else if (button.dataset.zoom) zoom(button.dataset.chart, zooms[button.dataset.zoom]);
    else if (button.closest("th")) sort(button);
  });
  root.classList.add("scripted");
  speak(navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en");
})();
