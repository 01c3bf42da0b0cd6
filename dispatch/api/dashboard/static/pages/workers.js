// Workers that live: where, how busy, serving what; who leads; drain and resign.

import { may, post } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { Button, Id, Loaded, Page, State, Table, Time, outcome } from "../ui.js";

export async function drain(worker) {
  const given = await ask({
    title: `Drain ${worker.hostname}, process ${worker.pid}?`, text: "It claims nothing more, finishes what runs, and ends.", action: "Drain", fields: [REASON],
  });
  return given && post(`v1/workers/${worker.id}/drain`, given);
}

async function drainAll() {
  const given = await ask({ title: "Drain every worker?", text: "Nothing runs until new ones start.", action: "Drain all", danger: true, fields: [REASON] });
  return given && outcome(await post("v1/workers/drain", given), "asked to drain");
}

async function resign() {
  const given = await ask({ title: "End the leader's term?", text: "Another worker leads, soon.", action: "Resign", fields: [REASON] });
  return given && post("v1/leader/resign", given);
}

export function Load({ worker }) {
  return html`<span><progress value=${worker.running} max=${worker.concurrency} aria-label=${`Load of ${worker.hostname}, process ${worker.pid}`}></progress>
    ${worker.running} of ${worker.concurrency}</span>`;
}

export default function Workers() {
  const found = useData(["v1/workers", "v1/leader"]);
  const write = may("worker:write", true);
  const workers = found.data?.[0].items || [];
  const actions = write && workers.length > 0 && html`
    <${Button} act=${resign} done="The term has ended" after=${found.reload}>Resign leader<//>
    <${Button} kind="danger" act=${drainAll} done=${(text) => text} after=${found.reload}>Drain all<//>`;
  return html`<${Page} title="Workers" actions=${actions}>
    <${Loaded} from=${found}>${(workers, leader) => html`<div class="card">
      <${Table} label="Workers" rows=${workers.items} empty="No worker lives: start one with “dispatch run”." columns=${[
        ["Worker", (row) => html`<span><a href=${`#/worker/${row.id}`}>${row.hostname}</a> <small>process ${row.pid}</small></span>`],
        ["Id", (row) => html`<${Id} of=${row.id} kind="worker" />`],
        ["State", (row) => html`<span><${State} of=${row.state} /> ${leader.leader === row.id && html`<${State} of="leader" />`}</span>`],
        ["Load", (row) => html`<${Load} worker=${row} />`],
        ["Queues", (row) => row.queues.join(", ")],
        ["Version", (row) => row.version],
        ["Started", (row) => html`<${Time} at=${row.started_at} />`],
        ["Seen", (row) => html`<${Time} at=${row.last_seen_at} />`],
        ...(write ? [["Actions", (row) => row.state === "active" && html`<${Button} kind="small" label=${`Drain ${row.id}`} act=${() => drain(row)} done="It drains" after=${found.reload}>Drain<//>`]] : []),
      ]} />
    </div>`}<//>
  <//>`;
}
