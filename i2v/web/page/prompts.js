// The prompts that were used last in this browser, and those that were kept as favourites, in a menu by the
// prompt. They stay in this browser: the server knows no visitors, and others use it too.
(() => {
  const KEY = "i2v-prompts", USED = 30, KEPT = 50, LONGEST = 2000;
  const find = selector => document.querySelector(selector);
  const field = () => find("#i2v-prompt textarea");
  const panel = () => find("#i2v-prompts .i2v-prompts");

  const texts = (value, most) => (Array.isArray(value) ? value : [])
    .filter(each => typeof each === "string" && each.trim() && each.length <= LONGEST).slice(0, most);
  const load = () => {
    let stored = null;
    try { stored = JSON.parse(localStorage.getItem(KEY)); } catch { /* no storage here, or not ours */ }
    return {used: texts(stored?.used, USED), kept: texts(stored?.kept, KEPT)};
  };
  const save = prompts => {
    try {
      localStorage.setItem(KEY, JSON.stringify({used: prompts.used.slice(0, USED), kept: prompts.kept.slice(0, KEPT)}));
    } catch { /* full, or not allowed here */ }
  };

  const button = (kind, words, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = kind;
    made.textContent = words;
    if (label) made.ariaLabel = made.title = label;
    made.addEventListener("click", act);
    return made;
  };

  const row = (prompt, prompts, words) => {
    const item = document.createElement("li"), isKept = prompts.kept.includes(prompt);
    const change = next => { save(next); draw(); };
    item.append(
      button("i2v-prompt-use", prompt, "", () => {
        const place = field();
        if (!place) return;
        place.value = prompt;
        place.dispatchEvent(new Event("input", {bubbles: true}));
        show(false);
        place.focus();
      }),
      button("i2v-act", isKept ? "★" : "☆", `${isKept ? words.unkeep : words.keep}: ${prompt}`, () => change({
        ...prompts,
        kept: isKept ? prompts.kept.filter(each => each !== prompt) : [prompt, ...prompts.kept],
      })),
      button("i2v-act", "×", `${words.forget}: ${prompt}`, () => change({
        used: prompts.used.filter(each => each !== prompt),
        kept: prompts.kept.filter(each => each !== prompt),
      })),
    );
    return item;
  };

  const draw = () => {
    const place = panel(), prompts = load();
    if (!place) return;
    const words = place.dataset, list = document.createElement("ul");
    const others = prompts.used.filter(each => !prompts.kept.includes(each));
    list.append(...[...prompts.kept, ...others].map(prompt => row(prompt, prompts, words)));
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(list.childElementCount ? list : words.empty);
    if (hadFocus) (place.querySelector("button") ?? find("#i2v-prompts-open")).focus();
  };

  const show = isOpen => {
    const place = panel(), opener = find("#i2v-prompts-open");
    if (!place || !opener) return;
    place.hidden = !isOpen;
    opener.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) draw();
  };

  const remember = () => {
    const prompt = field()?.value.trim();
    if (!prompt || prompt.length > LONGEST) return;
    const prompts = load();
    save({...prompts, used: [prompt, ...prompts.used.filter(each => each !== prompt)]});
  };

  document.addEventListener("click", event => {
    if (event.target.closest?.("#i2v-go, #i2v-four, #i2v-same-seed, #i2v-variation")) remember();
    if (event.target.closest?.("#i2v-prompts-open")) show(panel().hidden);
    else if (panel()?.hidden === false && event.target.isConnected && !event.target.closest?.("#i2v-prompts")) show(false);
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "Escape" || panel()?.hidden !== false) return;
    event.preventDefault();
    event.stopPropagation();  // Esc would cancel a clip
    show(false);
    find("#i2v-prompts-open").focus();
  }, true);
})();
