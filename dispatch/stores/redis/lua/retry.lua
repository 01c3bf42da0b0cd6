-- Makes an ended job wait again as if new, or a retrying one due now.
-- parts: base keys rows moves concurrency place ready admit unique ends
-- ARGV: now, id, scoped, app, org. Answers a reply, the state, and the job that stands for it where there is one.
local id, row = ARGV[2], job(ARGV[2])
if not row or not in_scope(row, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return {'missing'}
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
local twin = row.uk and holding(row.uk)
if (row.st ~= 'F' and row.st ~= 'X') or (twin and twin.live) then
  return {'conflict', row.st}
end
if letter and letter.st == 'O' then
  decide_letter(row.dl, 'R')
end
if row.w then
  call('HDEL', key, 'la')
end
call('HDEL', key, 'dl', 'ex', 'fi', 'rs', 're', 'cr', 'f', 'x')
row.f, row.x, row.dl = nil, nil, nil
if row.uk then
  take_key(row.uk, id, row.uh)
end
join_key(id, row)
if row.ck then
  call('HSETNX', P .. 'km', row.ck, row.cm or '1')
end
wait(id, row, NOW_TEXT)
admit_left()
joined()
settle()
wake()
return {'applied', 'P'}
