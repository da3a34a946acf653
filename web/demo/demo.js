/** The page: opens files, decodes them in its threads, shows what they say of themselves. */
import {
  VQCodecError,
  decode,
  encodePng,
  isVqc,
  metadataOf,
  probe,
  receive,
  toDisplay,
} from "./src/index.js";
import { Viewer } from "./viewer.js";

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const stage = byId("stage"),
  status = byId("status"),
  progress = /** @type {HTMLProgressElement} */ (byId("progress"));
const realism = /** @type {HTMLInputElement} */ (byId("realism")),
  save = /** @type {HTMLButtonElement} */ (byId("save"));
const viewer = new Viewer(
  stage,
  byId("divider"),
  (scale) => (byId("zoom").textContent = `${Math.round(100 * scale)} %`),
);
const QUICK_ABOVE = 1e6,
  KB = 1000;

/** What is open on the left. @type {{name: string, bytes: Uint8Array, image: ImageData | null} | null} */
let opened = null;
let work = new AbortController();

/** @param {string} text @param {boolean} [bad] */
function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

/** @param {number} n */
const spaced = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

/** @param {import("./src/index.js").Info} info */
function tell(info) {
  const metadata = Object.entries(info.metadata).map(([type, bytes]) => `${type} ${spaced(bytes)} B`);
  const rows = [
    [
      "Size",
      `${info.width} \u00d7 ${info.height}${info.gray ? ", gray" : ""}${info.alpha ? ", with alpha" : ""}`,
    ],
    ["File", `${spaced(info.fileBytes)} bytes`],
    ["Rate", `${info.bpp.toFixed(3)} bits a pixel`],
    [
      "Quality",
      `${info.quality.toFixed(1)} (level ${info.level}), for ${info.tune === "eyes" ? "eyes" : "squared error"}`,
    ],
    ["Tiles", info.tile ? `${info.tiles} of ${info.tile} pixels` : "1"],
    ["Preview", `first ${spaced(info.previewBytes)} bytes`],
    ["Drawn", info.drawnBytes ? `${spaced(info.drawnBytes)} bytes, exact` : ""],
    ["Colours", info.profile ?? (info.metadata.iCCP ? "profile in the file" : "sRGB")],
    ["Model", info.needsModel ? `${info.model ? `${info.model}, ` : ""}${info.bitstreamId}` : "none needed"],
    ["Chunks", metadata.join(", ")],
    ["Format", info.version],
  ];
  byId("no-info").hidden = true;
  byId("info").replaceChildren(
    ...rows
      .filter(([, value]) => value)
      .flatMap(([name, value]) => {
        const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        definition.textContent = value;
        return [term, definition];
      }),
  );
}

/** @param {Uint8Array | undefined} icc @returns {"srgb" | "display-p3"} */
const spaceOf = (icc) => (icc && matchMedia("(color-gamut: p3)").matches ? "display-p3" : "srgb");

/**
 * Decode onto a side of the stage.
 * @param {0 | 1} side
 * @param {Uint8Array} bytes
 * @param {AbortSignal} signal
 * @param {boolean} [fresh] nothing of it is shown yet
 */
async function show(side, bytes, signal, fresh = true) {
  const info = probe(bytes),
    { icc } = await metadataOf(bytes),
    space = spaceOf(icc),
    start = performance.now();
  const value = side === 0 ? Number(realism.value) : 0;
  /** @type {CanvasRenderingContext2D | null} */
  let context = null;
  const canvas = () =>
    (context ??= fresh ? viewer.prepare(side, info.width, info.height, space) : contextOf(side, info, space));
  progress.hidden = false;
  progress.removeAttribute("value");
  say("Decoding\u2026");
  try {
    if (fresh && info.needsModel && info.width * info.height > QUICK_ABOVE)
      await showQuick(canvas(), bytes, signal);
    const image = await decode(bytes, {
      signal,
      realism: value,
      onProgress: (done, count) => (progress.value = done / count),
      onPart: ({ x, y, width, height, data }) => {
        const part = new ImageData(data, width, height, { colorSpace: space });
        toDisplay(part, icc, space);
        canvas()?.putImageData(part, x, y);
      },
    });
    if (info.alpha) viewer.canvas(side)?.classList.add("clear");
    say(
      `Decoded in ${((performance.now() - start) / 1000).toFixed(2)} s${value ? ` with realism ${value}` : ""}.`,
    );
    return image;
  } finally {
    if (!signal.aborted) progress.hidden = true;
  }
}

