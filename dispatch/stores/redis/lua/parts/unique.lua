-- Unique keys: u is a hash of "<live>:<held until>:<job>" by key; uo the keys in order; ux those that only their time
-- holds, by that time.
local function holding(key)
  local value = call('HGET', P .. 'u', key)
  if not value then
    return nil
  end
  local live, held, id = value:match('^(%d):(%d*):(.*)$')
  return {live = live == '1', held = tonumber(held), id = id}
end

-- Who holds the key now; nil when it is free.
local function holder(key)
  local found = holding(key)
  if found and (found.live or (found.held and found.held > NOW)) then
    return found
  end
  return nil
end

-- Gives a key to a live job; the longer holding time counts.
local function take_key(key, id, held)
  local before, until_ = holding(key), tonumber(held)
  if before and before.held and (not until_ or before.held > until_) then
    until_ = before.held
  end
  call('HSET', P .. 'u', key, '1:' .. (until_ and text(until_) or '') .. ':' .. id)
  if before then
    call('ZREM', P .. 'ux', key)
  else
    call('ZADD', P .. 'uo', 0, key)
  end
end

-- The job does not need its key any more: only the holding time keeps it, or nothing.
local function give_up_key(key, id)
  local found = holding(key)
  if not found or found.id ~= id or not found.live then
    return
  end
  if found.held and found.held > NOW then
    call('HSET', P .. 'u', key, '0:' .. text(found.held) .. ':' .. id)
    call('ZADD', P .. 'ux', found.held, key)
  else
    call('HDEL', P .. 'u', key)
    call('ZREM', P .. 'uo', key)
  end
end

local function sweep_keys(limit)
  for _, key in ipairs(call('ZRANGEBYSCORE', P .. 'ux', '-inf', NOW, 'LIMIT', 0, limit)) do
    call('HDEL', P .. 'u', key)
    call('ZREM', P .. 'uo', key)
    call('ZREM', P .. 'ux', key)
  end
end
