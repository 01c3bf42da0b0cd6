-- The latest ticks of an entry, newest first: time and JSON each.
-- flags: no-writes
-- parts: base
-- ARGV: now, id, limit.
local found = {}
for _, time in ipairs(tonumber(ARGV[3]) > 0 and call('ZREVRANGE', P .. 'co:' .. ARGV[2], 0, ARGV[3] - 1) or {}) do
  found[#found + 1] = time
  found[#found + 1] = call('HGET', P .. 'ct:' .. ARGV[2], time)
end
return found
