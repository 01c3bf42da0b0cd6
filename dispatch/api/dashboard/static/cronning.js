// What can be done with a cron entry, on the list and on its page.

import { post, may } from "./api.js";
import { html } from "./html.js";
import { REASON, ask } from "./talk.js";
import { Button } from "./ui.js";

const HOUR = 3600e3;
const UNTIL = [["", "somebody enables it"], ["1", "in an hour"], ["24", "tomorrow"], ["168", "in a week"]];

async function disable(path, entry) {
  const given = await ask({
    title: `Disable ${entry.name}?`, text: "It fires no more; deploys do not change that.", action: "Disable",
    fields: [
      { name: "until", label: "Until", options: UNTIL, read: (text) => (text ? new Date(Date.now() + text * HOUR).toISOString() : null) },
      REASON,
    ],
  });
  return given && post(`${path}/disable`, given);
}

export function CronActions({ entry, reload, kind = "" }) {
  if (!may("cron:write")) return null;
  const path = `v1/crons/${entry.id}`;
  const trigger = async () => {
    const given = await ask({ title: `Make the call of ${entry.name} now?`, text: "Its schedule goes on as before.", action: "Trigger", fields: [REASON] });
    return given && post(`${path}/trigger`, given);
  };
  const of = { kind, after: reload };
  return html`<span class="actions">
    <${Button} ...${of} label=${`Trigger ${entry.name}`} act=${trigger} done=${(tick) => `${entry.name}: ${tick.outcome}`}>Trigger<//>
    ${entry.state === "disabled"
      ? html`<${Button} ...${of} label=${`Enable ${entry.name}`} act=${() => post(`${path}/enable`)} done=${`${entry.name} fires again`}>Enable<//>`
      : html`<${Button} ...${of} label=${`Disable ${entry.name}`} act=${() => disable(path, entry)} done=${`${entry.name} is disabled`}>Disable<//>`}
  </span>`;
}
