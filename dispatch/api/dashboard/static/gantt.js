// When the steps of a run were at work: a table whose last column is a bar chart.

import { html } from "./html.js";
import { span, seconds } from "./text.js";
import { Id, State, Value } from "./ui.js";

const TONES = { step: "--info", wait: "--warn", sleep: "--soft", child: "--good", undo: "--bad", failure: "--bad", value: "--soft" };

/** What is drawn: the recorded visits, and after them what the run waits for now. */
export function rows(run, timeline, now = new Date().toISOString()) {
  const last = timeline.at(-1)?.created_at || run.started_at || run.created_at;
  const recorded = timeline.map((one) => ({
    key: one.id, name: one.step_name, kind: one.kind, state: one.state, from: one.started_at || one.created_at,
    to: one.state === "open" ? now : one.created_at, data: one.data, text: one.data_text, attempt: one.attempt,
    inherited: one.inherited, child: run.children.find((child) => child.step === one.step_name)?.child,
  }));
  const waits = run.finished_at ? [] : run.waits.map((one) => ({
    key: `wait ${one.name}`, name: one.name, kind: "wait", state: "waiting", from: last, to: now, data: null, text: null, attempt: 1,
    note: `for ${one.events.join(" or ")}${one.key === null ? "" : `, key ${one.key}`}`,
  }));
  return [...recorded, ...waits];
}

function Bar({ row, from, whole }) {
  const at = Math.max(0, Math.min(1, seconds(from, row.from) / whole));
  const long = Math.max(0.006, Math.min(1 - at, Math.max(0, seconds(row.from, row.to)) / whole));
  const left = Math.min(at, 0.994);
  return html`<svg class="bar-of-time" width="100%" height="16" aria-hidden="true">
    <rect x="0" y="7" width="100%" height="1" style=${{ fill: "var(--line)" }} />
    <rect x=${`${left * 100}%`} y="2" width=${`${long * 100}%`} height="12" rx="2"
      style=${{ fill: `var(${TONES[row.kind]})`, opacity: row.state === "waiting" || row.inherited ? 0.5 : 1 }} />
  </svg>`;
}

export function Gantt({ run, timeline }) {
  const drawn = rows(run, timeline);
  if (!drawn.length) return html`<p class="empty">Nothing is recorded yet.</p>`;
  const from = drawn.reduce((least, row) => (row.from < least ? row.from : least), drawn[0].from);
  const to = drawn.reduce((most, row) => (row.to > most ? row.to : most), drawn[0].to);
  const whole = Math.max(0.001, seconds(from, to));
  return html`<table class="list gantt" role="table" aria-label="Timeline">
    <thead role="rowgroup"><tr role="row">
      ${["Step", "Kind", "Took", `${span(whole)} in all`].map((title) => html`<th role="columnheader" scope="col" key=${title}>${title}</th>`)}
    </tr></thead>
    <tbody role="rowgroup">${drawn.map((row) => html`<tr role="row" key=${row.key}>
      <td role="cell" data-label="Step"><div><strong>${row.name}</strong>
        ${row.attempt > 1 && html` <small>attempt ${row.attempt}</small>`}${row.inherited && html` <small>inherited</small>`}
        ${row.note && html` <small>${row.note}</small>`}
        ${row.child && html` → <${Id} of=${row.child} kind=${row.child.startsWith("run_") ? "run" : "job"} />`}
        ${(row.data !== null || row.text !== null) && html`<details><summary class="soft">output</summary>
          <${Value} of=${row.data} text=${row.text} label=${`Output of ${row.name}`} /></details>`}</div></td>
      <td role="cell" data-label="Kind">${row.kind} ${row.state !== "recorded" && html`<${State} of=${row.state} />`}</td>
      <td role="cell" data-label="Took" class="number">${span(Math.max(0, seconds(row.from, row.to)))}</td>
      <td role="cell" class="when"><${Bar} row=${row} from=${from} whole=${whole} /></td>
    </tr>`)}</tbody>
  </table>`;
}
