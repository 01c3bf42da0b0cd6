// What the pages ask the server: JSON over the session's cookie, and what this session may do.

export const here = { name: "", scopes: [], tenant: null, environment: "", read_only: false, dispatch: "", plugins: [] };

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.details = error.details || [];
    this.request = error.request_id;
  }
}

export async function call(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    if (method !== "DELETE") options.body = JSON.stringify(body ?? {});
  }
  let answer;
  try {
    answer = await fetch(path.replace(/^\//, ""), options);
  } catch {
    throw new Refused(0, { code: "away", message: "the server does not answer" });
  }
  if (answer.status === 401) location.reload();
  if (answer.status === 204) return null;
  const document = await answer.json().catch(() => ({ error: { code: "unreadable", message: answer.statusText } }));
  if (!answer.ok) throw new Refused(answer.status, document.error);
  return document;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);

/** A path with a query; empty values are left out, lists are repeated. */
export function url(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") found.append(name, one);
    }
  }
  const text = found.toString();
  return text ? `${path}?${text}` : path;
}

export const holds = (scope) => scope === "holder" || here.scopes.includes("*") || here.scopes.includes(scope);
/** Whether a button that needs the scope makes sense here; `shared` things are nobody's tenant's. */
export const may = (scope, shared = false) => holds(scope) && !here.read_only && !(shared && here.tenant);
export const sees = (scope, shared = false) => holds(scope) && !(shared && here.tenant);

/** A plugin that was given as an object is called by its class: "dispatch_relay.plugin.RelayExtension". */
const called = (name) => name.split(".").at(-1).replace(/Extension$/, "").toLowerCase();

export async function meet() {
  const [who, about] = await Promise.all([get("v1/session"), get("v1/version")]);
  Object.assign(here, who, about);
  if (sees("admin", true)) here.plugins = (await get("v1/plugins")).items.map((one) => called(one.name));
}
