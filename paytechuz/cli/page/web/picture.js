// The picture of a transaction's states: it lights up as the transaction moves.

import { make, say, t } from "./texts.js";

const svg = document.getElementById("picture");
const caption = document.getElementById("caption");
const WORDS = { 0: "new", 1: "reserved", 2: "paid", "-1": "given up", "-2": "refunded" };
const minus = (state) => String(state).replace("-", "−");

let transaction = null;
let state = null;

// Shows where a transaction is now. A move that nothing may make is shown in red.
export function move(exchange) {
  const moved = exchange.move;
  if (!moved) return;
  if (moved.transaction !== transaction) wipe();
  else if (moved.after === state) return; // said again: what it was shown for, an alarm too, stands
  transaction = moved.transaction;
  state = moved.after;
  for (const edge of svg.querySelectorAll("[data-edge]")) edge.classList.remove("lit");
  if (moved.before !== null) node(moved.before).classList.add("been");
  const edge = svg.querySelector(`[data-edge="${moved.before} ${moved.after}"]`);
  if (edge) edge.classList.add("been", "lit");
  for (const each of svg.querySelectorAll(".now, .alarm")) each.classList.remove("now", "alarm");
  node(moved.after).classList.add("been", "now");
  node(moved.after).classList.toggle("alarm", !moved.allowed);
  const values = { transaction, from: minus(moved.before), to: minus(moved.after) };
  if (moved.allowed) {
    say(caption, "Transaction {transaction}", { transaction: [transaction, exchange.account].filter(Boolean).join(" · ") });
  } else {
    say(caption, "Transaction {transaction} went from {from} to {to}: nothing may do that.", values);
  }
  caption.classList.toggle("alarm", !moved.allowed);
  describe();
}

export function describe() {
  const words = state === null ? t("no transaction yet") : `${minus(state)}, ${t(WORDS[state])}`;
  svg.setAttribute("aria-label", t("The transaction’s state: {state}", { state: words }));
}

export function wipe() {
  for (const each of svg.querySelectorAll(".now, .been, .lit, .alarm")) each.classList.remove("now", "been", "lit", "alarm");
  caption.classList.remove("alarm");
  say(caption, "The transaction’s states light up as it moves.");
  transaction = state = null;
  describe();
}

const node = (which) => svg.querySelector(`[data-state="${which}"]`);

// Offers a transaction's id where one is typed.
export function offer(list, id) {
  if (id && ![...list.options].some((option) => option.value === id)) list.prepend(make("option", { value: id }));
}
