-- Queues as an operator sees them, all or one.
-- flags: no-writes
-- parts: base keys rows concurrency place ready gates
-- ARGV: now, queue ('' all by 'all' in ARGV[3]).
-- Answers the time, then for each its name, settings, counts (pending, retrying, running, set aside, blocked), when its oldest due
-- job was due ('' none), holders of slots, and tokens ('' no rate).
local LANES = 1000
local function oldest_due(queue)
  local oldest
  local function consider(moment)
    if moment <= NOW and (not oldest or moment < oldest) then
      oldest = moment
    end
  end
  for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. queue)) do
    for _, lane in ipairs(call('ZRANGE', P .. 'l:' .. pair(queue, name), 0, LANES - 1)) do
      local key, after = ready_key(queue, name, lane), '-inf'
      while true do
        local first = call('ZRANGEBYSCORE', key, after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        if #first == 0 then
          break
        end
        consider(tonumber(call('HGET', job_key(first[1]:sub(19)), 'r') or NOW + 1))
        after = '(' .. first[2]
      end
    end
  end
  local later = call('ZRANGE', P .. 'nx:' .. queue, 0, 0, 'WITHSCORES')
  if later[2] then
    consider(tonumber(later[2]))
  end
  return oldest and text(oldest) or ''
end

local names = ARGV[3] == 'all' and call('SMEMBERS', P .. 'q') or {ARGV[2]}
table.sort(names)
local found = {NOW_TEXT}
for _, queue in ipairs(names) do
  local counts, aside = {P = 0, T = 0, R = 0}, 0
  each_cell({queue}, nil, nil, function(cell)
    for state in pairs(counts) do
      counts[state] = counts[state] + call('ZCARD', P .. 's:' .. state .. ':' .. cell)
    end
  end)
  for _, name in ipairs(call('SMEMBERS', P .. 'an:' .. queue)) do
    aside = aside + call('ZCARD', P .. 'as:' .. pair(queue, name))
  end
  local tokens = gate(queue).tokens
  found[#found + 1] = {
    queue, call('HGETALL', P .. 'qs:' .. queue), {counts.P, counts.T, counts.R, aside, call('SCARD', P .. 'bl:' .. queue)}, oldest_due(queue),
    call('ZRANGEBYSCORE', P .. 'sl:' .. queue, '(' .. NOW_TEXT, '+inf'),
    tokens and string.format('%.17g', tokens) or '',
  }
end
return found
