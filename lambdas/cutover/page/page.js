// The status page: asks for the status again and again and shows it. Whatever comes from outside becomes text,
// never markup.
import { words } from "./words.js";

// With what function and edge keep an answer for, a change is seen within two seconds.
const POLL_MILLISECONDS = 600;
const FIGURES_MILLISECONDS = 20000;
const ZONE = "Asia/Seoul";
const SIGNS = { done: "✓", Pass: "✓", SUCCEEDED: "✓", failed: "✗", Fail: "✗", FAILED: "✗", ROLLED_BACK: "↩", running: "▶", RUNNING: "▶", Inconclusive: "?" };
const LOOKS = { done: "good", Pass: "good", SUCCEEDED: "good", failed: "bad", Fail: "bad", FAILED: "bad", ROLLED_BACK: "bad", ABANDONED: "bad", running: "busy", RUNNING: "busy", Inconclusive: "unknown" };

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("ko") ? "ko" : "en");
let tag = null;
let shown = null;
let figures = null;

const find = (id) => document.getElementById(id);
const word = (key) => words[language][key] ?? key;

function element(name, text, look) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (look) made.className = look;
  return made;
}

function time(at) {
  if (!at) return "–";
  const options = { timeZone: ZONE, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
  return new Intl.DateTimeFormat(language, options).format(new Date(at));
}

function span(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function labelled(key) {
  return element("span", `${SIGNS[key] ?? "·"} ${word(key)}`, LOOKS[key]);
}

function list(id, entries) {
  find(id).replaceChildren(...(entries.length ? entries : [element("li", word("none"), "quiet")]));
}

function headline(status) {
  const now = status.deployment;
  const parts = [];
  if (status.frozen) parts.push(word("frozen"));
  if (now) parts.push(`${now.version}: ${word(now.status)}`);
  parts.push(status.live ? `${status.live.version} ${word("live")}` : word("nothing"));
  return parts.join(" · ");
}

function phase(each, measured) {
  const item = element("li");
  item.append(element("span", `${each.number}. ${word(each.name)} `), labelled(each.state));
  if (each.state === "running") {
    item.setAttribute("aria-current", "step");
    const gone = (Date.now() - Date.parse(each.started)) / 1000;
    const bar = element("progress");
    bar.max = each.expected_seconds;
    bar.value = Math.min(gone, each.expected_seconds * 0.98);
    bar.setAttribute("aria-label", word(each.name));
    const end = Date.parse(each.started) + each.expected_seconds * 1000;
    item.append(bar, element("span", `${word(measured ? "expected" : "budget")} ${time(end)}`, "quiet"));
  } else if (each.finished) {
    const seconds = (Date.parse(each.finished) - Date.parse(each.started)) / 1000;
    item.append(element("span", `${word("took")} ${span(seconds)}`, "quiet"));
  }
  return item;
}

function line(each) {
  const item = element("li");
  item.append(element("span", `${each.version} `), labelled(each.status), element("span", `${time(each.started)} – ${time(each.finished)}`, "quiet"));
  if (each.cause) item.append(element("span", each.cause, "quiet"));
  return item;
}

function spark(name, points) {
  const box = element("div");
  const last = points?.length ? points[points.length - 1][1] : null;
  box.append(element("span", `${word(name)}: ${last ?? word("nodata")}`));
  if (points?.length > 1) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 100 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("class", "spark");
    svg.setAttribute("role", "img");
    const values = points.map((point) => point[1]);
    const most = Math.max(...values, 1e-9);
    svg.setAttribute("aria-label", `${word(name)}: ${Math.min(...values)} – ${Math.max(...values)}`);
    const path = document.createElementNS(space, "polyline");
    path.setAttribute("vector-effect", "non-scaling-stroke");
    path.setAttribute("points", values.map((v, i) => `${(i * 100) / (values.length - 1)},${29 - (v / most) * 28}`).join(" "));
    svg.append(path);
    box.append(svg);
  }
  return box;
}

function dora(keys) {
  const figure = (name, value, basis) => {
    const item = element("li", `${word(name)}: ${value ?? word("nodata")}`);
    item.append(element("span", basis, "quiet"));
    return item;
  };
  const lasting = (seconds) => (seconds === null ? null : span(seconds));
  const rate = keys.failure_rate === null ? null : `${Math.round(keys.failure_rate * 100)} %`;
  const median = (count) => `${word("median")} ${count}`;
  return [
    figure("frequency", `${keys.per_day.toFixed(2)} ${word("daily")}`, `${keys.deployments} / ${keys.days.toFixed(1)} ${word("days")}`),
    figure("lead", lasting(keys.lead_seconds), median(keys.lead_times)),
    figure("failures", rate, `${keys.failures} / ${keys.deployments}`),
    figure("restore", lasting(keys.restore_seconds), `${median(keys.restores)}, ${word("firstbad")} ${keys.restores_from_first_bad}`),
  ];
}

function gates(status) {
  const must = status.gates.filter((gate) => gate.must);
  const closed = must.some((gate) => gate.verdict !== "Pass");
  const key = closed ? "nogo" : status.deployment?.swapped ? "go" : "undecided";
  find("verdict").textContent = word(key);
  find("verdict").className = { go: "good", nogo: "bad", undecided: "quiet" }[key];
  list("gates", status.gates.map((gate) => {
    const item = element("li");
    item.append(labelled(gate.verdict), element("span", ` ${gate.name} (${gate.requirement}, ${gate.persona})`));
    item.append(element("span", `${gate.found} / ${gate.wanted}`, "quiet"));
    return item;
  }));
}

function progress(now) {
  list("phases", now ? now.phases.map((each) => phase(each, now.expected_is_measured)) : []);
}

function reckon(found) {
  find("trends").replaceChildren(...["requests", "errors", "latency"].map((name) => spark(name, found.trends?.[name])));
  list("dora", dora(found.dora));
}

function show(status) {
  find("environment").textContent = status.environment;
  const news = headline(status);
  // A live region is read aloud when it changes, and only then.
  if (find("state").textContent !== news) find("state").textContent = news;
  const now = status.deployment;
  find("about").textContent = now ? `${now.version} · ${word(now.status)} · ${time(now.started)}` : word("none");
  progress(now);
  list("traffic", status.traffic.map((part) => {
    const item = element("li", `${word(part.colour)} · ${part.version}: ${part.share}%`);
    const bar = element("progress");
    bar.max = 100;
    bar.value = part.share;
    bar.setAttribute("aria-label", `${word("traffic")} ${word(part.colour)}`);
    item.append(bar);
    return item;
  }));
  gates(status);
  list("incidents", status.incidents.map(line));
  list("history", status.history.map(line));
  const next = status.announced;
  find("announced").textContent = next ? `${word("announced")}: ${next.version}, ${time(next.opening)}` : "";
  find("window").textContent = status.window_open ? word("open") : `${word("window")}: ${time(status.next_window)}`;
}

function speak() {
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  find("language").textContent = word("other");
  find("language").lang = language === "ko" ? "en" : "ko";
  document.title = `Cutover · ${word("title")}`;
  if (shown) show(shown);
  if (figures) reckon(figures);
}

async function poll() {
  try {
    const answer = await fetch("api/status", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (answer.status === 200) {
      tag = answer.headers.get("etag");
      shown = await answer.json();
      show(shown);
    } else if (answer.status !== 304) {
      throw new Error(answer.status);
    } else if (find("state").textContent === word("lost")) {
      show(shown);
    } else {
      progress(shown.deployment);
    }
  } catch {
    find("state").textContent = word("lost");
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

async function count() {
  try {
    const answer = await fetch("api/figures", { cache: "no-store" });
    if (answer.ok) {
      figures = await answer.json();
      reckon(figures);
    }
  } catch {
    // The status says that the server does not answer.
  }
  setTimeout(count, FIGURES_MILLISECONDS);
}

find("language").addEventListener("click", () => {
  language = language === "ko" ? "en" : "ko";
  localStorage.setItem("language", language);
  speak();
});

find("feedback").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const body = JSON.stringify({ text: form.text.value, rating: form.rating.value || "none" });
  let taken = false;
  try {
    taken = (await fetch("api/feedback", { method: "POST", body, headers: { "Content-Type": "application/json" } })).ok;
  } catch {
    taken = false;
  }
  find("thanks").textContent = word(taken ? "thanks" : "refused");
  if (taken) form.reset();
});

speak();
poll();
count();
