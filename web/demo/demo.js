/** The page: opens files, decodes them in its threads, shows what they say of themselves. */
import { VQCodecError, encodePng, isVqc, metadataOf, probe, receive } from "./src/index.js";
import { byId, invite, progress, realism, save, say, stage, tell, viewer } from "./page.js";
import { spaceOf } from "./src/picture/paint.js";
import { show, showQuick } from "./show.js";
import { labelOf, sizeOf, spaced } from "./words.js";

const OURS = /\.vqc$/i;
/** What is open on the left. @type {{name: string, bytes: Uint8Array, image: ImageData | null} | null} */
let opened = null;
let work = new AbortController(), // on what is open
  coming = work, // on the file that is read
  compared = new AbortController();

/** A new picture comes on the left; what it was compared with goes. */
function clear() {
  compared.abort();
  viewer.remove(1);
  byId("names").hidden = true;
  invite(false);
  opened = null;
}

/**
 * @param {string} name
 * @param {ReadableStream<Uint8Array>} stream
 * @returns what is open now, null if that failed or another came meanwhile
 */
async function open(name, stream) {
  if (coming !== work) coming.abort();
  const mine = (coming = new AbortController()),
    { signal } = mine;
  /** @type {typeof opened} */
  let own = null;
  let before = viewer.canvas(0);
  /** It says what it is: until then what was open is worked on. @param {import("./src/index.js").Info} info */
  const begin = (info) => {
    work.abort();
    work = mine;
    before = viewer.canvas(0);
    clear();
    realism.disabled = save.disabled = true;
    tell(info);
  };
  say(`Reading ${name}\u2026`);
  try {
    let seen = false;
    const bytes = await receive(stream, {
      onFront: (info) => (opened || signal.aborted ? undefined : tell(info)),
      onLayer: async (_, prefix) => {
        const info = probe(prefix);
        if (signal.aborted || info.complete || !info.needsModel) return;
        begin(info);
        seen = true;
        const { icc } = await metadataOf(prefix),
          context = viewer.prepare(0, info.width, info.height, spaceOf(icc));
        await showQuick(context, prefix, signal).catch(() => {}); // the whole file tells what is wrong
      },
    });
    if (signal.aborted) return null;
    const info = probe(bytes);
    if (seen) tell(info);
    else begin(info);
    opened = own = { name, bytes, image: null };
    document.title = `${name} \u2013 vqcodec`;
    byId("left-name").textContent = labelOf(name, bytes.length);
    own.image = await show(0, bytes, signal, !seen);
    return own;
  } catch (error) {
    if (signal.aborted) return null;
    fail(name, error);
    if (own && viewer.canvas(0) === before) viewer.remove(0); // it is another's
    invite(!viewer.canvas(0));
    return null;
  } finally {
    if (!signal.aborted) settle();
  }
}

/** What can be done with what is open, which is what was, if a file said nothing of itself. */
function settle() {
  realism.disabled = !opened || !probe(opened.bytes).needsModel;
  save.disabled = !opened?.image;
}

/** @param {string} name @param {unknown} error */
function fail(name, error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  progress.hidden = true;
  say(`${name}: ${error instanceof Error ? error.message : error}`, true);
  if (!(error instanceof VQCodecError)) console.warn(error);
}

/** A second picture, of any kind that the browser knows. @param {File} file */
async function compare(file) {
  compared.abort();
  compared = new AbortController();
  const { signal } = compared;
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    signal.throwIfAborted();
    if (!viewer.canvas(0)) throw new VQCodecError("open a picture first");
    if (isVqc(bytes)) {
      await show(1, bytes, signal);
    } else {
      const bitmap = await createImageBitmap(file).catch(() => {
        throw new VQCodecError("this is no picture that the browser knows");
      });
      if (signal.aborted) return;
      viewer.prepare(1, bitmap.width, bitmap.height)?.drawImage(bitmap, 0, 0);
      viewer.canvas(1)?.classList.add("clear");
      say(`${file.name}: ${spaced(file.size)} bytes, ${sizeOf(bitmap)}.`);
    }
    byId("right-name").textContent = labelOf(file.name, file.size);
    byId("names").hidden = false;
  } catch (error) {
    if (!signal.aborted) fail(file.name, error);
  }
}

/**
 * The first file is opened, a second one compared; a picture of another kind is compared with what is open.
 * @param {FileList | null | undefined} files
 */
async function take(files) {
  const list = [...(files ?? [])],
    own = list.find((file) => OURS.test(file.name)) ?? list[0];
  if (!own) return;
  if (!OURS.test(own.name) && opened) return compare(own);
  const shown = await open(own.name, own.stream()),
    other = list.find((file) => file !== own);
  if (other && shown && shown === opened) await compare(other);
}

for (const [id, action] of /** @type {const} */ ([
  ["open", take],
  ["compare", (/** @type {FileList} */ files) => files[0] && compare(files[0])],
])) {
  const input = /** @type {HTMLInputElement} */ (byId(id));
  input.addEventListener("change", async () => {
    if (input.files) await action(input.files);
    input.value = "";
  });
}
byId("sample").addEventListener("click", async () => {
  const response = await fetch("dist/sample.vqc").catch(() => null);
  if (response?.ok && response.body) await open("sample.vqc", response.body);
  else say("The example cannot be loaded.", true);
});
save.addEventListener("click", async () => {
  if (!opened?.image) return;
  const { name, image, bytes } = opened,
    link = document.createElement("a");
  try {
    link.href = URL.createObjectURL(await encodePng(image, await metadataOf(bytes)));
  } catch (error) {
    return fail(name, error);
  }
  link.download = name.replace(OURS, "") + ".png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
realism.addEventListener("input", () => (byId("realism-value").textContent = realism.value));
realism.addEventListener("change", async () => {
  const own = opened;
  if (!own) return;
  work.abort();
  work = new AbortController();
  const { signal } = work;
  save.disabled = true; // until what is shown is what would be saved
  try {
    own.image = await show(0, own.bytes, signal, false);
  } catch (error) {
    fail(own.name, error);
  }
  if (own === opened && !signal.aborted) settle();
});
byId("in").addEventListener("click", () => viewer.zoom(1.25));
byId("out").addEventListener("click", () => viewer.zoom(0.8));
byId("fit").addEventListener("click", () => viewer.fit());
byId("real").addEventListener("click", () => viewer.real());

addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("over");
});
addEventListener("dragleave", () => stage.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  take(event.dataTransfer?.files);
});

/** The name of a file at an address. @param {string} address */
function nameOf(address) {
  const last = new URL(address, location.href).pathname.split("/").pop() || address;
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // an address may hold any bytes
  }
}

const asked = new URLSearchParams(location.search).get("src");
if (asked) {
  fetch(asked)
    .then((response) => {
      if (!response.ok || !response.body) throw new VQCodecError(`${response.status} ${response.statusText}`);
      return open(nameOf(asked), response.body);
    })
    .catch((error) => fail(asked, error));
}
if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {}); // works without, online
