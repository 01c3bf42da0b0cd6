// What the dashboard says to people, and asks them: notes in a corner, and one dialog.

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

const LONG = 6000; // ms that a note stays
let note = () => {};
let open = () => {};

/** Says something in the corner, and to screen readers. */
export const say = (text, bad = false) => note({ text: `${text[0].toUpperCase()}${text.slice(1)}`, bad });

/** Asks; answers what was filled in by the fields' names, or undefined when people think better of it.
 *  Fields: {name, label, type, value, hint, required, read}; `read` turns text into the value, or throws. */
export const ask = (question) => new Promise((answer) => open({ ...question, answer }));

export const REASON = { name: "reason", label: "Reason, for the audit record", maxlength: 500 };

export function Notes() {
  const [notes, set] = useState([]);
  const number = useRef(0);
  note = (one) => {
    const id = ++number.current;
    set((all) => [...all.slice(-3), { ...one, id }]);
    setTimeout(() => set((all) => all.filter((other) => other.id !== id)), LONG);
  };
  return html`<div class="notes" role="status" aria-live="polite">
    ${notes.map((one) => html`<p key=${one.id} class=${one.bad ? "bad" : ""}>${one.text}</p>`)}
  </div>`;
}

function Input({ field }) {
  const given = {
    name: field.name,
    required: field.required,
    maxlength: field.maxlength,
    placeholder: field.placeholder,
    spellcheck: false,
  };
  if (field.type === "area") return html`<textarea rows="6" ...${given} defaultValue=${field.value ?? ""}></textarea>`;
  if (field.type === "check") return html`<input type="checkbox" name=${field.name} defaultChecked=${field.value} />`;
  if (field.options) {
    return html`<select ...${given}>
      ${field.options.map(([value, text]) => html`<option value=${value} selected=${value === field.value}>${text}</option>`)}
    </select>`;
  }
  return html`<input type=${field.type || "text"} step="any" ...${given} defaultValue=${field.value ?? ""} />`;
}

function filled(fields, form) {
  const found = {};
  for (const field of fields) {
    const input = form.elements[field.name];
    if (field.type === "check") found[field.name] = input.checked;
    else if (field.read) found[field.name] = field.read(input.value);
    else if (field.type === "number") found[field.name] = input.value === "" ? null : Number(input.value);
    else found[field.name] = input.value;
  }
  return found;
}

export function Dialog() {
  const [question, set] = useState(null);
  const [wrong, complain] = useState("");
  const element = useRef(null);
  open = (one) => {
    complain("");
    set(one);
  };
  useEffect(() => {
    if (question && !element.current.open) element.current.showModal();
  }, [question]);
  if (!question) return null;
  const fields = question.fields || [];
  const end = (answer) => {
    element.current.close();
    set(null);
    question.answer(answer);
  };
  const submit = (event) => {
    event.preventDefault();
    try {
      end(filled(fields, event.currentTarget));
    } catch (error) {
      complain(error.message);
    }
  };
  const cancel = (event) => {
    event.preventDefault();
    end(undefined);
  };
  return html`<dialog ref=${element} aria-labelledby="question" onCancel=${cancel}>
    <form onSubmit=${submit}>
      <h2 id="question">${question.title}</h2>
      ${question.text && html`<p>${question.text}</p>`}
      ${fields.map((field) => html`<label class=${field.type === "check" ? "check" : "field"} key=${field.name}>
        <span>${field.label}</span><${Input} field=${field} />
        ${field.hint && html`<small class="soft">${field.hint}</small>`}
      </label>`)}
      ${wrong && html`<p class="alert bad" role="alert">${wrong}</p>`}
      <div class="actions">
        <button type="button" onClick=${cancel}>Never mind</button>
        <button type="submit" class=${question.danger ? "danger" : "primary"}>${question.action}</button>
      </div>
    </form>
  </dialog>`;
}
