// What the page does: settings, scenarios, single calls, the checkout, and the keyboard.

import { begin, add, clear, error, listen, outcome, wrong } from "./conversation.js";
import { som, tiyin } from "./money.js";
import { describe, move, offer, wipe } from "./picture.js";
import { ask, watch } from "./server.js";
import { chosen, LANGUAGES, make, say, show, speak, t } from "./texts.js";

const $ = (id) => document.getElementById(id);
const form = $("form");
const callForm = $("call-form");

let about = null;
let playing = false;
let link = null;
let last = null;

// What is remembered from visit to visit: language, colours, shortcuts. Never a key.

const memory = {
  get(name) {
    try { return localStorage.getItem(`paytechuz-${name}`); } catch { return null; }
  },
  set(name, value) {
    try { localStorage.setItem(`paytechuz-${name}`, value); } catch { /* a private window remembers nothing */ }
  },
};

// Settings

// Saved one after another, and before anything is played.
let saved = Promise.resolve();

function save() {
  saved = saved.then(store);
}

async function store() {
  const provider = form.elements;
  const key = provider.key.value;
  const told = {
    gateway: provider.gateway.value,
    url: provider.url.value,
    key,
    login: provider.login.value,
    service_id: provider.service_id.value,
    top_up: provider.top_up.value === "yes",
    amount: provider.amount.value,
    account: fieldsIn($("fields")),
  };
  try {
    known(await ask("/api/settings", told), told.gateway !== about.gateway);
    if (provider.key.value === key) provider.key.value = "";
    error("");
  } catch (problem) {
    error(problem.message);
  }
}

// Shows what the server knows. Where that is new, the form is filled with it: never under the hands of who types.
function known(told, isNew = true) {
  about = told;
  const provider = told.providers[told.gateway];
  document.body.dataset.gateway = told.gateway;
  form.elements.url.placeholder = `http://127.0.0.1:8000/payments/${told.gateway}/webhook`;
  if (isNew) refill(told, provider);
  if (provider.key_known) say($("key-state"), "known, and kept by the server");
  else say($("key-state"), "not known yet");
  if (told.new_order) say($("source"), "Each scenario orders by {function}.", { function: told.new_order });
  else say($("source"), "Orders that await payment: a value, or several as in 1..40.");
  $("own-orders").hidden = Boolean(told.new_order);
  amounts();
  say($("problem"), told.problem);
  $("problem").hidden = !told.problem;
  show($("settings-brief"), provider.url);
  showScenarios();
  showCalls();
}

// A key is not part of it.
function refill(told, provider) {
  const { elements } = form;
  elements.gateway.value = told.gateway;
  elements.url.value = provider.url;
  elements.key.value = "";
  elements.login.value = provider.login;
  elements.service_id.value = provider.service_id;
  elements.top_up.value = told.top_up ? "yes" : "no";
  elements.amount.value = told.amount;
  showFields($("fields"), told.account.length ? told.account : [["order_id", ""]], "1..40");
}

function showFields(place, fields, hint) {
  place.replaceChildren(...fields.map(([name, value], index) => {
    const field = make("div", { class: "field" },
      make("input", { value: name, "data-part": "name", "data-t-label": "Account field", spellcheck: false }),
      make("span", { "aria-hidden": "true" }, "="),
      make("input", { value, "data-part": "value", "data-t-label": "Value", placeholder: hint, spellcheck: false }));
    if (index) {
      field.append(make("button", { class: "icon", type: "button", "data-t-label": "Remove", onclick: () => { field.remove(); place.dispatchEvent(new Event("change", { bubbles: true })); } }, "×"));
    }
    for (const each of field.querySelectorAll("[data-t-label]")) each.setAttribute("aria-label", t(each.dataset.tLabel));
    return field;
  }));
}

const fieldsIn = (place) => [...place.children].map((field) => ({
  name: field.querySelector("[data-part=name]").value,
  value: field.querySelector("[data-part=value]").value,
})).filter((field) => field.name.trim());

function amounts() {
  for (const [input, place] of [[form.elements.amount, "amount-tiyin"], [callForm.elements.amount, "call-tiyin"]]) {
    const counted = tiyin(input.value);
    if (!input.value) show($(place), "");
    else if (counted) say($(place), "{tiyin} tiyin", { tiyin: counted });
    else say($(place), "no amount");
  }
}

