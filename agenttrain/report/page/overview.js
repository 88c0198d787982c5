// The index -> what a person sees first: what is wrong, what came out, and the course of the figures.

const SETTINGS_TOLD = ["env", "task", "policy", "reward", "credit", "algo", "seed"];

function showOverview(section, index) {
  const labels = index.runs.map((run) => run.label);
  section.replaceChildren(...[
    make("div", { class: "runs" }, index.runs.map(inAWord)),
    make("h2", {}, "What to know"), findingsOf(index),
    ...outcomes(index),
    ...courses(index.charts, labels),
    index.runs.filter((run) => run.summary).map((run) =>
      make("details", {}, make("summary", {}, `report.md of ${run.label}`), make("pre", {}, run.summary))),
  ].flat().filter(Boolean));
}

/** `rl: env craft, credit gigpo, reward rlvf` */
function inAWord({ label, chosen }) {
  const told = chosen.filter(([name]) => SETTINGS_TOLD.includes(name)).map(([name, option]) => `${name} ${option}`);
  return told.length ? make("p", { class: "quiet" }, make("bdi", {}, label), `: ${told.join(", ")}`) : null;
}

function findingsOf({ runs }) {
  const items = runs.flatMap((run) => run.findings.map((found) =>
    make("li", { class: "finding" },
      make("strong", {}, runs.length > 1 ? `${run.label}: ${found.seen}` : found.seen), " ", found.advice)));
  if (items.length) return make("ul", { class: "findings" }, items);
  return make("p", { class: "quiet" }, "No rule found fault with the figures. (It says nothing about what no rule looks for.)");
}

/** What evaluations found, run beside run, and how the episodes that are in this file ended. */
function outcomes({ runs }) {
  const names = [...new Set(runs.flatMap((run) => run.facts.map(([name]) => name)))];
  const rows = names.map((name) => [name, ...runs.map((run) => new Map(run.facts).get(name) ?? "-")]);
  const kinds = ["success", "failure", "left out"];
  const ended = runs.filter((run) => run.episodes.length).map((run) => [
    run.label, figure(run.seen), figure(run.episodes.length),
    ...kinds.map((kind) => figure(run.episodes.filter((episode) => episode.outcome === kind).length)),
    figure(run.episodes.filter((episode) => episode.silent).length),
  ]);
  const parts = [];
  if (rows.length) parts.push(make("h2", {}, "Evaluation"), scrolled(table(["figure", ...runs.map((run) => run.label)], rows)));
  if (ended.length) {
    const header = ["run", "episodes played", "in this file", ...kinds, "without signal"];
    parts.push(make("h2", {}, "Episodes"), scrolled(table(header, ended)));
  }
  return parts;
}

function courses(charts, labels) {
  const [main, others] = [true, false].map((wanted) => charts.filter((one) => one.main === wanted));
  const drawn = (some) => make("div", { class: "charts" }, some.map((one) => chart(one, labels)));
  const parts = [];
  if (main.length) parts.push(make("h2", {}, "Figures by step"), drawn(main));
  if (others.length) parts.push(make("details", {}, make("summary", {}, count(others.length, "further figure")), drawn(others)));
  if (charts.length) parts.push(make("details", {}, make("summary", {}, "All figures as a table"), scrolled(figures(charts, labels))));
  return parts;
}

function figures(charts, labels) {
  const lines = charts.flatMap((one) => one.lines);
  const steps = [...new Set(lines.flatMap((line) => line.points.map(([step]) => step)))].sort((a, b) => a - b);
  const values = lines.map((line) => new Map(line.points));
  const names = lines.map((line) => (labels.length > 1 ? `${line.figure} (${labels[line.run]})` : line.figure));
  return table(["step", ...names], steps.map((step) => [figure(step), ...values.map((of) => figure(of.get(step)))]));
}

function scrolled(content) {
  return make("div", { class: "scrolled", tabindex: 0, role: "region", "aria-label": "table" }, content);
}

function showSettings(section, { runs }) {
  const names = [...new Set(runs.flatMap((run) => run.chosen.map(([name]) => name)))];
  const chosen = runs.map((run) => new Map(run.chosen));
  const rows = names.map((name) => [name, ...chosen.map((of) => of.get(name) ?? "-")]);
  section.replaceChildren(
    make("h2", {}, "Settings"),
    make("p", { class: "quiet" }, "Options of the groups, and settings that stand at the top. The whole is in each run's config.yaml."),
    scrolled(table(["setting", ...runs.map((run) => `${run.label} (${run.command})`)], rows)),
  );
}
