-- Turns a run whose driver goes on running to compensation.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving fences
-- ARGV: now, worker, driver, epoch, reason, then, where it failed, type, message, and traceback.
local worker, id = ARGV[2], ARGV[3]
local row, run = fence(worker, id, ARGV[4], nil, true)
if not row then
  return 'stale'
end
if run.co then
  return 'applied'
end
local run_id = row.ri
if ARGV[6] then
  add_attempt(id, row, 'failed', ARGV[6], ARGV[7], ARGV[8])
  note_run_error(run_id, run, ARGV[6], ARGV[7], ARGV[8])
end
call('HSET', run_key(run_id), 'co', '1', 'rs', ARGV[5])
run.co = '1'
to_run_state(run_id, run, 'K')
call('HDEL', job_key(id), 'f', 'x', 'cr')
call('SREM', P .. 'hc:' .. worker, id)
wake()
return 'applied'
