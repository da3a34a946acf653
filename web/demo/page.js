/** The parts of the page, and what it says. */
import { Viewer } from "./viewer.js";
import { rowsOf } from "./words.js";

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export const byId = (id) => /** @type {T} */ (document.getElementById(id));

export const stage = byId("stage"),
  status = byId("status"),
  progress = /** @type {HTMLProgressElement} */ (byId("progress"));
export const realism = /** @type {HTMLInputElement} */ (byId("realism")),
  save = /** @type {HTMLButtonElement} */ (byId("save"));
const needPicture = ["compare", "out", "in", "fit", "real"].map(
  (id) => /** @type {HTMLInputElement | HTMLButtonElement} */ (byId(id)),
);
export const viewer = new Viewer(stage, byId("divider"), (scale) => {
  byId("zoom").textContent = scale === null ? "\u2013" : `${Math.round(100 * scale)} %`;
  for (const control of needPicture) control.disabled = scale === null;
});

/** @param {string} text @param {boolean} [bad] */
export function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

/** @param {import("./src/index.js").Info} info */
export function tell(info) {
  byId("about").hidden = false;
  byId("info").replaceChildren(
    ...rowsOf(info).flatMap(([name, value]) => {
      const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      definition.textContent = value;
      return [term, definition];
    }),
  );
}

/** Whether the stage says how to begin. @param {boolean} shown */
export function invite(shown) {
  const empty = byId("empty"),
    held = empty.contains(document.activeElement);
  empty.hidden = !shown;
  if (held) stage.focus(); // else the focus is lost with the button that had it
}
