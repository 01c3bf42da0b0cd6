-- Removes a job that does not run; a waiting one is withdrawn first, as if cancelled.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends
-- ARGV: now, id, scoped, app, org, the letters of the states of which it must be in one ('' any).
local id, row = ARGV[2], job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return 'missing'
end
if row.st == 'R' or driven(row) or (ARGV[6] ~= '' and not ARGV[6]:find(row.st, 1, true)) then
  return 'conflict'
end
if row.st == 'P' or row.st == 'T' then
  withdraw(id, row)
  tell_job('job.cancelled', id, row)
  part_key(id, row)
  hand_over(id, row)
  part_parent(id, row, 'X')
end
move(id, row, nil)
admit_left()
joined()
settle()
call('UNLINK', job_key(id), P .. 'a:' .. id)
wake()
return 'applied'
