// The table of designs, the one that is selected with its parts, and two of them side by side.
{
  const PARAMETERS = D.parameters.filter((p) => p.codes), GOALS = D.metrics.filter((m) => m.objective), MOST = 100;
  const select = (row) => change({ selected: row });
  const columns = [
    { label: "id", text: (row) => D.ids[row], key: (row) => row },
    ...(D.groups.length > 1 ? [{ label: D.group, text: (row) => D.groups[D.of_group[row]], key: (row) => D.of_group[row] }] : []),
    ...GOALS.map((m) => ({ label: m.label, text: (row) => shown(m, row), key: (row) => factored(m, row) })),
    ...PARAMETERS.map((p) => ({ label: p.name, text: (row) => parameter(p, row), key: (row) => p.codes[row] })),
  ];
  const order = (at) => change({ sort: at, down: state.sort === at ? !state.down : false });
  const heads = columns.map((column, at) => make("th", { scope: "col" }, make("button", { type: "button", click: () => order(at) }, column.label)));
  byId("rows").append(make("thead", {}, make("tr", {}, ...heads)), make("tbody"));
  byId("front-only").addEventListener("change", () => change({}));
  onChange(() => {
    const { key } = columns[state.sort], sign = state.down ? -1 : 1;
    const rows = kept.filter((row) => !byId("front-only").checked || D.state[row] === 1).sort((a, b) => sign * (key(a) - key(b)) || a - b);
    heads.forEach((head, at) => head.setAttribute("aria-sort", at !== state.sort ? "none" : state.down ? "descending" : "ascending"));
    clear(byId("rows").tBodies[0], ...rows.slice(0, MOST).map((row) => make("tr", { class: row === state.selected ? "selected" : row === D.knee ? "knee" : null },
      ...columns.map((column, at) => make("td", {}, at ? column.text(row) : make("button", { type: "button", click: () => select(row) }, column.text(row)))))));
    byId("rows-note").textContent = `${Math.min(rows.length, MOST)} of ${rows.length.toLocaleString("en-US")} designs listed`;
  });

  // Breakdown of a row: [title, unit text, [[part, amount], ...]] for area, energy and time.
  const pickFrom = (column, at) => Array.isArray(column) ? column[at] : column;
  function parts(row) {
    for (const family of D.breakdowns || []) {
      const at = family.rows.indexOf(row);
      if (at < 0) continue;
      const listed = (table) => Object.entries(table).map(([name, column]) => [name, pickFrom(column, at)]);
      const tasks = Object.entries(family.parts).map(([name, part]) => ({ name, macs: part.macs, bits: pickFrom(part.bits, at),
        compute: pickFrom(part.compute, at), memory: pickFrom(part.memory, at) }));
      return { areas: listed(family.areas), energies: listed(family.energies), tasks };
    }
    return null;
  }
  window.partsOf = parts;
  function bars(title, entries, text, notes = {}) {
    const sum = entries.reduce((total, [, amount]) => total + amount, 0), listed = entries.filter(([, amount]) => amount > 0).sort((a, b) => b[1] - a[1]);
    const rows = listed.map(([name, amount]) => make("tr", {}, make("td", {}, name), make("td", {}, text(amount)), make("td", {}, `${(100 * amount / sum).toFixed(1)} %`),
      make("td", { class: "text" }, bar(amount / sum)), ...(notes[name] ? [make("td", { class: "text quiet" }, notes[name])] : [])));
    return make("div", { class: "breakdown", "data-of": title }, make("h4", {}, `${title}: ${text(sum)}`), make("table", {}, ...rows));
  }
  function bar(share) {
    return make("svg", { width: 70, height: 12, "aria-hidden": "true" }, make("rect", { x: 0, y: 1, width: 70 * share, height: 10, fill: "var(--accent)" }));
  }
  window.shareBar = bar;
  function breakdown(row) {
    const found = parts(row);
    if (!found) return [make("p", { class: "quiet" }, D.breakdowns && D.breakdowns.length ? "This design has no breakdown." : "No breakdown: the cost model of these numbers is not available.")];
    const times = found.tasks.map((task) => [task.name, Math.max(task.compute, task.memory)]);
    const bound = Object.fromEntries(found.tasks.map((task) => [task.name, task.memory > task.compute ? "bound by memory" : "bound by compute"]));
    return [bars("Area", found.areas, areaText), bars("Energy", found.energies, (pj) => quantity(pj * 1e-12, "J")), bars("Time", times, (s) => quantity(s, "s"), bound)];
  }
  if (byId("design")) onChange(() => {
    const row = state.selected, node = byId("design");
    if (row < 0) { clear(node, make("p", { class: "quiet" }, COUNT ? "Choose a design: a dot of a picture, or an id in the table." : "There is no design that could be built.")); return; }
    const of = D.of_family ? D.of_family[D.groups[D.of_group[row]]] : D.parameters.map((p) => p.name);
    const facts = D.parameters.filter((p) => of.includes(p.name)).map((p) => `${p.name} ${parameter(p, row)}`).join(", ");
    const standing = ["dominated", "on the front", `excluded: ${D.reason[row]}`][D.state[row]] + (row === D.knee ? ", the knee" : "");
    clear(node, make("h3", {}, `${D.ids[row]} (${D.groups[D.of_group[row]]}, ${standing})`), make("p", {}, facts),
      make("p", { class: "controls" }, make("button", { type: "button", id: "pin-a", click: () => change({ a: row }) }, "compare as A"),
        make("button", { type: "button", id: "pin-b", click: () => change({ b: row }) }, "compare as B")),
      make("table", { id: "numbers" }, ...D.metrics.map((m) => make("tr", {}, make("td", {}, m.label), make("td", {}, shown(m, row))))),
      make("div", { class: "side" }, ...breakdown(row)));
  });
  if (byId("pair")) onChange(() => {
    const { a, b } = state, node = byId("pair");
    if (a < 0 || b < 0) { clear(node, make("p", { class: "quiet" }, a < 0 && b < 0 ? "Select a design and name it A, then another one and name it B." : `Now name the other one ${a < 0 ? "A" : "B"}.`)); return; }
    const line = (name, one, other, more = "") => make("tr", {}, ...[name, one, other, more].map((text) => make("td", {}, text)));
    const numbers = D.metrics.map((m) => {
      const [one, other] = [m.values[a], m.values[b]], part = one && other !== null ? `${other >= one ? "+" : ""}${(100 * (other / one - 1)).toFixed(1)} %` : "";
      return line(m.label, shown(m, a), shown(m, b), part);
    });
    const differ = D.parameters.filter((p) => parameter(p, a) !== parameter(p, b)).map((p) => line(p.name, parameter(p, a), parameter(p, b), "differs"));
    const head = make("tr", {}, ...["", `A ${D.ids[a]}`, `B ${D.ids[b]}`, "B against A"].map((text) => make("th", { scope: "col" }, text)));
    clear(node, make("table", { id: "compared" }, head, line(D.group, D.groups[D.of_group[a]], D.groups[D.of_group[b]]), ...differ, ...numbers),
      ...(D.breakdowns ? [make("div", { class: "side" }, make("div", {}, make("h3", {}, "A"), ...breakdown(a)), make("div", {}, make("h3", {}, "B"), ...breakdown(b)))] : []));
  });
}
