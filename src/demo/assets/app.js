// Reverie's script bundle. Draws what it pretends to generate; sends nothing but the sign-in.
(() => {
  "use strict";

  /** A hue from 0 to 359 that is always the same for the same text. */
  const hue = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

  function clip(prompt, seconds, style) {
    const item = document.createElement("li");
    item.className = "clip";
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.style.setProperty("--hue", hue(prompt));
    const title = document.createElement("p");
    title.textContent = prompt;
    const about = document.createElement("small");
    about.textContent = `${seconds} s · ${style}`;
    item.append(frame, title, about);
    return { item, frame };
  }

  function startCreating(form, gallery, status) {
    const button = form.querySelector("button");
    button.disabled = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const fields = new FormData(form);
      const { item, frame } = clip(fields.get("prompt").trim(), fields.get("seconds"), fields.get("style"));
      gallery.prepend(item);
      form.reset();
      button.disabled = true;
      let done = 0;
      const step = () => {
        done += 4;
        frame.style.setProperty("--done", done / 100);
        status.textContent = done < 100 ? `Rendering … ${done} %` : "Your clip is ready.";
        if (done < 100) return setTimeout(step, 120);
        button.disabled = false;
      };
      step();
    });
  }

  function startSigningIn(form, status) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      status.textContent = "Signing in …";
      try {
        const answer = await fetch("/login", { method: "POST", body: new URLSearchParams(new FormData(form)) });
        const body = await answer.json();
        status.textContent = answer.ok ? `Signed in as ${body.email}.` : `Could not sign in: ${body.error}.`;
      } catch (error) {
        status.textContent = "Could not reach Reverie. Please try again.";
      }
    });
  }

  window.Reverie = {
    start(page) {
      const find = (id) => page.getElementById(id);
      if (find("create")) startCreating(find("create"), find("gallery"), find("status"));
      if (find("login")) startSigningIn(find("login"), find("status"));
    },
  };
  window.__ready = true;
})();