/**
 * The canvas that shows a picture of this size already.
 * @param {0 | 1} side
 * @param {import("./src/index.js").Info} info
 * @param {"srgb" | "display-p3"} space
 */
function contextOf(side, info, space) {
  const canvas = viewer.canvas(side);
  if (canvas && canvas.width === info.width && canvas.height === info.height) return canvas.getContext("2d");
  return viewer.prepare(side, info.width, info.height, space);
}

/** @param {CanvasRenderingContext2D | null} context @param {Uint8Array} bytes @param {AbortSignal} signal */
async function showQuick(context, bytes, signal) {
  const small = await decode(bytes, { preview: "quick", partial: true, signal }),
    bitmap = await createImageBitmap(small);
  if (!context || signal.aborted) return;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, 32 * small.width, 32 * small.height);
  performance.mark("quick preview");
  say("A first look; decoding all of it\u2026");
}

/** @param {string} name @param {ReadableStream<Uint8Array>} stream */
async function open(name, stream) {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  say(`Reading ${name}\u2026`);
  realism.disabled = save.disabled = true;
  try {
    let seen = false;
    const bytes = await receive(stream, {
      onFront: tell,
      onLayer: async (_, prefix) => {
        const info = probe(prefix);
        if (info.complete || !info.needsModel) return;
        byId("empty").hidden = true;
        seen = true;
        const { icc } = await metadataOf(prefix),
          context = viewer.prepare(0, info.width, info.height, spaceOf(icc));
        await showQuick(context, prefix, signal).catch(() => {}); // the whole file tells what is wrong
      },
    });
    byId("empty").hidden = true;
    opened = { name, bytes, image: null };
    document.title = `${name} \u2013 vqcodec`;
    byId("left-name").textContent = name;
    opened.image = await show(0, bytes, signal, !seen);
    realism.disabled = !probe(bytes).needsModel;
    save.disabled = false;
  } catch (error) {
    fail(name, error);
  }
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
  try {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (!viewer.canvas(0)) throw new VQCodecError("open a picture first");
    if (isVqc(bytes)) {
      await show(1, bytes, new AbortController().signal);
    } else {
      const bitmap = await createImageBitmap(file).catch(() => {
        throw new VQCodecError("this is no picture that the browser knows");
      });
      viewer.prepare(1, bitmap.width, bitmap.height)?.drawImage(bitmap, 0, 0);
      say(`${file.name}: ${spaced(file.size)} bytes, ${bitmap.width} \u00d7 ${bitmap.height}.`);
    }
    byId("right-name").textContent = `${file.name}, ${spaced(Math.round(file.size / KB))} kB`;
    byId("names").hidden = false;
  } catch (error) {
    fail(file.name, error);
  }
}

/**
 * The first file is opened, a second one compared; a picture of another kind is compared with what is open.
 * @param {FileList | null | undefined} files
 */
async function take(files) {
  const list = [...(files ?? [])],
    own = list.find((file) => file.name.endsWith(".vqc")) ?? list[0];
  if (!own) return;
  if (!own.name.endsWith(".vqc") && opened) return compare(own);
  viewer.remove(1);
  byId("names").hidden = true;
  await open(own.name, own.stream());
  const other = list.find((file) => file !== own);
  if (other) await compare(other);
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
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await encodePng(opened.image, await metadataOf(opened.bytes)));
  link.download = opened.name.replace(/\.vqc$/, "") + ".png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
realism.addEventListener("input", () => (byId("realism-value").textContent = realism.value));
realism.addEventListener("change", async () => {
  const own = opened;
  if (!own) return;
  work.abort();
  work = new AbortController();
  try {
    own.image = await show(0, own.bytes, work.signal, false);
  } catch (error) {
    fail(own.name, error);
  }
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

const asked = new URLSearchParams(location.search).get("src");
if (asked) {
  fetch(asked)
    .then((response) => {
      if (!response.ok || !response.body) throw new VQCodecError(`${response.status} ${response.statusText}`);
      return open(new URL(asked, location.href).pathname.split("/").pop() ?? asked, response.body);
    })
    .catch((error) => fail(asked, error));
}
if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {}); // works without, online
