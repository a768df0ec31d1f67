// A page of its own with one result: to keep, print or send. Everything is inside the one file; no script.

import { colourOf, isInstrument, nameOf, outline } from "./labels.js";
import { headline, moments, sharesOf } from "./result.js";
import { spacing, wavePath } from "./timeline.js";
import { warningText } from "./warnings.js";
import { capital, clock, language, number, percent, t } from "./words.js";

const STYLE = `:root{color-scheme:light dark;--ink:#17181c;--soft:#5b5f6b;--line:#dcdce4;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#ececf1;--soft:#a4a7b5;--line:#3a3c48;--paper:#15161b}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}main{max-width:58rem;margin:0 auto;padding:2.5rem 1.25rem}
h1{font-size:2rem;line-height:1.15;margin:.2rem 0 1.4rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}p{color:var(--soft);margin:0;overflow-wrap:anywhere}
svg{width:100%;height:auto;color:var(--ink)}text{fill:currentColor;font:13px system-ui,sans-serif}.soft{fill:var(--soft)}
table{border-collapse:collapse;width:100%;max-width:34rem;font-variant-numeric:tabular-nums}th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right}th:first-child{text-align:left}th.below{padding-left:1.6rem}
i{display:inline-block;width:.7em;height:.7em;border-radius:.2em;margin-right:.5em}footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.7rem;font-size:.85rem;color:var(--soft)}`;

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function picture(result) {
  const { start, end, peaks } = result.details;
  const [left, wide] = [150, 800];
  const x = (seconds) => (left + (wide * (seconds - start)) / (end - start)).toFixed(1);
  const { path, stroke } = wavePath(peaks.length ? peaks : [0]);
  const shown = outline(result.playing);
  const lanes = shown.map((id, i) => {
    const y = 124 + 30 * i;
    const rects = result.segments.filter((s) => s.label === id).map((s) => `<rect x="${x(s.start)}" y="${y - 9}" width="${((wide * (s.end - s.start)) / (end - start)).toFixed(1)}" height="18" rx="4" fill="${colourOf(id)}"/>`);
    return `<text x="${isInstrument(id) ? 14 : 0}" y="${y + 4}">${escape(capital(nameOf(id)))}</text><path d="M${left} ${y}h${wide}" stroke="currentColor" opacity=".12"/>${rects.join("")}`;
  });
  const bottom = 124 + 30 * shown.length;
  const every = spacing(end - start, 8);
  let ticks = "";
  for (let at = Math.ceil(start / every) * every; at <= end; at += every) ticks += `<text class="soft" x="${x(at)}" y="${bottom + 6}" text-anchor="middle">${every < 1 ? number(at, 1) : clock(at)}</text>`;
  return `<svg viewBox="0 0 970 ${bottom + 16}" role="img" aria-label="${escape(t("timeline"))}"><g transform="translate(${left} 0) scale(${wide / 1200} 1)"><path d="${path}" stroke="currentColor" opacity=".55" stroke-width="${stroke}"/></g>${lanes.join("")}${ticks}</svg>`;
}

/** Return the HTML of the report. */
export function reportOf(result, name) {
  const best = Object.fromEntries(moments(result).map((moment) => [moment.id, clock(moment.at)]));
  const rows = outline(result.playing).map((id) => `<tr><th scope="row"${isInstrument(id) ? ' class="below"' : ""}><i style="background:${colourOf(id)}"></i>${escape(capital(nameOf(id)))}</th><td>${number(result.scores[id])}</td><td>${result.maybe.includes(id) ? escape(t("maybe")) : percent(sharesOf(result)[id] ?? 0)}</td><td>${best[id] ?? ""}</td></tr>`);
  const warnings = (result.warnings ?? []).map((w) => `<li>${escape(warningText(w))}</li>`);
  const [model] = String(result.model).split(" ");
  return `<!doctype html>
<html lang="${language()}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(name)} · whoplays</title><style>${STYLE}</style></head><body><main>
<p>${escape(name)} · ${clock(result.duration)}</p><h1>${escape(headline(result))}</h1>
${picture(result)}
<h2>${escape(t("scores"))}</h2><table><thead><tr><th scope="col">${escape(t("label"))}</th><th scope="col">${escape(t("score"))}</th><th scope="col">${escape(t("share"))}</th><th scope="col">${escape(t("moments"))}</th></tr></thead><tbody>${rows.join("")}</tbody></table>
${warnings.length ? `<h2>${escape(t("warnings"))}</h2><ul>${warnings.join("")}</ul>` : ""}
<footer>${escape(t("reportMade", { version: document.documentElement.dataset.version ?? "", model }))}</footer>
</main></body></html>
`;
}
