-- How many jobs match, by state.
-- flags: no-writes
-- parts: base keys rows
-- ARGV: now, filters as JSON: kinds, queues, names (lists; absent: any), app and org (absent: every tenant).
local filters = cjson.decode(ARGV[2])
local function set_of(list)
  local set = {}
  for _, value in ipairs(list or {}) do
    set[value] = true
  end
  return list and set
end
local states, totals = {'P', 'R', 'T', 'C', 'F', 'X'}, {0, 0, 0, 0, 0, 0}
local tenant = filters.app and tenant_of({ap = filters.app, og = filters.org})
each_cell(filters.queues, set_of(filters.names), set_of(filters.kinds), function(cell)
  for i, state in ipairs(states) do
    if tenant and tenant ~= '' then
      totals[i] = totals[i] + tonumber(call('HGET', P .. 'n:' .. tenant, state .. cell) or 0)
    else
      -- of rows that are no tenant's nobody keeps count: they are what the tenants' leave
      local others = tenant and call('HGET', P .. 'nt', state .. cell) or 0
      totals[i] = totals[i] + call('ZCARD', P .. 's:' .. state .. ':' .. cell) - tonumber(others)
    end
  end
end)
return totals
