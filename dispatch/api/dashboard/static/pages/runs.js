// Workflow runs, newest first: filters in the address, actions on those that are chosen.

import { useState } from "preact/hooks";
import { may, post, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { count } from "../text.js";
import { Button, Field, Id, Loaded, Page, Pager, Span, State, Table, Tags, Time, outcome } from "../ui.js";

const STATES = ["pending", "running", "waiting", "compensating", "completed", "failed", "cancelled", "blocked"];

function Filters({ now, go, counts, names }) {
  const toggle = (state) =>
    go({ ...now, cursor: "", state: now.state.includes(state) ? now.state.filter((one) => one !== state) : [...now.state, state] });
  return html`<div class="filters" role="search">
    <${Field} label="Workflow"><select value=${now.name} onChange=${(event) => go({ ...now, cursor: "", name: event.currentTarget.value })}>
      <option value="">all</option>
      ${names.map((name) => html`<option value=${name} key=${name}>${name}</option>`)}
    </select><//>
    <fieldset><legend>State</legend>
      ${STATES.map((state) => html`<label key=${state}>
        <input type="checkbox" checked=${now.state.includes(state)} onChange=${() => toggle(state)} />
        ${" "}${state} <small>${count(counts[state])}</small>
      </label>`)}
    </fieldset>
  </div>`;
}

export default function Runs({ query }) {
  const now = {
    state: query.getAll("state").filter((state) => STATES.includes(state)),
    name: query.get("name") || "",
    parent: query.get("parent") || "",
    cursor: query.get("cursor") || "",
  };
  const [chosen, choose] = useState(new Set());
  const found = useData(
    [url("v1/workflows/runs", now), url("v1/workflows/runs/counts", { name: now.name }), "v1/workflows"], "workflows",
  );
  const go = (next) => {
    choose(new Set());
    location.hash = url("#/runs", next);
  };
  const all = async (verb, past, question) => {
    const given = await ask({ ...question, fields: [REASON] });
    if (!given) return undefined;
    const answer = await post(`v1/workflows/runs/${verb}`, { ids: [...chosen], ...given });
    choose(new Set());
    return outcome(answer, past);
  };
  const done = { done: (text) => text, after: found.reload };
  const actions = chosen.size > 0 && may("workflow:write") && html`
    <${Button} ...${done} act=${() => all("retry", "go on", { title: `Retry ${chosen.size}?`, action: "Retry" })}>Retry ${chosen.size}<//>
    <${Button} ...${done} act=${() => all("cancel", "cancelled", { title: `Cancel ${chosen.size}?`, text: "They take back what they did.", action: "Cancel them" })}>Cancel ${chosen.size}<//>`;
  return html`<${Page} title="Workflows" actions=${actions}>
    <${Loaded} from=${found}>${(page, counts, workflows) => html`
      <${Filters} now=${now} go=${go} counts=${counts} names=${[...new Set([now.name, ...workflows.items.map((one) => one.name)])].filter(Boolean)} />
      <div class="card">
        <${Table} label="Runs" rows=${page.items} chosen=${may("workflow:write") ? chosen : null} choose=${choose} empty="No run looks like that."
          columns=${[
            ["Workflow", (run) => html`<a href=${`#/run/${run.id}`}>${run.name}</a> <small>version ${run.version}</small> <${Tags} of=${run.tags} />`],
            ["Id", (run) => html`<${Id} of=${run.id} kind="run" />`],
            ["State", (run) => html`<${State} of=${run.state} />${run.compensated && " taken back"}`],
            ["Started", (run) => html`<${Time} at=${run.started_at || run.created_at} />`],
            ["Took", (run) => html`<${Span} from=${run.started_at} to=${run.finished_at} />`],
            ["Wakes", (run) => html`<${Time} at=${run.wakes_at} />`],
            ["Error", (run) => (run.error ? `${run.error.type}: ${run.error.message.slice(0, 120)}` : run.reason)],
          ]} />
        <${Pager} at=${now.cursor} next=${page.next_cursor} go=${(cursor) => go({ ...now, cursor })} />
      </div>`}<//>
  <//>`;
}
