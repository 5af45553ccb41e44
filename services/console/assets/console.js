// The live feed. Everything is set as text, never as HTML: the words are strangers'.
"use strict";
(() => {
  const body = document.getElementById("feed");
  const state = document.getElementById("feed-state");
  if (!body || !window.EventSource) return;
  const columns = ["at", "brand", "channel", "direction", "kind", "category", "urgency", "text"];
  const most = 100;

  const show = (item) => {
    const row = document.createElement("tr");
    row.className = `${item.urgency} fresh`;
    for (const column of columns) {
      const cell = document.createElement("td");
      if (column === "text") cell.className = "words";
      cell.textContent = item[column];
      row.append(cell);
    }
    body.prepend(row);
    while (body.rows.length > most) body.deleteRow(-1);
    setTimeout(() => row.classList.remove("fresh"), 4000);
  };

  const source = new EventSource("/feed");
  source.addEventListener("item", (event) => show(JSON.parse(event.data)));
  source.addEventListener("open", () => { state.textContent = "live"; });
  source.addEventListener("error", () => { state.textContent = "not connected; trying again"; });
})();
