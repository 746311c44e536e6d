// The crop box over the picture: drawn where the server says, moved by mouse, finger or arrow keys. What was
// moved is written into the field that goes with the request, so that what is seen is what is made.
(() => {
  const find = selector => document.querySelector(selector);
  const STEP = 0.01;  // of the picture, for an arrow key; with Shift five of them
  let box = null, held = null, pending = null, seen = "", writing = 0;

  const read = text => text.split(",").map(Number);

  const place = sides => {
    const image = find("#i2v-picture .image-frame img");
    const [left, top, right, bottom] = sides;
    box.style.left = `${image.offsetLeft + left * image.offsetWidth}px`;
    box.style.top = `${image.offsetTop + top * image.offsetHeight}px`;
    box.style.width = `${(right - left) * image.offsetWidth}px`;
    box.style.height = `${(bottom - top) * image.offsetHeight}px`;
    const room = [1 - (right - left), 1 - (bottom - top)];
    const percent = [left, top].map((side, axis) => room[axis] > 0.001 ? Math.round(100 * side / room[axis]) : 0);
    const isTall = room[1] > room[0];
    box.setAttribute("aria-orientation", isTall ? "vertical" : "horizontal");
    box.setAttribute("aria-valuenow", String(percent[isTall ? 1 : 0]));
    box.setAttribute("aria-valuetext", `${Math.round(100 * left)} %, ${Math.round(100 * top)} %`);
  };

  const moved = (sides, across, down) => {
    const [left, top, right, bottom] = sides, width = right - left, height = bottom - top;
    const x = Math.min(Math.max(left + across, 0), 1 - width), y = Math.min(Math.max(top + down, 0), 1 - height);
    return [x, y, x + width, y + height];
  };

  const write = () => {
    const field = find("#i2v-place textarea, #i2v-place input");
    find("#i2v-picture")?.classList.remove("i2v-moving");
    if (!field || !pending) return;
    field.value = pending.map(side => side.toFixed(6)).join(",");
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };

  const show = sides => {
    pending = sides;
    find("#i2v-picture")?.classList.add("i2v-moving");
    place(sides);
  };

  const make = () => {
    const made = document.createElement("div");
    made.className = "i2v-crop-box";
    made.tabIndex = 0;
    made.setAttribute("role", "slider");
    made.setAttribute("aria-valuemin", "0");
    made.setAttribute("aria-valuemax", "100");
    made.addEventListener("pointerdown", event => {
      made.setPointerCapture(event.pointerId);
      held = {x: event.clientX, y: event.clientY, from: pending ?? read(seen)};
    });
    made.addEventListener("pointermove", event => {
      const image = find("#i2v-picture .image-frame img");
      if (!held || !image) return;
      show(moved(held.from, (event.clientX - held.x) / image.offsetWidth, (event.clientY - held.y) / image.offsetHeight));
    });
    for (const name of ["pointerup", "pointercancel"]) made.addEventListener(name, () => {
      if (held && pending) write();
      held = null;
    });
    made.addEventListener("keydown", event => {
      const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopPropagation();  // elsewhere, arrows step through the takes
      const far = event.shiftKey ? 5 * STEP : STEP;
      show(moved(pending ?? read(seen), way[0] * far, way[1] * far));
      clearTimeout(writing);
      writing = setTimeout(write, 300);
    });
    return made;
  };

  setInterval(() => {
    const image = find("#i2v-picture .image-frame img"), mark = find("#i2v-cut .i2v-crop");
    if (!image || !mark) {
      box?.remove();
      box = pending = null;
      seen = "";
      return;
    }
    if (!box?.isConnected || box.parentElement !== image.parentElement) {
      box?.remove();
      box = make();
      image.parentElement.append(box);
    }
    box.setAttribute("aria-label", mark.dataset.label);
    if (mark.dataset.crop !== seen) {
      seen = mark.dataset.crop;
      if (!held && !find("#i2v-picture.i2v-moving")) pending = null;
    }
    place(pending ?? read(seen));
  }, 200);
})();
