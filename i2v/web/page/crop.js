// The crop box over the picture: drawn where the server says, moved and resized by mouse, finger or arrow keys.
// What was changed is written into the field that goes with the request, so that what is seen is what is made.
(() => {
  const find = selector => document.querySelector(selector);
  const STEP = 0.01;  // of the picture, for an arrow key; with Shift five of them
  const LEAST = 0.05;  // of a side, as `core.crop` has it
  const INSET = 7;  // pixels: what is beyond the picture is not seen, and takes no finger
  const CORNERS = ["nw", "ne", "sw", "se"];
  const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  let parts = null, held = null, pending = null, seen = "", keepsShape = false, writing = 0;

  const picture = () => find("#i2v-picture .image-frame img");
  const read = text => text.split(",").map(Number);
  const now = () => pending ?? read(seen);

  const place = sides => {
    const image = picture(), {box, handles} = parts;
    const [left, top, right, bottom] = sides;
    const x = part => image.offsetLeft + part * image.offsetWidth;
    const y = part => image.offsetTop + part * image.offsetHeight;
    box.style.left = `${x(left)}px`;
    box.style.top = `${y(top)}px`;
    box.style.width = `${(right - left) * image.offsetWidth}px`;
    box.style.height = `${(bottom - top) * image.offsetHeight}px`;
    const inside = (at, begin, length) => Math.min(Math.max(at, begin + INSET), begin + length - INSET);
    for (const [corner, handle] of Object.entries(handles)) {
      const across = x(corner.includes("w") ? left : right), down = y(corner.includes("n") ? top : bottom);
      handle.style.left = `${inside(across, image.offsetLeft, image.offsetWidth)}px`;
      handle.style.top = `${inside(down, image.offsetTop, image.offsetHeight)}px`;
    }
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

  // The corner opposite stays where it is.
  const resized = (sides, corner, across, down) => {
    const [left, top, right, bottom] = sides, width = right - left, height = bottom - top;
    const isLeft = corner.includes("w"), isTop = corner.includes("n");
    const room = [isLeft ? right : 1 - left, isTop ? bottom : 1 - top];
    let wide = width + (isLeft ? -across : across), high = height + (isTop ? -down : down);
    if (keepsShape) {
      const asked = Math.abs(wide / width - 1) > Math.abs(high / height - 1) ? wide / width : high / height;
      const most = Math.min(room[0] / width, room[1] / height), least = Math.max(LEAST / width, LEAST / height);
      const scale = Math.min(Math.max(asked, least), most);
      [wide, high] = [width * scale, height * scale];
    } else {
      wide = Math.min(Math.max(wide, LEAST), room[0]);
      high = Math.min(Math.max(high, LEAST), room[1]);
    }
    const x = isLeft ? right - wide : left, y = isTop ? bottom - high : top;
    return [x, y, x + wide, y + high];
  };

  const write = () => {
    const field = find("#i2v-place textarea, #i2v-place input");
    find("#i2v-picture")?.classList.remove("i2v-moving");
    if (!field || !pending) return;
    field.value = pending.map(side => Math.min(Math.max(side, 0), 1).toFixed(6)).join(",");
    field.dispatchEvent(new Event("input", {bubbles: true}));
  };

  const show = sides => {
    pending = sides;
    find("#i2v-picture")?.classList.add("i2v-moving");
    place(sides);
  };

  // `change`: what becomes of the box when the part is pulled so far across and down.
  const make = (name, className, change) => {
    const made = document.createElement(name);
    made.className = className;
    made.addEventListener("pointerdown", event => {
      made.setPointerCapture(event.pointerId);
      held = {x: event.clientX, y: event.clientY, from: now()};
    });
    made.addEventListener("pointermove", event => {
      const image = picture();
      if (!held || !image || !made.hasPointerCapture(event.pointerId)) return;
      const across = (event.clientX - held.x) / image.offsetWidth, down = (event.clientY - held.y) / image.offsetHeight;
      show(change(held.from, across, down));
    });
    for (const end of ["pointerup", "pointercancel"]) made.addEventListener(end, () => {
      if (held && pending) write();
      held = null;
    });
    made.addEventListener("keydown", event => {
      const way = ARROWS[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopPropagation();  // elsewhere, arrows step through the takes
      const far = event.shiftKey ? 5 * STEP : STEP;
      show(change(now(), way[0] * far, way[1] * far));
      clearTimeout(writing);
      writing = setTimeout(write, 300);
    });
    return made;
  };

  // Side by side and not one in another: a slider has no parts to a screen reader.
  const makeParts = () => {
    const box = make("div", "i2v-crop-box", moved);
    box.tabIndex = 0;
    box.setAttribute("role", "slider");
    box.setAttribute("aria-valuemin", "0");
    box.setAttribute("aria-valuemax", "100");
    const handles = {};
    for (const corner of CORNERS) {
      const handle = make("button", `i2v-crop-handle i2v-crop-${corner}`, (...pulled) => resized(pulled[0], corner, pulled[1], pulled[2]));
      handle.type = "button";
      handles[corner] = handle;
    }
    return {box, handles, all: [box, ...Object.values(handles)]};
  };

  const remove = () => {
    for (const each of parts?.all ?? []) each.remove();
    parts = null;
  };

  setInterval(() => {
    const image = picture(), mark = find("#i2v-cut .i2v-crop");
    if (!image || !mark) {
      remove();
      pending = null;
      seen = "";
      return;
    }
    if (!parts?.box.isConnected || parts.box.parentElement !== image.parentElement) {
      remove();
      parts = makeParts();
      image.parentElement.append(...parts.all);
    }
    parts.box.setAttribute("aria-label", mark.dataset.label);
    const labels = mark.dataset.corners.split("|");
    CORNERS.forEach((corner, number) => parts.handles[corner].setAttribute("aria-label", labels[number]));
    keepsShape = mark.dataset.keeps === "true";
    if (mark.dataset.crop !== seen) {
      seen = mark.dataset.crop;
      if (!held && !find("#i2v-picture.i2v-moving")) pending = null;
    }
    place(now());
  }, 200);
})();
