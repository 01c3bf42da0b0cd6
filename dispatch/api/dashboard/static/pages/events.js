// Events that were published, signals to single runs among them; and publishing one.

import { may, post, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { ask } from "../talk.js";
import { parsed } from "../text.js";
import { Button, Field, Id, Loaded, Page, Pager, Table, Time, Value } from "../ui.js";

async function publish() {
  const given = await ask({
    title: "Publish an event", text: "It wakes the runs that wait for it.", action: "Publish",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "key", label: "Key: which thing it is about", read: (text) => text || null },
      { name: "payload", label: "Payload, JSON", type: "area", read: (text) => parsed(text) },
    ],
  });
  return given && post("v1/events", given);
}

export default function Events({ query }) {
  const now = { name: query.get("name") || "", key: query.get("key") || "", cursor: query.get("cursor") || "" };
  const found = useData([url("v1/events", now)], "workflows");
  const go = (next) => void (location.hash = url("#/events", next));
  const search = (event) => {
    event.preventDefault();
    const { name, key } = event.currentTarget.elements;
    go({ name: name.value.trim(), key: key.value });
  };
  const actions = may("event:write") && html`<${Button} act=${publish} done=${(event) => `${event.name} is published`} after=${found.reload}>Publish…<//>`;
  return html`<${Page} title="Events" actions=${actions}>
    <form class="filters" role="search" onSubmit=${search} key=${JSON.stringify(now)}>
      <${Field} label="Name"><input name="name" defaultValue=${now.name} /><//>
      <${Field} label="Key"><input name="key" defaultValue=${now.key} /><//>
      <button type="submit">Search</button>
    </form>
    <${Loaded} from=${found}>${(page) => html`<div class="card">
      <${Table} label="Events" rows=${page.items} empty="No event looks like that." columns=${[
        ["Event", (row) => html`<div>${row.name}${(row.payload !== null || row.payload_text !== null) && html`<details><summary class="soft">payload</summary>
          <${Value} of=${row.payload} text=${row.payload_text} label=${`Payload of ${row.id}`} /></details>`}</div>`],
        ["Id", (row) => html`<span class="id" title=${row.id}>${row.id.slice(-8)}</span>`],
        ["Key", (row) => row.key ?? "–"],
        ["For", (row) => (row.run_id ? html`<${Id} of=${row.run_id} kind="run" />` : "whoever waits")],
        ["Published", (row) => html`<${Time} at=${row.created_at} />`],
      ]} />
      <${Pager} at=${now.cursor} next=${page.next_cursor} go=${(cursor) => go({ ...now, cursor })} />
    </div>`}<//>
  <//>`;
}
