// Packed texts of this file, or of the server it came from -> the runs and their episodes.

const inFile = document.documentElement.dataset.state; // of a served page, which state of the run lies in it
let state = inFile;
const unpacked = new Map();

/** base64 of deflated JSON -> the value. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** What was packed with the page. */
async function firstIndex() {
  return withKeys(await unpack(document.getElementById("index").textContent));
}

/** A served page asks for a newer state of the run: its index, or null where there is nothing new. */
async function newerIndex() {
  const newest = await ask("state");
  if (newest === state) return null;
  const index = withKeys(await unpack(await ask(`index/${newest}`)));
  state = newest;
  unpacked.clear();
  return index;
}

/** Everything about one episode of the list. */
async function details(episode) {
  const { chunk, place } = episode;
  if (!unpacked.has(chunk)) unpacked.set(chunk, packed(chunk).then(unpack));
  return (await unpacked.get(chunk))[place];
}

async function packed(chunk) {
  if (state !== inFile) return ask(`chunk/${state}/${chunk}`);
  return document.querySelectorAll("script.chunk")[chunk].textContent;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}

/** Every episode learns its run and a key that stays the same while a run goes on. */
function withKeys(index) {
  index.runs.forEach(({ episodes }, run) => {
    for (const episode of episodes) {
      episode.run = run;
      episode.key = [run, episode.step ?? "", episode.attempt, encodeURIComponent(episode.task)].join("/");
    }
  });
  return index;
}
