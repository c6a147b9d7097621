// The conversation: what was asked and answered, side by side, each answer judged.

import { make, say, show, t } from "./texts.js";

const list = document.getElementById("conversation");
const empty = document.getElementById("empty");
const counts = { right: 0, wrong: 0, skipped: 0 };
const MARKS = { right: "✓", wrong: "✗", skipped: "–" };
const WORDS = { right: "right", wrong: "wrong", skipped: "not judged" };
// What an answer's words are made of, to colour them: names, texts, numbers and words.
const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|-?\b\d[\d.eE+-]*\b|\b(?:true|false|null)\b/g;

let group = null;
let newest = null;
let current = 0;
let acts = {};

// `handlers` are what the buttons of an exchange and of a scenario do: repeat, edit, play.
export function listen(handlers) {
  acts = handlers;
}

// Begins what follows: a scenario, a call, an answer of the payer's page.
export function begin(told, replayable) {
  empty.hidden = true;
  const steps = make("ol");
  const score = make("span", { class: "group-score" });
  const title = make("h3", { t: told.name });
  const heading = make("div", { class: "group-head" }, title, score);
  if (replayable) {
    heading.append(make("button", { class: "link", type: "button", t: "Play again", onclick: () => acts.play([told.name]) }));
  }
  const section = make("section", { class: "group" }, heading);
  if (told.about) section.append(make("p", { class: "note", t: told.about }));
  section.append(steps);
  list.append(section);
  group = { section, steps, score, name: told.name, right: 0, wrong: 0, skipped: 0 };
  return group;
}

// Adds a judged answer. The newest stands open, a wrong one stays open.
export function add(step) {
  const verdict = step.skipped ? "skipped" : step.ok ? "right" : "wrong";
  counts[verdict] += 1;
  group[verdict] += 1;
  const name = make("span", { class: "call", t: step.call });
  const mark = make("span", { class: "mark", "aria-hidden": "true" }, MARKS[verdict]);
  const word = make("span", { class: "hidden", t: WORDS[verdict] });
  const summary = make("summary", {}, mark, word, name, make("span", { class: "got", t: step.got }));
  const details = make("details", { class: `step ${verdict}` }, summary);
  details.addEventListener("toggle", () => details.open && fill(details, step, verdict));
  group.steps.append(make("li", { class: verdict }, details));
  if (newest && !newest.classList.contains("wrong") && !newest.dataset.kept) newest.open = false;
  summary.addEventListener("click", () => (details.dataset.kept = "yes"));
  newest = details;
  fill(details, step, verdict);
  details.open = true;
  group.section.classList.toggle("has-wrong", group.wrong > 0);
  show(group.score, `✓ ${group.right}${group.wrong ? `   ✗ ${group.wrong}` : ""}${group.skipped ? `   – ${group.skipped}` : ""}`);
  tally();
  return { verdict, details };
}

// Writes what stands inside an opened answer, once.
function fill(details, step, verdict) {
  if (details.dataset.filled) return;
  details.dataset.filled = "yes";
  const facts = make("dl", { class: "facts" });
  facts.append(row(make("dt", { t: "expected" }), step.expected), row(make("dt", { t: "got" }), step.got));
  details.append(facts);
  if (step.why) {
    const title = verdict === "wrong" ? make("h4", { t: "Why it costs money, and how to mend it" }) : make("h4", { t: "Why it matters" });
    details.append(make("div", { class: "why" }, title, make("p", { t: step.why })));
  }
  for (const exchange of step.exchanges) details.append(shown(exchange));
}

const row = (name, value) => make("div", {}, name, make("dd", { t: value }));

// One request and its answer, side by side.
function shown(exchange) {
  const asked = make("div", { class: "said asked" },
    make("h4", {}, make("span", { t: "Request" }), make("code", {}, `POST ${exchange.path}`)),
    coloured(exchange.asked_pretty));
  const status = exchange.status === 0 ? make("code", { class: "bad", t: "no answer" })
    : make("code", { class: exchange.status === 200 ? "" : "bad" }, `HTTP ${exchange.status}`);
  const answered = make("div", { class: "said answered" },
    make("h4", {}, make("span", { t: "Answer" }), status, make("small", {}, `${exchange.took} ms`)),
    coloured(exchange.answer_pretty));
  const buttons = make("div", { class: "buttons" },
    make("button", { type: "button", t: "Repeat", onclick: () => acts.repeat(exchange) }),
    make("button", { type: "button", t: "Edit", onclick: () => acts.edit(exchange) }));
  const article = make("article", { class: "exchange" }, make("div", { class: "sides" }, asked, answered), buttons);
  article.setAttribute("aria-label", `${exchange.number}`);
  return article;
}

// Text with colours: every part is a text, whatever it says.
function coloured(text) {
  const block = make("pre", { tabIndex: 0 });
  let from = 0;
  for (const found of text.matchAll(TOKENS)) {
    if (found.index > from) block.append(text.slice(from, found.index));
    const [whole, string, colon] = found;
    if (string === undefined) block.append(make("span", { class: "number" }, whole));
    else block.append(make("span", { class: colon === undefined ? "text" : "name" }, string), colon ?? "");
    from = found.index + whole.length;
  }
  block.append(text.slice(from));
  return block;
}

function tally() {
  for (const [verdict, count] of Object.entries(counts)) show(document.getElementById(`count-${verdict}`), String(count));
  document.getElementById("next-wrong").disabled = counts.wrong === 0;
}

export function clear() {
  for (const section of [...list.querySelectorAll(".group")]) section.remove();
  for (const verdict of Object.keys(counts)) counts[verdict] = 0;
  group = newest = null;
  current = 0;
  empty.hidden = false;
  tally();
}

// Goes to the next wrong answer, or to the one before.
export function wrong(step) {
  const all = [...list.querySelectorAll("details.wrong")];
  if (!all.length) return;
  const here = all.findIndex((each) => each.contains(document.activeElement));
  current = (((here < 0 ? (step > 0 ? -1 : 0) : here) + step) % all.length + all.length) % all.length;
  all[current].open = true;
  all[current].querySelector("summary").focus();
  all[current].scrollIntoView({ block: "start" });
}

// Says how what began last has ended, for who listens instead of looking.
export function outcome() {
  return group ? t("{name}: {right} right, {wrong} wrong", { name: t(group.name), right: group.right, wrong: group.wrong }) : "";
}

export function error(text) {
  const box = document.getElementById("error");
  if (text) say(box, text);
  else show(box, "");
  box.hidden = !text;
}
