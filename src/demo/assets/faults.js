// The faults page: switches without a reload, and follows what others switch. Without this script the forms do.
(() => {
  "use strict";
  const status = document.querySelector("[role=status]");
  const clear = document.querySelector("[data-clear]");

  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }

  function summary(on) {
    if (on === 0) return "All is well: no fault is on.";
    return on === 1 ? "One fault is on." : `${on} faults are on.`;
  }

  /** Chooses a percentage, which a program may have set to one that is not offered. */
  function choose(select, percent) {
    if (![...select.options].some((option) => option.value === percent)) select.add(new Option(`${percent} %`, percent));
    select.value = percent;
  }

  function show({ faults }) {
    for (const fault of faults) {
      const item = document.getElementById(fault.name);
      const button = item.querySelector(".switch");
      item.classList.toggle("on", fault.on);
      button.setAttribute("aria-checked", fault.on);
      button.value = !fault.on;
      button.querySelector(".word").textContent = fault.on ? "On" : "Off";
      item.querySelector(".hits b").textContent = fault.hits;
      // A choice that the reader is making is left alone.
      const select = item.querySelector("select");
      if (select !== document.activeElement) choose(select, String(fault.percent));
    }
    const on = faults.filter((fault) => fault.on).length;
    clear.disabled = on === 0;
    say(summary(on));
  }

  async function ask(address, fields) {
    const order = fields && { method: "POST", body: new URLSearchParams(fields) };
    try {
      const answer = await fetch(address, { ...order, headers: { accept: "application/json" } });
      const body = await answer.json();
      if (answer.ok) show(body);
      else say(`Refused: ${body.error}.`);
    } catch (error) {
      say("The simulated service does not answer. Is the demo still running?");
    }
  }

  for (const item of document.querySelectorAll("li[id]")) {
    const form = item.querySelector("form");
    const select = form.querySelector("select");
    const button = form.querySelector(".switch");
    form.querySelector(".apply").hidden = true;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(form.action, { on: button.value, percent: select.value });
    });
    select.addEventListener("change", () => {
      ask(form.action, { on: button.getAttribute("aria-checked"), percent: select.value });
      select.blur();
    });
  }
  clear.form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(clear.form.action, {});
  });

  (async function follow() {
    if (!document.hidden) await ask("/faults.json");
    setTimeout(follow, 1000);
  })();
})();
