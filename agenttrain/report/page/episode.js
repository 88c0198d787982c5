// One episode, or two of the same task side by side -> their turns: what was said, what it scored, what was learned.

class EpisodeView {
  /** `compare(episode or null)` is called when the person wants another episode beside the chosen one. */
  constructor(compare) {
    this.compare = compare;
    this.mode = "messages";
    this.colour = "advantage";
    this.settings = make("div", { class: "filters" });
    this.key = make("div", {});
    this.panes = make("div", { class: "panes" });
    this.element = make("div", { class: "reader" }, this.settings, this.key, this.panes);
  }

  /** `candidates` are the other episodes of the same task, in all runs. */
  async show(episode, beside, candidates, index) {
    Object.assign(this, { episode, beside, candidates, index });
    const wanted = [episode, beside].filter(Boolean);
    const known = await Promise.all(wanted.map(details));
    if (this.episode !== episode || this.beside !== beside) return; // somebody went on meanwhile
    const keys = wanted.map((one) => one.key).join(" ");
    this.drawn = wanted.map((one, place) => [one, known[place]]);
    if (keys === this.keys) this.drawSettings(); // a run that goes on leaves the reader in peace
    else {
      this.draw();
      this.element.scrollTo({ top: 0, behavior: "instant" });
    }
    this.keys = keys;
  }

  drawSettings() {
    const again = (name) => (value) => { this[name] = value; this.draw(); };
    this.settings.replaceChildren(
      choice("Show", [["messages", "messages"], ["tokens", "tokens"]], this.mode, again("mode")),
      ...(this.mode === "tokens" ? [choice("Colour", COLOURS, this.colour, again("colour"))] : []),
      this.besideChoice(),
    );
  }

  draw() {
    this.drawSettings();
    const turns = this.drawn.flatMap(([, known]) => known.turns);
    const scale = scaleOf(turns, this.colour);
    this.largest = turns.reduce((most, turn) => Math.max(most, Math.abs(turn.advantage ?? 0)), 0);
    this.key.replaceChildren(...(this.mode === "tokens" ? [legend(this.colour, scale)] : []));
    this.panes.replaceChildren(...this.drawn.map(([episode, known]) => this.pane(episode, known, scale)));
    this.panes.classList.toggle("two", this.drawn.length > 1);
  }

  besideChoice() {
    const labels = this.index.runs.map((run) => run.label);
    const options = this.candidates.map((one) => [one.key, `${about(one, labels)} \u00b7 ${one.outcome}`]);
    return choice("Beside it", [["", options.length ? "nothing" : "no other attempt at this task"], ...options], this.beside?.key ?? "",
      (key) => this.compare(this.candidates.find((one) => one.key === key) ?? null));
  }

  pane(episode, known, scale) {
    const labels = this.index.runs.map((run) => run.label);
    return make("article", { class: "episode", "aria-label": `Episode ${episode.task}` },
      make("h2", {}, mark(episode), make("bdi", {}, episode.task)),
      make("p", { class: "about" }, about(episode, labels)),
      episode.why ? make("p", { class: "why" }, episode.why) : null,
      make("p", { class: "quiet" }, facts(episode, known)),
      strip(known.turns, episode, this.largest),
      make("details", { open: this.mode === "messages" && known.opening.length > 0 }, make("summary", {}, "What it was told"), known.opening.map(message)),
      known.tools.length ? make("details", {}, make("summary", {}, count(known.tools.length, "tool")), known.tools.map(tool)) : null,
      known.answer === null ? null
        : make("details", {}, make("summary", {}, "The answer (the agent never saw it)"), make("pre", {}, known.answer)),
      known.turns.map((turn, place) => this.turn(turn, place, episode, known, scale)));
  }

  turn(turn, place, episode, known, scale) {
    const body = this.mode === "tokens" ? tokensOf(turn, episode, this.colour, scale)
      : [message(turn.action), ...turn.observation.map(message)];
    return make("section", { class: "turn", id: turnId(episode, place), tabindex: -1, "aria-label": `Turn ${place + 1}` },
      make("div", { class: "margin" }, make("h3", {}, `Turn ${place + 1}`), credit(turn, known.weights), flags(turn)),
      make("div", { class: "said" }, body, more(turn)));
  }
}

