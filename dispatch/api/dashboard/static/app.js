// The dashboard's frame: who is here, where one can go, and the page that the address names.

import { Component, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, here, meet, sees } from "./api.js";
import { html } from "./html.js";
import { useStatus } from "./live.js";
import { Dialog, Notes } from "./talk.js";
import { hue } from "./text.js";
import { Failure } from "./ui.js";
import { dress } from "./theme.js";

// name: [title, module, scope, whether it concerns all tenants, in the menu (or: only with that plugin)]
const PAGES = {
  overview: ["Overview", "overview", "stats:read", false, true],
  jobs: ["Jobs", "jobs", "job:read", false, true],
  job: ["Job", "job", "job:read", false],
  definitions: ["Definitions", "definitions", "job:read", false, true],
  errors: ["Errors", "errors", "dlq:read", false, true],
  dead: ["Dead letters", "dead", "dlq:read", false, true],
  letter: ["Dead letter", "letter", "dlq:read", false],
  runs: ["Workflows", "runs", "workflow:read", false, true],
  run: ["Run", "run", "workflow:read", false],
  events: ["Events", "events", "workflow:read", false, true],
  crons: ["Cron", "crons", "cron:read", false, true],
  cron: ["Cron entry", "cron", "cron:read", false],
  queues: ["Queues", "queues", "stats:read", true, true],
  workers: ["Workers", "workers", "worker:read", true, true],
  worker: ["Worker", "worker", "worker:read", true],
  webhooks: ["Webhooks", "webhooks", "admin", false, "relay"],
  audit: ["Audit", "audit", "admin", true, true],
  settings: ["Settings", "settings", "holder", false, true],
};
const LIVE = { on: "live", lost: "connecting…", off: "every few seconds" };

/** "#/jobs?state=failed" → {name: "jobs", id: "", query}. */
function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name: name || "overview", id: rest.join("/"), query: new URLSearchParams(search) };
}

class Careful extends Component {
  constructor() {
    super();
    this.state = { error: null };
  }
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }
  render({ children }, { error }) {
    return error ? html`<${Failure} error=${error} />` : children;
  }
}

function Menu({ at }) {
  const shown = Object.entries(PAGES).filter(
    ([, [, , scope, shared, listed]]) => (listed === true || here.plugins.includes(listed)) && sees(scope, shared),
  );
  const parent = { job: "jobs", letter: "dead", run: "runs", worker: "workers", cron: "crons" }[at] || at;
  return html`<ul>
    ${shown.map(([name, [title]]) => html`<li key=${name}>
      <a href=${`#/${name}`} aria-current=${parent === name ? "page" : undefined}>${title}</a>
    </li>`)}
  </ul>`;
}

function Live() {
  const state = useStatus();
  return html`<span class=${`live ${state}`} title="How this page learns of changes">${LIVE[state]}</span>`;
}

function Frame() {
  const [at, go] = useState(place());
  const [page, load] = useState(null);
  const [menu, unfold] = useState(false);
  useEffect(() => {
    const moved = () => go(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => {
    unfold(false);
    const [, module] = PAGES[at.name] || [];
    if (!module) return load({ name: at.name, error: new Error("There is no such page.") });
    import(`./pages/${module}.js`).then(
      (found) => load({ name: at.name, body: found.default }),
      (error) => load({ name: at.name, error }),
    );
  }, [at.name]);
  useEffect(() => {
    scrollTo(0, 0);
  }, [at.name, at.id]);
  const leave = async () => {
    await call("DELETE", "v1/session");
    location.reload();
  };
  const ready = page?.name === at.name;
  return html`
    <a class="skip" href="#title" onClick=${(event) => {
      event.preventDefault();
      document.getElementById("title")?.focus();
    }}>Skip to the page</a>
    <header class="bar">
      <a class="brand" href="#/overview"><img src=${new URL("icon.svg", import.meta.url).pathname} alt="" width="24" height="24" /> Dispatch</a>
      ${here.environment && html`<strong class="environment" style=${{ "--hue": hue(here.environment) }}>${here.environment}</strong>`}
      ${here.read_only && html`<span class="tag">read only</span>`}
      <span class="space"></span>
      <${Live} />
      <span class="who soft">${here.name}${here.tenant && ` · ${here.tenant}`}</span>
      <button type="button" onClick=${leave}>Log out</button>
      <button type="button" class="burger" aria-expanded=${menu} aria-controls="menu" onClick=${() => unfold(!menu)}>Menu</button>
    </header>
    <nav id="menu" class=${menu ? "open" : ""} aria-label="Pages"><${Menu} at=${at.name} /></nav>
    <main id="main">
      <${Careful} key=${`${at.name}/${at.id}`}>
        ${ready && page.error && html`<h1 id="title" tabindex="-1">Not here</h1><${Failure} error=${page.error} />`}
        ${ready && page.body && html`<${page.body} id=${at.id} query=${at.query} />`}
      <//>
    </main>
    <${Notes} />
    <${Dialog} />
  `;
}

dress();
const root = document.getElementById("app");
meet().then(
  () => render(html`<${Frame} />`, root),
  (error) => render(html`<main class="door"><${Failure} error=${error} /></main>`, root),
);
