-- One job.
-- flags: no-writes
-- parts: base keys rows
-- ARGV: now, id, scoped, app, org.
local row, flat = job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return false
end
return shown(ARGV[2], row, flat)