/** Rewards by term, advantage, entropy and time of a turn. */
function credit(turn, weights) {
  const scores = Object.entries(turn.scores).map(([name, score]) => {
    const weight = weights[name];
    return [name, weight === undefined || weight === 1 ? figure(score) : `${figure(score)} \u00d7 ${figure(weight)}`];
  });
  const rows = [...scores, ["advantage", signed(turn.advantage)], ["entropy", figure(turn.entropy)]];
  return make("dl", {}, rows.filter(([, text]) => text !== "-").map(([name, text]) => [
    make("dt", {}, make("bdi", {}, name)),
    make("dd", { class: name === "advantage" ? sign(turn.advantage) : null }, text),
  ]));
}

function flags(turn) {
  const { invalid_call: invalid, tool_error: failed, violations = "[]" } = turn.feedback;
  return [
    invalid ? make("p", { class: "flag", title: invalid }, "invalid call") : null,
    failed ? make("p", { class: "flag", title: failed }, "tool error") : null,
    violations !== "[]" ? make("p", { class: "flag" }, "breaks ", make("bdi", {}, violations)) : null,
    turn.cut ? make("p", { class: "flag" }, "cut at the token limit") : null,
  ];
}

/** What the environment knows of the turn, for those who ask. */
function more(turn) {
  const seconds = Object.entries(turn.seconds).map(([half, value]) => [`seconds, ${half}`, figure(value)]);
  const rows = [...(turn.state ? [["state", turn.state]] : []), ...Object.entries(turn.feedback), ...seconds];
  if (!rows.length) return null;
  return make("details", { class: "more" }, make("summary", {}, "State, facts, time"),
    make("dl", {}, rows.map(([name, text]) => [make("dt", {}, make("bdi", {}, name)), make("dd", {}, make("bdi", {}, text))])));
}

function message({ role, name, content, reasoning, calls }) {
  return make("div", { class: `message ${role === "assistant" ? "agent" : "other"}` },
    make("span", { class: "role" }, name ? `${role} ${name}` : role),
    reasoning ? make("pre", { class: "reasoning" }, reasoning) : null,
    content ? make("pre", {}, content) : null,
    (calls ?? []).map(([called, text]) => make("pre", { class: "call" }, make("b", {}, called), ` ${text}`)),
    !content && !calls && !reasoning ? make("span", { class: "quiet" }, "(empty)") : null);
}

function tool([name, description, parameters]) {
  return make("div", { class: "message other" }, make("span", { class: "role" }, name), make("pre", {}, description),
    make("pre", { class: "call" }, parameters));
}

/** One small button per turn that leads to it, coloured by its advantage beside the largest one shown. */
function strip(turns, episode, largest) {
  return make("nav", { class: "strip", "aria-label": "Turns" }, turns.map((turn, place) => {
    const scores = Object.entries(turn.scores).map(([name, score]) => `${name} ${figure(score)}`);
    const title = [`turn ${place + 1}`, ...scores, `advantage ${signed(turn.advantage)}`].join(", ");
    const earned = Object.values(turn.scores).some((score) => score > 0);
    const button = make("button", {
      type: "button", title, "aria-label": title, class: `token ${sign(turn.advantage)}${earned ? " earned" : ""}`,
      onclick: () => {
        const target = document.getElementById(turnId(episode, place));
        target.scrollIntoView({ block: "start" });
        target.focus({ preventScroll: true });
      },
    }, String(place + 1));
    button.style.setProperty("--weight", `${weight(turn.advantage ?? 0, largest)}%`);
    return button;
  }));
}

function sign(value) {
  return value > 0 ? "plus" : value < 0 ? "minus" : "none";
}

function turnId(episode, place) {
  return `turn ${episode.key} ${place}`.replaceAll(" ", "-");
}

function facts(episode, known) {
  return [
    `ended as ${episode.stop}`, `seed ${known.seed}`, `${figure(known.seconds)} s`,
    episode.sampled ? count(episode.sampled, "sampled token") : null,
    known.retries ? `started ${known.retries + 1} times` : null,
  ].filter(Boolean).join(" \u00b7 ");
}
