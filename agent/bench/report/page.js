"use strict";
(() => {
  const table = document.querySelector("table.tasks");
  if (!table || !table.tBodies.length) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);

  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.value;
    return number === undefined ? cell.textContent.trim() : Number(number);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      // Numbers are first wanted from the largest down, names from A on.
      const down = was ? was === "ascending" : column > 0;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row) => [value(row, column), row]);
      keyed.sort((one, two) => (down ? -1 : 1) * compare(one[0], two[0]));
      body.append(...keyed.map((pair) => pair[1]));
    });
  });

  const tools = document.createElement("div");
  tools.className = "tools";
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Find a task";
  search.setAttribute("aria-label", "Find a task by its name");
  const choice = document.createElement("select");
  choice.setAttribute("aria-label", "Show only tasks with this outcome");
  const shown = document.createElement("output");
  shown.className = "quiet";
  const statuses = new Set();
  rows.forEach((row) => row.querySelectorAll(".badge").forEach((badge) => statuses.add(badge.textContent)));
  ["every outcome", ...Array.from(statuses).sort()].forEach((status, place) => {
    const option = document.createElement("option");
    option.value = place ? status : "";
    option.textContent = status;
    choice.append(option);
  });
  const filter = () => {
    const words = search.value.trim().toLowerCase();
    let number = 0;
    rows.forEach((row) => {
      const named = row.cells[0].textContent.toLowerCase().includes(words);
      const fits = !choice.value || Array.from(row.querySelectorAll(".badge")).some((badge) => badge.textContent === choice.value);
      row.hidden = !(named && fits);
      number += row.hidden ? 0 : 1;
    });
    shown.textContent = number === rows.length ? "" : `${number} of ${rows.length} tasks`;
  };
  search.addEventListener("input", filter);
  choice.addEventListener("change", filter);
  tools.append(search, choice, shown);
  table.parentElement.before(tools);

  // Browsers that do not open a block by themselves when a link leads into it.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const block = target && target.closest("details");
    if (block && !block.open) {
      block.open = true;
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", open);
  open();
})();
