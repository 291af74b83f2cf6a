// The front: two metrics, a third as color or as a third axis that can be turned.
{
  const node = byId("scatter"), PAD = { left: 78, right: 20, top: 16, bottom: 46 }, HEIGHT = 520;
  const options = (extra) => [...extra, ...D.metrics.map((metric, place) => [place, metric.label])];
  const pick = (id, key, extra) => {
    const select = byId(id);
    clear(select, ...options(extra).map(([at, label]) => make("option", { value: at }, label)));
    select.addEventListener("change", () => change({ [key]: Number(select.value) }));
    onChange(() => { select.value = String(state[key]); });
  };
  const third = D.metrics.length > 2 && D.metrics[2].objective ? 2 : -1;
  state.color = D.groups.length > 1 ? -1 : third;
  pick("x", "x", []); pick("y", "y", []); pick("z", "z", [[-1, "none (2-D)"]]); pick("color", "color", [[-1, D.group]]);
  byId("excluded").addEventListener("change", (event) => change({ excluded: event.target.checked }));
  let spots = [];

  function paints(rows) {
    if (state.color < 0) return groupColor;
    const metric = D.metrics[state.color], range = limits(metric, rows);
    return (row) => viridis(scaled(range, factored(metric, row)));
  }
  function dot(pen, row, x, y, paint) {
    pen.beginPath();
    if (D.state[row] === 2) {
      pen.strokeStyle = color("knee"); pen.moveTo(x - 3, y - 3); pen.lineTo(x + 3, y + 3); pen.moveTo(x + 3, y - 3); pen.lineTo(x - 3, y + 3);
      pen.stroke();
      return;
    }
    const front = D.state[row] === 1;
    pen.globalAlpha = front ? 1 : 0.3;
    pen.fillStyle = paint(row);
    if (D.of_group[row] % 2) pen.rect(x - (front ? 4 : 2), y - (front ? 4 : 2), front ? 8 : 4, front ? 8 : 4);
    else pen.arc(x, y, front ? 5 : 2, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
    if (front) { pen.strokeStyle = color("ground"); pen.lineWidth = 0.7; pen.stroke(); }
  }
  function ring(pen, row, name, label) {
    const spot = spots.find((each) => each[0] === row);
    if (!spot) return;
    pen.beginPath(); pen.strokeStyle = color(name); pen.lineWidth = 2.5; pen.arc(spot[1], spot[2], 9, 0, 7); pen.stroke();
    pen.fillStyle = color("text"); pen.fillText(label, spot[1] + 12, spot[2] - 8);
  }
  function flat(pen, width, height, rows) {
    const mx = D.metrics[state.x], my = D.metrics[state.y], rx = limits(mx, rows), ry = limits(my, rows);
    const X = (at) => PAD.left + scaled(rx, at) * (width - PAD.left - PAD.right);
    const Y = (at) => height - PAD.bottom - scaled(ry, at) * (height - PAD.top - PAD.bottom);
    pen.strokeStyle = color("line"); pen.lineWidth = 1;
    pen.textAlign = "center";
    let last = -100;
    for (const tick of ticks(rx)) {
      pen.beginPath(); pen.moveTo(X(tick), PAD.top); pen.lineTo(X(tick), height - PAD.bottom); pen.stroke();
      if (X(tick) - last > 48) { pen.fillText(number(tick), X(tick), height - PAD.bottom + 16); last = X(tick); }
    }
    pen.textAlign = "right";
    for (const tick of ticks(ry)) {
      pen.beginPath(); pen.moveTo(PAD.left, Y(tick)); pen.lineTo(width - PAD.right, Y(tick)); pen.stroke();
      pen.fillText(number(tick), PAD.left - 6, Y(tick) + 4);
    }
    const better = (m) => m.direction ? `, ${m.direction === "max" ? "higher" : "lower"} is better` : "";
    pen.textAlign = "center";
    pen.fillText(mx.label + better(mx), (PAD.left + width) / 2, height - 10);
    pen.save(); pen.translate(14, height / 2); pen.rotate(-Math.PI / 2); pen.fillText(my.label + better(my), 0, 0); pen.restore();
    pen.textAlign = "left";
    return rows.map((row) => [row, X(factored(mx, row)), Y(factored(my, row)), 0]);
  }
  function solid(pen, width, height, rows) {
    const metrics = [state.x, state.y, state.z].map((place) => D.metrics[place]), ranges = metrics.map((m) => limits(m, rows));
    const size = Math.min(width, height) * 0.31, [cy, sy, cp, sp] = [Math.cos(state.yaw), Math.sin(state.yaw), Math.cos(state.pitch), Math.sin(state.pitch)];
    const turn = ([a, b, c]) => { // a across, b up, c deep
      const x = a * cy + c * sy, deep = c * cy - a * sy;
      return [width / 2 + size * 1.25 * x, height / 2 - size * (b * cp - deep * sp), deep * cp + b * sp];
    };
    pen.strokeStyle = color("quiet");
    [[[1, -1, -1], 0], [[-1, 1, -1], 1], [[-1, -1, 1], 2]].forEach(([end, at]) => {
      const from = turn([-1, -1, -1]), to = turn(end);
      pen.beginPath(); pen.moveTo(from[0], from[1]); pen.lineTo(to[0], to[1]); pen.stroke();
      pen.fillText(metrics[at].label, to[0] + 4, to[1]);
      pen.fillText(number(ranges[at][0]), from[0] + (to[0] - from[0]) * 0.08, from[1] + (to[1] - from[1]) * 0.08 + 12 * at);
      pen.fillText(number(ranges[at][1]), to[0] + 4, to[1] + 14);
    });
    return rows.map((row) => [row, ...turn(metrics.map((m, at) => 2 * scaled(ranges[at], factored(m, row)) - 1))]).sort((a, b) => a[3] - b[3]);
  }
  canvas(node, HEIGHT, (pen, width, height) => {
    const rows = [...kept].sort((a, b) => (D.state[a] === 1) - (D.state[b] === 1)); // the front on top
    const paint = paints(rows);
    spots = (state.z < 0 ? flat : solid)(pen, width, height, rows);
    for (const [row, x, y] of spots) dot(pen, row, x, y, paint);
    if (D.knee !== null && D.knee !== state.selected) ring(pen, D.knee, "knee", "knee");
    if (state.a >= 0) ring(pen, state.a, "a", "A");
    if (state.b >= 0) ring(pen, state.b, "b", "B");
    if (state.selected >= 0) ring(pen, state.selected, "text", D.ids[state.selected]);
    const of = state.color < 0 ? D.groups.map((name, at) => `${name} (${["blue", "orange", "green", "purple", "pink", "olive", "teal", "brown"][at % 8]})`).join(", ")
      : `${D.metrics[state.color].label}, dark is low`;
    byId("scatter-note").textContent = `${rows.length.toLocaleString("en-US")} designs drawn; large dots are the front. Color: ${of}.`;
  });
  const near = (event) => {
    const box = node.getBoundingClientRect();
    let best = -1, least = 225;
    for (const [row, x, y] of spots) {
      const far = (x - event.clientX + box.left) ** 2 + (y - event.clientY + box.top) ** 2 - (D.state[row] === 1 ? 20 : 0);
      if (far < least) { least = far; best = row; }
    }
    return best;
  };
  let from = null;
  node.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY, state.yaw, state.pitch, false]; node.setPointerCapture(event.pointerId); });
  node.addEventListener("pointermove", (event) => {
    if (!from || state.z < 0) return;
    const [x, y, yaw, pitch] = from;
    if (Math.abs(event.clientX - x) + Math.abs(event.clientY - y) > 4) from[4] = true;
    change({ yaw: yaw + (event.clientX - x) / 150, pitch: Math.max(-1.5, Math.min(1.5, pitch + (event.clientY - y) / 150)) });
  });
  node.addEventListener("pointerup", (event) => {
    const row = from && !from[4] ? near(event) : -1;
    from = null;
    if (row >= 0) change({ selected: row });
  });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    if (state.z >= 0) { change(event.key.endsWith("t") ? { yaw: state.yaw + 0.15 * step } : { pitch: state.pitch + 0.15 * step }); return; }
    const metric = D.metrics[state.x], rows = kept.filter((row) => D.state[row] === 1).sort((a, b) => factored(metric, a) - factored(metric, b));
    if (rows.length) change({ selected: rows[(rows.indexOf(state.selected) + step + rows.length) % rows.length] });
  });
}
