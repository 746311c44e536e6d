// What the page does by itself in the browser: keys, the window's title, the tab in the address.
// Loaded once; widgets come and go, so they are looked for by their ids when they are needed.
(() => {
  const find = selector => document.querySelector(selector);
  const isSeen = element => element !== null && element.getClientRects().length > 0;

  // Ctrl+Enter (or Cmd+Enter) generates from wherever the focus is, Esc cancels what is under way.
  document.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const button = ["#i2v-go", "#i2v-batch-go"].map(find).find(isSeen);
      if (!button) return;
      event.preventDefault();
      // What was typed last is told to the server when its field is left.
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
      setTimeout(() => button.click(), 50);
    } else if (event.key === "Escape" && !event.defaultPrevented && !find("ul[role=listbox]")) {
      const button = find("#i2v-cancel");
      if (isSeen(button)) button.click();
    }
  });

  // Left and right step through the takes, wherever no field and no player wants these keys.
  document.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest?.("input, textarea, video, [role=tab], [role=listbox], [contenteditable]")) return;
    const takes = [...document.querySelectorAll("#i2v-takes .i2v-take")].filter(isSeen);
    const next = takes[takes.findIndex(take => take.hasAttribute("aria-current")) + step];
    if (!next) return;
    event.preventDefault();
    next.click();
  });

  // Gradio has its own words at places for files, in the browser's language: here they are the page's.
  const NAMES = [
    ["button.upload-container", "drop"],
    ["[data-testid=image] .top-panel .icon-button:not(:has(button))", "remove"],
    ["[data-testid=image] button.icon:nth-of-type(1)", "upload"],
    ["[data-testid=image] button.icon:nth-of-type(2)", "webcam"],
    ["[data-testid=image] button.icon:nth-of-type(3)", "paste"],
  ];
  const nameUploads = () => {
    const words = find("#i2v-words-of-uploads")?.dataset;
    if (!words) return;
    const name = (element, word) => {
      for (const attribute of ["aria-label", ...(element.title ? ["title"] : [])]) {
        if (element.getAttribute(attribute) !== word) element.setAttribute(attribute, word);
      }
    };
    for (const [selector, word] of NAMES) document.querySelectorAll(selector).forEach(each => name(each, words[word]));
    for (const each of document.querySelectorAll(":is(#i2v-gallery-drop, #i2v-batch-drop, #i2v-batch-file, #i2v-sound-file) [data-testid=upload-text]")) {
      if (each.dataset.words !== words.drop) each.dataset.words = words.drop;
    }
  };
  setInterval(nameUploads, 300);

  // A sentence of help at what has no room for one below its label, by a pattern of its id.
  const tip = event => {
    const setting = event.target.closest?.("[id^=i2v-]");
    const pairs = setting ? JSON.parse(find("#i2v-tips")?.dataset.tips ?? "[]") : [];
    const words = pairs.find(([pattern]) => RegExp(`^${pattern}$`).test(setting.id))?.[1];
    if (words && setting.title !== words) setting.title = words;
  };
  document.addEventListener("pointerover", tip);
  document.addEventListener("focusin", tip);

  // The title tells how far the clip is, for whoever looks at another window meanwhile.
  let plain = "";
  setInterval(() => {
    const bar = find("#i2v-status [role=progressbar]");
    const title = bar ? `${bar.getAttribute("aria-valuenow")} % · i2v` : plain;
    if (bar && !plain) plain = document.title;
    if (title && document.title !== title) document.title = title;
    if (!bar) plain = "";
  }, 500);

  // Two clips that are compared play in step: the second one follows the first.
  const follow = event => {
    const [first, second] = event.target.closest?.(".i2v-pair")?.querySelectorAll("video") ?? [];
    if (!second || event.target !== first) return;
    if (event.type === "pause") second.pause();
    if (event.type === "play") second.play().catch(() => {});
    if (Math.abs(second.currentTime - first.currentTime) > 0.08) second.currentTime = first.currentTime;
  };
  for (const name of ["play", "pause", "seeked", "timeupdate"]) document.addEventListener(name, follow, true);

  // The photo over its clip, as far as the divider says: from the left.
  document.addEventListener("click", event => {
    const button = event.target.closest?.(".i2v-photo-open"), frame = button?.parentElement;
    if (!frame) return;
    const isShown = button.getAttribute("aria-pressed") !== "true";
    const photo = frame.querySelector(".i2v-photo"), divider = frame.querySelector(".i2v-photo-divider");
    button.setAttribute("aria-pressed", String(isShown));
    if (isShown) photo.src = photo.dataset.src;
    photo.hidden = divider.hidden = !isShown;
    if (isShown) divider.focus();
  });
  document.addEventListener("input", event => {
    if (!event.target.matches?.(".i2v-photo-divider")) return;
    event.target.parentElement.style.setProperty("--i2v-divider", `${event.target.value}%`);
  });

  // The tab stands in the address, so that a reload comes back to it: however it was chosen. Not before the
  // page has opened the one that it came with (`blocks._OPEN_TAB`).
  const keepTab = () => {
    const tab = find("#i2v-tabs [role=tab][aria-selected=true]");
    const name = tab?.id.match(/^i2v-tab-(\w+)-button$/)?.[1];
    if (!window.i2vIsOpen || !name) return;
    const hash = name === "generate" ? "" : `#${name}`;
    if (location.hash !== hash || location.search) history.replaceState(null, "", location.pathname + hash);
  };
  new MutationObserver(keepTab).observe(document, {subtree: true, attributeFilter: ["aria-selected"]});
  document.addEventListener("i2v-open", () => {
    window.i2vIsOpen = true;
    keepTab();
  });
})();
