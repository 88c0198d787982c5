// The page: which view is open stands in the address after the `#`, so that a place in a report can be linked to.

const VIEWS = ["overview", "episodes", "settings"];
let index = null;

const reader = new EpisodeView((beside) => go("episodes", list.current, beside));
const list = new EpisodeList((episode) => go("episodes", episode, null));

/** `#episodes/<run>/<step>/<attempt>/<task>`, and the same again for the one beside it. */
function go(view, episode = null, beside = null) {
  const place = [view, ...[episode, beside].filter(Boolean).map((one) => one.key)].join("/");
  if (location.hash === `#${place}`) route();
  else if (view === "episodes" && location.hash.startsWith("#episodes")) {
    history.replaceState(null, "", `#${place}`); // walking through a list leaves no trail
    route();
  } else location.hash = place;
}

function route() {
  const [view, ...rest] = location.hash.slice(1).split("/");
  const open = VIEWS.includes(view) ? view : "overview";
  for (const name of VIEWS) document.getElementById(name).hidden = name !== open;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${open}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (open === "episodes") openEpisode(rest);
}

function openEpisode(parts) {
  const all = index.runs.flatMap((run) => run.episodes);
  const find = (key) => all.find((one) => one.key === key) ?? null;
  const episode = find(parts.slice(0, 4).join("/")) ?? list.current ?? list.shown[0] ?? null;
  const beside = find(parts.slice(4, 8).join("/"));
  list.mark(episode);
  if (!episode) return;
  const others = all.filter((one) => one.task === episode.task && one !== episode);
  const near = (one) => [one.run === episode.run, one.step !== episode.step, one.attempt !== episode.attempt].map(Number);
  others.sort((a, b) => near(a).join("").localeCompare(near(b).join(""))); // the same attempt of the other run first
  reader.show(episode, beside, others.slice(0, 300), index).catch(fail);
}

function show(newest) {
  index = newest;
  const labels = index.runs.map((run) => run.label);
  document.getElementById("title").replaceChildren(...labels.flatMap((label, run) => [
    run ? " and " : "", make("bdi", {}, label),
  ]));
  showOverview(document.getElementById("overview"), index);
  showSettings(document.getElementById("settings"), index);
  list.show(index);
  if (list.current) list.current = list.all.find((one) => one.key === list.current.key) ?? null;
  route();
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function fail(error) {
  say(`This report cannot be shown: ${error.message}`);
  throw error;
}

async function follow() {
  try {
    const newest = await newerIndex();
    if (newest) show(newest);
    say("live");
  } catch {
    say("The server does not answer; this is the last state that it sent.");
  }
  setTimeout(follow, 2000);
}

document.getElementById("episodes").append(list.element, reader.element);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which view is open
  document.getElementById("main").focus();
});
addEventListener("hashchange", route);
firstIndex().then((first) => {
  show(first);
  if (inFile) follow();
}).catch(fail);
