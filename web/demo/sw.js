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
      await page.addAll([...files.filter((/** @type {string} */ name) => !isModel(name)), "files.json"]);
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
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(
    caches
      .match(request, { ignoreSearch: request.mode === "navigate" })
      .then((found) => found ?? fetch(request)),
  );
});
