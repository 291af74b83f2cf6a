// What explains the numbers: importance of parameters, hypervolume of the search, reasons of exclusion, the roofline.
const W = 760, H = 340, M = { left: 90, right: 24, top: 14, bottom: 46 };
function chart(rx, ry, xLabel, yLabel, title) {
  const X = (at) => M.left + scaled(rx, at) * (W - M.left - M.right), Y = (at) => H - M.bottom - scaled(ry, at) * (H - M.top - M.bottom);
  const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title, width: W });
  let last = -100;
  for (const tick of ticks(rx)) {
    svg.append(make("line", { class: "grid", x1: X(tick), x2: X(tick), y1: M.top, y2: H - M.bottom }));
    if (X(tick) - last > 50) { svg.append(make("text", { x: X(tick), y: H - M.bottom + 16, "text-anchor": "middle" }, number(tick))); last = X(tick); }
  }
  last = H;
  for (const tick of ticks(ry)) {
    svg.append(make("line", { class: "grid", x1: M.left, x2: W - M.right, y1: Y(tick), y2: Y(tick) }));
    if (last - Y(tick) > 14) { svg.append(make("text", { x: M.left - 6, y: Y(tick) + 4, "text-anchor": "end" }, number(tick))); last = Y(tick); }
  }
  svg.append(make("text", { x: (M.left + W) / 2, y: H - 8, "text-anchor": "middle" }, xLabel),
    make("text", { transform: `translate(16 ${H / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
  return { svg, X, Y };
}
if (byId("importance") && COUNT) {
  const select = byId("importance-of");
  clear(select, ...D.metrics.map((metric) => make("option", { value: metric.name }, metric.label)));
  const draw = () => {
    const found = D.importance.metrics[select.value], names = Object.keys(found.main).sort((a, b) => found.total[b] - found.total[a]);
    const percent = (share) => `${(100 * share).toFixed(1)} %`, cell = (text) => make("td", {}, text);
    const rows = names.map((name) => make("tr", {}, cell(name), cell(percent(found.main[name])), make("td", {}, shareBar(found.main[name])), cell(percent(found.total[name]))));
    clear(byId("importance"), make("tr", {}, ...["parameter", "main effect", "", "with interactions"].map((text) => make("th", { scope: "col" }, text))), ...rows);
    const pairs = found.pairs.map(([one, other, share]) => `${one} with ${other} ${percent(share)}`).join(", ");
    byId("importance-note").textContent = (names.length ? pairs ? `Largest interactions: ${pairs}. ` : "" : "No parameter has more than one value. ") +
      (found.logarithmic ? "Variance of the logarithm, as the values span a wide range." : "Variance of the values.");
  };
  select.addEventListener("change", draw);
  draw();
}
if (byId("history") && D.history) {
  const { evaluations, shares } = D.history;
  const log = evaluations[evaluations.length - 1] > 8 * evaluations[0];
  const rx = [evaluations[0], Math.max(evaluations[0] + 1, evaluations[evaluations.length - 1]), log];
  const { svg, X, Y } = chart(rx, [0, Math.max(...shares, 1e-9) * 1.05, false], "evaluations", "hypervolume, share of the box", "Hypervolume over evaluations");
  const path = evaluations.map((at, step) => step ? `H${X(at)}V${Y(shares[step])}` : `M${X(at)} ${Y(shares[0])}`).join("");
  svg.append(make("path", { d: path, fill: "none", stroke: "var(--accent)", "stroke-width": 2 }));
  evaluations.forEach((at, step) => svg.append(make("circle", { cx: X(at), cy: Y(shares[step]), r: 3, fill: "var(--accent)" }, make("title", {}, `${at} evaluations: ${shares[step]}`))));
  byId("history").append(svg);
}
if (byId("reasons")) {
  const most = Math.max(1, ...D.reasons.map((reason) => reason.count));
  const rows = D.reasons.map(({ text, count }) => {
    const carried = D.reason.includes(text);
    const button = make("button", { type: "button", disabled: !carried, "aria-pressed": "false", click: () => change(state.reason === text ? { reason: "" } : { reason: text, excluded: true }) }, carried ? "show only these" : "no numbers");
    onChange(() => button.setAttribute("aria-pressed", String(state.reason === text)));
    return make("tr", {}, make("td", {}, text), make("td", {}, count.toLocaleString("en-US")), make("td", {}, shareBar(count / most)), make("td", {}, button));
  });
  clear(byId("reasons"), ...rows);
  onChange(() => { byId("excluded").checked = state.excluded; });
}
if (byId("roofline")) onChange(() => {
  const row = state.selected >= 0 ? state.selected : D.knee !== null ? D.knee : COUNT ? 0 : -1, found = row >= 0 ? partsOf(row) : null;
  const spots = (found ? found.tasks : []).filter((task) => task.macs && task.bits).map((task) => ({ name: task.name, x: 2 * task.macs / (task.bits / 8),
    y: 2 * task.macs / Math.max(task.compute, task.memory) }));
  if (!spots.length) { clear(byId("roofline"), make("p", { class: "quiet" }, "No roofline: the cost model of these numbers is not available, or no work moves data.")); return; }
  const at = (name) => D.metrics.find((metric) => metric.name === name).values[row];
  const peak = 2 * at("peak_macs") * at("clock_mhz") * 1e6, slope = D.bandwidth;
  const xs = [...spots.map((spot) => spot.x), ...(slope ? [peak / slope] : [])], low = Math.min(...xs) / 4, high = Math.max(...xs) * 4;
  const roof = (x) => slope ? Math.min(peak, slope * x) : peak, ys = [...spots.map((spot) => spot.y), roof(low), peak];
  const { svg, X, Y } = chart([low, high, true], [Math.min(...ys) / 1.5 / 1e9, Math.max(...ys) * 2 / 1e9, true], "operations per byte of external memory", "10⁹ operations per second", `Roofline of ${D.ids[row]}`);
  const knee = slope ? Math.min(high, Math.max(low, peak / slope)) : low;
  svg.append(make("path", { d: `M${X(low)} ${Y(roof(low) / 1e9)}L${X(knee)} ${Y(roof(knee) / 1e9)}L${X(high)} ${Y(peak / 1e9)}`, fill: "none", stroke: "var(--knee)", "stroke-width": 2 }));
  spots.forEach((spot, place) => svg.append(make("circle", { cx: X(spot.x), cy: Y(spot.y / 1e9), r: 5, fill: COLORS[place % COLORS.length] },
    make("title", {}, `${spot.name}: ${number(spot.x)} operations per byte, ${quantity(spot.y, "op/s")}`))));
  const text = `${D.ids[row]}: peak ${quantity(peak, "op/s")}, ${slope ? `memory ${quantity(slope, "B/s")}` : "memory unlimited, so there is no slope"}. `;
  const listed = spots.map((spot) => `${spot.name} reaches ${(100 * spot.y / roof(spot.x)).toFixed(1)} % of its roof at ${number(spot.x)} operations per byte`).join("; ");
  clear(byId("roofline"), svg, make("p", {}, `${text}${listed}.`));
});
