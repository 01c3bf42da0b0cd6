// Who one is here and may do what, how the pages look, API keys, plugins, the server.

import { useState } from "preact/hooks";
import { call, here, may, post, sees } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { choose, chosen } from "../theme.js";
import { Button, Facts, Field, Loaded, Page, Section, Table, Tags, Time } from "../ui.js";

function Looks() {
  const [theme, set] = useState(chosen());
  const change = (event) => {
    choose(event.currentTarget.value);
    set(event.currentTarget.value);
  };
  return html`<${Section} title="Looks"><${Field} label="Theme"><select value=${theme} onChange=${change}>
    ${[["system", "as the system says"], ["light", "light"], ["dark", "dark"]].map(([value, text]) => html`<option value=${value} key=${value}>${text}</option>`)}
  </select><//><//>`;
}

async function create() {
  const given = await ask({
    title: "A new API key", action: "Create",
    fields: [
      { name: "name", label: "Name", required: true },
      { name: "scopes", label: "Scopes", value: "job:read stats:read", required: true, hint: "Separated by blanks; * is all.", read: (text) => text.split(/\s+/).filter(Boolean) },
      { name: "tenant", label: "Tenant, app/org", hint: "Empty: it is bound to none.", read: (text) => text || null },
      { name: "expires_in", label: "Valid for how many days", type: "number", read: (text) => (text ? Number(text) * 86400 : null) },
      REASON,
    ],
  });
  return given && post("v1/apikeys", given);
}

async function revoke(key) {
  const sure = await ask({ title: `Revoke ${key.name}?`, text: "It ends at once and for good, with its sessions.", action: "Revoke", danger: true });
  if (!sure) return undefined;
  await call("DELETE", `v1/apikeys/${key.id}`);
  return true;
}

function Keys() {
  const [made, show] = useState(null);
  const found = useData(["v1/apikeys?limit=500"]);
  const after = (answer) => {
    show(answer?.key ? answer : null);
    return found.reload();
  };
  return html`<${Section} title="API keys">
    ${may("admin", true) && html`<p><${Button} act=${create} done=${(key) => `${key.name} is made`} after=${after}>New key…<//></p>`}
    ${made && html`<p class="alert" role="status">The key of ${made.name}, shown this once: <code class="id">${made.key}</code></p>`}
    <${Loaded} from=${found}>${(keys) => html`<${Table} label="API keys" rows=${keys.items} empty="There is no API key." columns=${[
      ["Name", (row) => row.name],
      ["Id", (row) => html`<span class="id">${row.id}</span>`],
      ["Scopes", (row) => html`<span><${Tags} of=${row.scopes} /></span>`],
      ["Tenant", (row) => row.tenant || "–"],
      ["Made", (row) => html`<span><${Time} at=${row.created_at} />${row.created_by && ` by ${row.created_by}`}</span>`],
      ["Ends", (row) => html`<${Time} at=${row.expires_at} none="never" />`],
      ...(may("admin", true) ? [["Actions", (row) => html`<${Button} kind="small" label=${`Revoke ${row.name}`} act=${() => revoke(row)} done="Revoked" after=${after}>Revoke<//>`]] : []),
    ]} />`}<//>
  <//>`;
}

function Plugins() {
  const found = useData(["v1/plugins"]);
  return html`<${Section} title="Plugins"><${Loaded} from=${found}>${(plugins) => html`<${Table} label="Plugins" id=${(row) => row.name} rows=${plugins.items}
    empty="None is loaded." columns=${[["Name", (row) => row.name], ["Hooks", (row) => row.hooks.join(", ")]]} />`}<//><//>`;
}

export default function Settings() {
  return html`<${Page} title="Settings">
    <div class="grid">
      <${Section} title="You"><${Facts} of=${[
        ["Name", here.name],
        ["Tenant", here.tenant || "all"],
        ["Scopes", html`<${Tags} of=${here.scopes} />`],
        ["Server", `Dispatch ${here.dispatch}`],
        ["Environment", here.environment],
        ["Only shows", here.read_only],
      ]} /><//>
      <${Looks} />
    </div>
    ${sees("admin", true) && html`<${Keys} /><${Plugins} />`}
  <//>`;
}
