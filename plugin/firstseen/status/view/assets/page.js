// Renews the parts of the page in place, every few seconds while somebody looks. Without it the page is as it was loaded.
"use strict";

const EVERY_MS = 5000;
const away = document.getElementById("away");
let since = null;

function opened() {
  return new Set([...document.querySelectorAll("details[open]")].map((each) => each.id));
}

function renew(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const open = opened();
  const focused = document.activeElement && document.activeElement.id;
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    for (const each of next.querySelectorAll("details")) each.open = open.has(each.id);
    if (next.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(next));
  }
  document.title = fresh.title;
  if (focused && document.activeElement.id !== focused) {
    const again = document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }
}

function tell(problem) {
  if (!problem) {
    since = null;
  } else if (!since) {
    since = new Date().toISOString().slice(11, 19);
  }
  const text = problem ? `No answer since ${since} UTC (${problem}): what you see is from before.` : "";
  if (away.textContent !== text) away.textContent = text;
  away.hidden = !problem;
  document.body.classList.toggle("stale", Boolean(problem));
}

async function look() {
  try {
    const limit = AbortSignal.timeout(EVERY_MS * 2);
    const answer = await fetch("/", { cache: "no-store", redirect: "error", signal: limit });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    renew(await answer.text());
    tell("");
  } catch (error) {
    tell(error.message);
  }
}

async function keep() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    if (!document.hidden) await look();
  }
}

document.addEventListener("visibilitychange", () => document.hidden || look());
keep();
