// Attempts that did not complete, with their tracebacks.

import { html } from "./html.js";
import { shown } from "./text.js";
import { Section, Span, State, Time } from "./ui.js";

export function Trouble({ error }) {
  return html`<p><strong>${error.type}</strong>: ${shown(null, error.message)}</p>
    ${error.traceback && html`<pre class="value" tabindex="0" role="group" aria-label="Traceback">${shown(null, error.traceback)}</pre>`}`;
}

export function Attempts({ of }) {
  if (!of.length) return null;
  return html`<${Section} title="Failed attempts">
    ${of.toReversed().map((one, at) => html`<details key=${`${one.number} ${one.ended_at}`} open=${at === 0}>
      <summary>Attempt ${one.number} <${State} of=${one.kind} /> <${Time} at=${one.ended_at} />, after${" "}
        <${Span} from=${one.started_at} to=${one.ended_at} />${one.worker_id && ` on ${one.worker_id}`}</summary>
      ${one.error ? html`<${Trouble} error=${one.error} />` : html`<p class="soft">It left no error.</p>`}
    </details>`)}
  <//>`;
}
