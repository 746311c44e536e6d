// The prompt helper: its fields become one sentence, which a button writes into the prompt.
(() => {
  const sentence = helper => {
    const part = name => helper.querySelector(`[data-part=${name}]`).value.trim().replace(/[\s,.，。]+$/, "");
    const parts = ["subject", "motion", "camera"].map(part).filter(Boolean);
    if (!parts.length) return "";
    const pace = helper.querySelector("[data-part=pace]").value;  // begins with its comma
    return parts.join(helper.dataset.comma) + pace;
  };

  const show = event => {
    const helper = event.target.closest?.(".i2v-helper");
    if (!helper) return;
    const words = sentence(helper);
    helper.querySelector("output").textContent = words;
    helper.querySelector("[data-helper=use]").disabled = !words;
  };
  document.addEventListener("input", show);

  document.addEventListener("click", event => {
    const button = event.target.closest?.("[data-helper=use]");
    const field = button && document.querySelector("#i2v-prompt textarea");
    if (!field) return;
    field.value = sentence(button.closest(".i2v-helper"));
    field.dispatchEvent(new Event("input", {bubbles: true}));
    field.focus();
  });
})();
