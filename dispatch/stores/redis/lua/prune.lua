-- Removes rows that ended long ago, the longest ended first; or counts them.
-- flags: allow-oom
-- parts: base keys rows moves
-- ARGV: now, dry, limit, then a state and the age (microseconds) that its rows may reach, each. Answers how many.
local dry, limit = ARGV[2] == '1', tonumber(ARGV[3])
local old = {}
for i = 4, #ARGV, 2 do
  local before = '(' .. text(NOW - tonumber(ARGV[i + 1]))
  local found = call('ZRANGEBYSCORE', P .. 'z:' .. ARGV[i], '-inf', before, 'WITHSCORES', 'LIMIT', 0, limit)
  for j = 1, #found, 2 do
    old[#old + 1] = {id = found[j], ended = tonumber(found[j + 1])}
  end
end
table.sort(old, function(a, b)
  if a.ended ~= b.ended then
    return a.ended < b.ended
  end
  return a.id < b.id
end)
local count = math.min(limit, #old)
if not dry then
  for i = 1, count do
    local id = old[i].id
    local found = call('HMGET', job_key(id), 'st', 'q', 'n', 'k', 'ap', 'og')
    local row = {st = found[1], q = found[2], n = found[3], k = found[4], ap = found[5] or nil, og = found[6] or nil}
    move(id, row, nil)
    call('UNLINK', job_key(id), P .. 'a:' .. id)
  end
  settle()
end
return count
