// Making elements. Text is always set as text: no file name and no message is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "css") for (const [property, v] of Object.entries(value)) element.style.setProperty(property, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @type {(tag: string, attributes?: Record<string, any>, ...children: any[]) => any} */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
/** @type {(tag: string, attributes?: Record<string, any>, ...children: any[]) => any} */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
/** Return an element of index.html. @type {(id: string) => any} */
export const $ = (id) => document.getElementById(id);

/** Make a canvas as large as its box, in the screen's own pixels. @param {HTMLCanvasElement} canvas
 * @returns {[CanvasRenderingContext2D, number, number]} its context, width and height in CSS pixels */
export function surface(canvas) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, width, height);
  return [ink, width, height];
}

/** Offer a blob as a file to save. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
