// One dead letter: what its job carried and how it failed; replay it, with other arguments too, or discard it.

import { may, post } from "../api.js";
import { Attempts, Trouble } from "../attempts.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { parsed } from "../text.js";
import { Button, Facts, Id, Loaded, Page, Section, State, Tags, Time, Value } from "../ui.js";

function Actions({ letter, reload }) {
  if (letter.state !== "open" || !may("dlq:write")) return null;
  const act = async (verb, title, action) => {
    const given = await ask({ title, action, fields: [REASON] });
    return given && post(`v1/dlq/${letter.id}/${verb}`, given);
  };
  const edit = async () => {
    const given = await ask({
      title: "Replay it with other arguments?", text: "The new job carries them; the dead letter keeps its own.", action: "Replay",
      fields: [
        { name: "payload", label: "Arguments, JSON", type: "area", value: JSON.stringify(letter.payload, null, 2),
          hint: "What is shown as *** and left so stays what it was.", read: (text) => parsed(text, {}) },
        REASON,
      ],
    });
    return given && post(`v1/dlq/${letter.id}/replay`, given);
  };
  return html`
    <${Button} kind="primary" act=${() => act("replay", "Replay it as a new job?", "Replay")} done="Replayed" after=${reload}>Replay<//>
    <${Button} act=${edit} done="Replayed" after=${reload}>With other arguments…<//>
    <${Button} act=${() => act("discard", "Discard it? Nothing happens with it.", "Discard")} done="Discarded" after=${reload}>Discard<//>`;
}

export default function Letter({ id }) {
  const found = useData([`v1/dlq/${id}`], null);
  const letter = found.data?.[0];
  return html`<${Page} title=${letter ? letter.job_name : "Dead letter"}
      actions=${letter && html`<${State} of=${letter.state} /><${Actions} letter=${letter} reload=${found.reload} />`}>
    <${Loaded} from=${found}>${(letter) => html`
      <p class="id">${letter.id}</p>
      <${Section} title="Facts"><${Facts} of=${[
        ["Job", html`<${Id} of=${letter.job_id} kind="job" />`],
        ["Replayed as", letter.replayed_as && html`<${Id} of=${letter.replayed_as} kind="job" />`],
        ["Died", html`<${Time} at=${letter.created_at} />`],
        ["Queue", letter.queue],
        ["Reason", letter.reason],
        ["Failures", letter.failures],
        ["Crashes", letter.crashes || null],
        ["Unique key", letter.unique_key],
        ["Tenant", letter.scope && `${letter.scope.app_id}/${letter.scope.org_id}`],
        ["Tags", letter.tags.length > 0 && html`<${Tags} of=${letter.tags} />`],
      ]} /><//>
      ${letter.error && html`<${Section} title="Error"><${Trouble} error=${letter.error} /><//>`}
      <${Section} title="Arguments"><${Value} of=${letter.payload} text=${letter.payload_text} label="Arguments" /><//>
      ${Object.keys(letter.metadata).length > 0 && html`<${Section} title="Metadata"><${Value} of=${letter.metadata} label="Metadata" /><//>`}
      <${Attempts} of=${letter.attempts} />`}<//>
  <//>`;
}
