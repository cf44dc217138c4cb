"use strict";
// A report's maps and its gallery. All data stand in the page: nothing is fetched, nothing is kept.

const STEPS = 32767; // of a map's largest absolute value, in 16-bit whole numbers
const CARDS = 60; // on one page of the gallery

const bytes = (text) => Uint8Array.from(atob(text), (mark) => mark.charCodeAt(0)).buffer;
const number = (value) => (Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : "n/a");
const percent = (part) => `${Number((100 * part).toPrecision(2))} %`;

/** The value of JSON in which a number that is not finite stands as {"float": "nan"}. */
function parsed(text) {
  const spelt = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  return JSON.parse(text, (_, value) => (value && typeof value.float === "string" ? spelt[value.float] : value));
}

/** 256 colours between the stops of a scale that stands in the page. */
function palette(stops) {
  const colours = stops.map((stop) => stop.match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16)));
  return Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (colours.length - 1);
    const low = Math.min(Math.floor(at), colours.length - 2);
    return [0, 1, 2].map((c) => Math.round(colours[low][c] + (at - low) * (colours[low + 1][c] - colours[low][c])));
  });
}

/** The number of the cell at each place of a side, from the edges of its cells. */
function cellOf(edges) {
  return edges.slice(1).flatMap((end, cell) => Array(end - edges[cell]).fill(cell));
}

/** One picture: its maps, how they are shown, and the cell that is pointed at. */
class Picture {
  constructor(section) {
    const data = parsed(section.querySelector("script.maps").textContent);
    this.data = data;
    [this.rows, this.columns] = [data.rows.length - 1, data.columns.length - 1];
    [this.rowOf, this.columnOf] = [cellOf(data.rows), cellOf(data.columns)];
    this.section = section;
    this.leg = new Float32Array(bytes(data.leg));
    this.path = new Int16Array(bytes(data.path));
    this.rates = data.rates ? new Uint8Array(bytes(data.rates)) : null;
    for (const name of ["low", "high", "pvalues"]) this[name] = data[name] ? new Float32Array(bytes(data[name])) : null;
    this.limits = {
      leg: this.leg.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1,
      legtv: STEPS * Math.max(...data.steps) || 1, // one for all points of the path, so that they can be compared
    };
    this.stacks = [...section.querySelectorAll(".stack")];
    this.controls = section.querySelector("form.controls").elements;
    this.readout = section.querySelector(".readout");
    this.colours = palette([...section.querySelector(".scale").querySelectorAll("stop")].map((stop) => stop.getAttribute("stop-color")));
    this.cell = null;
    this.listen();
    this.label();
    this.show();
  }

  value(what, i) {
    if (what === "leg") return this.leg[i];
    return this.path[this.at * this.rows * this.columns + i] * this.data.steps[this.at];
  }

  get at() {
    return Number(this.controls.L.value);
  }

  listen() {
    for (const control of this.controls) control.addEventListener("input", () => this.show());
    this.section.querySelector("form.controls").addEventListener("submit", (event) => event.preventDefault());
    for (const stack of this.stacks) {
      const point = (event) => {
        const box = stack.getBoundingClientRect();
        const cell = (at, size, of) => of[Math.min(of.length - 1, Math.max(0, Math.floor((at / size) * of.length)))];
        this.point(cell(event.clientY - box.top, box.height, this.rowOf), cell(event.clientX - box.left, box.width, this.columnOf));
      };
      stack.addEventListener("pointermove", point);
      stack.addEventListener("pointerdown", point);
      stack.addEventListener("focus", () => this.cell || this.point(this.rows >> 1, this.columns >> 1));
      stack.addEventListener("keydown", (event) => {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        const [row, column] = this.cell || [0, 0];
        this.point((row + step[0] + this.rows) % this.rows, (column + step[1] + this.columns) % this.columns);
      });
    }
    for (const row of this.section.querySelectorAll("tr[data-region]")) {
      const toggle = (shown) => () => {
        for (const path of this.section.querySelectorAll(`path[data-region="${row.dataset.region}"]`)) path.toggleAttribute("hidden", !shown);
      };
      for (const kind of ["pointerenter", "focus"]) row.addEventListener(kind, toggle(true));
      for (const kind of ["pointerleave", "blur"]) row.addEventListener(kind, toggle(false));
    }
  }

  label() {
    for (const what of ["leg", "legtv"]) {
      const scale = this.stacks.find((stack) => stack.dataset.map === what).parentElement.querySelector(".scale");
      const [low, middle, high] = ["low", "middle", "high"].map((name) => scale.querySelector(`.${name}`));
      low.textContent = this.data.signed ? number(-this.limits[what]) : "0";
      middle.textContent = this.data.signed ? "0" : "";
      high.textContent = number(this.limits[what]);
    }
  }

