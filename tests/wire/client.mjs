// A client written from docs/protocol.md alone: it authenticates, enqueues, watches a job to its end, and prints its result.
const [url, token, name] = process.argv.slice(2);
const socket = new WebSocket(url);
const waiting = new Map();
let number = 0;
let finished;
const done = new Promise((resolve) => { finished = resolve; });

function ask(method, data) {
  const id = String(++number);
  socket.send(JSON.stringify({ type: "request", id, method, data }));
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type === "event") {
    if (["job.completed", "job.failed"].includes(frame.data.type)) finished(frame.data);
    return;
  }
  const { resolve, reject } = waiting.get(frame.correl_id);
  waiting.delete(frame.correl_id);
  if (frame.type === "error") reject(new Error(`${frame.error.code} ${frame.error.message}`));
  else resolve(frame.data);
};

socket.onopen = async () => {
  await ask("auth", { token, format: "json" });
  const { job_id } = await ask("job.enqueue", { name: "greet", payload: { name }, delay: 0.5 });
  await ask("subscribe", { channel: `job:${job_id}` });
  const event = await done;
  const job = await ask("job.get", { job_id });
  let refused = "";
  try { await ask("job.get", { job_id: "job_00000000000000000000000000" }); } catch (error) { refused = error.message; }
  console.log(JSON.stringify({ event: event.type, state: job.state, result: job.result, refused }));
  socket.close();
};
