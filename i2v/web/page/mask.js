// The brush for the motion mask: what is painted bright moves by itself, what stays dark only with the camera.
// The mask goes into the form's field as a file, so that it is uploaded, checked and kept as any other.
(() => {
  const LARGEST = 1024;  // pixels of the mask's longer side: it is scaled to the picture anyway
  const STEP = 0.02;  // of the longer side, for an arrow key
  const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  const mask = document.createElement("canvas"), shade = document.createElement("canvas");
  let dialog = null, canvas = null, image = null, at = null, isDown = false;

  const show = () => {
    const context = canvas.getContext("2d"), dark = shade.getContext("2d");
    const {width, height} = canvas;
    dark.globalCompositeOperation = "copy";
    dark.fillStyle = "rgb(0 0 0 / 65%)";
    dark.fillRect(0, 0, width, height);
    dark.globalCompositeOperation = "destination-out";
    dark.drawImage(mask, 0, 0);
    context.drawImage(image, 0, 0, width, height);
    context.drawImage(shade, 0, 0);
    if (!at) return;
    for (const [colour, wider] of [["black", 1], ["white", 0]]) {  // seen on any picture
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...at, brush() / 2 + wider, 0, 2 * Math.PI);
      context.stroke();
    }
  };
  const brush = () => dialog.querySelector("[data-mask=size]").value / 100 * Math.max(canvas.width, canvas.height);

  const stroke = (from, to) => {
    const context = mask.getContext("2d");
    const isErasing = dialog.querySelector("input[value=erase]").checked;
    context.globalCompositeOperation = isErasing ? "destination-out" : "source-over";
    context.strokeStyle = "white";
    context.lineCap = "round";
    context.lineWidth = brush();
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  };
  const move = to => {
    if (isDown) stroke(at ?? to, to);
    at = to;
    show();
  };

  const open = button => {
    image = document.querySelector("#i2v-picture .image-frame img");
    const line = button.parentElement.querySelector("[data-none]");
    line.textContent = image ? "" : line.dataset.none;
    if (!image) return;
    dialog = button.parentElement.querySelector("dialog");
    canvas = dialog.querySelector("canvas");
    const scale = Math.min(1, LARGEST / Math.max(image.naturalWidth, image.naturalHeight));
    const width = Math.round(image.naturalWidth * scale), height = Math.round(image.naturalHeight * scale);
    const isOther = mask.dataset.of !== image.src;  // another picture has another mask
    for (const each of isOther ? [canvas, mask, shade] : [canvas]) Object.assign(each, {width, height});
    mask.dataset.of = image.src;
    [at, isDown] = [null, false];
    dialog.showModal();
    canvas.focus();
    show();
  };

  const invert = () => {
    const context = mask.getContext("2d");
    context.globalCompositeOperation = "source-out";
    context.fillStyle = "white";
    context.fillRect(0, 0, mask.width, mask.height);
    show();
  };
  const clear = () => {
    mask.getContext("2d").clearRect(0, 0, mask.width, mask.height);
    show();
  };

  // Gradio's field takes a file where it has none: what is there is taken out first.
  const emptied = async field => {
    const find = () => field.querySelector("input[type=file]");
    const isFull = () => !find() || field.querySelector(".image-frame img");
    if (isFull()) field.querySelector(".icon-button-wrapper button:last-child")?.click();
    for (let tries = 0; tries < 50 && isFull(); tries++) {
      await new Promise(done => setTimeout(done, 100));
    }
    return find();
  };
  const use = async () => {
    const whole = Object.assign(document.createElement("canvas"), {width: mask.width, height: mask.height});
    const context = whole.getContext("2d");
    context.fillRect(0, 0, whole.width, whole.height);
    context.drawImage(mask, 0, 0);
    const blob = await new Promise(done => whole.toBlob(done, "image/png"));
    dialog.close();
    const input = await emptied(document.querySelector("#i2v-motion-mask")), files = new DataTransfer();
    files.items.add(new File([blob], "mask.png", {type: "image/png"}));
    input.files = files.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };

  const ACTS = {open, invert, clear, use, close: () => dialog.close()};
  document.addEventListener("click", event => {
    const button = event.target.closest?.("button[data-mask]");
    if (button) ACTS[button.dataset.mask](button);
  });
  document.addEventListener("input", event => { if (event.target.matches?.("[data-mask=size]")) show(); });

  const isCanvas = event => canvas && event.target === canvas;
  const place = event => [event.offsetX * canvas.width / canvas.clientWidth, event.offsetY * canvas.height / canvas.clientHeight];
  document.addEventListener("pointerdown", event => {
    if (!isCanvas(event)) return;
    canvas.setPointerCapture(event.pointerId);
    [at, isDown] = [null, true];
    move(place(event));
  });
  document.addEventListener("pointermove", event => { if (isCanvas(event)) move(place(event)); });
  document.addEventListener("pointerup", () => { isDown = false; });
  document.addEventListener("pointercancel", () => { isDown = false; });
  document.addEventListener("keydown", event => {
    if (!isCanvas(event) || !(event.key in ARROWS || event.key === " ")) return;
    event.preventDefault();
    const [x, y] = at ?? [canvas.width / 2, canvas.height / 2], step = STEP * Math.max(canvas.width, canvas.height);
    const [across, down] = ARROWS[event.key] ?? [0, 0];
    if (event.key === " ") isDown = true;
    const inside = (value, most) => Math.min(Math.max(value, 0), most);
    move([inside(x + step * across, canvas.width), inside(y + step * down, canvas.height)]);
  });
  document.addEventListener("keyup", event => { if (event.key === " ") isDown = false; });
})();