// Playing: one thing at a time

async function play(path, body, { total = 0, replayable = false } = {}) {
  if (playing) return false;
  busy(true);
  error("");
  const progress = $("progress");
  progress.max = Math.max(total, 1);
  progress.value = 0;
  progress.hidden = total < 2;
  let begun = 0;
  try {
    await saved;
    for await (const told of watch(path, body)) {
      if (told.kind === "scenario") {
        if (begun) done();
        begun += 1;
        begin(told, replayable);
        say($("now"), told.name);
        progress.value = begun - 1;
        follow(document.querySelector("#conversation .group:last-child"));
      } else if (told.kind === "step") {
        heard(told);
      } else if (told.kind === "order") {
        ordered(told);
      }
    }
    progress.value = total;
  } catch (problem) {
    error(problem.message);
  } finally {
    busy(false);
    if (begun) done();
    if (total > 1) say($("now"), "All is played.");
    else show($("now"), "");
  }
  return true;
}

function heard(step) {
  for (const exchange of step.exchanges) {
    last = exchange;
    move(exchange);
    offer($("transactions"), exchange.transaction);
    if (exchange.account_state && exchange.account === firstValue($("call-fields"))) callForm.elements.state.value = exchange.account_state;
    if (link && exchange.account_state && exchange.account === link.account[0]?.[1]) payerState(exchange.account_state);
    if (exchange.prepare_id !== null && exchange.transaction === callForm.elements.transaction.value) callForm.elements.prepare_id.placeholder = String(exchange.prepare_id);
  }
  const { verdict, details } = add(step);
  if (verdict === "wrong") announce(t("wrong: {call}", { call: step.call }));
  follow(details);
}

const firstValue = (place) => place.querySelector("[data-part=value]")?.value ?? "";

function done() {
  announce(outcome());
}

// Keeps what is new in sight, unless somebody reads further up.
function follow(element) {
  const stage = $("stage");
  const box = getComputedStyle(stage).overflowY === "auto" ? stage : document.scrollingElement;
  const reading = document.activeElement?.closest?.("#conversation");
  if (element && !reading && (box === stage || element.closest("#conversation"))) element.scrollIntoView({ block: "nearest" });
}

function busy(is) {
  playing = is;
  document.body.toggleAttribute("data-playing", is);
  $("stop").disabled = !is;
  for (const each of document.querySelectorAll("#settings fieldset, #settings input, #settings select")) each.disabled = is;
  for (const each of document.querySelectorAll("aside [role=tabpanel] button")) each.setAttribute("aria-disabled", String(is));
}

let spoken = 0;

// Tells who listens. Many tell at once, so only the last is said.
function announce(text) {
  clearTimeout(spoken);
  spoken = setTimeout(() => show($("live"), text), 150);
}

// Scenarios

function showScenarios() {
  $("scenario-list").replaceChildren(...about.scenarios.map(({ name, about: text }) => make("li", {},
    make("button", { type: "button", class: "scenario", onclick: () => run([name]) },
      make("strong", { t: name }), make("span", { t: text })))));
}

const run = (names) => play("/api/play", { names }, { total: names.length, replayable: true });
const runAll = () => run(about.scenarios.map((each) => each.name));

// Single calls

function showCalls() {
  const { calls, gateway, account, amount } = about;
  if (callForm.dataset.gateway !== gateway) {
    callForm.dataset.gateway = gateway;
    newId();
  }
  if (!firstValue($("call-fields"))) {
    const fields = account.length ? account : [["order_id", ""]];
    showFields($("call-fields"), fields.map(([name, value]) => [name, value.split(/,|\.\./)[0]]), "1");
    callForm.elements.amount.value = amount;
  }
  $("call-buttons").replaceChildren(...calls.map((name) => make("button", { type: "button", "data-call": name, onclick: () => call(name) },
    name.replace(/Transaction$/, ""))));
  amounts();
}

