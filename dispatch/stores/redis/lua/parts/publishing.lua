-- Wakes the runs that wait for a broadcast, a bounded number at a time.
local function each_waiting(event_id, channel, after, limit)
  local found = call('ZRANGEBYLEX', P .. 'fv:' .. channel, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
  local roused = {}
  for _, member in ipairs(found) do
    local length, both = member:match('^(%d+):(.*)$')
    local id, name = both:sub(1, tonumber(length)), both:sub(tonumber(length) + 1)
    local value, run = call('HGET', P .. 'fw:' .. id, name), not roused[id] and run_of(id)
    local _, since = read_wait(value)
    if run and (not since or since <= NOW) then
      roused[id] = true
      rouse(id, run)
    end
  end
  if #found == limit then
    call('HSET', P .. 'fb', event_id, pair(channel, found[#found]))
  elseif after ~= '' then
    call('HDEL', P .. 'fb', event_id)
  end
  return #found
end

-- Goes on with publishes that were not through with their runs; answers whether there is more to do.
local function go_on_waking(limit)
  local left = call('EXISTS', P .. 'fb') == 1 and call('HGETALL', P .. 'fb') or {}
  for i = 1, #left, 2 do
    if limit <= 0 then
      return true
    end
    local length, both = left[i + 1]:match('^(%d+):(.*)$')
    limit = limit - each_waiting(left[i], both:sub(1, tonumber(length)), both:sub(tonumber(length) + 1), limit)
  end
  return call('EXISTS', P .. 'fb') == 1
end
