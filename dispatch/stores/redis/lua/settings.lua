-- Every queue that has settings, with them.
-- flags: no-writes
-- parts: base
local found = {}
for _, queue in ipairs(call('SMEMBERS', P .. 'q')) do
  local flat = call('HGETALL', P .. 'qs:' .. queue)
  if call('HEXISTS', P .. 'qs:' .. queue, 'set') == 1 then
    found[#found + 1] = {queue, flat}
  end
end
return found