async function call(name) {
  const fields = callForm.elements;
  await play("/api/call", {
    call: name,
    state: fields.state.value,
    account: fieldsIn($("call-fields")),
    amount: fields.amount.value,
    transaction: fields.transaction.value,
    age: fields.age.value,
    reason: fields.reason.value,
    hours: fields.hours.value,
    payment: fields.payment.value,
    prepare_id: fields.prepare_id.value,
  });
}

// Makes an id as the provider does.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const number = () => String(10 ** 9 + crypto.getRandomValues(new Uint32Array(1))[0]);
  callForm.elements.transaction.value = about.gateway === "payme" ? hex : number();
  callForm.elements.payment.value = number();
  callForm.elements.prepare_id.value = "";
  callForm.elements.prepare_id.placeholder = "";
}

function ordered(told) {
  showFields($("call-fields"), told.account, "1");
  callForm.elements.amount.value = told.amount;
  callForm.elements.state.value = told.state;
  newId();
  amounts();
  announce(t("an order is placed: {order}", { order: told.account.map((pair) => pair.join(" ")).join(", ") }));
}

// The checkout

async function openLink(text) {
  try {
    const told = await ask("/api/link", { link: text });
    error("");
    known(told.about);
    payer(told.link);
  } catch (problem) {
    error(problem.message);
  }
}

function payer(told) {
  link = told;
  $("payer").hidden = false;
  show($("payer-provider"), told.gateway === "payme" ? "Payme" : "Click");
  if (told.sandbox) $("payer-provider").append(" ", make("small", { t: "sandbox" }));
  if (told.amount) say($("payer-amount"), "{som} som", { som: som(told.amount) });
  else say($("payer-amount"), "nothing to pay");
  if (told.amount) say($("payer-tiyin"), "{tiyin} tiyin", { tiyin: tiyin(told.amount) });
  else show($("payer-tiyin"), "");
  const fact = (name, value) => make("div", {}, name, make("dd", {}, value));
  $("payer-account").replaceChildren(...told.account.map(([name, value]) => fact(make("dt", {}, name), value)));
  const merchant = told.gateway === "payme" ? make("dt", { t: "cash register" }) : make("dt", { t: "service" });
  if (told.merchant) $("payer-account").append(fact(merchant, told.merchant));
  if (told.language) $("payer-account").append(fact(make("dt", { t: "language" }), told.language));
  $("payer-problems").replaceChildren(...told.problems.map((text) => make("li", { t: text })));
  $("payer-state").hidden = true;
  $("payer-actions").replaceChildren(...(told.payable ? told.actions : []).map((name, index) => make("button",
    { type: "button", class: index ? "" : "primary", "data-action": name, t: name, onclick: () => play("/api/pay", { action: name }) })));
  const back = $("payer-return");
  back.replaceChildren();
  if (/^https?:\/\//i.test(told.return_url)) {
    back.append(make("span", { t: "Back to the shop:" }), " ", make("a", { href: told.return_url, rel: "noopener noreferrer", target: "_blank" }, told.return_url));
  }
}

function payerState(state) {
  if (state === "paid") say($("payer-state"), "paid or closed");
  else if (state === "held") say($("payer-state"), "held by a transaction");
  else say($("payer-state"), "awaits payment");
  $("payer-state").className = `chip ${state}`;
  $("payer-state").hidden = false;
}

// Repeat, edit, play again

function edit(exchange) {
  const form_ = exchange.gateway === "click";
  $("editor").dataset.gateway = exchange.gateway;
  $("editor-body").value = form_ ? exchange.asked.replaceAll("&", "\n&") : exchange.asked_pretty;
  $("editor").returnValue = "";
  $("editor").showModal();
  $("editor").onclose = () => {
    if ($("editor").returnValue !== "send") return;
    const written = $("editor-body").value;
    const body = form_ ? written.replace(/\s*\n\s*/g, "") : written;
    play("/api/send", { number: exchange.number, body, sign: form_ && $("editor-sign").checked });
  };
}

const repeat = (exchange) => play("/api/repeat", { number: exchange.number });

// Tabs, colours, language

function tab(id, focus = true) {
  for (const each of document.querySelectorAll("[role=tab]")) {
    const is = each.id === `tab-${id}`;
    each.setAttribute("aria-selected", String(is));
    each.tabIndex = is ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !is;
    if (is && focus) each.focus();
  }
}

