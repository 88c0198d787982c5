// Values -> elements. Texts become text nodes and nothing else: no markup is ever parsed here.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `make("p", {class: "note"}, "text", child)`. A null child is left out; `onclick` and such listen. */
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number as a person reads it; `-` for none. */
function figure(value) {
  if (value === null || value === undefined) return "-";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1000 || (size < 0.001 && size > 0) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function signed(value) {
  return value === null || value === undefined ? "-" : (value > 0 ? "+" : "") + figure(value).replace("-", "\u2212");
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** A labelled `<select>`; `options` are [value, text]. */
function choice(label, options, value, changed) {
  const select = make("select", { "aria-label": label, onchange: () => changed(select.value) });
  for (const [key, text] of options) select.append(make("option", { value: key, selected: key === value }, text));
  return make("label", { class: "choice" }, make("span", {}, label), select);
}

function table(header, rows, caption) {
  return make("table", {},
    caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, header.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, rows.map(([first, ...rest]) =>
      make("tr", {}, make("th", { scope: "row" }, first), rest.map((text) => make("td", {}, text))))));
}
