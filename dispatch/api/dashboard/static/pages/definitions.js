// What apps have announced: each name with how often it runs, how it fares, who serves it; and a call by hand.

import { may, post, sees, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { ask } from "../talk.js";
import { count, parsed, percent, span } from "../text.js";
import { Button, Loaded, Page, Section, Table, Value } from "../ui.js";

export async function call(definition) {
  const { name, kind, schema } = definition;
  const needed = (schema.required || []).map((one) => `"${one}": …`).join(", ");
  const given = await ask({
    title: `${kind === "job" ? "Enqueue" : "Start"} ${name}`,
    action: kind === "job" ? "Enqueue" : "Start",
    fields: [{
      name: "payload", label: "Arguments, a JSON object", type: "area", value: "{}", hint: needed && `It needs {${needed}}.`,
      read: (text) => parsed(text, {}),
    }],
  });
  if (!given) return undefined;
  if (kind === "job") return post("v1/jobs", { name, payload: given.payload });
  return post("v1/workflows/runs", { name, input: given.payload, version: definition.version });
}

function Row({ definition }) {
  const wide = definition.kind === "job" ? "job" : "run";
  if (!may(wide === "job" ? "job:write" : "workflow:write")) return null;
  const verb = wide === "job" ? "Enqueue" : "Start";
  return html`<${Button} kind="small" label=${`${verb} ${definition.name}`} act=${() => call(definition)}
    done=${(answer) => `${answer.id} is ${answer.state}`} after=${(answer) => void (location.hash = `#/${wide}/${answer.id}`)}>${verb}…<//>`;
}

function tally(stats, workers, failed) {
  return {
    stats: new Map(stats?.items.map((one) => [one.name, one])),
    served: (name) => workers?.items.filter((worker) => worker.names.includes(name)).length,
    last: new Map(failed?.items.toReversed().map((job) => [job.name, job])),
  };
}

export default function Definitions() {
  const found = useData([
    "v1/definitions",
    sees("stats:read") && "v1/jobs/stats?limit=1500",
    sees("worker:read", true) && "v1/workers",
    url("v1/jobs", { state: "failed", limit: 200 }),
  ], "jobs");
  return html`<${Page} title="Definitions">
    <${Loaded} from=${found}>${(definitions, stats, workers, failed) => {
      const known = tally(stats, workers, failed);
      const of = (row) => (row.kind === "job" ? known.stats.get(row.name) : null);
      const jobs = (row) => (row.kind === "job" ? url("#/jobs", { name: row.name }) : url("#/runs", { name: row.name }));
      const last = (row) => known.last.get(row.name);
      return html`<${Section} title="Jobs and workflows" note=${stats && `Rates and times: from the newest ${count(stats.sampled)} jobs that ended.`}>
        <${Table} label="Definitions" id=${(row) => `${row.kind} ${row.name} ${row.version}`} rows=${definitions.items}
          empty="No app has announced anything: start a worker, or serve with your modules."
          columns=${[
            ["Name", (row) => html`<a href=${jobs(row)}>${row.name}</a>
              <details><summary class="soft">arguments</summary><${Value} of=${row.schema} label=${`Arguments of ${row.name}`} /></details>`],
            ["Kind", (row) => (row.kind === "job" ? "job" : `workflow, version ${row.version}`)],
            ["Queue", (row) => row.queue],
            ["A minute", (row) => of(row)?.per_minute?.toFixed(1) ?? "–", "number"],
            ["Failed", (row) => percent(of(row)?.failure_rate), "number"],
            ["Wait, 95 %", (row) => span(of(row)?.wait_seconds.p95), "number"],
            ["Run, 95 %", (row) => span(of(row)?.run_seconds.p95), "number"],
            ...(workers ? [["Workers", (row) => known.served(row.name) || html`<span class="state blocked">none</span>`, "number"]] : []),
            ["Last error", (row) => last(row) && html`<a href=${`#/job/${last(row).id}`}>${last(row).error?.type || last(row).reason}</a>`],
            ["Actions", (row) => html`<${Row} definition=${row} />`],
          ]} />
      <//>`;
    }}<//>
  <//>`;
}
