// The page reads without this script; with it, values answer to pointer and keyboard. No request is made.
(() => {
  "use strict";
  document.documentElement.classList.add("live");
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const tip = document.getElementById("tip");

  const say = (words, box) => {
    // One line a series: what is asked about first, then its values.
    tip.textContent = words.replace(": ", "\n").replaceAll(", ", "\n");
    tip.hidden = false;
    const own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const above = box.top - own.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
  };
  const hush = () => { tip.hidden = true; };
  addEventListener("scroll", hush, { passive: true });

  // One stop in the tab order for a group; arrow keys move inside it.
  const rove = (items, from, to) => {
    if (!to || to === from) return;
    for (const item of items) item.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  };

  // Charts: the nearest position answers.
  for (const chart of all("svg.chart")) {
    const spots = all(".spot", chart);
    if (!spots.length) continue;
    let near = null;
    const mark = (spot) => {
      if (near) near.classList.remove("near");
      near = spot;
      if (near) near.classList.add("near");
    };
    chart.addEventListener("pointermove", (event) => {
      const away = (spot) => {
        const box = spot.getBoundingClientRect();
        return Math.abs(box.left + box.width / 2 - event.clientX);
      };
      const spot = spots.reduce((best, other) => (away(other) < away(best) ? other : best));
      mark(spot);
      say(spot.getAttribute("aria-label"), spot.getBoundingClientRect());
    });
    chart.addEventListener("pointerleave", () => { mark(null); hush(); });
    spots.forEach((spot, at) => {
      spot.addEventListener("focus", () => say(spot.getAttribute("aria-label"), spot.getBoundingClientRect()));
      spot.addEventListener("blur", hush);
      spot.addEventListener("keydown", (event) => {
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: spots.length - 1 }[event.key];
        if (event.key === "Escape") hush();
        if (to === undefined || !spots[to]) return;
        event.preventDefault();
        rove(spots, spot, spots[to]);
      });
    });
  }

  // Stress map: a cell tells its reading, and every cell follows the step.
  const heat = document.querySelector(".heat");
  const panel = document.getElementById("cell");
  if (heat) {
    const rows = all("tbody tr", heat).map((row) => all("td", row));
    const cells = rows.flat();
    let chosen = null;
    const curve = (cell) => document.querySelector(`figure[data-about="${CSS.escape(cell.parentNode.dataset.name)}"]`);
    const read = (cell) => {
      chosen = cell;
      panel.textContent = `${cell.getAttribute("aria-label")} `;
      const picture = curve(cell);
      if (!picture) return;
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "its curve" });
      button.addEventListener("click", () => picture.scrollIntoView({ block: "center" }));
      panel.append(button);
    };
    rows.forEach((row, y) => row.forEach((cell, x) => {
      cell.addEventListener("focus", () => read(cell));
      cell.addEventListener("click", () => { rove(cells, null, cell); read(cell); });
      cell.addEventListener("keydown", (event) => {
        const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
        if (event.key === "Enter" || event.key === " ") {
          const picture = curve(cell);
          event.preventDefault();
          if (picture) picture.scrollIntoView({ block: "center" });
        }
        const to = move && rows[y + move[0]] && rows[y + move[0]][x + move[1]];
        if (!to) return;
        event.preventDefault();
        rove(cells, cell, to);
      });
    }));
    const worst = cells.find((cell) => cell.classList.contains("z-3")) || cells.find((cell) => cell.classList.contains("z-2"));
    if (worst) { read(worst); }

    const slider = document.querySelector(".scrubber input");
    if (slider) {
      const frames = JSON.parse(document.getElementById("frames").textContent);
      const shown = document.querySelector(".scrubber output");
      // The pictures show the last step; another one is drawn over it.
      const follow = (figure, frame) => {
        const path = figure.querySelector("path.now");
        const legend = figure.querySelector(".legend");
        if (!path || !legend) return;
        const last = frame === frames[frames.length - 1];
        const curve = last ? "" : frame.curves[figure.dataset.about] || "";
        path.setAttribute("d", curve);
        legend.querySelector(".now")?.remove();
        if (last) return;
        const words = curve ? `line: step ${frame.step}` : `step ${frame.step}: not recorded`;
        legend.append(Object.assign(document.createElement("li"), { className: "now", textContent: words }));
      };
      slider.addEventListener("input", () => {
        const frame = frames[slider.value];
        shown.textContent = frame.step;
        for (const row of all("tbody tr", heat)) {
          const readings = frame.rows[row.dataset.name] || [];
          all("td", row).forEach((cell, at) => {
            const [look, sign, words] = readings[at] || ["none", "", "not recorded at this step"];
            cell.className = look;
            cell.textContent = sign;
            cell.setAttribute("aria-label", words);
          });
        }
        if (chosen) read(chosen);
        for (const figure of all("figure[data-about]")) follow(figure, frame);
      });
    }
  }

  // Sortable tables: numbers by value, words by letters, missing values last.
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    all("thead th", table).forEach((heading, column) => {
      const button = heading.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const falls = heading.getAttribute("aria-sort") === "ascending";
        for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[column];
          const words = cell.textContent.trim();
          const number = Number(cell.dataset.value ?? (words === "" ? NaN : words));
          return { words, number, missing: cell.classList.contains("none") || words === "" };
        };
        const order = (a, b) => {
          if (a.missing !== b.missing) return a.missing ? 1 : -1;
          const way = falls ? -1 : 1;
          if (Number.isFinite(a.number) && Number.isFinite(b.number)) return way * (a.number - b.number);
          return way * a.words.localeCompare(b.words, undefined, { numeric: true });
        };
        const sorted = [...body.rows].map((row) => [key(row), row]).sort((a, b) => order(a[0], b[0]));
        body.append(...sorted.map((pair) => pair[1]));
      });
    });
  }

  // Copy: the clipboard may be closed to files, so a selection is the second way.
  const copy = async (words) => {
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: words });
      area.style.position = "fixed";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const button of all("button.copy")) {
    button.addEventListener("click", async () => {
      await copy(button.dataset.copy);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  }

  // Downloads: made from the report in this file.
  const text = document.getElementById("report").textContent;
  const report = JSON.parse(text);
  const save = (name, kind, words) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([words], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const quoted = (value) => {
    const words = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  const csv = () => {
    const lines = [["source", "step", "layer", "column", "value", "error", "missing"]];
    for (const profile of report.profiles) {
      for (const [name, column] of Object.entries(profile.columns)) {
        const reason = new Map(column.missing.map((one) => [one.layer, one.because]));
        profile.layers.forEach((layer, at) => {
          lines.push([profile.source, profile.step, layer, name, column.value[at], column.error[at], reason.get(layer)]);
        });
      }
    }
    return `${lines.map((line) => line.map(quoted).join(",")).join("\n")}\n`;
  };
  const name = `carnot-${report.command}-${report.id || "report"}`;
  document.getElementById("save-json").addEventListener("click", () => save(`${name}.json`, "application/json", text));
  document.getElementById("save-csv").addEventListener("click", () => save(`${name}.csv`, "text/csv", csv()));

  // Paper shows what is folded.
  addEventListener("beforeprint", () => { for (const fold of all("#measured details")) fold.open = true; });
})();
