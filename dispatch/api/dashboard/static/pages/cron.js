// One cron entry: what it calls and when, its ticks and what became of them; edit and delete what was made at run time.

import { call, may } from "../api.js";
import { CronActions } from "../cronning.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { parsed, shown, span } from "../text.js";
import { Button, Facts, Id, Loaded, Page, Section, State, Table, Time, Value } from "../ui.js";

function Changes({ entry, reload }) {
  if (!may("cron:write")) return null;
  const path = `v1/crons/${entry.id}`;
  const edit = async () => {
    const given = await ask({
      title: `Edit ${entry.name}`, action: "Save",
      fields: [
        { name: "schedule", label: "Schedule", value: entry.schedule, required: true },
        { name: "timezone", label: "Time zone", value: entry.timezone, required: true },
        { name: "payload", label: "All arguments, a JSON object; empty: as they are", type: "area", read: (text) => parsed(text) },
        REASON,
      ],
    });
    return given && call("PATCH", path, given);
  };
  const remove = async () => {
    const sure = await ask({ title: `Delete ${entry.name}?`, text: "With its history; what it has made runs on.", action: "Delete it", danger: true });
    if (!sure) return undefined;
    await call("DELETE", path);
    location.hash = "#/crons";
    return true;
  };
  return html`
    ${entry.origin === "runtime" && html`<${Button} act=${edit} done="Saved" after=${reload}>Edit…<//>`}
    <${Button} kind="danger" act=${remove} done=${`${entry.name} is deleted`}>Delete<//>`;
}

export default function Cron({ id }) {
  const path = `v1/crons/${encodeURIComponent(id)}`;
  const found = useData([path, `${path}/history`, `${path}/next?count=5`], "crons");
  const entry = found.data?.[0];
  return html`<${Page} title=${entry ? entry.name : "Cron entry"} actions=${entry && html`<${State} of=${entry.state} />
      <${CronActions} entry=${entry} reload=${found.reload} /><${Changes} entry=${entry} reload=${found.reload} />`}>
    <${Loaded} from=${found}>${(entry, history, next) => html`
      <${Section} title="Facts"><${Facts} of=${[
        ["Schedule", html`<code>${entry.schedule}</code>`],
        ["Time zone", entry.timezone],
        ["Calls", `${entry.target} (${entry.kind}${entry.version ? `, version ${entry.version}` : ""})`],
        ["Made by", entry.origin === "code" ? "code" : "somebody, at run time"],
        ["While one runs", entry.overlap],
        ["Missed ticks", entry.misfire],
        ["Jitter", entry.jitter_seconds ? span(entry.jitter_seconds) : null],
        ["Disabled by", entry.disabled_by],
        ["Because", entry.disabled_reason],
        ["Disabled until", entry.disabled_until && html`<${Time} at=${entry.disabled_until} />`],
        ["Last fired", entry.last_fired_at && html`<${Time} at=${entry.last_fired_at} />`],
        ["Tenant", entry.scope && `${entry.scope.app_id}/${entry.scope.org_id}`],
      ]} /><//>
      <div class="grid">
        <${Section} title="Arguments"><${Value} of=${entry.payload} text=${entry.payload_text} label="Arguments" /><//>
        <${Section} title="Next, were it enabled"><ol>${next.items.map((one) => html`<li key=${one.at}>${one.wall} (<${Time} at=${one.at} />)</li>`)}</ol><//>
      </div>
      <${Section} title="History"><${Table} label="History" id=${(row) => `${row.scheduled_at} ${row.fired_at}`} rows=${history.items} empty="It has not ticked yet."
        columns=${[
          ["Tick", (row) => html`<${Time} at=${row.scheduled_at} />`],
          ["Outcome", (row) => html`<${State} of=${row.outcome} />`],
          ["Made", (row) => (row.run_id ? html`<${Id} of=${row.run_id} kind="run" />` : html`<${Id} of=${row.job_id} kind="job" />`)],
          ["Note", (row) => shown(null, row.note)],
        ]} /><//>`}<//>
  <//>`;
}
