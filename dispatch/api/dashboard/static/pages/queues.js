// Queues: how deep, how old, what limits them; pause, resume, limits, purge.

import { call, may, post } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { count } from "../text.js";
import { Button, Loaded, Page, State, Table, Time } from "../ui.js";

const LIMITS = [
  ["max_concurrency", "Jobs at once"],
  ["rate_limit", "Jobs a second"],
  ["rate_burst", "Jobs in a burst"],
  ["tenant_concurrency", "Jobs at once for each tenant"],
];

function limits(queue) {
  const set = LIMITS.filter(([name]) => queue[name] !== null).map(([name, label]) => `${label.toLowerCase()}: ${queue[name]}`);
  return [...set, ...(queue.fair ? ["fair"] : [])].join(", ") || "none";
}

const path = (queue, verb) => `v1/queues/${queue.name}/${verb}`;

async function pause(queue) {
  const given = await ask({
    title: `Pause ${queue.name}?`,
    text: "It gives out no jobs; what runs goes on.",
    action: "Pause",
    fields: [{ name: "duration", label: "For how many seconds", type: "number", hint: "Empty: until somebody resumes it." }, REASON],
  });
  return given && post(path(queue, "pause"), given);
}

async function limit(queue) {
  const given = await ask({
    title: `Limits of ${queue.name}`,
    text: "For the whole fleet, at once. Empty lifts a limit.",
    action: "Set limits",
    fields: [
      ...LIMITS.map(([name, label]) => ({ name, label, type: "number", value: queue[name] })),
      { name: "fair", label: "Tenants take turns", type: "check", value: queue.fair },
      REASON,
    ],
  });
  return given && call("PATCH", path(queue, "limits"), given);
}

async function purge(queue) {
  const waiting = queue.pending + queue.retrying;
  const given = await ask({
    title: `Delete all waiting jobs of ${queue.name}?`,
    text: `${count(waiting)} wait now. They are gone for good.`,
    action: "Delete them",
    danger: true,
    fields: [REASON],
  });
  if (!given) return undefined;
  let purged = 0;
  for (;;) {
    const answer = await post(path(queue, "purge"), given);
    purged += answer.purged;
    if (!answer.purged) return { purged };
  }
}

function Actions({ queue, reload }) {
  const of = { after: reload };
  return html`<span class="actions">
    ${queue.paused
      ? html`<${Button} kind="small" label=${`Resume ${queue.name}`} act=${() => post(path(queue, "resume"))} done=${`${queue.name} goes on`} ...${of}>Resume<//>`
      : html`<${Button} kind="small" label=${`Pause ${queue.name}`} act=${() => pause(queue)} done=${`${queue.name} is paused`} ...${of}>Pause<//>`}
    <${Button} kind="small" label=${`Limits of ${queue.name}`} act=${() => limit(queue)} done="Limits are set" ...${of}>Limits<//>
    <${Button} kind="small" label=${`Purge ${queue.name}`} act=${() => purge(queue)} done=${(answer) => `${count(answer.purged)} jobs deleted`} ...${of}>Purge<//>
  </span>`;
}

function Standing({ queue }) {
  if (!queue.paused) return queue.workers ? `${queue.workers} ${queue.workers === 1 ? "worker" : "workers"}` : "nobody serves it";
  const { by, reason, until } = queue.pause;
  return html`<${State} of="paused" /> by ${by}${reason && `: ${reason}`}${until && html`, until <${Time} at=${until} />`}`;
}

export default function Queues({ query }) {
  const found = useData(["v1/queues"], "jobs");
  const only = query.get("queue");
  return html`<${Page} title=${only ? `Queue ${only}` : "Queues"} actions=${only && html`<a href="#/queues">All queues</a>`}>
    <${Loaded} from=${found}>${(queues) => html`<div class="card">
      <${Table} label="Queues" id=${(row) => row.name} empty="No queue was ever used."
        rows=${queues.items.filter((queue) => !only || queue.name === only)}
        columns=${[
          ["Queue", (row) => html`<a href=${`#/jobs?queue=${encodeURIComponent(row.name)}`}>${row.name}</a>`],
          ["Waiting", (row) => count(row.pending), "number"],
          ["Retrying", (row) => count(row.retrying), "number"],
          ["Running", (row) => count(row.running), "number"],
          ["Held", (row) => count(row.set_aside + row.blocked), "number"],
          ["Oldest due", (row) => html`<${Time} at=${row.oldest_due_at} />`],
          ["Limits", limits],
          ["Served", (row) => html`<${Standing} queue=${row} />`],
          ...(may("queue:write", true) ? [["Actions", (row) => html`<${Actions} queue=${row} reload=${found.reload} />`]] : []),
        ]} />
    </div>`}<//>
  <//>`;
}
