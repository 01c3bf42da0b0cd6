-- Removes dead workers, the longest silent first; or counts them.
-- flags: allow-oom
-- parts: base
-- ARGV: now, silent for (microseconds), limit, dry.
local before, dead = NOW - tonumber(ARGV[2]), {}
for _, id in ipairs(call('SMEMBERS', P .. 'ws')) do
  local row = call('HMGET', P .. 'w:' .. id, 'seen', 'lease', 'st')
  local seen = tonumber(row[1])
  if seen < before and (row[3] == 'dead' or seen + tonumber(row[2]) < NOW) then
    dead[#dead + 1] = {id = id, seen = seen}
  end
end
table.sort(dead, function(a, b)
  if a.seen ~= b.seen then
    return a.seen < b.seen
  end
  return a.id < b.id
end)
local count = math.min(#dead, tonumber(ARGV[3]))
for i = 1, ARGV[4] == '1' and 0 or count do
  call('DEL', P .. 'w:' .. dead[i].id)
  call('SREM', P .. 'ws', dead[i].id)
end
return count