function theme(wanted) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = wanted ?? (now === "dark" ? "light" : "dark");
  document.documentElement.dataset.theme = next;
  memory.set("theme", next);
}

async function choose(language) {
  await speak(language);
  $("language").value = chosen();
  memory.set("language", chosen());
  describe();
}

// The keyboard

const SHORTCUTS = {
  a: runAll,
  x: () => ask("/api/stop"),
  n: () => wrong(1),
  p: () => wrong(-1),
  r: () => last && repeat(last),
  1: () => tab("scenarios"),
  2: () => tab("calls"),
  3: () => tab("checkout"),
  d: () => theme(),
  l: () => choose(LANGUAGES[(LANGUAGES.indexOf(chosen()) + 1) % LANGUAGES.length]),
  "?": () => $("shortcuts").showModal(),
};

document.addEventListener("keydown", (event) => {
  const busyElsewhere = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, dialog");
  if (busyElsewhere || event.ctrlKey || event.metaKey || event.altKey || !$("shortcuts-on").checked) return;
  // On a keyboard in Cyrillic the key is known by its place.
  const key = /^[\x20-\x7e]$/.test(event.key) ? event.key.toLowerCase() : event.code.replace("Key", "").toLowerCase();
  if (Object.hasOwn(SHORTCUTS, key)) {
    event.preventDefault();
    SHORTCUTS[key]();
  }
});

$("tabs").addEventListener("keydown", (event) => {
  const all = [...document.querySelectorAll("[role=tab]")];
  const here = all.indexOf(document.activeElement);
  const there = { ArrowRight: here + 1, ArrowLeft: here - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
  if (there === undefined) return;
  event.preventDefault();
  tab(all[there % all.length].id.replace("tab-", ""));
});

for (const each of document.querySelectorAll("[role=tab]")) each.onclick = () => tab(each.id.replace("tab-", ""));

form.addEventListener("change", (event) => {
  if (event.target.name === "gateway") {
    const provider = about.providers[form.elements.gateway.value];
    form.elements.url.value = provider.url;
    form.elements.key.value = "";
    form.elements.login.value = provider.login;
    form.elements.service_id.value = provider.service_id;
  }
  save();
});
form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
form.addEventListener("input", amounts);
callForm.addEventListener("input", amounts);
callForm.addEventListener("submit", (event) => event.preventDefault());
$("add-field").onclick = () => {
  showFields($("fields"), [...fieldsIn($("fields")).map(({ name, value }) => [name, value]), ["", ""]], "1..40");
  $("fields").lastElementChild.querySelector("input").focus();
};
$("run-all").onclick = runAll;
$("stop").onclick = () => ask("/api/stop");
$("next-wrong").onclick = () => wrong(1);
$("clear").onclick = () => { if (!playing) { clear(); wipe(); error(""); } };
$("only-wrong").onchange = (event) => $("conversation").classList.toggle("only-wrong", event.target.checked);
$("new-id").onclick = newId;
$("place").onclick = () => play("/api/order", { state: callForm.elements.state.value });
$("link-form").addEventListener("submit", (event) => { event.preventDefault(); openLink(event.target.elements.link.value); });
$("theme").onclick = () => theme();
$("help").onclick = () => $("shortcuts").showModal();
$("language").onchange = (event) => choose(event.target.value);
$("shortcuts-on").onchange = (event) => memory.set("shortcuts", event.target.checked ? "on" : "off");
listen({ repeat, edit, play: run });

// The beginning

if (memory.get("theme")) theme(memory.get("theme") === "dark" ? "dark" : "light");
$("shortcuts-on").checked = memory.get("shortcuts") !== "off";
if (matchMedia("(max-width: 820px)").matches) $("settings").open = false;
await choose(memory.get("language") ?? navigator.languages.map((each) => each.slice(0, 2)).find((each) => LANGUAGES.includes(each)));
try {
  known(await ask("/api/about"));
  if (about.problem) $("settings").open = true;
  if (location.pathname !== "/") {
    tab("checkout", false);
    $("link-form").elements.link.value = location.href;
    await openLink(location.href);
  }
} catch (problem) {
  error(problem.message);
}
document.body.dataset.ready = "yes";
