// Amounts, as texts: a number of JavaScript would round them.

const SOM = /^(-?)(\d{1,16})(?:[.,](\d{1,2}))?$/;

// Reads what people type, such as "5 000,50"; null where it is no amount in som.
function read(text) {
  const found = SOM.exec(text.replace(/[\s_]/g, ""));
  return found && { sign: found[1], som: found[2], tiyin: (found[3] ?? "").padEnd(2, "0") };
}

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "\u00a0");

// "5000" → "5 000.00"
export function som(text) {
  const amount = read(text);
  return amount ? `${amount.sign}${grouped(amount.som)}.${amount.tiyin}` : text;
}

// "5000.5" → "500 050"; nothing where it is no amount.
export function tiyin(text) {
  const amount = read(text);
  return amount ? `${amount.sign}${grouped(BigInt(amount.som + amount.tiyin).toString())}` : "";
}