  show() {
    const rate = this.controls.rate ? Number(this.controls.rate.value) : 0;
    for (const stack of this.stacks) {
      const what = stack.dataset.map;
      if (what === "picture") continue;
      this.draw(stack.querySelector("canvas"), what, rate);
      stack.querySelector("canvas").style.opacity = this.controls.heatmap.value / 100;
      stack.querySelector("img").style.opacity = this.controls.picture.value / 100;
      stack.querySelector(".outlines").toggleAttribute("hidden", !this.controls.outlines.checked);
    }
    const L = this.data.Ls[this.at];
    const parts = [`L = ${number(L)} (${percent(L / this.data.L_max)} of L_max)`];
    if (this.data.r2 && Number.isFinite(this.data.r2[this.at])) parts.push(`out-of-sample R² ${number(this.data.r2[this.at])}`);
    if (this.at === this.data.chosen) parts.push("chosen");
    this.section.querySelector(".at").textContent = parts.join(", ");
    this.controls.L.setAttribute("aria-valuetext", parts.join(", "));
    if (this.cell) this.point(...this.cell);
  }

  draw(canvas, what, rate) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const colours = new Uint8Array(4 * this.rows * this.columns);
    for (let i = 0; i < this.rows * this.columns; i++) {
      const part = this.value(what, i) / this.limits[what];
      const hidden = rate > 0 && this.rates[i] < rate;
      const place = Math.round(255 * Math.min(1, Math.max(0, this.data.signed ? (part + 1) / 2 : part)));
      colours.set(hidden ? [255, 255, 255, 255] : [...this.colours[place], 255], 4 * i);
    }
    const [cells, pixels] = [new Uint32Array(colours.buffer), new Uint32Array(image.data.buffer)];
    for (let y = 0, at = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++, at++) pixels[at] = cells[this.rowOf[y] * this.columns + this.columnOf[x]];
    }
    context.putImageData(image, 0, 0);
  }

  point(row, column) {
    this.cell = [row, column];
    for (const stack of this.stacks) {
      const cursor = stack.querySelector(".cursor");
      const [rows, columns] = [this.data.rows, this.data.columns];
      const place = { x: columns[column], y: rows[row], width: columns[column + 1] - columns[column], height: rows[row + 1] - rows[row] };
      for (const name in place) cursor.setAttribute(name, place[name]);
      cursor.removeAttribute("hidden");
    }
    const i = row * this.columns + column;
    const parts = [`Cell (${row}, ${column}): LEG ${number(this.leg[i])}`];
    if (this.low) {
      const rates = ["not significant at FDR 20 %", "significant at FDR 20 %", "significant at FDR 10 %", "significant at FDR 5 %"];
      parts.push(`95 % interval ${number(this.low[i])} to ${number(this.high[i])}, p = ${Number(this.pvalues[i].toPrecision(2))}, ${rates[this.rates[i]]}`);
    }
    parts.push(`LEG-TV at this L ${number(this.value("legtv", i))}`);
    this.readout.textContent = `${parts.join("; ")}.`;
  }
}

/** A table whose headings are buttons that sort its rows: downwards first, upwards when pressed again. */
function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  const value = (row, column) => Number(row.cells[column].dataset.value);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") === "descending" || (column === 0 && !heading.hasAttribute("aria-sort"));
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const order = (a, b) => Number.isNaN(a) - Number.isNaN(b) || (up ? a - b : b - a); // what is not offered comes last
      rows.sort((a, b) => order(value(a, column), value(b, column)));
      table.tBodies[0].append(...rows);
    });
  });
  headings[0].setAttribute("aria-sort", "ascending"); // by strength
}

/** The pictures as cards: searched, filtered, sorted, sixty at a time. */
class Gallery {
  constructor(section) {
    this.list = section.querySelector(".cards");
    this.cards = [...this.list.children];
    this.controls = section.querySelector("form.controls").elements;
    this.said = section.querySelector(".found");
    this.buttons = [...section.querySelectorAll(".pager button")];
    this.page = 0;
    section.querySelector("form.controls").addEventListener("submit", (event) => event.preventDefault());
    for (const control of this.controls) {
      control.addEventListener("input", () => {
        this.page = 0;
        this.show();
      });
    }
    for (const button of this.buttons) {
      button.addEventListener("click", () => {
        this.page += Number(button.value);
        this.show();
      });
    }
    this.show();
  }

  wanted(card) {
    const { search, which, group } = this.controls;
    if (!card.dataset.text.includes(search.value.trim().toLowerCase())) return false;
    if (group && group.value && card.dataset.group !== group.value) return false;
    return which.value === "all" || card.dataset[which.value] === "yes";
  }

  show() {
    const [by, direction] = this.controls.sort.value.split(" ");
    const key = (card) => (card.dataset[by] === "" ? Infinity : Number(card.dataset[by]) * Number(direction));
    const found = this.cards.filter((card) => this.wanted(card));
    if (by === "text") found.sort((a, b) => a.dataset.text.localeCompare(b.dataset.text));
    else found.sort((a, b) => key(a) - key(b));
    const pages = Math.max(1, Math.ceil(found.length / CARDS));
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const shown = new Set(found.slice(this.page * CARDS, (this.page + 1) * CARDS));
    for (const card of this.cards) card.hidden = !shown.has(card);
    this.list.append(...shown);
    this.said.textContent = `${found.length} of ${this.cards.length} pictures, page ${this.page + 1} of ${pages}`;
    for (const button of this.buttons) button.disabled = Number(button.value) < 0 ? this.page === 0 : this.page === pages - 1;
  }
}

for (const section of document.querySelectorAll("section.picture")) new Picture(section);
for (const table of document.querySelectorAll("table.regions")) sortable(table);
for (const section of document.querySelectorAll("section.gallery")) new Gallery(section);
