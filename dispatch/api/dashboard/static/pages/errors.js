// What goes wrong, alike errors together: jobs that will be tried again, and those that gave up.

import { sees, url } from "../api.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { count } from "../text.js";
import { Id, Loaded, Page, Section, Table, Time } from "../ui.js";

const MOST = 500; // retrying jobs that are looked at

/** Jobs by name and error type, most first. */
function grouped(jobs) {
  const groups = new Map();
  for (const job of jobs) {
    const type = job.error?.type || job.reason || "unknown";
    const key = `${job.name} ${type}`;
    const group = groups.get(key) || { key, name: job.name, type, count: 0, next: job.run_at, sample: job };
    group.count += 1;
    if (job.run_at < group.next) group.next = job.run_at;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

export default function Errors() {
  const found = useData([sees("job:read") && url("v1/jobs", { state: "retrying", limit: MOST }), "v1/dlq/groups"], "jobs");
  return html`<${Page} title="Errors">
    <${Loaded} from=${found}>${(retrying, dead) => html`
      ${retrying && html`<${Section} title="Will be tried again" note=${retrying.next_cursor && `Of the newest ${MOST} jobs that wait for another attempt.`}>
        <${Table} label="Errors of retrying jobs" id=${(row) => row.key} rows=${grouped(retrying.items)} empty="No job waits for another attempt."
          columns=${[
            ["Job", (row) => html`<a href=${url("#/jobs", { state: "retrying", name: row.name })}>${row.name}</a>`],
            ["Error", (row) => row.type],
            ["Count", (row) => count(row.count), "number"],
            ["Next attempt", (row) => html`<${Time} at=${row.next} />`],
            ["Says", (row) => row.sample.error?.message.slice(0, 200)],
            ["Sample", (row) => html`<${Id} of=${row.sample.id} kind="job" />`],
          ]} />
      <//>`}
      <${Section} title="Gave up">
        <${Table} label="Errors of dead letters" id=${(row) => `${row.job_name} ${row.error_type}`} rows=${dead.items} empty="No dead letter waits for a decision."
          columns=${[
            ["Job", (row) => html`<a href=${url("#/dead", { name: row.job_name, error: row.error_type })}>${row.job_name}</a>`],
            ["Error", (row) => row.error_type],
            ["Count", (row) => count(row.count), "number"],
            ["Oldest", (row) => html`<${Time} at=${row.oldest_at} />`],
            ["Newest", (row) => html`<${Time} at=${row.newest_at} />`],
            ["Sample", (row) => html`<${Id} of=${row.sample} kind="letter" />`],
          ]} />
      <//>`}<//>
  <//>`;
}
