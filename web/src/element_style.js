/** The sizes of <vqc-image> as style rules, which those of the page go before, as with <img>. */

const STYLE = `
  :host { display: inline-block; max-width: 100%; vertical-align: bottom; }
  :host([hidden]), [hidden] { display: none !important; }
  canvas { display: block; width: 100%; height: 100%; object-fit: inherit; object-position: inherit; }
`;

/** What is the same for all elements of a page. */
const fixedRules = new CSSStyleSheet();
fixedRules.replaceSync(STYLE);

/** Rules, which are of one document alone, for an element of it. @param {Window & typeof globalThis} view */
export function fixedRulesOf(view) {
  if (view === window) return fixedRules;
  const rules = new view.CSSStyleSheet();
  rules.replaceSync(STYLE);
  return rules;
}

/**
 * Rules for the attributes width, height and sizes of an element, and for its picture's own size.
 * @param {HTMLElement} element
 * @param {{naturalWidth: number, naturalHeight: number}} natural 0 where it is not known
 */
export function sizeRules(element, { naturalWidth, naturalHeight }) {
  const [width, height] = ["width", "height"].map((side) => dimension(element.getAttribute(side)));
  const rules = width || height ? [] : widthsOf(element.getAttribute("sizes") ?? "");
  const ratio = naturalWidth
    ? `${naturalWidth} / ${naturalHeight}`
    : width?.endsWith("px") && height?.endsWith("px") && `${parseFloat(width)} / ${parseFloat(height)}`;
  const own = [width && `width: ${width}`, height && `height: ${height}`, ratio && `aspect-ratio: ${ratio}`];
  return `:host { ${own.filter(Boolean).join("; ")} }\n${rules.join("\n")}`;
}

/** A length from an attribute, read as HTML does: "45", "45.5", "45px" or "50%". @param {string | null} value */
function dimension(value) {
  const [, number, percent] = /^\s*\+?(\d+(?:\.\d+)?)(%?)/.exec(value ?? "") ?? [];
  return number === undefined ? null : number + (percent || "px");
}

/**
 * Rules for a list like that of <img sizes>, of which the first entry that fits holds.
 * @param {string} sizes
 */
function widthsOf(sizes) {
  return parted(sizes, ",")
    .flatMap((entry) => {
      const words = parted(entry.replace(/\s+/g, " ").trim(), " "),
        width = words.pop(),
        condition = words.join(" ");
      if (!width || /[{};]/.test(entry)) return [];
      const rule = `:host { width: ${width} }`;
      return [condition ? `@media ${condition} { ${rule} }` : rule];
    })
    .reverse();
}

/** The parts of a text between separators that stand in no parentheses. @param {string} text @param {string} separator */
function parted(text, separator) {
  const parts = [""];
  let depth = 0;
  for (const letter of text) {
    depth += letter === "(" ? 1 : letter === ")" ? -1 : 0;
    if (letter === separator && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts;
}
