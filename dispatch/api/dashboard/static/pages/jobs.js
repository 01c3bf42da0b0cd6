// Jobs, newest first: filters in the address, actions on those that are chosen.

import { useState } from "preact/hooks";
import { may, post, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { count } from "../text.js";
import { Button, Field, Id, Loaded, Page, Pager, Span, State, Table, Tags, Time, outcome } from "../ui.js";

const STATES = ["pending", "running", "retrying", "completed", "failed", "cancelled"];
const SINCE = [["", "any time"], ["3600", "last hour"], ["86400", "last day"], ["604800", "last week"]];

/** The filters of an address. */
const filters = (query) => ({
  state: query.getAll("state").filter((state) => STATES.includes(state)),
  name: query.get("name") || "",
  queue: query.get("queue") || "",
  tag: query.get("tag") || "",
  within: query.get("within") || "",
  cursor: query.get("cursor") || "",
});

const since = (within) => within && new Date(Math.floor(Date.now() / 60e3) * 60e3 - within * 1000).toISOString();

function Filters({ now, go, counts, names }) {
  const change = (more) => go({ ...now, cursor: "", ...more });
  const search = (event) => {
    event.preventDefault();
    const { name, queue, tag } = event.currentTarget.elements;
    if (/^job_[0-9a-z]{26}$/.test(name.value.trim())) return void (location.hash = `#/job/${name.value.trim()}`);
    change({ name: name.value.trim(), queue: queue.value.trim(), tag: tag.value.trim() });
  };
  const toggle = (state) =>
    change({ state: now.state.includes(state) ? now.state.filter((one) => one !== state) : [...now.state, state] });
  return html`<form class="filters" role="search" onSubmit=${search} key=${JSON.stringify(now)}>
    <${Field} label="Name, or a job's id"><input name="name" list="names" defaultValue=${now.name} /><//>
    <datalist id="names">${names.map((name) => html`<option value=${name} key=${name} />`)}</datalist>
    <${Field} label="Queue"><input name="queue" defaultValue=${now.queue} size="12" /><//>
    <${Field} label="Tag"><input name="tag" defaultValue=${now.tag} size="12" /><//>
    <${Field} label="Created">
      <select name="within" value=${now.within} onChange=${(event) => change({ within: event.currentTarget.value })}>
        ${SINCE.map(([value, text]) => html`<option value=${value} key=${value}>${text}</option>`)}
      </select>
    <//>
    <button type="submit">Search</button>
    <fieldset><legend>State</legend>
      ${STATES.map((state) => html`<label key=${state}>
        <input type="checkbox" checked=${now.state.includes(state)} onChange=${() => toggle(state)} />
        ${" "}${state} <small>${count(counts[state])}</small>
      </label>`)}
    </fieldset>
  </form>`;
}

export default function Jobs({ query }) {
  const now = filters(query);
  const [chosen, choose] = useState(new Set());
  const listed = url("v1/jobs", {
    state: now.state, name: now.name, queue: now.queue, tag: now.tag, since: since(now.within), cursor: now.cursor,
  });
  const counted = url("v1/jobs/counts", { name: now.name, queue: now.queue });
  const found = useData([listed, counted, "v1/definitions"], now.queue ? `queue:${now.queue}` : "jobs");
  const go = (next) => {
    choose(new Set());
    location.hash = url("#/jobs", next);
  };
  const all = async (path, verb, question) => {
    const reason = question && (await ask({ ...question, fields: [REASON] }));
    if (question && !reason) return undefined;
    const answer = await post(`v1/jobs/${path}`, { ids: [...chosen], ...reason });
    choose(new Set());
    return outcome(answer, verb);
  };
  const many = `${chosen.size} ${chosen.size === 1 ? "job" : "jobs"}`;
  const done = { done: (text) => text, after: found.reload };
  const actions = chosen.size > 0 && may("job:write") && html`
    <span>${many}:</span>
    <${Button} ...${done} act=${() => all("retry", "retried")}>Retry<//>
    <${Button} ...${done} act=${() => all("cancel", "cancelled", { title: `Cancel ${many}?`, action: "Cancel them" })}>Cancel<//>
    <${Button} ...${done} kind="danger" act=${() => all("delete", "deleted", {
      title: `Delete ${many}?`, text: "They are gone for good, with their attempts and results.", action: "Delete them", danger: true,
    })}>Delete<//>`;
  return html`<${Page} title="Jobs" actions=${actions}>
    <${Loaded} from=${found}>${(page, counts, definitions) => html`
      <${Filters} now=${now} go=${go} counts=${counts} names=${definitions.items.filter((one) => one.kind === "job").map((one) => one.name)} />
      <div class="card">
        <${Table} label="Jobs" rows=${page.items} chosen=${chosen} choose=${choose} empty="No job looks like that."
          columns=${[
            ["Job", (job) => html`<a href=${`#/job/${job.id}`}>${job.name}</a> <${Tags} of=${job.tags} />`],
            ["Id", (job) => html`<${Id} of=${job.id} kind="job" />`],
            ["State", (job) => html`<${State} of=${job.state} />`],
            ["Queue", (job) => job.queue],
            ["Attempt", (job) => job.attempt, "number"],
            ["Created", (job) => html`<${Time} at=${job.created_at} />`],
            ["Ran", (job) => html`<${Span} from=${job.started_at} to=${job.finished_at} />`],
            ["Error", (job) => job.error && `${job.error.type}: ${job.error.message.slice(0, 120)}`],
          ]} />
        <${Pager} at=${now.cursor} next=${page.next_cursor} go=${(cursor) => go({ ...now, cursor })} />
      </div>`}<//>
  <//>`;
}
