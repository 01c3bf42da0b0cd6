// One job: where it is in its life and why, what it carries, how its attempts failed; retry, cancel, delete.

import { call, may, post } from "../api.js";
import { Attempts, Trouble } from "../attempts.js";
import { html } from "../html.js";
import { useData } from "../live.js";
import { REASON, ask } from "../talk.js";
import { span } from "../text.js";
import { Button, Facts, Id, Loaded, Page, Section, Span, State, Tags, Time, Value } from "../ui.js";

const RETRIED = ["failed", "cancelled", "retrying"];
const OVER = ["completed", "failed", "cancelled"];

function Life({ job }) {
  const steps = [
    ["created", job.created_at, "done"],
    ["due", job.run_at, new Date(job.run_at) <= Date.now() ? "done" : ""],
    [`started, attempt ${job.attempt}`, job.started_at, "done"],
    [job.state, job.finished_at, job.state === "completed" ? "done" : "bad"],
  ].filter(([, at]) => at);
  return html`<${Section} title="Lifecycle">
    <ol class="steps">${steps.map(([name, at, kind]) => html`<li class=${kind} key=${name}>${name}<br /><${Time} at=${at} /></li>`)}</ol>
    <p class="soft">Waited <${Span} from=${job.created_at} to=${job.started_at} />, ran <${Span} from=${job.started_at} to=${job.finished_at} />.</p>
    ${job.progress !== null && html`<label>Progress <progress value=${job.progress} max="1"></progress> ${job.progress_note}</label>`}
  <//>`;
}

function Why({ explanation }) {
  return html`<${Section} title="Explanation">
    <p>${explanation.summary}</p>
    <ul class="gates">${explanation.gates.map((gate) => html`<li key=${gate.name} class=${gate.open ? "" : "shut"}>${gate.text}</li>`)}</ul>
  <//>`;
}

function Actions({ job, reload }) {
  if (!may("job:write")) return null;
  const act = async (verb, question) => {
    const reason = question ? await ask({ ...question, fields: [REASON] }) : {};
    return reason && post(`v1/jobs/${job.id}/${verb}`, reason);
  };
  const remove = async () => {
    const sure = await ask({
      title: "Delete this job?", text: "It is gone for good, with its attempts and its result.", action: "Delete it", danger: true,
    });
    if (!sure) return undefined;
    await call("DELETE", `v1/jobs/${job.id}`);
    location.hash = "#/jobs";
    return true;
  };
  return html`
    ${RETRIED.includes(job.state) && html`<${Button} act=${() => act("retry")} done=${(answer) => `It is ${answer.state} again`} after=${reload}>Retry<//>`}
    ${!OVER.includes(job.state) && html`<${Button} act=${() => act("cancel", { title: "Cancel this job?", action: "Cancel it" })}
      done=${(answer) => (answer.state === "cancelled" ? "Cancelled" : "It was asked to stop")} after=${reload}>Cancel<//>`}
    ${job.state !== "running" && html`<${Button} kind="danger" act=${remove} done="Deleted">Delete<//>`}`;
}

const limit = (job) => (job.max_retries === null ? "as its queue says" : `${job.failures} of at most ${job.max_retries}`);

export default function Job({ id }) {
  const found = useData([`v1/jobs/${id}`, `v1/jobs/${id}/explain`], `job:${id}`);
  const job = found.data?.[0];
  const title = job ? job.name : "Job";
  return html`<${Page} title=${title} actions=${job && html`<${State} of=${job.state} /><${Actions} job=${job} reload=${found.reload} />`}>
    <${Loaded} from=${found}>${(job, explanation) => html`
      <p class="id">${job.id}</p>
      <div class="grid">
        <${Life} job=${job} />
        ${!OVER.includes(job.state) && html`<${Why} explanation=${explanation} />`}
        ${job.error && html`<${Section} title="Error"><${Trouble} error=${job.error} /><//>`}
      </div>
      <${Section} title="Arguments"><${Value} of=${job.payload} text=${job.payload_text} label="Arguments" /><//>
      ${job.result_kept && html`<${Section} title="Result"><${Value} of=${job.result} text=${job.result_text} label="Result" /><//>`}
      <${Attempts} of=${job.attempts} />
      <${Section} title="Facts"><${Facts} of=${[
        ["Queue", job.queue],
        ["Priority", job.priority],
        ["Reason", job.reason],
        ["Retries", limit(job)],
        ["Crashes", job.crashes || null],
        ["Timeout", job.timeout_seconds && span(job.timeout_seconds)],
        ["Expires", job.expires_at && html`<${Time} at=${job.expires_at} />`],
        ["Worker", job.worker_id && html`<${Id} of=${job.worker_id} kind="worker" />`],
        ["Lease until", job.lease_until && html`<${Time} at=${job.lease_until} />`],
        ["Cancellation asked", job.cancel_requested],
        ["Set aside", job.set_aside],
        ["Blocked", job.blocked],
        ["Unique key", job.unique_key],
        ["Concurrency key", job.concurrency_key && `${job.concurrency_key} (at most ${job.concurrency_max})`],
        ["Waits behind", job.behind && html`<${Id} of=${job.behind} kind="job" />`],
        ["Replay of", job.replay_of && html`<${Id} of=${job.replay_of} kind="letter" />`],
        ["Tenant", job.scope && `${job.scope.app_id}/${job.scope.org_id}`],
        ["Tags", job.tags.length > 0 && html`<${Tags} of=${job.tags} />`],
      ]} />
        ${Object.keys(job.metadata).length > 0 && html`<h3>Metadata</h3><${Value} of=${job.metadata} label="Metadata" />`}
      <//>`}<//>
  <//>`;
}
