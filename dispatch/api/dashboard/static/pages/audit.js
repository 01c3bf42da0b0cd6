// Who changed what, newest first.

import { useState } from "preact/hooks";
import { html } from "../html.js";
import { useData } from "../live.js";
import { count } from "../text.js";
import { Field, Loaded, Page, State, Table, Time } from "../ui.js";

const MOST = 500; // records that are looked at

export default function Audit() {
  const [words, search] = useState("");
  const found = useData([`v1/audit?limit=${MOST}`]);
  const looked = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (record) => {
    const text = [record.who, record.verb, record.reason, record.detail, ...record.ids].join(" ").toLowerCase();
    return looked.every((word) => text.includes(word));
  };
  return html`<${Page} title="Audit">
    <div class="filters" role="search">
      <${Field} label=${`Search among the newest ${MOST}`}><input value=${words} onInput=${(event) => search(event.currentTarget.value)} /><//>
    </div>
    <${Loaded} from=${found}>${(records) => html`<div class="card">
      <${Table} label="Audit records" rows=${records.items.filter(fits)} empty="No record looks like that." columns=${[
        ["When", (row) => html`<${Time} at=${row.created_at} />`],
        ["Who", (row) => row.who],
        ["Verb", (row) => row.verb],
        ["Outcome", (row) => html`<${State} of=${row.outcome} />`],
        ["What", (row) => (row.ids.length > 1
          ? html`<details><summary>${count(row.count)} things</summary><span class="ids">${row.ids.join(" ")}</span></details>`
          : `${row.ids[0] || ""} ${row.detail}`)],
        ["Reason", (row) => row.reason],
      ]} />
    </div>`}<//>
  <//>`;
}
