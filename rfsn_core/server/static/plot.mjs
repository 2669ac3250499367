// A small line plot in SVG: the newest values of some series, with a legend that says the numbers.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 80;

function svg(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export class Plot {
  #values = new Map(); // name → numbers or null, oldest first
  #lines = new Map();
  #legend = new Map();
  #most;
  #top;

  /** Series are [name, explanation]; `unit` stands behind numbers; `most` is how many values are kept. */
  constructor(title, unit, series, most = 120) {
    this.#most = most;
    this.unit = unit;
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
    const legend = document.createElement("dl");
    series.forEach(([name, explanation], index) => {
      this.#values.set(name, []);
      const line = svg("polyline", { class: `line${index}`, "vector-effect": "non-scaling-stroke" });
      this.#lines.set(name, line);
      picture.append(line);
      const term = document.createElement("dt");
      term.textContent = name;
      term.title = explanation;
      term.className = `key${index}`;
      const value = document.createElement("dd");
      value.textContent = "–";
      this.#legend.set(name, value);
      legend.append(term, value);
    });
    this.#top = document.createElement("span");
    this.#top.className = "top";
    const heading = document.createElement("figcaption");
    heading.append(title, this.#top);
    this.node = document.createElement("figure");
    this.node.className = "plot";
    this.node.append(heading, picture, legend);
  }

  /** Adds one value for each series; null where there is none. */
  add(values) {
    let top = 0;
    for (const [name, kept] of this.#values) {
      kept.push(values[name] ?? null);
      if (kept.length > this.#most) kept.shift();
      top = Math.max(top, ...kept.map((value) => value ?? 0));
    }
    const scale = top > 0 ? (HEIGHT - 4) / top : 0;
    for (const [name, kept] of this.#values) {
      const from = this.#most - kept.length;
      const points = kept.flatMap((value, index) =>
        value === null ? [] : [`${(((from + index) * WIDTH) / (this.#most - 1)).toFixed(1)},${(HEIGHT - 2 - value * scale).toFixed(1)}`],
      );
      this.#lines.get(name).setAttribute("points", points.join(" "));
      const last = kept.at(-1);
      this.#legend.get(name).textContent = last === null ? "–" : `${round(last)}${this.unit}`;
    }
    this.#top.textContent = top ? `up to ${round(top)}${this.unit}` : "";
  }
}

function round(value) {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}
