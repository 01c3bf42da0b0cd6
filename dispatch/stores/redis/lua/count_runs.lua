-- How many runs, by state.
-- flags: no-writes
-- parts: base keys rows
-- ARGV: now, filters as JSON: names (absent: any), app and org (absent: every tenant).
local filters = cjson.decode(ARGV[2])
local states, totals = {'P', 'R', 'W', 'K', 'C', 'F', 'X', 'B'}, {0, 0, 0, 0, 0, 0, 0, 0}
local tenant = filters.app and tenant_of({ap = filters.app, og = filters.org})
for _, name in ipairs(filters.names or call('SMEMBERS', P .. 'fa')) do
  for i, state in ipairs(states) do
    if tenant then
      totals[i] = totals[i] + tonumber(call('HGET', P .. 'fm:' .. tenant, state .. name) or 0)
    else
      totals[i] = totals[i] + call('ZCARD', P .. 'fs:' .. state .. ':' .. name)
    end
  end
end
return totals
