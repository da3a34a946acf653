/** Keeps the page and all that it needs, so that it works offline; `python web/build.py --site` sets the version. */
const VERSION = "development",
  PAGE = `vqcodec-page-${VERSION}`,
  MODELS = "vqcodec-models";

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const { files } = await (await fetch("files.json", { cache: "no-cache" })).json();
      const [page, models] = await Promise.all([caches.open(PAGE), caches.open(MODELS)]);
      const isModel = (/** @type {string} */ name) => name.endsWith(".safetensors");
      const own = files.filter((/** @type {string} */ name) => !isModel(name));
      // Past the browser's own cache, which may still have files of the version before.
      const anew = [...own, "files.json"].map((name) => new Request(name, { cache: "reload" }));
      await page.addAll(anew);
      for (const name of files.filter(isModel)) if (!(await models.match(name))) await models.add(name);
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys())
        if (name.startsWith("vqcodec-page-") && name !== PAGE) await caches.delete(name);
      await dropModels();
      await self.clients.claim();
    })(),
  );
});

/** Those of other versions go; what other pages of this address keep is theirs. */
async function dropModels() {
  const [page, models] = await Promise.all([caches.open(PAGE), caches.open(MODELS)]);
  const { files } = await (await page.match("files.json")).json();
  const addressOf = (/** @type {string} */ name) => new URL(name, location.href).href,
    own = new Set(files.map(addressOf));
  for (const { url } of await models.keys())
    if (url.startsWith(addressOf("dist/models/")) && !own.has(url)) await models.delete(url);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(
    caches
      .match(request, { ignoreSearch: request.mode === "navigate" })
      .then((found) => found ?? fetch(request)),
  );
});
