"use strict";
// What the pages do beyond standing still: themes, keys, the crosshair, zoom, peeking, and what comes live.
(() => {
  const root = document.documentElement, one = (s, of = document) => of.querySelector(s), all = (s, of = document) => [...of.querySelectorAll(s)];
  root.classList.add("js");
  const policy = window.trustedTypes ? trustedTypes.createPolicy("metrics", { createHTML: (html) => html }) : { createHTML: (html) => html };
  const parsed = (html) => { const t = document.createElement("template"); t.innerHTML = policy.createHTML(html); return t.content; };

  // -- theme
  const themes = ["", "light", "dark"];
  const setTheme = (name) => { name ? root.setAttribute("data-theme", name) : root.removeAttribute("data-theme"); };
  setTheme(localStorage.getItem("theme") || "");
  const nextTheme = () => { const name = themes[(themes.indexOf(localStorage.getItem("theme") || "") + 1) % 3]; localStorage.setItem("theme", name); setTheme(name); say(name ? `Theme: ${name}` : "Theme: as the system"); };
  const say = (words) => { one("#said").textContent = words; };
  document.addEventListener("DOMContentLoaded", start);

  function start() {
    one("#theme")?.addEventListener("click", nextTheme);
    const zone = one("#zone");
    if (zone) {
      zone.addEventListener("change", () => zone.form.requestSubmit());
      requestAnimationFrame(() => setTimeout(() => offerOwn(zone)));  // behind the first paint: the first use of Intl takes 12 ms
    }
    if (matchMedia("(max-width: 960px)").matches) one("#f-facets")?.removeAttribute("open");
    const here = one(".side nav [aria-current]"), side = one(".side");
    if (here && side.scrollWidth > side.clientWidth) side.scrollLeft = here.offsetLeft - (side.clientWidth - here.offsetWidth) / 2;
    document.addEventListener("keydown", keys);
    document.addEventListener("click", clicks);
    one("#sql")?.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) one("#sql-form").requestSubmit(); });
    for (const form of all("form")) form.addEventListener("submit", () => { for (const field of all("input", form)) if (!field.value) field.disabled = true; setTimeout(() => all("input", form).forEach((f) => { f.disabled = false; }), 0); });
    panel();
    live();
  }

  function offerOwn(zone) {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (own && ![...zone.options].some((o) => o.value === own)) zone.add(new Option(own, own));
  }

  // -- keys
  let at = -1;
  const queries = () => { const found = all("tr.query"); return found.length ? found : all("main tbody tr").filter((row) => one("a", row)); };
  const opens = (row) => one("a.open", row) || one("a", row);
  function move(step) {
    const listed = queries();
    if (!listed.length) return;
    const now = listed.findIndex((row) => row.classList.contains("at"));
    at = Math.min(Math.max((now < 0 && step > 0 ? -1 : now) + step, 0), listed.length - 1);
    listed.forEach((row, i) => row.classList.toggle("at", i === at));
    const row = listed[at];
    row.scrollIntoView({ block: "nearest" });
    say(row.innerText.replace(/\s+/g, " "));
    if (one(".peek")) peek(opens(row).href);
    else opens(row).focus({ preventScroll: true });
  }
  function keys(e) {
    if (e.key === "Escape") { if (one(".peek")) closePeek(); else if (document.activeElement?.matches("input, textarea")) document.activeElement.blur(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, textarea, select")) return;
    const here = one("main tr.at"), link = here && opens(here);
    if (e.key === "j" || e.key === "k") move(e.key === "j" ? 1 : -1);
    else if (e.key === "/") { const field = one("#search") || one(".filter .add"); if (!field) return; e.preventDefault(); field.focus(); field.select(); }
    else if (e.key === "Enter" && link?.matches("a.open") && (e.target === link || e.target === document.body)) { e.preventDefault(); peek(link.href); }
    else if (e.key === "o" && link) location.href = link.href;
    else if (e.key === "t") nextTheme();
    else if (e.key === "n" || e.key === "p") { const step = one(`.one a[rel=${e.key === "n" ? "next" : "prev"}]`); if (step && !one(".peek")) location.href = step.href; }
  }

  // -- peeking at a query beside the list
  let before = null;
  async function peek(href) {
    if (!one(".peek")) before = document.activeElement;
    const answer = await fetch(href, { headers: { accept: "text/html" } });
    const found = one(".one", parsed(await answer.text()));
    if (!found) { location.href = href; return; }
    let box = one(".peek");
    if (!box) { box = document.createElement("aside"); box.className = "peek"; box.tabIndex = -1; box.setAttribute("role", "dialog"); box.setAttribute("aria-label", "Query"); document.body.append(box); }
    const close = document.createElement("button");
    close.className = "close"; close.type = "button"; close.textContent = "Close"; close.addEventListener("click", closePeek);
    box.replaceChildren(close, found);
    box.scrollTop = 0;
    box.focus({ preventScroll: true });
  }
  function closePeek() { one(".peek")?.remove(); before?.focus?.({ preventScroll: true }); }

  function clicks(e) {
    const copy = e.target.closest("[data-copy]");
    if (copy) { navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "copied"; setTimeout(() => { copy.textContent = "copy id"; }, 1200); }); return; }
    const zoomed = e.target.closest("[data-zoom]");
    if (zoomed) { zoomWaterfall(zoomed); return; }
    const fold = e.target.closest("[data-collapse]");
    if (fold) { const shut = fold.textContent === "Collapse"; all(".row", fold.closest(".panel")).forEach((row) => { row.hidden = shut && row.dataset.depth !== "0"; }); fold.textContent = shut ? "Expand" : "Collapse"; return; }
    if (e.target.closest("#new")) { e.preventDefault(); showNew(); }
  }
  let scale = 1;
  function zoomWaterfall(button) { scale = Math.min(16, Math.max(1, scale * (button.dataset.zoom === "in" ? 2 : 0.5))); const box = one(".waterfall", button.closest(".panel")); box.classList.remove("z2", "z4", "z8", "z16"); if (scale > 1) box.classList.add(`z${scale}`); }

  // -- the panel over time: crosshair, drag to zoom, Shift-drag to compare
  function panel() {
    let from = null;
    const place = (e, svg) => { const box = svg.getBoundingClientRect(); const x = (e.clientX - box.left) / box.width * svg.dataset.width; return { x, y: (e.clientY - box.top) / box.width * svg.dataset.width, share: (x - svg.dataset.left) / svg.dataset.inner }; };
    const clear = () => { const svg = one("#time-panel"); svg?.classList.remove("on", "drag"); one(".tip")?.remove(); from = null; };
    document.addEventListener("pointermove", (e) => {
      const svg = one("#time-panel");
      if (!svg || (!from && !e.target.closest?.("#time-panel"))) { if (!from) clear(); return; }
      const { x, y, share } = place(e, svg);
      if (share < 0 || share > 1) { if (!from) clear(); return; }
      svg.classList.add("on");
      one("#cross", svg).setAttribute("x1", x); one("#cross", svg).setAttribute("x2", x);
      if (from) { svg.classList.add("drag"); const brush = one("#brush", svg), tall = from.shift ? [Math.min(y, from.y), Math.abs(y - from.y)] : [0, brush.dataset.tall ?? (brush.dataset.tall = brush.getAttribute("height"))]; brush.setAttribute("x", Math.min(x, from.x)); brush.setAttribute("width", Math.abs(x - from.x)); brush.setAttribute("y", tall[0]); brush.setAttribute("height", tall[1]); }
      tell(svg, share, e);
    });
    document.addEventListener("pointerdown", (e) => { const svg = e.target.closest?.("#time-panel"); if (svg && e.button === 0 && e.pointerType !== "touch") { from = { ...place(e, svg), shift: e.shiftKey }; e.preventDefault(); } });
    document.addEventListener("pointerup", (e) => {
      const svg = one("#time-panel");
      if (!from || !svg) return;
      const begun = from, to = place(e, svg);
      clear();
      if (Math.abs(to.x - begun.x) < 6) return;
      zoom(svg, begun, to);
    });
  }
  function tell(svg, share, e) {
    const said = svg.dataset.columns.split("\n"), words = said[Math.min(said.length - 1, Math.floor(share * said.length))].split("|");
    const holder = svg.closest(".chart-box");
    let tip = one(".tip", holder);
    if (!tip) { tip = document.createElement("div"); tip.className = "tip"; holder.append(tip); }
    tip.replaceChildren(...words.map((line) => { const row = document.createElement("div"); row.textContent = line; return row; }));
    const box = holder.getBoundingClientRect(), x = e.clientX - box.left;
    tip.attributeStyleMap?.set("left", CSS.px(x + 16 + tip.offsetWidth > box.width ? x - tip.offsetWidth - 12 : x + 14));
  }
  function zoom(svg, begun, to) {
    const d = svg.dataset, number = d.columns.split("\n").length, moment = (share) => Number(d.start) + Math.min(1, Math.max(0, share)) * number * Number(d.seconds);
    const first = moment(Math.min(begun.share, to.share)), last = moment(Math.max(begun.share, to.share)), url = new URL(location.href);
    if (begun.shift && d.bounds) {
      const [low, high] = d.bounds.split(" ").map((each) => Math.log10(each)), ms = (y) => 10 ** (high - Math.min(1, Math.max(0, (y - d.heatTop) / d.heatTall)) * (high - low));
      url.pathname = "/compare";
      for (const [key, value] of [["from", first], ["to", last], ["above", ms(Math.max(begun.y, to.y))], ["below", ms(Math.min(begun.y, to.y))]]) url.searchParams.set(key, Number(value).toPrecision(13) * 1);
    } else {
      url.searchParams.delete("period");
      url.searchParams.set("since", new Date(first * 1000).toISOString()); url.searchParams.set("until", new Date(last * 1000).toISOString());
    }
    location.href = url;
  }

  // -- live: parts that changed are put in place, by key, so that focus, scroll and what is open stay
  const KEEP = new Set(["open", "checked", "hidden"]);
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType !== 1) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    if (old.isEqualNode(fresh)) return;
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !(KEEP.has(name) && old.hasAttribute(name))) if (!(name === "open" && old.nodeName === "DETAILS")) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !KEEP.has(name)) old.removeAttribute(name);
    if (old.matches("input, textarea, select") && old === document.activeElement) return;
    const keyed = new Map([...old.children].filter((c) => c.dataset.key).map((c) => [c.dataset.key, c]));
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.dataset?.key && keyed.get(child.dataset.key);
      if (known) { if (known !== next) old.insertBefore(known, next); else next = next.nextSibling; const chosen = known.classList.contains("at"); morph(known, child); if (chosen) known.classList.add("at"); }
      else if (next && !(next.dataset?.key) && !(child.dataset?.key)) { const here = next; next = next.nextSibling; morph(here, child); }
      else old.insertBefore(child, next);
    }
    while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
  }
  let stream = null, waiting = 0, held = null;
  function live() {
    if (document.body.dataset.live !== "yes" || !one(".content[data-live]")) return;
    const open = (again) => {
      if (stream) return;
      const asked = new URLSearchParams(location.search);
      asked.set("path", location.pathname);
      if (again) asked.set("again", "1");
      stream = new EventSource(`/live?${asked}`);
      stream.addEventListener("open", () => state(true));
      stream.addEventListener("error", () => state(false));
      stream.addEventListener("rows", (e) => arrived(JSON.parse(e.data)));
      stream.addEventListener("parts", (e) => parts(JSON.parse(e.data)));
    };
    const shut = () => { stream?.close(); stream = null; };
    document.addEventListener("visibilitychange", () => document.hidden ? shut() : open(true));
    addEventListener("pagehide", shut);
    addEventListener("pageshow", (e) => { if (e.persisted) open(true); });
    if (!document.hidden) open(false);
  }
  function state(on) { const chip = one("#live"); if (!chip) return; chip.classList.toggle("lost", !on); one("#live-word").textContent = on ? "Live" : "Reconnecting"; }
  const busy = () => scrollY > 120 || one(".peek") || one("tr.query.at");
  function arrived({ count, html }) {
    const body = one("table.latest tbody") || one("[data-first] table.queries tbody"), list = one("table.queries");
    if (!body && !list) { if (one("#f-nothing") || one("#f-rows .empty")) location.reload(); return; }
    if (!body || (list && busy())) { waiting += count; const chip = one("#new"); if (chip) { chip.textContent = `${waiting.toLocaleString("en")} new`; chip.hidden = false; } return; }
    const most = body.rows.length || 12, fresh = parsed(`<table><tbody>${html}</tbody></table>`);
    for (const row of all("tr", fresh).reverse()) { if (all("tr", body).some((r) => r.dataset.id === row.dataset.id)) continue; row.classList.add("new"); body.prepend(row); }
    while (body.rows.length > Math.max(most, 12)) body.rows[body.rows.length - 1].remove();
  }
  function showNew() { waiting = 0; one("#new").hidden = true; if (held && !new URL(location.href).searchParams.get("after")) { put("rows", held); held = null; scrollTo(0, 0); } else location.href = one("#new").href; }
  function put(key, html) { const old = document.getElementById(`f-${key}`), fresh = parsed(html).firstElementChild; if (old && fresh) morph(old, fresh); return Boolean(old); }
  function parts(found) {
    if (one("#f-nothing") && !("nothing" in found)) { location.reload(); return; }
    for (const [key, html] of Object.entries(found)) {
      if (key === "rows" && one("table.queries") && busy()) { held = html; continue; }
      if (key === "time" && one("#time-panel.drag")) continue;
      put(key, html);
    }
  }
})();
