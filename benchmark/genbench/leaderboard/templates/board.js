"use strict";
// Sorting by a column's header and filtering by the search box; without a script the page is whole.
const key = (row, column) => row.cells[column].dataset.order;
const compare = (a, b) => {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
};
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  for (const header of table.tHead.rows[0].cells) {
    const button = header.querySelector("button");
    if (!button) continue;
    button.addEventListener("click", () => {
      const first = header.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = header.getAttribute("aria-sort") === first ? other : first;
      for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", direction);
      const column = header.cellIndex;
      const sign = direction === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what has no value comes last
        return sign * compare(x, y);
      }));
    });
  }
}
const search = document.querySelector("#search");
const shown = document.querySelector("#shown");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll("tbody tr")];
  for (const row of rows) {
    const text = row.dataset.search.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => !row.hidden).length;
  shown.textContent = words.length ? `${left} of ${rows.length} rows` : "";
});
search.closest("div").hidden = false;
