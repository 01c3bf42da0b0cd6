// Webhooks: where they go, how they fare, each delivery; test, enable, disable, rotate, send again.

import { useState } from "preact/hooks";
import { call, may, post, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { Button, Id, Loaded, Page, Pager, Section, State, Table, Time } from "../ui.js";

async function add() {
  const given = await ask({
    title: "A new endpoint", action: "Add",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "url", label: "URL", type: "url", required: true },
      { name: "events", label: "Events", value: "*", hint: "Separated by blanks: job.failed workflow.*", read: (text) => text.split(/\s+/).filter(Boolean) },
    ],
  });
  return given && post("v1/webhooks", given);
}

function Actions({ endpoint, after }) {
  const path = `v1/webhooks/${endpoint.name}`;
  const small = { kind: "small", after };
  const disable = async () => {
    const given = await ask({ title: `Disable ${endpoint.name}?`, text: "What happens meanwhile is not sent later.", action: "Disable", fields: [REASON] });
    return given && post(`${path}/disable`, given);
  };
  const sure = async (question, act) => ((await ask(question)) ? act() : undefined);
  const rotate = () => sure({ title: `A new secret for ${endpoint.name}?`, text: "The present one signs beside it for a day.", action: "Rotate" }, () => post(`${path}/rotate`));
  const remove = () => sure({ title: `Remove ${endpoint.name}?`, text: "Deliveries that still wait for it fail.", action: "Remove", danger: true }, () => call("DELETE", path));
  return html`<span class="actions">
    <${Button} ...${small} label=${`Test ${endpoint.name}`} act=${() => post(`${path}/test`)} done=${(tried) => tried.message}>Test<//>
    ${endpoint.state === "enabled"
      ? html`<${Button} ...${small} label=${`Disable ${endpoint.name}`} act=${disable} done="Disabled">Disable<//>`
      : html`<${Button} ...${small} label=${`Enable ${endpoint.name}`} act=${() => post(`${path}/enable`)} done="Enabled">Enable<//>`}
    <${Button} ...${small} label=${`Rotate ${endpoint.name}`} act=${rotate} done="It has a new secret">Rotate<//>
    <${Button} ...${small} label=${`Remove ${endpoint.name}`} act=${remove} done="Removed">Remove<//>
  </span>`;
}

function Deliveries({ page, cursor, reload }) {
  return html`<${Section} title="Deliveries">
    <${Table} label="Deliveries" rows=${page.items} empty="Nothing was sent yet." columns=${[
      ["Event", (row) => row.type],
      ["Delivery", (row) => html`<${Id} of=${row.id} kind="job" />`],
      ["Endpoint", (row) => row.endpoint],
      ["State", (row) => html`<${State} of=${row.state} />`],
      ["Status", (row) => row.status ?? "–"],
      ["Attempt", (row) => row.attempt, "number"],
      ["Next", (row) => html`<${Time} at=${row.next_attempt_at} />`],
      ["Error", (row) => row.error?.slice(0, 160)],
      ["Made", (row) => html`<${Time} at=${row.created_at} />`],
      ["Actions", (row) => may("admin") && html`<${Button} kind="small" label=${`Send ${row.id} again`} act=${() => post(`v1/deliveries/${row.id}/redeliver`)} done="It is sent again" after=${reload}>Send again<//>`],
    ]} />
    <${Pager} at=${cursor} next=${page.next_cursor} go=${(next) => void (location.hash = url("#/webhooks", { cursor: next }))} />
  <//>`;
}

export default function Webhooks({ query }) {
  const cursor = query.get("cursor") || "";
  const [made, show] = useState(null);
  const found = useData(["v1/webhooks", url("v1/deliveries", { cursor })], "jobs");
  const after = (answer) => {
    show(answer?.secret ? answer : null);
    return found.reload();
  };
  return html`<${Page} title="Webhooks" actions=${may("admin") && html`<${Button} act=${add} done=${(one) => `${one.name} is added`} after=${after}>New endpoint…<//>`}>
    ${made && html`<p class="alert" role="status">The secret of ${made.name}, shown this once: <code class="id">${made.secret}</code></p>`}
    <${Loaded} from=${found}>${(endpoints, deliveries) => html`
      <${Section} title="Endpoints"><${Table} label="Endpoints" id=${(row) => row.name} rows=${endpoints.items} empty="There is no endpoint." columns=${[
        ["Name", (row) => row.name],
        ["URL", (row) => row.url],
        ["Events", (row) => row.events.join(", ")],
        ["State", (row) => html`<span><${State} of=${row.state} /> ${row.disabled_reason}</span>`],
        ["Tenant", (row) => row.tenant || "all"],
        ["Actions", (row) => may("admin") && html`<${Actions} endpoint=${row} after=${after} />`],
      ]} /><//>
      <${Deliveries} page=${deliveries} cursor=${cursor} reload=${found.reload} />`}<//>
  <//>`;
}
