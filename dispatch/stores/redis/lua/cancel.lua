-- Cancels a job.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends cancels
-- ARGV: now, id, scoped, app, org, reason. Answers a reply and the state.
local id, row = ARGV[2], job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
if driven(row) or not cancel_job(id, row, ARGV[6]) then
  return {'conflict', row.st}
end
admit_left()
joined()
settle()
wake()
return {'applied', row.st}
