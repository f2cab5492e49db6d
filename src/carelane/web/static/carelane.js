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
    rate: rate < 0.05 ? "" : ` · ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`,
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

// Small habits, all without inline code: copying an id, asking before what cannot be undone, submitting a choice, selecting all.
document.addEventListener("click", (event) => {
  const copied = event.target.closest("[data-copy]");
  if (copied) {
    navigator.clipboard.writeText(copied.dataset.copy).then(() => {
      const before = copied.innerHTML;
      copied.textContent = "copied";
      setTimeout(() => (copied.innerHTML = before), 1200);
    });
  }
  const asked = event.target.closest("[data-confirm]");
  if (asked && !window.confirm(asked.dataset.confirm)) event.preventDefault();
  if (event.target.closest("[data-print]")) window.print();
});
document.querySelectorAll("[data-submit]").forEach((select) => select.addEventListener("change", () => select.form.requestSubmit()));
document.querySelectorAll("[data-select-all]").forEach((all) =>
  all.addEventListener("change", () => all.form.querySelectorAll('input[name="id"]').forEach((one) => (one.checked = all.checked))),
);

// The Create subscription dialog says in a sentence what it will do.
document.querySelectorAll("form[data-preview]").forEach((form) => {
  const sentence = form.querySelector("[data-sentence]");
  const tell = () => {
    const models = [...form.querySelectorAll('input[name="model"]:checked')].map((box) => box.value);
    const name = (field) => form.elements[field].selectedOptions[0]?.textContent.trim();
    const listed = models.length > 1 ? `${models.slice(0, -1).join(", ")} and ${models.at(-1)}` : models[0];
    sentence.textContent = models.length
      ? `${listed} events from ${name("source")} will be delivered to ${name("destination")}.`
      : "Choose at least one data model.";
  };
  form.addEventListener("change", tell);
  tell();
});
