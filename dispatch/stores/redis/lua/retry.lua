-- Makes an ended job wait again as if new, or a retrying one due now.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry revive
-- ARGV: now, id, scoped, app, org. Answers a reply, the state, the job that stands for it where there is
-- one, and who holds its unique key if another does.
local id, row = ARGV[2], job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
end
if driven(row) then
  return {'conflict', row.st}
end
local key = job_key(id)
if row.st == 'T' then
  local blocked = row.bl
  lift(id, row)
  row.r = NOW_TEXT
  call('HSET', key, 'r', NOW_TEXT, 'u', NOW_TEXT)
  if blocked then
    block(id, row)
  else
    place_row(id, row)
  end
  admit_left()
  joined()
  wake()
  return {'applied', 'T'}
end
local letter = row.dl and hash(P .. 'x:' .. row.dl)
if row.st == 'F' and letter and letter.ra then
  return {'conflict', row.st, letter.ra}
end
if row.st ~= 'F' and row.st ~= 'X' then
  return {'conflict', row.st}
end
local twin = live_twin(row.uk)
if twin then
  return {'conflict', row.st, '', twin.id}
end
start_over(id, row)
admit_left()
joined()
settle()
wake()
return {'applied', 'P'}
