// Live pages: one event stream a page, which says "look again"; without it the page looks every few seconds.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, sees } from "./api.js";

const TYPES = [
  ...["enqueued", "started", "completed", "failed", "retrying", "cancelled", "dlq"].map((one) => `job.${one}`),
  ...["started", "step_completed", "step_failed", "completed", "failed", "cancelled"].map((one) => `workflow.${one}`),
  "cron.fired",
  "lagged",
  "reset",
];
const SOON = 500; // ms between an event and the look at the state: changes come in bunches
const LATER = 2_000; // ms until the look after that: not every state has an event
const SELDOM = 10_000; // ms after which a page looks although nothing was told
const WITHOUT = 3_000; // the same where there is no stream

const status = { state: "off", listeners: new Set() };

function tell(state) {
  status.state = state;
  for (const listener of status.listeners) listener(state);
}

/** "on", "off" or "lost", for the header. */
export function useStatus() {
  const [state, set] = useState(status.state);
  useEffect(() => {
    status.listeners.add(set);
    return () => status.listeners.delete(set);
  }, []);
  return state;
}

function listen(channel, changed) {
  const source = new EventSource(`v1/stream?channel=${encodeURIComponent(channel)}`);
  source.onopen = () => tell("on");
  source.onerror = () => tell(source.readyState === EventSource.CLOSED ? "off" : "lost");
  for (const type of TYPES) source.addEventListener(type, changed);
  return source;
}

/** Calls `look` soon after something happens on the channel (null: on none), and now and then. */
export function useLive(channel, look) {
  const latest = useRef(look);
  latest.current = look;
  useEffect(() => {
    let timer = 0;
    let later = 0;
    let busy = false;
    let again = false;
    let gone = false;
    const turn = async () => {
      timer = 0;
      if (document.hidden) return;
      if (busy) return void (again = true);
      busy = true;
      again = false;
      await latest.current();
      busy = false;
      if (again) soon();
    };
    const soon = () => {
      if (!gone && !timer) timer = setTimeout(turn, SOON);
    };
    const told = () => {
      soon();
      clearTimeout(later);
      later = setTimeout(soon, LATER);
    };
    const source = channel && sees("subscribe") ? listen(channel, told) : null;
    if (!source) tell("off");
    const poll = setInterval(soon, source ? SELDOM : WITHOUT);
    document.addEventListener("visibilitychange", soon);
    return () => {
      gone = true;
      clearTimeout(timer);
      clearTimeout(later);
      clearInterval(poll);
      document.removeEventListener("visibilitychange", soon);
      source?.close();
    };
  }, [channel]);
}

/** What is at these paths (a list of them, null for what is not asked), kept fresh: {data, error, reload}. */
export function useData(paths, channel = null) {
  const asked = JSON.stringify(paths);
  const [state, set] = useState({ asked });
  const newest = useRef(0);
  const reload = async () => {
    const turn = ++newest.current;
    try {
      const data = await Promise.all(paths.map((path) => path && get(path)));
      if (turn === newest.current) set({ asked, data });
    } catch (error) {
      if (turn === newest.current) set((before) => ({ ...(before.asked === asked ? before : { asked }), error }));
    }
  };
  useEffect(() => {
    reload();
    return () => void newest.current++;
  }, [asked]);
  useLive(channel, reload);
  return { ...(state.asked === asked ? state : {}), reload };
}
