// The first tab's form in the browser: radio groups, and the engine's cards. Loaded once, as page.js is.
(() => {
  const find = selector => document.querySelector(selector);

  // Gradio gives each radio button a name of its own: so that no arrow key leads from one to the next.
  const nameRadios = () => {
    for (const button of document.querySelectorAll("fieldset[id] input[type=radio]")) {
      const name = button.closest("fieldset").id;
      if (button.name !== name) button.name = name;
    }
  };

  // The chosen engine's card alone is shown, until the button beside it or the card itself is pressed.
  const isOpen = () => find("#i2v-engines")?.classList.contains("i2v-open") ?? false;
  const label = () => {
    const button = find("#i2v-engine-change button");
    if (!button) return;
    button.dataset.change ??= button.textContent;
    const words = isOpen() ? button.dataset.close : button.dataset.change;
    if (button.textContent !== words) button.textContent = words;
    button.setAttribute("aria-expanded", String(isOpen()));
  };
  const open = isNowOpen => {
    find("#i2v-engines")?.classList.toggle("i2v-open", isNowOpen);
    label();
  };
  document.addEventListener("click", event => {
    if (event.target.closest?.("#i2v-engine-change button")) {
      open(!isOpen());
      if (isOpen()) find("#i2v-engine input:checked")?.focus();
    } else if (event.target.closest?.("#i2v-engine label") && !event.target.matches("input")) {
      open(!isOpen());  // the click that a label passes on to its button is not counted again
    }
  });
  document.addEventListener("keydown", event => {
    if (!event.target.matches?.("#i2v-engine input")) return;
    if (event.key.startsWith("Arrow")) open(true);
    const closes = event.key === "Escape" && isOpen();
    if (!closes && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();  // Esc would cancel a clip
    open(event.key === "Enter" && !isOpen());
  }, true);

  // Gradio names them anew when the cards' texts change, which may be between two keys.
  let watched = null;
  const watcher = new MutationObserver(nameRadios);
  document.addEventListener("focusin", nameRadios);

  setInterval(() => {
    nameRadios();
    const cards = find("#i2v-engines");
    if (cards && cards !== watched) {
      watcher.observe(watched = cards, {subtree: true, childList: true, attributeFilter: ["name"]});
    }
    label();
  }, 500);
})();
