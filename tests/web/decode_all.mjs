// node decode_all.mjs INDEX_JS JOBS_JSON: decodes files one after the other; a line of JSON with what became of each.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [index, listing] = process.argv.slice(2);
const vqcodec = await import(pathToFileURL(index).href);
const { jobs, weights = [], vectors, models } = JSON.parse(readFileSync(listing, "utf8"));
vqcodec.configure({ vectors, models, weights: weights.map((path) => readFileSync(path)) });
const results = [];
for (const { file, options = {} } of jobs) {
  try {
    const { width, height, data } = await vqcodec.decode(readFileSync(file), options);
    results.push({ width, height, sha256: createHash("sha256").update(data).digest("hex") });
  } catch (error) {
    results.push({ error: error.name, known: error instanceof vqcodec.VQCodecError, message: error.message });
  }
}
console.log(JSON.stringify({ results, megabytes: peak() / 1024 }));

/** Kilobytes that this program had at most; what resourceUsage tells begins with those of the one that forked it. */
function peak() {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
  return Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
}
