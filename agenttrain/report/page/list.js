// Episodes of the index -> a list that draws only the rows in view, with filters; one of it is chosen.

const CHANGED = "differs between runs";
const ROW = 46; // pixels, as in the style

class EpisodeList {
  /** `chosen(episode)` is called when the person picks one. */
  constructor(chosen) {
    this.chosen = chosen;
    this.filters = { text: "", run: "", outcome: "", step: "" };
    this.order = "played";
    this.shown = [];
    this.current = null;
    this.rows = make("div", { class: "rows" });
    this.box = make("div", {
      class: "list", role: "listbox", tabindex: 0, "aria-label": "Episodes",
      onscroll: () => this.draw(), onkeydown: (event) => this.onKey(event), onclick: (event) => this.onClick(event),
    }, this.rows);
    this.counted = make("p", { class: "quiet", role: "status" });
    this.controls = make("div", { class: "filters" });
    this.element = make("div", { class: "browser" }, this.controls, this.counted, this.box);
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  show(index) {
    this.labels = index.runs.map((run) => run.label);
    this.all = index.runs.flatMap((run) => run.episodes);
    this.changed = changedTasks(index.runs);
    this.drawControls();
    this.filter();
  }

  drawControls() {
    const set = (name) => (value) => { this.filters[name] = value; this.filter(); };
    const any = (values, texts = values) => [["", "all"], ...values.map((value, place) => [String(value), String(texts[place])])];
    const steps = [...new Set(this.all.map((episode) => episode.step).filter((step) => step !== null))].sort((a, b) => a - b);
    const outcomes = ["success", "failure", "left out", "without signal", "truncated", "invalid calls", "tool errors", "unsafe"];
    if (this.labels.length > 1) outcomes.push(CHANGED);
    const orders = ["played", "return", "turns", "task"].map((name) => [name, name]);
    const search = make("input", { type: "search", "aria-label": "Task", placeholder: "part of its id", value: this.filters.text, oninput: () => set("text")(search.value) });
    this.controls.replaceChildren(...[
      make("label", { class: "choice" }, make("span", {}, "Task"), search),
      this.labels.length > 1 ? choice("Run", any(this.labels.map((_, run) => run), this.labels), this.filters.run, set("run")) : null,
      choice("Outcome", any(outcomes), this.filters.outcome, set("outcome")),
      steps.length ? choice("Step", any(steps), this.filters.step, set("step")) : null,
      choice("Order", orders, this.order, (value) => { this.order = value; this.filter(); }),
    ].filter(Boolean));
  }

  filter() {
    const { text, run, outcome, step } = this.filters;
    this.shown = this.all.filter((episode) =>
      (!text || episode.task.toLowerCase().includes(text.toLowerCase()))
      && (!run || episode.run === Number(run))
      && (!step || episode.step === Number(step))
      && (!outcome || (outcome === CHANGED ? this.changed.has(episode.task) : matches(episode, outcome))));
    if (this.order === "task") this.shown.sort((a, b) => a.task.localeCompare(b.task, "en", { numeric: true }));
    else if (this.order !== "played") this.shown.sort((a, b) => (b[this.order] ?? -Infinity) - (a[this.order] ?? -Infinity));
    this.counted.textContent = `${count(this.shown.length, "episode")} of ${this.all.length.toLocaleString("en")}`;
    this.rows.style.height = `${this.shown.length * ROW}px`;
    this.draw();
  }

  /** Mark an episode as the chosen one, and bring it into view. */
  mark(episode) {
    this.current = episode;
    const place = this.shown.findIndex((one) => one.key === episode?.key);
    if (place >= 0) {
      const top = place * ROW, { scrollTop, clientHeight } = this.box;
      if (top < scrollTop) this.box.scrollTop = top;
      else if (top + ROW > scrollTop + clientHeight) this.box.scrollTop = top + ROW - clientHeight;
    }
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.shown.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 4);
    this.rows.replaceChildren(...this.shown.slice(first, last).map((episode, offset) => this.row(episode, first + offset)));
    const marked = this.rows.querySelector("[aria-selected=true]");
    if (marked) this.box.setAttribute("aria-activedescendant", marked.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(episode, place) {
    const selected = episode.key === this.current?.key;
    const row = make("div", {
      class: "row", role: "option", id: `row-${place}`, "data-place": place, "aria-selected": String(selected),
      "aria-setsize": this.shown.length, "aria-posinset": place + 1,
    },
    mark(episode), make("bdi", { class: "task" }, episode.task), make("span", { class: "about" }, about(episode, this.labels)));
    row.style.top = `${place * ROW}px`;
    return row;
  }

  onClick(event) {
    const row = event.target.closest(".row");
    if (row) this.chosen(this.shown[Number(row.dataset.place)]);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1), all = this.shown.length;
    const move = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -all, End: all }[event.key];
    if (move === undefined || !all) return;
    event.preventDefault();
    const place = this.shown.findIndex((one) => one.key === this.current?.key);
    this.chosen(this.shown[Math.max(0, Math.min(all - 1, place < 0 ? 0 : place + move))]);
  }
}

/** Tasks at which one run succeeded more often than the other. */
function changedTasks(runs) {
  const rates = runs.map(({ episodes }) => {
    const counts = new Map();
    for (const { task, outcome } of episodes) {
      const [won, played] = counts.get(task) ?? [0, 0];
      if (outcome !== "left out") counts.set(task, [won + (outcome === "success"), played + 1]);
    }
    return counts;
  });
  if (rates.length < 2) return new Set();
  const shared = [...rates[0].keys()].filter((task) => rates[1].has(task));
  return new Set(shared.filter((task) => {
    const [[won, played], [wonThere, playedThere]] = [rates[0].get(task), rates[1].get(task)];
    return won * playedThere !== wonThere * played;
  }));
}

function matches(episode, wanted) {
  if (wanted === "without signal") return episode.silent;
  if (wanted === "truncated") return episode.stop === "max_turns" || episode.stop === "max_tokens";
  if (wanted === "invalid calls") return episode.invalid > 0;
  if (wanted === "tool errors") return episode.errors > 0;
  if (wanted === "unsafe") return episode.violations > 0;
  return episode.outcome === wanted;
}

/** A sign that does not need its colour to be told from the others. */
function mark({ outcome }) {
  const sign = { success: "\u2713", failure: "\u2717" }[outcome] ?? "\u2013";
  return make("span", { class: `mark ${outcome.replace(" ", "-")}`, role: "img", "aria-label": outcome }, sign);
}

/** Where an episode stands: `rl, step 3, attempt 0, 12 turns, return 1`. */
function about(episode, labels) {
  return [
    labels.length > 1 ? labels[episode.run] : null,
    episode.step === null ? null : `step ${episode.step}`,
    `attempt ${episode.attempt}`,
    count(episode.turns, "turn"),
    episode.return === null ? null : `return ${figure(episode.return)}`,
    episode.stop === "done" ? null : episode.stop,
  ].filter(Boolean).join(" \u00b7 ");
}
