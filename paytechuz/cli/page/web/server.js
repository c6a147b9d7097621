// The way to the server that this page came from. It answers at once, or line by line as things happen.

const TOKEN = document.querySelector("meta[name=token]").content;

function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Paytechuz-Token": TOKEN },
    body: JSON.stringify(body),
  });
}

// Asks; throws an Error with what the server says where it refuses.
export async function ask(path, body = {}) {
  const answer = await post(path, body);
  if (!answer.ok) throw new Error(await answer.text());
  const told = await answer.json();
  if (told.kind === "error") throw new Error(told.text);
  return told;
}

// Gives what happens, as it happens.
export async function* watch(path, body = {}) {
  const answer = await post(path, body);
  if (!answer.ok) throw new Error(await answer.text());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const told = JSON.parse(line);
      if (told.kind === "error") throw new Error(told.text);
      yield told;
    }
  }
}
