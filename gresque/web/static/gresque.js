/* gresque: live pages without a library. The server renders; this asks for the parts of the page
   again and puts what changed in place, so that ticked boxes, focus, open rows and scroll stay.
   Hooks in the markup: data-part (replaced by its namesake), data-key (a row that keeps its
   identity), data-stay (follow in place), data-dialog (open in a dialog), data-hot (a key),
   data-freeze (keep the order of rows while one is ticked), data-ago (epoch seconds). */
(() => {
  "use strict";
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const body = document.body, KEPT = new Set(["open", "checked", "value"]);
  let paused = false, timer = 0, asked = 0, lastKey = "";

  // -- Put a new version of a tree in place of an old one, node by node.
  const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset.key || "" : "");

  function morph(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name, value } of fresh.attributes)
      if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes])
      if (!KEPT.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    if (!old.hasAttribute("data-own")) morphChildren(old, fresh);
  }

  function morphChildren(old, fresh) {
    const keyed = new Map(), used = new Set();
    for (const child of old.children) if (keyOf(child)) keyed.set(keyOf(child), child);
    if (old.hasAttribute("data-freeze") && $("input[data-select]:checked", old)) {
      for (const next of [...fresh.children]) {
        const match = keyed.get(keyOf(next));
        if (match) morph(match, next);
        keyed.delete(keyOf(next));
      }
      for (const gone of keyed.values()) gone.classList.add("gone");
      return;
    }
    const wanted = new Set([...fresh.children].map(keyOf));
    for (const [key, child] of keyed) if (!wanted.has(key)) child.remove();
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      while (at && used.has(at)) at = at.nextSibling;
      const match = keyOf(next) ? keyed.get(keyOf(next)) : at && !keyOf(at) ? at : null;
      if (match && match.nodeName === next.nodeName && !used.has(match)) {
        used.add(match);
        if (match === at) at = at.nextSibling;
        else old.insertBefore(match, at);
        morph(match, next);
      } else {
        used.add(next);
        old.insertBefore(next, at);
      }
    }
    for (const child of [...old.childNodes]) if (!used.has(child)) child.remove();
  }

  // -- Notices stay for some seconds, and come along to the page that an action leads to.
  const NOTICES = '[data-part="notices"]', NOTICE_MS = 8000;
  let noticed = $(`${NOTICES} > *`) ? Date.now() : 0;

  function keepsNotices(fresh) {
    if (fresh.children.length) noticed = Date.now();
    return Date.now() - noticed < NOTICE_MS && !fresh.children.length;
  }

  function carryNotices(text) {
    const lines = $$(`${NOTICES} > *`, new DOMParser().parseFromString(text, "text/html"));
    sessionStorage.setItem("notices", JSON.stringify(lines.map((line) => [line.className, line.textContent])));
  }

  function showCarried() {
    const place = $(NOTICES), carried = JSON.parse(sessionStorage.getItem("notices") || "[]");
    sessionStorage.removeItem("notices");
    for (const [name, text] of place ? carried : []) {
      const line = document.createElement("p");
      line.className = name;
      line.textContent = text;
      place.append(line);
      noticed = Date.now();
    }
  }

  /* Put the parts of an answer into the page. */
  function swap(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement, before = troubles();
    for (const part of $$("[data-part]")) {
      const next = $(`[data-part="${part.dataset.part}"]`, fresh);
      if (next && !(part.matches(NOTICES) && keepsNotices(next))) morph(part, next);
    }
    if (focused && focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true });
    const worse = [...troubles()].find(([key]) => !before.has(key));
    if (worse) $("#say").textContent = worse[1];
    afterChange();
  }

  const troubles = () =>
    new Map($$("[data-trouble]").map((line) => [line.dataset.trouble, line.innerText]));

  // -- Ask again and again.
  async function refresh(href = location.href, always = false) {
    clearTimeout(timer);
    const turn = ++asked, url = new URL(href, location.href);
    url.hash = "";
    url.searchParams.set("live", always ? "-" : $("[data-number]")?.dataset.number ?? "-");
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(15000) });
      if (turn !== asked) return false;
      if (answer.status === 401) return state("out", "signed out: load the page again");
      if (answer.status === 200) swap(await answer.text());
      else if (answer.status !== 204) return state("bad", `no data: ${answer.status}`);
      state(paused ? "paused" : "live", paused ? "paused" : "live");
      return true;
    } catch {
      if (turn === asked) state("bad", "no answer");
    } finally {
      if (turn === asked) plan();
    }
    return false;
  }

  function plan() {
    clearTimeout(timer);
    const every = Number(body.dataset.every);
    if (every && !paused && !document.hidden && !$("dialog[open]"))
      timer = setTimeout(refresh, every * 1000);
  }

  function state(name, text) {
    const live = $("#live-state");
    live.dataset.state = name;
    if (live.lastElementChild.textContent !== text) live.lastElementChild.textContent = text;
    return false;
  }

  // -- Follow links and send forms without leaving the page.
  async function go(href, push = true) {
    if (await refresh(href, true)) {
      if (push) history.pushState(null, "", href);
    } else location.assign(href);
  }

  async function send(form, submitter) {
    const data = new URLSearchParams(new FormData(form, submitter));
    const action = submitter?.getAttribute("formaction") || form.getAttribute("action") || location.href;
    const url = new URL(action, location.href);
    if ((submitter?.formMethod || form.method) !== "post") {
      for (const [name, value] of [...data]) if (!value) data.delete(name);
      url.search = data;
      return form.hasAttribute("data-stay") ? go(url.href) : location.assign(url);
    }
    for (const button of $$("button", form)) button.disabled = true;
    try {
      const answer = await fetch(url, { method: "POST", body: data });
      const text = await answer.text(), at = new URL(answer.url);
      if (answer.ok && at.pathname === location.pathname) {
        closeDialog();
        for (const box of $$("input[data-select]:checked")) box.checked = false;
        $("#problem").hidden = true;
        swap(text);
        if (answer.redirected) history.replaceState(null, "", answer.url);
      } else if (answer.ok) {
        carryNotices(text);
        location.assign(answer.url);
      } else notice(text);
    } catch {
      state("bad", "no answer");
    } finally {
      for (const button of $$("button", form)) button.disabled = false;
      plan();
    }
  }

  function notice(text) {
    const error = $("[data-error]", new DOMParser().parseFromString(text, "text/html"));
    const place = $("dialog[open] [data-problem]") || $("#problem");
    place.textContent = error ? error.textContent : "The dashboard did not answer.";
    place.hidden = false;
  }

  // -- Dialogs: a page's part in a frame.
  const dialog = $("#dialog");
  async function openDialog(href) {
    const answer = await fetch(href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = $('[data-part="dialog"]', page);
    if (!content) return location.assign(href);
    dialog.replaceChildren(...content.childNodes);
    const title = $("h1, h2", dialog);
    if (title) title.id = "dialog-title";
    dialog.showModal();
    return $("[autofocus]", dialog)?.focus();
  }
  function closeDialog() {
    if (dialog.open) dialog.close();
  }
  dialog.addEventListener("close", plan);

  document.addEventListener("click", (event) => {
    if (event.target === dialog) return closeDialog();
    const link = event.target.closest("a, [data-close]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (link.hasAttribute("data-close")) closeDialog();
    else if (link.hasAttribute("data-dialog")) openDialog(link.href);
    else if (link.hasAttribute("data-stay")) go(link.href);
    else return;
    event.preventDefault();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("data-plain")) return;
    event.preventDefault();
    send(form, event.submitter);
  });
  addEventListener("popstate", () => refresh(location.href, true));
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : paused || refresh()));

  // -- Selection.
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.hasAttribute("data-select-all"))
      for (const each of $$("input[data-select]")) each.checked = box.checked;
    afterChange();
  });

  function afterChange() {
    const count = $$("input[data-select]:checked").length;
    for (const bar of $$("[data-bar]")) bar.hidden = !count;
    for (const text of $$("[data-count]")) text.textContent = count;
    const now = Date.now() / 1000 + skew;
    for (const time of $$("time[data-ago]")) {
      const text = ago(now - time.dataset.ago);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  const skew = Number(body.dataset.now) - Date.now() / 1000;
  function ago(seconds) {
    if (seconds < 1) return "now";
    for (const [least, size, unit] of [[172800, 86400, "d"], [7200, 3600, "h"], [120, 60, "min"]])
      if (seconds >= least) return `${Math.round(seconds / size)} ${unit} ago`;
    return `${Math.round(seconds)} s ago`;
  }
  setInterval(() => document.hidden || afterChange(), 1000);

  // -- Pause and theme.
  function pause() {
    paused = !paused;
    const button = $("#pause");
    button.firstChild.data = paused ? "Go on " : "Pause ";
    button.setAttribute("aria-pressed", paused);
    if (paused) { clearTimeout(timer); asked++; state("paused", "paused"); } else refresh();
  }
  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const next = (document.documentElement.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    document.cookie = `gresque-theme=${next}; path=${body.dataset.base || "/"}; max-age=31536000; samesite=lax`;
  }
  const ACTS = { pause, theme };
  for (const button of $$("[data-do]")) {
    button.hidden = false;
    button.addEventListener("click", ACTS[button.dataset.do]);
  }

  // -- Keys. A capital acts.
  function move(by) {
    const rows = $$("[data-row]").map((row) => $("a", row)).filter(Boolean);
    const here = rows.findIndex((link) => link.closest("[data-row]").contains(document.activeElement));
    rows[Math.min(Math.max(here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by, 0), rows.length - 1)]?.focus();
  }
  document.addEventListener("keydown", (event) => {
    const target = event.target, row = target.closest?.("[data-row]");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (dialog.open) return;
    const key = event.key, before = lastKey;
    lastKey = key;
    let hot = null;
    if (before === "g") hot = $(`[data-go="${CSS.escape(key)}"]`);
    else if (before === "!") hot = $(`[data-trouble]:nth-of-type(${Number(key) || 99}) [data-first]`);
    else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key === "x" && row) $("input[data-select]", row)?.click();
    else if (key !== "g" && key !== "!" && key.length === 1) {
      const wanted = `[data-hot="${CSS.escape(key)}"]`;
      hot = (row && $(wanted, row)) || $$(wanted).find((each) => !each.closest("[data-row], [hidden]"));
    } else return;
    event.preventDefault();
    if (before === "g" || before === "!") lastKey = "";
    if (hot) hot.matches("input") ? hot.focus() : hot.click();
  });

  // On a phone the tabs scroll: the one of this page is to be seen.
  function showTab() {
    const tab = $(".nav [aria-current]");
    if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 60;
  }
  showTab();
  document.fonts.ready.then(showTab); // which may be wider
  showCarried();
  afterChange();
  plan();
})();
