// The tokens of a turn -> their text, coloured by what training makes of them.

const COLOURS = [["advantage", "advantage"], ["mask", "mask (what is trained)"], ["entropy", "entropy"], ["surprise", "surprise (-log p)"]];

/** What colours mean, in words and samples. `scale` is the largest value of either sign among the episodes shown. */
function legend(colour, scale) {
  const sample = (kind, weight, text) => {
    const span = make("span", { class: `token ${kind}` }, text);
    span.style.setProperty("--weight", `${weight}%`);
    return span;
  };
  if (colour === "mask") {
    return make("p", { class: "key" }, sample("trained", 60, "sampled: carries the loss"), sample("dropped", 60, "sampled in a dropped episode: no loss"),
      make("span", { class: "shown" }, "only shown to the model: no loss"));
  }
  if (!scale) return make("p", { class: "key" }, `These episodes have no ${colour} on record.`);
  if (colour === "advantage") {
    return make("p", { class: "key" }, sample("minus", 70, signed(-scale)), sample("minus", 25, "lowered"), sample("plus", 25, "raised"),
      sample("plus", 70, signed(scale)), "one advantage per turn");
  }
  return make("p", { class: "key" }, sample("heat", 8, "0"), sample("heat", 70, figure(scale)), "nats");
}

/** The text a turn's model was shown, folded where long, and each token that it sampled. */
function tokensOf(turn, episode, colour, scale) {
  const { tokens } = turn;
  if (!tokens) return make("p", { class: "quiet" }, "No tokens on record: who acted here has none.");
  const pieces = tokens.pieces.map((piece, place) => {
    const [kind, value] = look(turn, place, episode, colour);
    const span = make("span", { class: `token ${kind}`, title: told(turn, place) }, piece === "" ? "\u00b7" : piece);
    span.style.setProperty("--weight", `${weight(value, scale)}%`);
    return span;
  });
  return make("div", { class: "tokens" },
    make("span", { class: "shown" }, tokens.shown),
    make("span", { class: "sampled" }, pieces));
}

function look(turn, place, episode, colour) {
  if (colour === "mask") return [episode.outcome === "left out" ? "dropped" : "trained", null];
  const value = valueOf(turn, place, colour);
  if (colour === "advantage") return [value < 0 ? "minus" : "plus", value];
  return ["heat", value];
}

function valueOf(turn, place, colour) {
  if (colour === "advantage") return turn.advantage;
  if (colour === "entropy") return turn.tokens.entropies[place];
  const logprob = turn.tokens.logprobs[place];
  return logprob === undefined || logprob === null ? null : -logprob;
}

/** The largest value of either sign among the tokens of some episodes; 0 where there is none. */
function scaleOf(someTurns, colour) {
  const sizes = someTurns.filter((turn) => turn.tokens)
    .flatMap((turn) => turn.tokens.pieces.map((_, place) => Math.abs(valueOf(turn, place, colour) ?? 0)));
  return sizes.reduce((largest, size) => Math.max(largest, size), 0);
}

function weight(value, scale) {
  if (value === null) return 60;
  return value && scale ? Math.round(8 + 62 * Math.min(1, Math.abs(value) / scale)) : 0;
}

function told(turn, place) {
  const { entropies, logprobs } = turn.tokens;
  const probability = logprobs[place] === undefined ? null : Math.exp(logprobs[place]);
  return `advantage ${signed(turn.advantage)}, entropy ${figure(entropies[place])} nats, probability ${figure(probability)}`;
}
