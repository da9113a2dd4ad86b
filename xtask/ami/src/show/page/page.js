"use strict";
(() => {
  const tip = document.getElementById("tip");
  const said = document.getElementById("said");
  const chart = document.getElementById("chart");

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Pages from files have no clipboard in some browsers.
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const done = await copy(button.dataset.copy);
    button.focus();
    said.textContent = done ? "Copied" : "The browser did not allow copying";
    button.classList.toggle("copied", done);
    setTimeout(() => { said.textContent = ""; button.classList.remove("copied"); }, 1500);
  });

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => opened.splice(0).forEach((details) => { details.open = false; }));

  if (!chart) return;
  const wide = chart.querySelector(".wide");
  const MOST = 64;
  let zoom = 1;

  const labelWidth = () => chart.querySelector(".label").offsetWidth;
  const setZoom = (wanted, at) => {
    // The time at this place of the view stays there.
    const label = labelWidth();
    const view = at ?? (chart.clientWidth - label) / 2;
    const share = (chart.scrollLeft + view) / (wide.offsetWidth - label);
    zoom = Math.min(MOST, Math.max(1, wanted));
    wide.style.setProperty("--zoom", zoom);
    chart.dataset.level = zoom >= 16 ? 2 : zoom >= 4 ? 1 : 0;
    chart.scrollLeft = share * (wide.offsetWidth - label) - view;
    for (const button of document.querySelectorAll("[data-zoom]")) {
      const still = button.dataset.zoom === "in" ? zoom >= MOST : zoom <= 1;
      button.setAttribute("aria-disabled", still);
    }
    said.textContent = zoom === 1 ? "All is shown" : `Zoom ${Math.round(zoom * 10) / 10}`;
    hide();
  };
  const zooms = { in: () => setZoom(zoom * 2), out: () => setZoom(zoom / 2), fit: () => setZoom(1) };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zooms[button.dataset.zoom]());
  }

  const hide = () => { tip.hidden = true; };
  const show = (bar, x, y) => {
    const text = bar.getAttribute("aria-label");
    const end = text.indexOf(": ");
    const name = document.createElement("strong");
    name.textContent = text.slice(0, end);
    tip.replaceChildren(name, text.slice(end + 2));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(8, y - height - 12) : y + 18}px`;
  };
  const barOf = (event) => event.target.closest?.(".bar");
  chart.addEventListener("mousemove", (event) => {
    const bar = barOf(event);
    if (bar) show(bar, event.clientX, event.clientY); else hide();
  });
  chart.addEventListener("mouseleave", hide);
  chart.addEventListener("scroll", hide);
  addEventListener("scroll", hide, { passive: true });

  // One bar at a time takes part in the order of tabs; arrows move from it to the others.
  const bars = () => [...chart.querySelectorAll(".bar")].filter((bar) => bar.closest("details").open);
  let current = null;
  const choose = (bar) => {
    current?.setAttribute("tabindex", "-1");
    current = bar ?? null;
    current?.setAttribute("tabindex", "0");
  };
  const reveal = (bar) => {
    const shape = bar.querySelector(".shape").getBoundingClientRect();
    const view = chart.getBoundingClientRect();
    const label = labelWidth();
    if (shape.left < view.left + label || shape.right > view.right) {
      chart.scrollLeft += shape.left - view.left - label - 24;
    }
    bar.querySelector(".shape").scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  chart.addEventListener("focusin", (event) => {
    const bar = barOf(event);
    if (!bar) return hide();
    choose(bar);
    reveal(bar);
    requestAnimationFrame(() => {
      const shape = bar.querySelector(".shape").getBoundingClientRect();
      show(bar, Math.max(shape.left, chart.getBoundingClientRect().left + labelWidth()), shape.bottom - 12);
    });
  });
  chart.addEventListener("focusout", hide);
  chart.addEventListener("toggle", () => {
    if (!current || !current.closest("details").open) choose(bars()[0]);
  }, true);

  const move = (by) => {
    const all = bars();
    const at = all.indexOf(document.activeElement);
    const to = by === "first" ? 0 : by === "last" ? all.length - 1 : at < 0 ? Math.max(0, all.indexOf(current)) : at + by;
    all[Math.max(0, Math.min(all.length - 1, to))]?.focus({ preventScroll: true });
  };
  const step = () => Math.max(40, chart.clientWidth / 4);
  const keys = {
    "+": zooms.in, "=": zooms.in, "-": zooms.out, "0": zooms.fit,
    ArrowLeft: () => { chart.scrollLeft -= step(); },
    ArrowRight: () => { chart.scrollLeft += step(); },
    ArrowDown: () => move(1), ArrowUp: () => move(-1), Home: () => move("first"), End: () => move("last"),
    Escape: hide,
  };
  chart.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  choose(bars()[0]);
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.setAttribute("aria-disabled", button.dataset.zoom !== "in");
  }
})();
