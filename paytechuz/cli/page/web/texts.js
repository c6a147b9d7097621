// The page's words: English stands in the page and in what the server tells, and is the key to the other languages.
//
// An element with data-t shows its English text in the chosen language; data-t-label does so for its aria-label and its
// tooltip. A text that a catalogue lacks stays English; a test sees that none of the page's own does.

export const LANGUAGES = ["ru", "uz", "en"];

let language = "en";
let catalogue = {};

export const chosen = () => language;

// Gives a text in the chosen language; {name} in it stands for a value.
export function t(english, values = {}) {
  const text = Object.hasOwn(catalogue, english) ? catalogue[english] : english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}

// Lets an element show a text, now and after another language is chosen.
export function say(element, english, values) {
  element.dataset.t = english;
  if (values) element.dataset.values = JSON.stringify(values);
  else delete element.dataset.values;
  element.textContent = t(english, values);
  return element;
}

// Lets an element show what is in no language.
export function show(element, text) {
  delete element.dataset.t;
  delete element.dataset.values;
  element.textContent = text;
  return element;
}

export async function speak(wanted) {
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  catalogue = language === "en" ? {} : await (await fetch(`/${language}.json`)).json();
  document.documentElement.lang = language;
  translate(document);
}

export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.dataset.t ||= element.textContent;
    element.textContent = t(element.dataset.t, JSON.parse(element.dataset.values || "{}"));
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
