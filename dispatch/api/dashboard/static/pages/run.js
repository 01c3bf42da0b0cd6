// One workflow run: its steps over time, what it waits for, input and result; signal, retry, cancel, fork, migrate.

import { may, post, url } from "../api.js";
import { Trouble } from "../attempts.js";
import { Gantt } from "../gantt.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { parsed, shown } from "../text.js";
import { Button, Facts, Id, Loaded, Page, Section, Span, State, Table, Tags, Time, Value } from "../ui.js";

const OVER = ["completed", "failed", "cancelled"];
const GOES_ON = ["failed", "cancelled", "blocked"];

function Actions({ run, timeline, reload }) {
  const path = `v1/workflows/runs/${run.id}`;
  const act = async (verb, question) => {
    const given = await ask({ fields: [REASON], ...question });
    return given && post(`${path}/${verb}`, given);
  };
  const names = [...new Set(run.waits.flatMap((wait) => wait.events))];
  const signal = () => act("signal", {
    title: "Send it an event", text: names.length ? `It waits for ${names.join(", ")}.` : "", action: "Send",
    fields: [
      { name: "name", label: "Event", value: names[0], required: true },
      { name: "payload", label: "Payload, JSON", type: "area", read: (text) => parsed(text) },
    ],
  });
  const steps = [...new Set(timeline.map((one) => one.step_name.replace(/~failed-\d+$/, "")))];
  const fork = () => act("fork", {
    title: "Fork this run", text: "A new run with what this one recorded before a step.", action: "Fork",
    fields: [
      { name: "before", label: "It goes on with", options: steps.map((name) => [name, name]), value: steps.at(-1) },
      { name: "edits", label: "Other results to begin with, JSON", type: "area", placeholder: '{"charge.amount": 5}', read: (text) => parsed(text, {}) },
      { name: "undo_inherited", label: "When it fails, take back the copied steps, too", type: "check" },
    ],
  });
  const migrate = () => act("migrate", {
    title: "Move it to another version", action: "Move",
    fields: [{ name: "version", label: "Version", type: "number", value: run.version + 1, required: true }, REASON],
  });
  const say = (answer) => `It is ${answer.state}`;
  const write = may("workflow:write");
  return html`
    ${!OVER.includes(run.state) && may("event:write") && html`<${Button} act=${signal} done="Sent" after=${reload}>Signal…<//>`}
    ${write && GOES_ON.includes(run.state) && html`<${Button} act=${() => act("retry", { title: "Let it go on?", action: "Retry" })} done=${say} after=${reload}>Retry<//>`}
    ${write && steps.length > 0 && html`<${Button} act=${fork} done="Forked" after=${(answer) => void (location.hash = `#/run/${answer.id}`)}>Fork…<//>`}
    ${write && !OVER.includes(run.state) && html`
      <${Button} act=${migrate} done=${say} after=${reload}>Migrate…<//>
      <${Button} kind="danger" act=${() => act("cancel", { title: "Cancel this run?", text: "It takes back what it did before it ends.", action: "Cancel it" })} done=${say} after=${reload}>Cancel<//>`}`;
}

function Differences({ run }) {
  const found = useData([url(`v1/workflows/runs/${run.id}/diff`, { other: run.forked_from })]);
  return html`<${Section} title="Compared with what it was forked from">
    <${Loaded} from=${found}>${(diff) => html`<${Table} label="Differences" id=${(row) => row.step_name} rows=${diff.items} empty="Their records are the same."
      columns=${[
        ["Step", (row) => row.step_name],
        ["Here", (row) => (row.left_kind ? shown(row.left) : "–")],
        ["There", (row) => (row.right_kind ? shown(row.right) : "–")],
      ]} />`}<//>
  <//>`;
}

export default function Run({ id }) {
  const found = useData([`v1/workflows/runs/${id}`, `v1/workflows/runs/${id}/timeline`, url("v1/workflows/runs", { parent: id })], `workflow:${id}`);
  const [run, timeline] = found.data || [];
  return html`<${Page} title=${run ? run.name : "Run"}
      actions=${run && html`<${State} of=${run.state} /><${Actions} run=${run} timeline=${timeline.items} reload=${found.reload} />`}>
    <${Loaded} from=${found}>${(run, timeline, children) => html`
      <p class="id">${run.id}</p>
      ${run.error && html`<${Section} title="Error"><${Trouble} error=${run.error} /><//>`}
      <${Section} title="Timeline"><${Gantt} run=${run} timeline=${timeline.items} /><//>
      <div class="grid">
        <${Section} title="Input"><${Value} of=${run.payload} text=${run.payload_text} label="Input" /><//>
        ${run.result_kept && html`<${Section} title="Result"><${Value} of=${run.result} text=${run.result_text} label="Result" /><//>`}
      </div>
      ${run.waits.length > 0 && html`<${Section} title="Waits for"><${Table} label="Waits" id=${(row) => row.name} rows=${run.waits} columns=${[
        ["Step", (row) => row.name],
        ["Events", (row) => row.events.join(", ")],
        ["Key", (row) => row.key],
        ["Until", (row) => html`<${Time} at=${row.deadline} />`],
      ]} /><//>`}
      ${children.items.length > 0 && html`<${Section} title="Children"><${Table} label="Children" rows=${children.items} columns=${[
        ["Workflow", (row) => html`<a href=${`#/run/${row.id}`}>${row.name}</a>`],
        ["Step", (row) => row.step],
        ["State", (row) => html`<${State} of=${row.state} />`],
        ["Took", (row) => html`<${Span} from=${row.started_at} to=${row.finished_at} />`],
      ]} /><//>`}
      ${run.forked_from && html`<${Differences} run=${run} />`}
      <${Section} title="Facts"><${Facts} of=${[
        ["Version", run.version],
        ["Queue", run.queue],
        ["Created", html`<${Time} at=${run.created_at} />`],
        ["Took", run.finished_at && html`<${Span} from=${run.started_at} to=${run.finished_at} />`],
        ["Wakes", run.wakes_at && html`<${Time} at=${run.wakes_at} />`],
        ["Reason", run.reason],
        ["Taken back", run.compensated],
        ["Taking back failed", run.compensation_failed],
        ["Parent", run.parent && html`<${Id} of=${run.parent} kind="run" />`],
        ["Forked from", run.forked_from && html`<${Id} of=${run.forked_from} kind="run" />`],
        ["Driver", html`<${Id} of=${run.driver} kind="job" />`],
        ["Tenant", run.scope && `${run.scope.app_id}/${run.scope.org_id}`],
        ["Tags", run.tags.length > 0 && html`<${Tags} of=${run.tags} />`],
      ]} />
        ${Object.keys(run.metadata).length > 0 && html`<h3>Metadata</h3><${Value} of=${run.metadata} label="Metadata" />`}
      <//>`}<//>
  <//>`;
}
