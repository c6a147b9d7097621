// The page's words: English stands in the page and in what the server tells, and is the key to the other languages.
//
// An element with data-t shows its English text in the chosen language; data-t-label does so for its aria-label and its
// tooltip. A text that texts.json lacks stays English; a test sees that it lacks none of the page's own.

export const LANGUAGES = ["ru", "uz", "en"];

// What is said of many values: "without amount", "error -5017".
const PATTERNS = [
  [/^(\S+) (empty|no number|tiyin)$/, (name) => `{value} ${name}`],
  [/^(scenario|without|amount|action|error|prepare id|id) (.+)$/, (name) => `${name} {value}`],
];

let language = "en";
let texts = {};

export const chosen = () => language;

// Gives a text in the chosen language; {name} in it stands for a value.
export function t(english, values = {}) {
  return found(english).replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}

// Finds a text as it is, then each of its parts between commas, then what it is an example of.
function found(english) {
  if (language === "en") return english;
  if (Object.hasOwn(texts, english)) return texts[english][language];
  if (english.includes(", ")) return english.split(", ").map(found).join(", ");
  for (const [pattern, named] of PATTERNS) {
    const match = pattern.exec(english);
    if (!match) continue;
    const [first, second] = match.slice(1);
    const known = texts[named(first)] ?? texts[named(second)];
    if (known) return known[language].replace("{value}", texts[named(first)] ? second : first);
  }
  return english;
}

// Lets an element show a text, now and after another language is chosen.
export function say(element, english, values) {
  element.dataset.t = english;
  if (values) element.dataset.values = JSON.stringify(values);
  else delete element.dataset.values;
  put(element, t(english, values));
  return element;
}

// Writes a text; what stands in it between `two of these` is code.
function put(element, text) {
  element.replaceChildren(...text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
}

// Lets an element show what is in no language.
export function show(element, text) {
  delete element.dataset.t;
  delete element.dataset.values;
  element.textContent = text;
  return element;
}

export async function speak(wanted) {
  if (!Object.keys(texts).length) texts = await (await fetch("/texts.json")).json();
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  document.documentElement.lang = language;
  translate(document);
}

export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.dataset.t ||= element.textContent;
    put(element, t(element.dataset.t, JSON.parse(element.dataset.values || "{}")));
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
    if (element.classList.contains("icon")) element.title = t(element.dataset.tLabel);
  }
}

// Makes an element; its children are texts and elements, never markup: what an endpoint answers is shown, not believed.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "t") say(element, value);
    else if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
