"use strict";
// Theme switch.
document.querySelectorAll("[data-theme-toggle]").forEach((button) =>
  button.addEventListener("click", () => {
    const next = document.documentElement.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
    document.documentElement.setAttribute("data-bs-theme", next);
    localStorage.setItem("theme", next);
  }),
);

// Live figures: one event a second; whatever carries data-lane is brought up to date.
const figures = document.querySelector("[data-figures]");
if (figures) {
  const before = new Map();
  const badge = document.querySelector("[data-live]");
  const stream = new EventSource(figures.dataset.figures);
  stream.addEventListener("lanes", (event) => {
    const now = performance.now();
    const lanes = JSON.parse(event.data);
    for (const [id, lane] of Object.entries(lanes)) {
      const last = before.get(id);
      const rate = last && now > last.at ? ((lane.delivered - last.delivered) * 1000) / (now - last.at) : 0;
      const smooth = last ? 0.6 * last.rate + 0.4 * rate : rate;
      before.set(id, { at: now, delivered: lane.delivered, rate: smooth });
      document.querySelectorAll(`[data-lane="${CSS.escape(id)}"]`).forEach((node) => show(node, lane, smooth));
    }
    if (badge) {
      badge.textContent = "live";
      badge.className = "badge bg-green-lt live";
    }
  });
  stream.addEventListener("error", () => {
    if (badge) {
      badge.textContent = "reconnecting";
      badge.className = "badge bg-yellow-lt live";
    }
  });
}

function show(node, lane, rate) {
  node.dataset.state = lane.state;
  node.dataset.speed = rate > 20 ? "fast" : rate > 0.05 ? "slow" : "still";
  const texts = {
    rate: `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`,
    state: lane.state,
    pending: lane.pending.toLocaleString("en"),
    delivered: lane.delivered.toLocaleString("en"),
  };
  node.querySelectorAll("[data-field]").forEach((field) => {
    const text = texts[field.dataset.field];
    if (text !== undefined && field.textContent !== text) field.textContent = text;
    if (field.dataset.field === "state") field.dataset.state = lane.state;
  });
}
