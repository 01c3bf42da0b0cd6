// How the place is doing: what needs a person, how much waits, what ended when, how long it took.

import { useMemo, useState } from "preact/hooks";
import { sees, url } from "../api.js";
import { Chart } from "../chart.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { count, span } from "../text.js";
import { Field, Loaded, Page, Section, Table, Time } from "../ui.js";

const TIMES = [["60", "60", "last hour"], ["360", "72", "last 6 hours"], ["1440", "96", "last day"], ["10080", "84", "last week"]];

function Tile({ href, name, value, bad }) {
  return html`<li class=${bad ? "bad" : ""}><a href=${href}><b>${value}</b><span>${name}</span></a></li>`;
}

function Health({ status }) {
  const needs = status.attention;
  return html`<${Section} title="Health">
    ${needs.length
      ? html`<p>${needs.length === 1 ? "One thing needs" : `${needs.length} things need`} a look:</p>
          <ul class="health">${needs.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`
      : html`<p>All is well.</p>`}
    <p class="soft">${status.workers.live} ${status.workers.live === 1 ? "worker" : "workers"} on ${status.store}</p>
  <//>`;
}

function Backlog({ queues }) {
  const busy = queues.filter((queue) => queue.pending + queue.retrying + queue.running > 0 || queue.paused);
  return html`<${Section} title="Backlog">
    <${Table} label="Backlog" id=${(row) => row.name} rows=${busy} empty="Nothing waits."
      columns=${[
        ["Queue", (row) => html`<a href=${`#/queues?queue=${encodeURIComponent(row.name)}`}>${row.name}</a>`],
        ["Waiting", (row) => count(row.pending + row.retrying), "number"],
        ["Running", (row) => count(row.running), "number"],
        ["Oldest due", (row) => (row.paused ? "paused" : html`<${Time} at=${row.oldest_due_at} />`)],
      ]} />
  <//>`;
}

function Curves({ series }) {
  const [ended, took] = useMemo(() => {
    const times = series.items.map((one) => new Date(one.at) / 1000);
    const of = (read) => series.items.map(read);
    return [
      [times, of((one) => one.completed + one.failed), of((one) => one.failed)],
      [times, of((one) => one.wait_seconds.p95), of((one) => one.run_seconds.p95), of((one) => one.run_seconds.p50)],
    ];
  }, [series]);
  const total = (read) => count(series.items.reduce((sum, one) => sum + read(one), 0));
  const told = `${total((one) => one.completed)} jobs completed, ${total((one) => one.failed)} failed`;
  const note = series.complete ? null : "From the newest 3,000 jobs that ended; there are more.";
  return html`<div class="grid">
    <${Section} title="Throughput" note=${`Jobs that ended every ${span(series.step_seconds)}: ${told}.`}>
      <${Chart} told=${`Throughput: ${told}`} data=${ended} unit=${(value) => (value % 1 ? "" : count(value))} least=${4}
        lines=${[{ label: "ended", tone: "--good", bars: true }, { label: "failed", tone: "--bad", bars: true }]} />
    <//>
    <${Section} title="Latency" note=${note || "How long jobs waited once due, and ran."}>
      <${Chart} told="Latency: how long jobs waited and ran" data=${took} unit=${span} least=${0.01}
        lines=${[
          { label: "wait, 95 %", tone: "--warn" },
          { label: "run, 95 %", tone: "--info" },
          { label: "run, half", tone: "--soft" },
        ]} />
    <//>
  </div>`;
}

export default function Overview() {
  const [minutes, choose] = useState("60");
  const parts = TIMES.find(([one]) => one === minutes)[1];
  const whole = sees("stats:read", true);
  const found = useData(["v1/stats", whole && "v1/status", url("v1/stats/series", { minutes, parts })], "jobs");
  const pick = html`<${Field} label="Time">
    <select value=${minutes} onChange=${(event) => choose(event.currentTarget.value)}>
      ${TIMES.map(([value, , text]) => html`<option value=${value} key=${value}>${text}</option>`)}
    </select>
  <//>`;
  return html`<${Page} title="Overview" actions=${pick}>
    <${Loaded} from=${found}>${(stats, status, series) => html`
      <ul class="tiles">
        ${["pending", "running", "retrying", "completed", "failed"].map((state) => html`
          <${Tile} key=${state} href=${`#/jobs?state=${state}`} name=${state} value=${count(stats.jobs[state])} />`)}
        <${Tile} href="#/dead" name="dead letters" value=${count(stats.dead_letters)} bad=${stats.dead_letters > 0} />
      </ul>
      ${status && html`<div class="grid"><${Health} status=${status} /><${Backlog} queues=${status.queues} /></div>`}
      <${Curves} series=${series} />
    `}<//>
  <//>`;
}
