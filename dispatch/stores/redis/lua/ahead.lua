-- How many claimable jobs stand before one in its lane.
-- flags: allow-oom
-- parts: base rows moves ready
-- ARGV: now, id, limit.
local row = job(ARGV[2])
if not row or (row.st ~= 'P' and row.st ~= 'T') then
  return 0
end
promote(row.q, nil, 200)
local lane, score, member = row.l or '', -tonumber(row.o or 0), stamp(row.r) .. ARGV[2]
local count = 0
for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. row.q)) do
  local key = ready_key(row.q, name, lane)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if call('ZRANGE', key, middle, middle)[1] < member then
      low = middle + 1
    else
      high = middle
    end
  end
  count = count + low
end
return math.min(count, tonumber(ARGV[3]))
