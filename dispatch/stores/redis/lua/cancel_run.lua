-- Makes a waiting run compensate, or asks a running one to.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving
-- ARGV: now, run, scoped, app, org, reason. Answers a reply and the state.
local id, run = ARGV[2], run_of(ARGV[2])
if not run or not in_scope(run, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
if not cancel_run(id, run, ARGV[6]) then
  return {'conflict', run.st}
end
admit_left()
joined()
settle()
wake()
return {'applied', run.st}
