"use strict";
// Sorting by a column's header and filtering by the search box; without a script the page is whole.
function sorter(table) {
  const body = table.tBodies[0], headers = [...table.tHead.rows[0].cells];
  const places = new Map([...body.rows].map((row, place) => [row, place]));
  const key = (row, column) => row.cells[column].dataset.order;
  const isNumber = (text) => text === "" || Number.isFinite(Number(text));
  for (const header of headers) {
    header.querySelector("button").addEventListener("click", () => {
      const first = header.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = header.getAttribute("aria-sort") === first ? other : first;
      for (const one of headers) one.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", direction);
      const column = header.cellIndex, sign = direction === "ascending" ? 1 : -1;
      // One order for the whole column: numbers and texts mixed have none.
      const numeric = [...places.keys()].every((row) => isNumber(key(row, column)));
      const compare = numeric
        ? (a, b) => Number(a) - Number(b)
        : (a, b) => a.localeCompare(b, "en", { numeric: true });
      body.append(...[...places.keys()].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        const order = x === "" || y === ""
          ? (x === "") - (y === "") // what has no value comes last, whichever way
          : sign * compare(x, y);
        return order || places.get(a) - places.get(b);
      }));
    });
  }
}
document.querySelectorAll("table").forEach(sorter);

// Where a table is cut off at the side, a line above it says so.
for (const scroll of document.querySelectorAll(".scroll")) {
  new ResizeObserver(() => {
    scroll.previousElementSibling.hidden = scroll.scrollWidth <= scroll.clientWidth + 1;
  }).observe(scroll);
}

const search = document.querySelector("#search");
const shown = document.querySelector("#shown");
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll("tbody tr")];
  for (const row of rows) {
    const text = row.dataset.search.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => !row.hidden).length;
  shown.textContent = words.length ? `${left} of ${rows.length} rows` : "";
}
search.addEventListener("input", filter);
search.closest("div").hidden = false;
filter(); // a browser that goes back to the page fills the box again

// On paper nothing can be unfolded.
const folded = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...folded()];
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of opened) one.open = false;
});
