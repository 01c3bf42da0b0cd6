-- A run, whole.
-- flags: no-writes
-- parts: base keys rows moves runs shown_runs
-- ARGV: now, id, scoped, app, org.
local run = run_of(ARGV[2])
if not run or not in_scope(run, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return false
end
return shown_run(ARGV[2], true)
