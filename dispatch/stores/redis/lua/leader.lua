-- Who leads: leader, term and end, or nothing when no term runs.
-- flags: no-writes
-- parts: base
local row = call('HMGET', P .. 'leader', 'leader', 'term', 'until')
if not row[1] or tonumber(row[3]) <= NOW then
  return false
end
return row
