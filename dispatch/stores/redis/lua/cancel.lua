-- Cancels a job.
-- flags: allow-oom
-- parts: base rows moves ready unique ends cancels
-- ARGV: now, id, scoped, app, org, reason. Answers a reply and the state.
local id, row = ARGV[2], job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
if not cancel_job(id, row, ARGV[6]) then
  return {'conflict', row.st}
end
joined()
settle()
wake()
return {'applied', row.st}
