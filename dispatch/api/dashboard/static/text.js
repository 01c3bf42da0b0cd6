// Values as people read them.

export const MOST_TEXT = 64 * 1024; // characters of a payload that a page shows

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** 83.2 → "1 min 23 s". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return "0 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  const [unit, size] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((seconds - whole * size) / next[1]) : 0;
  return rest ? `${whole} ${unit} ${rest} ${next[0]}` : `${whole} ${unit}`;
}

export const seconds = (from, to) => (from && to ? (new Date(to) - new Date(from)) / 1000 : null);

/** "3 min ago", "in 2 h". */
export function ago(at, now = Date.now()) {
  const past = (now - new Date(at)) / 1000;
  if (Math.abs(past) < 1) return "now";
  const text = span(Math.floor(Math.abs(past))).split(" ").slice(0, 2).join(" ");
  return past > 0 ? `${text} ago` : `in ${text}`;
}

export const stamp = (at) => new Date(at).toISOString().replace("T", " ").replace(/\.?0*Z$/, " UTC");

export const count = (number) => (number ?? 0).toLocaleString("en");

export const percent = (part) => (part === null || part === undefined ? "–" : `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`);

export const short = (id) => (id ? `${id.slice(0, 4)}…${id.slice(-6)}` : "");

/** A JSON value, or the text that stands for it, as text no longer than a page takes. */
export function shown(value, text = null) {
  const whole = text ?? (typeof value === "string" ? JSON.stringify(value) : JSON.stringify(value, null, 2)) ?? "";
  if (whole.length <= MOST_TEXT) return whole;
  return `${whole.slice(0, MOST_TEXT)}\n… ${count(whole.length - MOST_TEXT)} more characters`;
}

/** What somebody typed as JSON; throws an error that says so. */
export function parsed(text, otherwise = null) {
  if (!text.trim()) return otherwise;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`that is no JSON: ${error.message}`);
  }
}

const PLACES = [["prod", 0], ["live", 0], ["stag", 35], ["pre", 35], ["test", 265], ["dev", 150], ["local", 150]];

/** The hue that an environment is known by. */
export function hue(environment) {
  const name = environment.toLowerCase();
  const known = PLACES.find(([begins]) => name.startsWith(begins));
  if (known) return known[1];
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}
