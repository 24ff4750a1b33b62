// Keeps the page as the daemon has it: when something happens, the page is asked for again and the parts of it that
// say so (data-live) are exchanged. Without this the page is the same, only as old as its loading. When the daemon has not
// answered for a while, the page says so: an old "all quiet" must not look like a new one.
"use strict";
(() => {
  const says = document.getElementById("live");
  const address = document.body.dataset.events;
  if (!address || !window.EventSource) return;
  const OFTEN = 3000; // no page is asked for more often
  const PATIENCE = 10000;
  const OLD = 45000;
  let waiting = null;
  let busy = false;
  let asked = 0;
  let answered = Date.now();
  let events = null;
  let pressed = false;

  // Whoever types or presses something must not find it exchanged meanwhile.
  const inUse = (part) => {
    const focus = document.activeElement;
    return part.contains(focus) && (pressed || focus.matches("input, textarea, select"));
  };
  const place = (element) => {
    if (!element) return null;
    if (element.matches("a[href]")) return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
    const form = element.closest("form[action]");
    return form && element.matches("button") ? `form[action="${CSS.escape(form.getAttribute("action"))}"] button` : null;
  };

  const exchange = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || inUse(part) || part.innerHTML === other.innerHTML) continue;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      const focused = part.contains(document.activeElement) ? place(document.activeElement) : null;
      part.className = other.className;
      part.replaceChildren(...other.childNodes);
      part.querySelectorAll("details").forEach((one, n) => { one.open = open[n] || false; });
      if (focused) part.querySelector(focused)?.focus();
    }
    document.title = fresh.title;
    const [time, now] = [document, fresh].map((page) => page.querySelector("footer time"));
    if (time && now) time.replaceWith(now);
  };

  const refresh = async () => {
    waiting = null;
    if (busy) { soon(); return; }
    busy = true;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, {
        credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.type === "opaqueredirect") { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.status);
      exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      answered = Date.now();
    } catch { /* said below, when it lasts */ } finally {
      busy = false;
      say();
    }
  };
  const soon = () => {
    const rest = Math.max(0, asked + OFTEN - Date.now());
    waiting ??= setTimeout(refresh, rest + 100 + Math.random() * 400);
  };
  const say = () => {
    const live = Date.now() - answered < OLD;
    const text = live ? says.dataset.liveText : says.dataset.lost;
    if (says.textContent !== text) says.textContent = text;
    document.body.classList.toggle("lost", !live);
  };

  // A page that nobody sees needs no connection: browsers have six for all their tabs.
  const listen = () => {
    if (document.hidden) { events?.close(); events = null; return; }
    if (events && events.readyState !== EventSource.CLOSED) return;
    events = new EventSource(address);
    for (const kind of ["incident", "source", "missed"]) events.addEventListener(kind, soon);
  };
  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) soon(); });
  window.addEventListener("online", () => { listen(); soon(); });
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = false; });
  setInterval(say, 5000);
  // What only time changes, and what no event told.
  setInterval(() => { if (!document.hidden) { listen(); soon(); } }, 30000);
  listen();
})();
