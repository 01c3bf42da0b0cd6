-- Which names have jobs in lanes, or due for them, by queue; with the number of the last registration.
-- flags: no-writes
-- parts: base
local found = {call('GET', P .. 'registrations') or '0'}
local queues = call('SMEMBERS', P .. 'q')
table.sort(queues)
for _, queue in ipairs(queues) do
  local names = {}
  for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. queue)) do
    names[name] = true
  end
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'nx:' .. queue, '-inf', NOW)) do
    names[name] = true
  end
  for name in pairs(names) do
    found[#found + 1] = queue
    found[#found + 1] = name
  end
end
return found
