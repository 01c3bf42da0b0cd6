-- How many rows of each kind there are, in the order of transfer.KINDS without RUN_KINDS.
-- flags: no-writes
-- parts: base keys rows letters
local queues, jobs, letters, records, ticks = 0, 0, 0, 0, 0
for _, queue in ipairs(call('SMEMBERS', P .. 'q')) do
  queues = queues + call('HEXISTS', P .. 'qs:' .. queue, 'set')
end
each_cell(nil, nil, nil, function(cell)
  for _, state in ipairs({'P', 'T', 'R', 'C', 'F', 'X'}) do
    jobs = jobs + call('ZCARD', P .. 's:' .. state .. ':' .. cell)
  end
end)
for _, state in ipairs(LETTER_STATES) do
  letters = letters + call('ZCARD', P .. 'xs:' .. state)
end
for _, namespace in ipairs(call('ZRANGE', P .. 'on', 0, -1)) do
  records = records + call('ZCARD', P .. 'ok:' .. namespace)
end
for _, id in ipairs(call('SMEMBERS', P .. 'cs')) do
  ticks = ticks + call('ZCARD', P .. 'co:' .. id)
end
return {
  call('HLEN', P .. 'definitions'), queues, jobs, call('HLEN', P .. 'u'), call('HLEN', P .. 'i'), letters,
  call('ZCARD', P .. 'ei'), records, call('HLEN', P .. 'cc'), call('SCARD', P .. 'cs'), ticks,
}
