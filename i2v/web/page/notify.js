// For whoever looks elsewhere meanwhile: how far the clip is in the tab's icon, and a notification when it is
// done. The latter is off until it is switched on here; only then the browser asks whether it may.
(() => {
  const KEY = "i2v-notify";
  const find = selector => document.querySelector(selector);
  const bar = () => find("#i2v-status [role=progressbar]");
  let plain = null, drawn = "", wasUnderWay = false;

  const draw = percent => {
    const canvas = document.createElement("canvas"), side = canvas.width = canvas.height = 64;
    const pen = canvas.getContext("2d"), begin = -Math.PI / 2;
    pen.lineWidth = 14;
    for (const [colour, part] of [["#c7c7d1", 1], ["#4f46e5", percent / 100]]) {
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.arc(side / 2, side / 2, side / 2 - 8, begin, begin + 2 * Math.PI * part);
      pen.stroke();
    }
    return canvas.toDataURL("image/png");
  };

  const setIcon = percent => {
    let link = find("link[rel~=icon]");
    if (percent === drawn) return;
    if (!link) {
      link = document.createElement("link");
      link.rel = "icon";
      document.head.append(link);
    }
    if (drawn === "") plain = link.getAttribute("href");
    link.setAttribute("href", percent === "" ? plain ?? "data:," : draw(Number(percent)));
    drawn = percent;
  };

  const wanted = () => {
    try { return localStorage.getItem(KEY) === "on"; } catch { return false; }
  };
  const want = isOn => {
    try { localStorage.setItem(KEY, isOn ? "on" : "off"); } catch { /* then for this time alone */ }
  };

  const tell = () => {
    const words = find("#i2v-status")?.textContent.trim();
    const isSeen = !document.hidden && document.hasFocus();
    if (!wanted() || isSeen || !words || Notification.permission !== "granted") return;
    const told = new Notification("i2v", {body: words.slice(0, 200), tag: "i2v"});
    told.onclick = () => window.focus();
  };

  document.addEventListener("change", async event => {
    if (!event.target.matches?.("#i2v-notify input")) return;
    const box = event.target, said = find("#i2v-notify .i2v-denied");
    want(false);
    said.hidden = true;
    if (!box.checked) return;
    const answer = await Notification.requestPermission();
    want(answer === "granted");
    box.checked = answer === "granted";
    said.hidden = box.checked;
  });

  setInterval(() => {
    const now = bar(), box = find("#i2v-notify input");
    setIcon(now?.getAttribute("aria-valuenow") ?? "");
    if (box && document.activeElement !== box) {
      const canTell = "Notification" in window && window.isSecureContext;
      box.closest("label").hidden = !canTell;
      if (canTell) box.checked = wanted() && Notification.permission === "granted";
    }
    // Nothing is said at all while one clip ends and the next one begins.
    const isUnderWay = now !== null;
    if (wasUnderWay && !isUnderWay && find("#i2v-status")?.textContent.trim()) tell();
    wasUnderWay = isUnderWay;
  }, 500);
})();
