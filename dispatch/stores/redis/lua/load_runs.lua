-- What drivers need to run.
-- flags: no-writes
-- parts: base keys rows moves runs shown_runs
-- ARGV: now, drivers. Answers now, then of each that drives a run that, its journal and its children's ends.
local found = {NOW_TEXT}
for i = 2, #ARGV do
  local about = call('HMGET', job_key(ARGV[i]), 'k', 'ri')
  local run_id = about[2]
  if about[1] == 'workflow' and run_id and run_of(run_id) then
    found[#found + 1] = {
      shown_run(run_id, true), call('LRANGE', P .. 'fj:' .. run_id, 0, -1), call('HGETALL', P .. 'fr:' .. run_id),
    }
  end
end
return found
