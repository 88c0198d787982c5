// Charts of the index -> small SVG pictures, read with the pointer or the arrow keys.

const WIDTH = 340, HEIGHT = 150, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 20;

/** One chart as a figure: title, picture, and a legend that tells the values under the cursor. */
function chart({ title, unit, lines }, labels) {
  const names = [...new Set(lines.map((line) => line.figure))];
  const several = names.length > 1;
  const looks = lines.map((line) => ({
    ...line,
    look: `line ${several ? `figure-${names.indexOf(line.figure) % 6}` : `run-${line.run}`}${several && line.run ? " second" : ""}`,
    name: [several || line.figure.includes("/") ? shortened(line.figure, names) : null, labels.length > 1 ? labels[line.run] : null]
      .filter((part) => part !== null).join(", "),
  }));
  const steps = [...new Set(lines.flatMap((line) => line.points.map(([step]) => step)))].sort((a, b) => a - b);
  const scales = axes(lines, steps);
  const cursor = draw("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const values = looks.map(() => make("span", { class: "value" }));
  const where = make("span", { class: "where" });
  const picture = draw("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img",
    "aria-label": `${title}. ${looks.map((line) => `${line.name}: ${course(line.points)}`).join("; ")}`,
  }, grid(scales, steps), looks.map((line) => curve(line, scales)), cursor);

  let at = steps.length - 1;
  const point = (place, shown) => {
    at = Math.max(0, Math.min(steps.length - 1, place));
    const x = scales.x(steps[at]);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", shown ? "visible" : "hidden");
    where.textContent = shown ? `step ${figure(steps[at])}` : "last";
    looks.forEach(({ points }, number) => {
      values[number].textContent = figure(shown ? valueAt(points, steps[at]) : points.at(-1)[1]);
    });
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    point(nearest(steps.map(scales.x), x), true);
  });
  picture.addEventListener("pointerleave", () => point(steps.length - 1, false));
  picture.addEventListener("blur", () => point(steps.length - 1, false));
  picture.addEventListener("focus", () => point(at, picture.matches(":focus-visible")));
  picture.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -steps.length, End: steps.length }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    point(at + move, true);
  });
  point(at, false);
  return make("figure", { class: "chart" },
    make("figcaption", {}, make("strong", {}, title), where, make("span", { class: "unit" }, unit)),
    picture,
    make("ul", { class: "legend" }, looks.map((line, number) =>
      make("li", {}, swatch(line.look), line.name ? make("bdi", {}, line.name) : null, values[number]))));
}

/** Where steps and values stand in the picture. Values that are never negative are shown from 0. */
function axes(lines, steps) {
  const all = lines.flatMap((line) => line.points.map(([, value]) => value));
  const low = Math.min(0, ...all), high = Math.max(0, ...all);
  const ticks = roundSteps(low, high);
  const [bottom, top] = [ticks[0], ticks.at(-1)];
  const span = steps.at(-1) - steps[0] || 1;
  return {
    ticks,
    x: (step) => LEFT + ((step - steps[0]) / span) * (WIDTH - LEFT - RIGHT),
    y: (value) => TOP + (1 - (value - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM),
  };
}

/** Two to five round numbers that enclose the range. */
function roundSteps(low, high) {
  const rough = (high - low || 1) / 3, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((candidate) => candidate >= rough);
  const first = Math.floor(low / step + 1e-9), last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(6)));
}

function grid({ ticks, x, y }, steps) {
  const ends = steps.length > 1 ? [[steps[0], "start"], [steps.at(-1), "end"]] : [[steps[0], "start"]];
  return [
    ...ticks.map((tick) => draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) })),
    ...ticks.map((tick) => draw("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, figure(tick))),
    ...ends.map(([step, anchor]) => draw("text", { x: x(step), y: HEIGHT - 5, "text-anchor": anchor }, figure(step))),
  ];
}

function curve({ points, look }, { x, y }) {
  if (points.length === 1) return draw("circle", { class: look, cx: x(points[0][0]), cy: y(points[0][1]), r: 3 });
  return draw("polyline", { class: look, points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") });
}

function swatch(look) {
  return draw("svg", { viewBox: "0 0 20 8", class: "swatch", "aria-hidden": "true" },
    draw("line", { class: look, x1: 0, x2: 20, y1: 4, y2: 4 }));
}

/** Without the part that all names begin with: `rlvf` of `reward/rlvf`. */
function shortened(name, names) {
  const slash = name.indexOf("/") + 1;
  return slash && names.every((other) => other.startsWith(name.slice(0, slash))) ? name.slice(slash) : name;
}

function course(points) {
  const [first, last] = [points[0], points.at(-1)];
  if (points.length === 1) return `${figure(first[1])} at step ${first[0]}`;
  return `${figure(first[1])} at step ${first[0]}, ${figure(last[1])} at step ${last[0]}`;
}

function valueAt(points, step) {
  return points.find(([at]) => at === step)?.[1] ?? null;
}

function nearest(places, x) {
  return places.reduce((best, place, number) => (Math.abs(place - x) < Math.abs(places[best] - x) ? number : best), 0);
}
