"use strict";
// Tables sort and filter, marks say their names to touch and keyboard. Without it the page reads
// the same: nothing that it shows is made here.
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = (cell.querySelector(".value") || cell).textContent.trim();
    const plain = text.replace(/[\u2212]/g, "-").replace(/[\s,\u202f]/g, "");
    const time = [...plain.matchAll(/([\d.]+)(h|min|s)(?![a-z])/g)];
    if (time.length) {
      const units = { h: 3600, min: 60, s: 1 };
      return time.reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
    }
    const number = plain.match(/^[<≥≤]?([-+]?\d*\.?\d+)/);
    return number ? Number(number[1]) : text === "∞" ? Infinity : null;
  };
  const name = (row, column) => row.cells[column].textContent.trim().toLowerCase();

  const sortable = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const last = [...body.rows].filter((row) => row.querySelector(".sum"));
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("number");
        const down = head.getAttribute("aria-sort")
          ? head.getAttribute("aria-sort") === "ascending"
          : numeric;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].filter((row) => !last.includes(row));
        rows.sort((a, b) => {
          if (!numeric) {
            const order = name(a, column).localeCompare(name(b, column), "en", { numeric: true });
            return down ? -order : order;
          }
          const [x, y] = [value(a, column), value(b, column)];
          // What is not there stands last, whichever way.
          if (x === null || y === null) return (x === null) - (y === null);
          return down ? y - x : x - y;
        });
        body.append(...rows, ...last);
      });
    });
  };

  const filterable = (table, title) => {
    const label = document.createElement("label");
    label.className = "filter";
    const input = document.createElement("input");
    input.type = "search";
    const shown = document.createElement("output");
    label.append("Filter ", input, shown);
    input.setAttribute("aria-label", `Filter the rows of: ${title}`);
    const rows = [...table.tBodies[0].rows];
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      });
      const left = rows.filter((row) => !row.hidden).length;
      shown.textContent = words.length ? `${left} of ${rows.length} rows` : "";
    });
    table.closest(".scroll").before(label);
  };

  document.querySelectorAll(".table table").forEach((table) => {
    if (table.tBodies[0].rows.length < 3) return;
    sortable(table);
    if (table.tBodies[0].rows.length >= 8) {
      filterable(table, table.closest(".table").querySelector("h3").textContent.trim());
    }
  });

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let lit = null;
  const show = (mark) => {
    if (lit) lit.classList.remove("lit");
    lit = mark;
    tip.hidden = !mark;
    if (!mark) return;
    mark.classList.add("lit");
    tip.textContent = mark.querySelector("title").textContent;
    const box = mark.getBoundingClientRect();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(room, box.left + box.width / 2 - tip.offsetWidth / 2)) + scrollX}px`;
    tip.style.top = `${box.top + scrollY - tip.offsetHeight - 8}px`;
  };
  document.querySelectorAll("figure svg").forEach((picture) => {
    const marks = [...picture.querySelectorAll("title")].map((title) => title.parentNode);
    if (!marks.length) return;
    picture.setAttribute("tabindex", "0");
    picture.addEventListener("click", (event) => {
      const mark = event.target.closest("svg *:has(> title)") || nearest(marks, event);
      show(mark === lit ? null : mark);
      event.stopPropagation();
    });
    picture.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (event.key === "Escape") return show(null);
      if (!(event.key in steps)) return;
      event.preventDefault();
      const place = marks.indexOf(lit);
      show(marks[(place + steps[event.key] + marks.length) % marks.length] || marks[0]);
    });
    picture.addEventListener("blur", () => show(null));
  });
  // A finger is broader than a mark: the nearest within its reach is meant.
  const nearest = (marks, event) => {
    const far = (mark) => {
      const box = mark.getBoundingClientRect();
      return Math.hypot(
        Math.max(box.left - event.clientX, 0, event.clientX - box.right),
        Math.max(box.top - event.clientY, 0, event.clientY - box.bottom),
      );
    };
    const [best] = marks.map((mark) => [far(mark), mark]).sort((a, b) => a[0] - b[0]);
    return best && best[0] <= 22 ? best[1] : null;
  };
  document.addEventListener("click", () => show(null));

  // A link to a row that lies in a fold opens it; on paper all folds of tables are open.
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const fold = target && target.closest("details");
    if (fold && !fold.open) {
      fold.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => {
    document.querySelectorAll(".table details:not([open])").forEach((fold) => {
      fold.open = true;
      fold.dataset.printed = "";
    });
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll("details[data-printed]").forEach((fold) => {
      fold.open = false;
      delete fold.dataset.printed;
    });
  });
})();
