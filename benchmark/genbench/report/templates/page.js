"use strict";
(() => {
  // Everything of a run is shown through textContent: no text becomes markup.
  const PAGE_ROWS = 25, KEPT_PIECES = 12;
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const index = data.index, total = index.run.length;
  const byId = (id) => document.getElementById(id);

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  // -- the headline tables ----------------------------------------------------------------------

  function order(row, column) {
    const found = row.children[column].dataset.order;
    if (found === undefined) return null;
    const number = Number(found);
    return found.trim() === "" || Number.isNaN(number) ? found : number;
  }

  function compare(one, other) {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.firstElementChild.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [order(row, column), row]);
        // What has no value stays at the end, whichever way.
        rows.sort(([one], [other]) =>
          one === null || other === null
            ? (one === null) - (other === null)
            : (down ? -1 : 1) * compare(one, other));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
  document.querySelectorAll("table.headline").forEach(sortable);

  // Where a table is cut off at the side, a line above it says so.
  function hint(scroll) {
    const line = scroll.previousElementSibling;
    if (!line || !line.classList.contains("hint")) return;
    new ResizeObserver(() => { line.hidden = scroll.scrollWidth <= scroll.clientWidth + 1; })
      .observe(scroll);
  }
  document.querySelectorAll(".scroll").forEach(hint);

  // -- pieces of text, within the page or in files beside it -------------------------------------

  const pieces = new Map();
  function piece(name) {
    if (!pieces.has(name)) {
      if (pieces.size >= KEPT_PIECES) pieces.delete(pieces.keys().next().value);
      const found = load(name);
      pieces.set(name, found);
      found.catch(() => pieces.delete(name));
    }
    return pieces.get(name);
  }

  function load(name) {
    const inline = byId("piece-" + name);
    if (inline) return Promise.resolve(JSON.parse(inline.textContent));
    return new Promise((resolve, reject) => {
      const script = element("script"), file = "episodes/" + name + ".js";
      script.src = file;
      script.onload = () => {
        const all = window.genbenchPieces || {};
        script.remove();
        if (all[name] === undefined) { reject(new Error(file + " holds something else")); return; }
        resolve(all[name]);
        delete all[name];
      };
      script.onerror = () => {
        script.remove();
        reject(new Error("The file " + file + " is missing beside this page."));
      };
      document.head.append(script);
    });
  }

  // -- the list of episodes ----------------------------------------------------------------------

  const several = data.groups.length > 1;
  let shown = [], page = 0, open = -1;

  function fill(select, options) {
    select.append(new Option("all", ""));
    options.forEach(([value, text]) => select.append(new Option(text, value)));
  }
  // The end of a name tells checkpoints apart as well as its start.
  function shorten(name, longest) {
    const all = [...name], start = Math.floor(longest / 2) - 1;
    return all.length <= longest ? name
      : all.slice(0, start).join("") + "…" + all.slice(start + 1 - longest).join("");
  }
  const NAME = 44;
  const runName = (run) => run.label + (several ? " · " + data.groups[run.group].title : "");
  fill(byId("filter-run"), data.runs.map((run, number) => [number, runName(run)]));
  fill(byId("filter-split"), index.splits.map((name, number) => [number, name]));
  fill(byId("filter-outcome"), index.outcomes.map((name, number) => [number, name.replaceAll("_", " ")]));

  function result(episode) {
    if (!index.solved[episode]) return "never";
    return index.retries[episode] === 0 ? "first" : "later";
  }
  const RESULTS = { first: "solved", later: "solved later", never: "not solved" };

  const instanceOf = (episode) =>
    index.instances[data.runs[index.run[episode]].group][index.instance[episode]];

  function filter() {
    const chosen = (id) => byId(id).value === "" ? null : Number(byId(id).value);
    const run = chosen("filter-run"), split = chosen("filter-split");
    const outcome = chosen("filter-outcome"), solved = byId("filter-solved").value;
    const text = byId("filter-text").value.trim().toLowerCase();
    shown = [];
    for (let episode = 0; episode < total; episode++) {
      if (run !== null && index.run[episode] !== run) continue;
      if (split !== null && index.split[episode] !== split) continue;
      if (outcome !== null && index.first[episode] !== outcome) continue;
      if (solved && result(episode) !== solved) continue;
      if (text && !instanceOf(episode).toLowerCase().includes(text)) continue;
      shown.push(episode);
    }
    page = Math.max(0, Math.floor(shown.indexOf(open) / PAGE_ROWS));
    list();
  }

  function list() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE_ROWS));
    page = Math.min(Math.max(page, 0), pages - 1);
    const rows = shown.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).map(listRow);
    byId("list").tBodies[0].replaceChildren(...rows);
    byId("count").textContent =
      shown.length.toLocaleString("en") + " of " + total.toLocaleString("en") + " episodes";
    byId("page").textContent =
      "page " + (page + 1).toLocaleString("en") + " of " + pages.toLocaleString("en");
    byId("previous").disabled = page === 0;
    byId("next").disabled = page >= pages - 1;
  }

  function listRow(episode) {
    const row = element("tr"), sample = index.sample[episode];
    row.tabIndex = 0;
    row.dataset.episode = episode;
    row.setAttribute("aria-selected", String(episode === open));
    const run = data.runs[index.run[episode]], name = element("td", shorten(run.label, NAME));
    name.title = runName(run);
    if (several) name.append(element("small", data.groups[run.group].title));
    row.append(
      name,
      element("td", index.splits[index.split[episode]]),
      element("td", instanceOf(episode) + (sample ? " #" + sample : "")),
      element("td", index.outcomes[index.first[episode]].replaceAll("_", " ")),
      element("td", index.turns[episode], "number"),
      element("td", RESULTS[result(episode)]));
    return row;
  }

  // -- one episode -------------------------------------------------------------------------------

  function pieceOf(episode) {
    let low = 0, high = index.pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (index.pieces[middle] <= episode) low = middle; else high = middle - 1;
    }
    return low;
  }

  async function show(episode) {
    open = episode;
    byId("list").querySelectorAll("tbody tr").forEach((row) =>
      row.setAttribute("aria-selected", String(Number(row.dataset.episode) === episode)));
    writeAddress();
    const place = byId("episode");
    place.hidden = false;
    try {
      const run = data.runs[index.run[episode]], group = data.groups[run.group];
      const number = pieceOf(episode), at = index.instance[episode];
      const texts = await piece("episodes-" + number);
      const prompts = group.reason === null
        ? await piece("prompts-" + run.group + "-" + Math.floor(at / index.prompts)) : null;
      if (open !== episode) return;
      place.replaceChildren(...conversation(
        episode, run, group, texts[episode - index.pieces[number]],
        prompts ? prompts[at % index.prompts] : null));
      place.scrollTop = 0;
    } catch (error) {
      if (open === episode) place.replaceChildren(element("p", error.message, "note"));
    }
    place.focus({ preventScroll: innerWidth > 900 });
  }

  function conversation(episode, run, group, [pair, cluster, turns], prompt) {
    const found = [], sample = index.sample[episode];
    found.push(element("h4", instanceOf(episode)));
    found.push(element("p", [
      runName(run), index.splits[index.split[episode]], "pair " + pair, "cluster " + cluster,
      ...(sample ? ["sample " + sample] : []), RESULTS[result(episode)],
    ].join(" · "), "muted"));
    if (prompt && prompt[1]) found.push(folded("instance", prompt[1]));
    if (group.reason !== null) {
      found.push(element("p",
        "The prompts are not shown, since the task cannot be loaded: " + group.reason, "note"));
    }
    if (run.system !== null) found.push(message(["system", run.system]));
    if (prompt && prompt[0]) prompt[0].forEach((told) => found.push(message(told)));
    turns.forEach((turn) => {
      const [before, text] = turn;
      (before || []).forEach((told) => found.push(message(told)));
      found.push(answer(turn, text, run));
    });
    return found;
  }

  function folded(name, text) {
    const details = element("details", undefined, "facts");
    details.append(element("summary", name), element("pre", text));
    return details;
  }

  function message([role, ...parts]) {
    const made = element("div", undefined, "message " + (role === "assistant" ? "assistant" : "told"));
    made.append(element("b", role));
    parts.forEach((part) => {
      if (typeof part === "string") { made.append(element("pre", part)); return; }
      if (!/^data:image\/(png|jpeg|gif|webp);base64,/.test(part.image)) return;
      const picture = element("img");
      picture.src = part.image;
      picture.alt = "picture of the prompt";
      made.append(picture);
      if (Array.isArray(part.size)) {
        made.append(element("div", "shown smaller here; the model was shown "
          + part.size.map(Number).join(" × ") + " pixels", "muted"));
      }
    });
    return made;
  }

  function answer(turn, text, run) {
    const [, , finish, , generated, step, attempt, outcome, right, reward, feedback,
      extraction, strict, checks, readings, fields] = turn;
    const made = message(["assistant", text === "" ? "(empty)" : text]);
    made.firstChild.textContent = "assistant, attempt " + attempt + (step ? " at step " + step : "")
      + (finish === "length" ? ", cut off at the token limit" : "")
      + (generated === null ? "" : ", " + generated + " tokens");
    const verdict = element("div", undefined, "verdict" + (right ? " right" : ""));
    verdict.append(element("span", outcome.replaceAll("_", " "), "code"));
    const facts = [feedback, "reward " + reward, "answer found by: " + extraction
      + (strict ? ", strict format" : ""), ...checks.map(([name, value]) =>
        name + " " + (value === null ? "not exposed" : value === true ? "passed"
          : value === false ? "failed" : Math.round(100 * value) + "%"))];
    if (readings.length) {
      facts.push("read: " + readings.map(([symbol, value]) => symbol + " as " + value).join(", "));
    }
    verdict.append(element("div", facts.filter(Boolean).join(" · "), "muted"));
    if (fields) verdict.append(folded("extracted fields", fields));
    if (run.thinking === "strip" && text.includes("</think>")) {
      verdict.append(element("div", "Thinking blocks were taken out before judging.", "muted"));
    }
    made.append(verdict);
    return made;
  }

  // -- the address: #run=KEY&split=ood&episode=KEY-12 ---------------------------------------------

  // It names runs by their keys and an episode by its place within its run, so that it means the
  // same in a later report of more runs. What it says only selects among what is there, or is
  // searched for as text.
  const FILTERS = {
    run: data.runs.map((run) => run.key), split: index.splits, outcome: index.outcomes,
    result: ["first", "later", "never"],
  };
  const WORDS = { run: "checkpoint", split: "split", outcome: "outcome", result: "result" };
  const select = (name) => byId("filter-" + (name === "result" ? "solved" : name));
  const begins = [], counts = [];
  index.run.forEach((run, episode) => {
    begins[run] ??= episode;
    counts[run] = (counts[run] || 0) + 1;
  });

  function writeAddress() {
    const found = new URLSearchParams();
    for (const [name, values] of Object.entries(FILTERS)) {
      const at = select(name).selectedIndex - 1;
      if (at >= 0) found.set(name, values[at]);
    }
    const text = byId("filter-text").value.trim();
    if (text) found.set("instance", text);
    if (open >= 0) {
      const run = index.run[open];
      found.set("episode", FILTERS.run[run] + "-" + (open - begins[run] + 1));
    }
    byId("missing").hidden = true;
    history.replaceState(null, "", "#" + (found.toString() || "episodes"));
  }

  function readAddress() {
    if (!location.hash.includes("=")) return;
    const wanted = new URLSearchParams(location.hash.slice(1)), missing = [];
    for (const [name, values] of Object.entries(FILTERS)) {
      const value = wanted.get(name), at = value === null ? -1 : values.indexOf(value);
      select(name).selectedIndex = at + 1;
      if (value !== null && at < 0) missing.push(WORDS[name]);
    }
    byId("filter-text").value = (wanted.get("instance") || "").slice(0, 200);
    const asked = wanted.get("episode");
    const [, key, place] = /^([0-9a-f]{16})-([1-9]\d{0,8})$/.exec(asked || "") || [];
    const run = FILTERS.run.indexOf(key);
    const there = run >= 0 && Number(place) <= counts[run];
    if (asked !== null && !there) missing.push("episode");
    if (there) open = begins[run] + Number(place) - 1;
    filter();
    if (there) show(open);
    byId("missing").textContent =
      "The address asks for what this report does not have (" + missing.join(", ") + ").";
    byId("missing").hidden = !missing.length;
    byId("episodes").scrollIntoView();
  }

  // -- wiring ------------------------------------------------------------------------------------

  // Some browsers and tools tell of a chosen option by `change` alone.
  let applied = "";
  function apply() {
    const chosen = JSON.stringify([...byId("filters").elements].map((field) => field.value));
    if (chosen === applied) return;
    applied = chosen;
    writeAddress();
    filter();
  }
  byId("filters").addEventListener("input", apply);
  byId("filters").addEventListener("change", apply);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => { page -= 1; list(); });
  byId("next").addEventListener("click", () => { page += 1; list(); });
  const body = byId("list").tBodies[0];
  const chosen = (event) => {
    const row = event.target.closest("tr");
    if (row) show(Number(row.dataset.episode));
  };
  body.addEventListener("click", chosen);
  body.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(event); }
  });
  ["filters", "list", "pager"].forEach((id) => { byId(id).hidden = false; });
  addEventListener("hashchange", readAddress);
  filter();
  readAddress();
})();
