// One worker: where it runs, what it serves, how busy it is.

import { may } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { span } from "../text.js";
import { Button, Facts, Loaded, Page, Section, State, Tags, Time } from "../ui.js";
import { Load, drain } from "./workers.js";

export default function Worker({ id }) {
  const found = useData([`v1/workers/${id}`]);
  const worker = found.data?.[0];
  return html`<${Page} title=${worker ? `${worker.hostname}, process ${worker.pid}` : "Worker"} actions=${worker && html`<${State} of=${worker.state} />
      ${worker.state === "active" && may("worker:write", true) && html`<${Button} act=${() => drain(worker)} done="It drains" after=${found.reload}>Drain<//>`}`}>
    <${Loaded} from=${found}>${(worker) => html`
      <p class="id">${worker.id}</p>
      <${Section} title="Facts"><${Facts} of=${[
        ["Load", html`<${Load} worker=${worker} />`],
        ["Queues", worker.queues.join(", ")],
        ["Version", worker.version],
        ["Lease", span(worker.lease_seconds)],
        ["Started", html`<${Time} at=${worker.started_at} />`],
        ["Seen", html`<${Time} at=${worker.last_seen_at} />`],
        ["Labels", Object.keys(worker.labels).length > 0 && html`<${Tags} of=${Object.entries(worker.labels).map(([name, value]) => `${name}=${value}`)} />`],
      ]} /><//>
      <${Section} title="Serves"><${Tags} of=${worker.names} /><//>`}<//>
  <//>`;
}
