// Cron entries: when they tick, whether they fire, what came of it last; trigger, enable, disable, make one.

import { may, post, url } from "../api.js";
import { CronActions } from "../cronning.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { parsed } from "../text.js";
import { Button, Loaded, Page, Pager, State, Table, Time } from "../ui.js";

async function create(targets) {
  const given = await ask({
    title: "A new cron entry", action: "Create",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "schedule", label: "Schedule", placeholder: "0 3 * * *", required: true, hint: "Five fields, @daily, or every 15m." },
      { name: "timezone", label: "Time zone", value: "UTC" },
      { name: "target", label: "Job or workflow", options: targets.map((name) => [name, name]) },
      { name: "payload", label: "Arguments, a JSON object", type: "area", read: (text) => parsed(text) },
      REASON,
    ],
  });
  return given && post("v1/crons", given);
}

export default function Crons({ query }) {
  const cursor = query.get("cursor") || "";
  const found = useData([url("v1/crons", { cursor }), may("cron:write") && "v1/definitions"], "crons");
  const targets = [...new Set(found.data?.[1]?.items?.map((one) => one.name))];
  const actions = targets.length > 0 && html`<${Button} act=${() => create(targets)} done=${(entry) => `${entry.name} is made`} after=${found.reload}>New entry…<//>`;
  return html`<${Page} title="Cron" actions=${actions}>
    <${Loaded} from=${found}>${(page) => html`<div class="card">
      <${Table} label="Cron entries" rows=${page.items} empty="There is no cron entry." columns=${[
        ["Name", (row) => html`<a href=${`#/cron/${row.id}`}>${row.name}</a>`],
        ["State", (row) => html`<span><${State} of=${row.state} />${row.disabled_reason && ` ${row.disabled_reason}`}${row.disabled_until && html`, until <${Time} at=${row.disabled_until} />`}</span>`],
        ["Schedule", (row) => html`<span><code>${row.schedule}</code> <small>${row.timezone}</small></span>`],
        ["Calls", (row) => `${row.target}${row.kind === "workflow" ? " (workflow)" : ""}`],
        ["Last", (row) => html`<${Time} at=${row.last_fired_at} />`],
        ["Next", (row) => html`<${Time} at=${row.next_fire_at} />`],
        ["Actions", (row) => html`<${CronActions} entry=${row} reload=${found.reload} kind="small" />`],
      ]} />
      <${Pager} at=${cursor} next=${page.next_cursor} go=${(next) => void (location.hash = url("#/crons", { cursor: next }))} />
    </div>`}<//>
  <//>`;
}
