// The pieces that pages are made of.

import { useEffect, useState } from "preact/hooks";
import { Refused } from "./api.js";
import { html } from "./html.js";
import { ago, seconds, short, shown, span, stamp } from "./text.js";
import { say } from "./talk.js";

export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

export function Page({ title, actions, children }) {
  useEffect(() => {
    document.title = `${title} · Dispatch`;
  }, [title]);
  return html`
    <header class="head"><h1 id="title" tabindex="-1">${title}</h1><div class="actions">${actions}</div></header>
    ${children}
  `;
}

export function Section({ title, children, note }) {
  return html`<section class="card"><h2>${title}</h2>${note && html`<p class="soft">${note}</p>`}${children}</section>`;
}

/** What stands there while nothing is loaded, or when it cannot be; else `children(data)`. */
export function Loaded({ from, children }) {
  if (from.error && !from.data) return html`<${Failure} error=${from.error} />`;
  if (!from.data) return html`<p class="soft" role="status">Loading…</p>`;
  return html`${from.error && html`<${Failure} error=${from.error} />`}${children(...from.data)}`;
}

export function Failure({ error }) {
  const request = error.request ? ` (request ${error.request})` : "";
  return html`<p class="alert bad" role="alert">${error.message}${request}</p>`;
}

export const State = ({ of }) => html`<span class=${`state ${of}`}>${of.replaceAll("_", " ")}</span>`;

export function Time({ at, none = "–" }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((one) => one + 1), 5000);
    return () => clearInterval(timer);
  }, []);
  return at ? html`<time datetime=${at} title=${stamp(at)}>${ago(at)}</time>` : none;
}

export const Span = ({ from, to }) => span(seconds(from, to));

export function Id({ of, kind }) {
  return of ? html`<a class="id" href=${link(kind, of)} title=${of}>${short(of)}</a>` : "–";
}

export const Tags = ({ of }) => of.map((one) => html`<span class="tag" key=${one}>${one}</span> `);

/** A payload, as text. */
export function Value({ of, text = null, label }) {
  return html`<pre class="value" tabindex="0" role="group" aria-label=${label}>${shown(of, text)}</pre>`;
}

export function Facts({ of }) {
  const given = of.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return html`<dl class="facts">
    ${given.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value === true ? "yes" : value}</dd></div>`)}
  </dl>`;
}

/** A table; columns: [title, row → content, class]. With `chosen` (a Set) and `choose` its rows can be selected. */
export function Table({ label, columns, rows, id = (row) => row.id, chosen, choose, empty = "Nothing here." }) {
  if (!rows.length) return html`<p class="empty">${empty}</p>`;
  const all = chosen && rows.every((row) => chosen.has(id(row)));
  const toggle = (keys, on) => {
    const next = new Set(chosen);
    for (const key of keys) on ? next.add(key) : next.delete(key);
    choose(next);
  };
  const box = (name, on, keys) =>
    html`<input type="checkbox" aria-label=${name} checked=${on}
      onChange=${(event) => toggle(keys, event.currentTarget.checked)} />`;
  return html`<table role="table" aria-label=${label} class="list">
    <thead role="rowgroup"><tr role="row">
      ${chosen && html`<th role="columnheader" scope="col" class="pick">${box("Select all", all, rows.map(id))}</th>`}
      ${columns.map(([title, , kind]) => html`<th role="columnheader" scope="col" class=${kind} key=${title}>${title}</th>`)}
    </tr></thead>
    <tbody role="rowgroup">
      ${rows.map((row) => html`<tr role="row" key=${id(row)} class=${chosen?.has(id(row)) ? "chosen" : ""}>
        ${chosen && html`<td role="cell" class="pick">${box(`Select ${id(row)}`, chosen.has(id(row)), [id(row)])}</td>`}
        ${columns.map(([title, of, kind]) => html`<td role="cell" data-label=${title} class=${kind} key=${title}>${of(row)}</td>`)}
      </tr>`)}
    </tbody>
  </table>`;
}

/** A button that does something once at a time, and says what became of it; it keeps the focus meanwhile. */
export function Button({ act, children, kind = "", done, label, after }) {
  const [busy, set] = useState(false);
  const press = async () => {
    if (busy) return;
    set(true);
    try {
      const answer = await act();
      if (answer === undefined) return;
      if (done) say(typeof done === "function" ? done(answer) : done);
      await after?.(answer);
    } catch (error) {
      say(error instanceof Refused || error instanceof Error ? error.message : String(error), true);
    } finally {
      set(false);
    }
  };
  return html`<button type="button" class=${kind} aria-disabled=${busy} aria-label=${label} onClick=${press}>${children}</button>`;
}

/** What a bulk route answered, in a sentence. */
export function outcome(answer, verb) {
  const first = answer.items.find((item) => !item.ok);
  return answer.refused ? `${answer.done} ${verb}, ${answer.refused} refused: ${first.error.message}` : `${answer.done} ${verb}`;
}

export function Field({ label, children }) {
  return html`<label class="field"><span>${label}</span>${children}</label>`;
}

export function Pager({ at, next, go }) {
  if (!at && !next) return null;
  return html`<nav class="pager" aria-label="Pages">
    <button type="button" disabled=${!at} onClick=${() => go("")}>Newest</button>
    <button type="button" disabled=${!next} onClick=${() => go(next)}>Older</button>
  </nav>`;
}
