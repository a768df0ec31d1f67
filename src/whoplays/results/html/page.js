"use strict";
// Players: a jump goes to its second and plays; the line follows the sound.
for (const section of document.querySelectorAll("section.recording")) {
  const audio = section.querySelector("audio");
  if (!audio) continue;
  const heads = section.querySelectorAll(".head");
  const from = Number(section.dataset.start), length = Number(section.dataset.length);
  const follow = () => {
    const at = Math.min(1, Math.max(0, (audio.currentTime - from) / length));
    for (const head of heads) head.style.left = (100 * at) + "%";
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const name of ["play", "seeked", "timeupdate"]) audio.addEventListener(name, follow);
  for (const button of section.querySelectorAll("button[data-at]")) {
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      audio.currentTime = Number(button.dataset.at);
      audio.play().catch(() => {});
      section.dataset.last = button.dataset.at;
    });
  }
}
// The table: a click on a column's name sorts by it, a second one the other way round.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const th = button.closest("th"), table = th.closest("table"), body = table.tBodies[0];
    const column = [...th.parentNode.children].indexOf(th);
    const down = th.getAttribute("aria-sort") === "descending" || (!th.hasAttribute("aria-sort") && column === 0);
    for (const other of th.parentNode.children) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", down ? "ascending" : "descending");
    const key = (row) => row.children[column].dataset.key ?? row.children[column].textContent;
    const sign = down ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b), numbers = Number(x) - Number(y);
      return sign * (Number.isNaN(numbers) ? x.localeCompare(y) : numbers);
    });
    body.append(...rows);
  });
}
// The search: rows whose text has all the words.
const search = document.getElementById("search");
search?.addEventListener("input", () => {
  const words = search.value.toLocaleLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll("#all tbody tr")) {
    const text = `${row.textContent} ${row.firstElementChild.title}`.toLocaleLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
// A link to a recording opens it.
const openLinked = () => {
  const box = document.getElementById(location.hash.slice(1))?.closest("details");
  if (box) box.open = true;
};
addEventListener("hashchange", openLinked);
openLinked();
