// Requests to our own server; errors carry the sentence that the server gave.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The sentence in a problem document, or one of our own where there is none. */
export function sentence(status, body) {
  try {
    return JSON.parse(body).detail || `The server answered ${status}.`;
  } catch {
    return status ? `The server answered ${status}.` : "The server cannot be reached.";
  }
}

/** Ask our server; `body` is sent as JSON, a Blob as it is. */
export async function call(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body instanceof Blob) {
    options.body = body;
  } else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, sentence(0, ""));
  }
  const text = await response.text();
  if (!response.ok) throw new Problem(response.status, sentence(response.status, text));
  return text ? JSON.parse(text) : null;
}
