// Dead letters: alike ones together, each of them below; replay, discard, purge.

import { useState } from "preact/hooks";
import { may, post, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { count } from "../text.js";
import { Button, Field, Id, Loaded, Page, Pager, Section, State, Table, Time, outcome } from "../ui.js";

const STATES = [["open", "open"], ["replayed", "replayed"], ["discarded", "discarded"]];

async function replayAll(group) {
  const given = await ask({
    title: `Replay ${count(group.count)} dead letters?`,
    text: `${group.job_name}, ${group.error_type}: each becomes a new job, due now.`,
    action: "Replay them",
    fields: [REASON],
  });
  if (!given) return undefined;
  const whole = { items: [], done: 0, refused: 0 };
  for (;;) {
    const answer = await post("v1/dlq/replay", { group: { job_name: group.job_name, error_type: group.error_type }, ...given });
    whole.items.push(...answer.items.filter((item) => !item.ok).slice(0, 1));
    whole.done += answer.done;
    whole.refused = answer.refused;
    if (!answer.done) return outcome(whole, "replayed");
  }
}

async function purge() {
  const given = await ask({
    title: "Delete dead letters for good?",
    action: "Delete them",
    danger: true,
    fields: [
      { name: "states", label: "Which", options: [["decided", "replayed and discarded ones"], ["", "all, open ones too"]],
        read: (text) => (text ? ["replayed", "discarded"] : []) },
      { name: "older_than", label: "Older than, in days", type: "number", value: 7, required: true, read: (text) => Number(text) * 86400 },
      REASON,
    ],
  });
  if (!given) return undefined;
  let purged = 0;
  for (;;) {
    const answer = await post("v1/dlq/purge", given);
    purged += answer.purged;
    if (!answer.purged) return `${count(purged)} dead letters deleted`;
  }
}

function Groups({ groups, done }) {
  return html`<${Section} title="Alike">
    <${Table} label="Groups of dead letters" id=${(row) => `${row.job_name} ${row.error_type}`} rows=${groups} empty="No dead letter waits for a decision."
      columns=${[
        ["Job", (row) => html`<a href=${url("#/dead", { name: row.job_name, error: row.error_type })}>${row.job_name}</a>`],
        ["Error", (row) => row.error_type],
        ["Count", (row) => count(row.count), "number"],
        ["Newest", (row) => html`<${Time} at=${row.newest_at} />`],
        ["Sample", (row) => html`<${Id} of=${row.sample} kind="letter" />`],
        ...(may("dlq:write") ? [["Actions", (row) => html`
          <${Button} kind="small" label=${`Replay all ${row.job_name} ${row.error_type}`} ...${done} act=${() => replayAll(row)}>Replay all<//>`]] : []),
      ]} />
  <//>`;
}

export default function Dead({ query }) {
  const now = { state: query.get("state") || "open", name: query.get("name") || "", error: query.get("error") || "", cursor: query.get("cursor") || "" };
  const [chosen, choose] = useState(new Set());
  const found = useData([url("v1/dlq", now), "v1/dlq/groups"], "jobs");
  const go = (next) => {
    choose(new Set());
    location.hash = url("#/dead", next);
  };
  const done = { done: (text) => text, after: found.reload };
  const all = async (verb, past, question) => {
    const given = await ask({ ...question, fields: [REASON] });
    if (!given) return undefined;
    const answer = await post(`v1/dlq/${verb}`, { ids: [...chosen], ...given });
    choose(new Set());
    return outcome(answer, past);
  };
  const actions = may("dlq:write") && html`
    ${chosen.size > 0 && html`
      <${Button} ...${done} act=${() => all("replay", "replayed", { title: `Replay ${chosen.size}?`, action: "Replay" })}>Replay ${chosen.size}<//>
      <${Button} ...${done} act=${() => all("discard", "discarded", { title: `Discard ${chosen.size}?`, text: "Nothing happens with them.", action: "Discard" })}>Discard ${chosen.size}<//>`}
    <${Button} ...${done} kind="danger" act=${purge}>Purge…<//>`;
  return html`<${Page} title="Dead letters" actions=${actions}>
    <${Loaded} from=${found}>${(page, groups) => html`
      <${Groups} groups=${groups.items} done=${done} />
      <${Section} title="One by one">
        <div class="filters">
          <${Field} label="State"><select value=${now.state} onChange=${(event) => go({ ...now, cursor: "", state: event.currentTarget.value })}>
            ${STATES.map(([value, text]) => html`<option value=${value} key=${value}>${text}</option>`)}
          </select><//>
          ${(now.name || now.error) && html`<span>${now.name} ${now.error} <a href="#/dead">show all</a></span>`}
        </div>
        <${Table} label="Dead letters" rows=${page.items} chosen=${may("dlq:write") && now.state === "open" ? chosen : null} choose=${choose}
          columns=${[
            ["Job", (row) => html`<a href=${`#/letter/${row.id}`}>${row.job_name}</a>`],
            ["Id", (row) => html`<${Id} of=${row.id} kind="letter" />`],
            ["State", (row) => html`<${State} of=${row.state} />`],
            ["Queue", (row) => row.queue],
            ["Failures", (row) => row.failures + row.crashes, "number"],
            ["Died", (row) => html`<${Time} at=${row.created_at} />`],
            ["Error", (row) => (row.error ? `${row.error.type}: ${row.error.message.slice(0, 160)}` : row.reason)],
          ]} />
        <${Pager} at=${now.cursor} next=${page.next_cursor} go=${(cursor) => go({ ...now, cursor })} />
      <//>`}<//>
  <//>`;
}
