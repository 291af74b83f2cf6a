// Parallel coordinates: a line is a design; a brush on an axis keeps the designs within it, everywhere on the page.
if (byId("parallel")) {
  const node = byId("parallel"), HEIGHT = 340, TOP = 50, BOTTOM = 26, SIDE = 60;
  const X = (at, width) => SIDE + (AXES.length > 1 ? at / (AXES.length - 1) : 0.5) * (width - 2 * SIDE);
  const Y = (axis, at) => HEIGHT - BOTTOM - place(axis, at) * (HEIGHT - TOP - BOTTOM);
  const line = (pen, row, width) => {
    pen.beginPath();
    let open = false;
    AXES.forEach((axis, at) => {
      const value = axis.at(row);
      if (Number.isNaN(value)) { open = false; return; } // a parameter that this design does not have
      pen[open ? "lineTo" : "moveTo"](X(at, width), Y(axis, value));
      open = true;
    });
    pen.stroke();
  };
  canvas(node, HEIGHT, (pen, width) => {
    const most = 4000, step = Math.max(1, Math.ceil(kept.length / most));
    pen.lineWidth = 1;
    kept.forEach((row, at) => {
      const front = D.state[row] === 1;
      if (!front && at % step) return;
      pen.globalAlpha = front ? 0.75 : 0.12;
      pen.strokeStyle = front ? groupColor(row) : color("dot");
      line(pen, row, width);
    });
    pen.globalAlpha = 1;
    if (state.selected >= 0) { pen.lineWidth = 3; pen.strokeStyle = color("knee"); line(pen, state.selected, width); }
    pen.lineWidth = 1; pen.textAlign = "center";
    AXES.forEach((axis, at) => {
      const x = X(at, width);
      pen.strokeStyle = color("text"); pen.beginPath(); pen.moveTo(x, TOP); pen.lineTo(x, HEIGHT - BOTTOM); pen.stroke();
      pen.fillStyle = color("text");
      pen.textAlign = at === 0 ? "left" : at === AXES.length - 1 ? "right" : "center";
      pen.fillText(axis.label, at === 0 ? 4 : at === AXES.length - 1 ? width - 4 : x, at % 2 ? 12 : 28); // long names stand in two rows
      pen.textAlign = "center";
      if (Number.isFinite(axis.low)) { pen.fillText(axis.text(axis.high), x, TOP - 4); pen.fillText(axis.text(axis.low), x, HEIGHT - BOTTOM + 14); }
      const range = state.ranges.get(axis.name);
      if (!range) return;
      const [top, bottom] = [Y(axis, Math.min(range[1], axis.high)), Y(axis, Math.max(range[0], axis.low))];
      pen.fillStyle = color("accent"); pen.globalAlpha = 0.35; pen.fillRect(x - 8, top - 3, 16, bottom - top + 6); pen.globalAlpha = 1;
    });
    pen.textAlign = "left";
  });
  const brush = (name, range) => {
    const ranges = new Map(state.ranges);
    if (range) ranges.set(name, range); else ranges.delete(name);
    change({ ranges });
  };
  let from = null;
  const at = (event) => 1 - (event.clientY - node.getBoundingClientRect().top - TOP) / (HEIGHT - TOP - BOTTOM);
  node.addEventListener("pointerdown", (event) => {
    const x = event.clientX - node.getBoundingClientRect().left, width = node.clientWidth;
    const axis = AXES.findIndex((_, each) => Math.abs(X(each, width) - x) < 22);
    if (axis >= 0) { from = [AXES[axis], at(event)]; node.setPointerCapture(event.pointerId); }
  });
  const drag = (event) => {
    if (!from) return;
    const [axis, start] = from, ends = [start, at(event)].sort((a, b) => a - b).map((end) => Math.max(-0.1, Math.min(1.1, end)));
    if ((ends[1] - ends[0]) * HEIGHT < 5) { if (event.type === "pointerup") brush(axis.name, null); }
    else brush(axis.name, ends.map((end) => value(axis, end)));
    if (event.type === "pointerup") from = null;
  };
  node.addEventListener("pointermove", drag);
  node.addEventListener("pointerup", drag);

  // The same by keyboard: the two ends of every axis.
  const fields = AXES.map((axis) => {
    const field = (end, name) => axis.values
      ? make("select", { "aria-label": `${axis.name} ${name}`, id: `${name}-${axis.name}` },
        ...axis.values.map((each, code) => make("option", { value: code }, String(each))))
      : make("input", { type: "number", step: "any", "aria-label": `${axis.name} ${name}`, id: `${name}-${axis.name}` });
    const low = field(0, "from"), high = field(1, "to");
    const read = () => brush(axis.name, [low.value === "" ? -Infinity : Number(low.value), high.value === "" ? Infinity : Number(high.value)]);
    low.addEventListener("change", read); high.addEventListener("change", read);
    onChange(() => {
      const range = state.ranges.get(axis.name);
      const ends = range || (axis.values ? [axis.low, axis.high] : ["", ""]);
      [[low, ends[0], Math.ceil], [high, ends[1], Math.floor]].forEach(([box, end, round]) => {
        if (axis.values) box.value = String(Math.max(0, Math.min(axis.values.length - 1, round(end))));
        else box.value = Number.isFinite(end) && end !== "" ? Number(Number(end).toPrecision(6)) : "";
      });
    });
    return make("span", {}, `${axis.label} `, low, " to ", high);
  });
  clear(byId("filters"), ...fields);
  byId("clear").addEventListener("click", () => change({ ranges: new Map(), reason: "" }));
  onChange(() => {
    const front = kept.filter((row) => D.state[row] === 1).length;
    byId("kept").textContent = `${kept.length.toLocaleString("en-US")} of ${COUNT.toLocaleString("en-US")} designs of this page kept, ${front.toLocaleString("en-US")} of them on the front`;
  });
}
