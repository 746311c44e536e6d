// The camera's path over the picture in the form: what the first frame sees, what the last one sees (dashed),
// and a frame that moves from one to the other as the clip will. All numbers are the server's.
(() => {
  const NAMESPACE = "http://www.w3.org/2000/svg", PAUSE = 0.6;  // seconds before it begins again
  const find = selector => document.querySelector(selector);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let drawing = null, seen = "", views = [], begun = 0;

  const points = view => [0, 2, 4, 6].map(at => `${view[at]},${view[at + 1]}`).join(" ");
  const polygon = (name, view) => {
    const made = document.createElementNS(NAMESPACE, "polygon");
    made.setAttribute("class", name);
    made.setAttribute("vector-effect", "non-scaling-stroke");
    made.setAttribute("points", points(view));
    return made;
  };

  const draw = () => {
    const made = document.createElementNS(NAMESPACE, "svg");
    made.setAttribute("class", "i2v-camera-path");
    made.setAttribute("viewBox", "0 0 1 1");
    made.setAttribute("preserveAspectRatio", "none");
    made.setAttribute("aria-hidden", "true");  // the line below the button says it in words
    made.append(
      polygon("i2v-camera-first", views[0]), polygon("i2v-camera-last", views.at(-1)), polygon("i2v-camera-now", views[0]),
    );
    return made;
  };

  const between = (place) => {
    const at = Math.min(place, 1) * (views.length - 1), before = Math.floor(at), after = Math.min(before + 1, views.length - 1);
    return views[before].map((number, axis) => number + (at - before) * (views[after][axis] - number));
  };

  const step = () => {
    if (!drawing?.isConnected) return;
    const seconds = Number(find("#i2v-cut .i2v-camera")?.dataset.seconds) || 1;
    const passed = ((performance.now() - begun) / 1000) % (seconds + PAUSE);
    drawing.lastChild.setAttribute("points", points(between(passed / seconds)));
    requestAnimationFrame(step);
  };

  const remove = () => {
    drawing?.remove();
    drawing = null;
    seen = "";
  };

  setInterval(() => {
    const image = find("#i2v-picture .image-frame img"), mark = find("#i2v-cut .i2v-camera");
    if (!image || !mark) return remove();
    if (mark.dataset.views !== seen || !drawing?.isConnected) {
      remove();
      seen = mark.dataset.views;
      views = JSON.parse(seen);
      drawing = draw();
      image.parentElement.append(drawing);
      begun = performance.now();
      if (!still.matches) requestAnimationFrame(step);
    }
    for (const [name, value] of [["left", image.offsetLeft], ["top", image.offsetTop], ["width", image.offsetWidth], ["height", image.offsetHeight]]) {
      drawing.style[name] = `${value}px`;
    }
  }, 200);
})();
